import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runners.errors import LinkError, PictureTooLarge
from runners.ring import Header, Ring

ROOT = Path(__file__).parents[3]
HEADER = Header(seq=7, pts=2**40, epoch=3, width=6, height=4, captured_at=1.25)


def test_what_is_stamped_and_filled_on_one_side_is_read_on_the_other() -> None:
    ours, fd = Ring.create(slots=3, max_picture_bytes=1000)
    theirs = Ring(fd)
    os.close(fd)
    ours.stamp(2, HEADER)[:] = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    header, picture = theirs.read(2)
    assert header == HEADER
    assert picture.tobytes() == bytes(range(72))


def test_reading_is_the_shared_memory_itself_and_no_copy() -> None:
    ring, fd = Ring.create(slots=1, max_picture_bytes=1000)
    os.close(fd)
    picture = ring.stamp(0, HEADER)
    _, same = ring.read(0)
    picture[0, 0] = 99
    assert same[0, 0, 0] == 99


def test_slots_do_not_overlap() -> None:
    ring, fd = Ring.create(slots=3, max_picture_bytes=72)
    os.close(fd)
    for slot in range(3):
        ring.stamp(slot, HEADER)[:] = slot
    assert [int(ring.read(slot)[1].max()) for slot in range(3)] == [0, 1, 2]


def test_a_picture_over_the_limit_is_refused() -> None:
    ring, fd = Ring.create(slots=1, max_picture_bytes=1000)
    os.close(fd)
    with pytest.raises(PictureTooLarge, match="9000x9000"):
        ring.stamp(0, Header(0, 0, 0, 9000, 9000, 0))


@pytest.mark.parametrize("slot", [-1, 3])
def test_a_slot_that_is_none_is_refused(slot: int) -> None:
    ring, fd = Ring.create(slots=3, max_picture_bytes=1000)
    os.close(fd)
    with pytest.raises(LinkError, match="no slot"):
        ring.read(slot)


def test_a_descriptor_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "not-a-ring"
    path.write_bytes(b"\1" * 100_000)
    with path.open("r+b") as file, pytest.raises(LinkError):
        Ring(file.fileno())


def test_memory_for_4k_costs_nothing_until_it_is_written_to() -> None:
    ring, fd = Ring.create()
    before = os.fstat(fd).st_blocks
    ring.stamp(0, Header(0, 0, 0, 640, 360, 0))[:] = 1
    written = (os.fstat(fd).st_blocks - before) * 512
    os.close(fd)
    assert written < 2 * 640 * 360 * 3


@pytest.mark.parametrize("way", ["native", "unlinked"])
def test_nothing_is_left_behind_when_its_owner_is_killed(way: str) -> None:
    if way == "unlinked":
        source = "import os; from runners.ring import _unlinked_memory as make; make()"
    else:
        source = "import os; from runners.ring import Ring; ring = Ring.create()"
    before = _shared_names()
    ended = subprocess.run(
        [sys.executable, "-c", source + "; os.kill(os.getpid(), 9)"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -9
    assert ended.stderr == b""  # no resource tracker complains
    assert not {name for name in _shared_names() - before if "penstock" in name}


def test_without_memfd_the_ring_works_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.ring.sys.platform", "darwin")
    ring, fd = Ring.create(slots=2, max_picture_bytes=1000)
    os.close(fd)
    ring.stamp(1, HEADER)[:] = 5
    assert int(ring.read(1)[1].min()) == 5


def _shared_names() -> set[str]:
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
