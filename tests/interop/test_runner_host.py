"""The life of a child process, with real ones that behave badly at each step."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psutil
import pytest

from runners.errors import ChildFailed
from runners.host import Child, ChildState, Deadlines, Exit
from runners.messages import Message, Report
from tests.support.waiting import until

HASTY = Deadlines(ready_s=3, beat_s=0.1, silent_s=0.8, stop_s=0.6, kill_s=3)

PRELUDE = """
import argparse, os, signal, sys, threading, time, subprocess
parser = argparse.ArgumentParser()
parser.add_argument("--link-fd", type=int)
fd = parser.parse_args().link_fd
from runners import child
child.prepare()
told = threading.Event()
life = child.Lifeline(fd, on_stop=told.set)
life.start()
"""


@asynccontextmanager
async def living(
    source: str, *, deadlines: Deadlines = HASTY, messages: list[Message] | None = None
) -> AsyncGenerator[tuple[Child, "asyncio.Task[Exit]"], None]:
    child = Child(
        "trial",
        [sys.executable, "-c", PRELUDE + source],
        deadlines=deadlines,
        on_message=None if messages is None else messages.append,
    )
    task = asyncio.create_task(child.run())
    try:
        yield child, task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_good_child_gets_ready_stays_and_stops() -> None:
    async with living("life.ready({'port': 7}); told.wait()") as (child, task):
        assert await child.ready() == {"port": 7}
        states = [child.state]
        child.stop()
        ended = await task
    states.append(child.state)
    assert (ended.reason, ended.returncode, ended.was_ready) == ("stopped", 0, True)
    assert states == [ChildState.READY, ChildState.GONE]


async def test_a_child_that_never_gets_ready_is_killed() -> None:
    deadlines = Deadlines(ready_s=0.5, stop_s=0.2)
    async with living("time.sleep(60)", deadlines=deadlines) as (child, task):
        with pytest.raises(ChildFailed, match="not ready after"):
            await child.ready()
        assert (await task).reason == "not ready after 0.5 s"


async def test_a_child_that_ends_by_itself_says_with_what_and_its_last_words() -> None:
    async with living("print('no such card', flush=True); sys.exit(3)") as (child, task):
        with pytest.raises(ChildFailed):
            await child.ready()
        ended = await task
    assert ended.reason == "ended with code 3: no such card"
    assert ended.lines[-1] == "no such card"


async def test_a_child_that_crashes_says_by_which_signal() -> None:
    async with living("life.ready({}); os.kill(os.getpid(), signal.SIGSEGV)") as (_, task):
        assert (await task).reason == "killed by SIGSEGV"


async def test_a_child_that_does_not_stop_is_killed_and_shows_where_it_stood() -> None:
    source = "life.ready({})\ndef stubborn():\n    time.sleep(60)\nstubborn()"
    async with living(source) as (child, task):
        await child.ready()
        child.stop()
        ended = await task
    assert ended.returncode == -9
    assert any("stubborn" in line or "<string>" in line for line in ended.lines)


async def test_a_child_that_stands_still_is_found_out_by_its_heartbeat() -> None:
    async with living("life.ready({}); os.kill(os.getpid(), signal.SIGSTOP)") as (_, task):
        ended = await task
    assert ended.reason == "no heartbeat for 0.8 s"


async def test_what_a_child_starts_dies_with_it() -> None:
    source = (
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "life.ready({'pid': p.pid}); told.wait(); os._exit(0)"
    )
    async with living(source) as (child, task):
        grandchild = (await child.ready())["pid"]
        child.stop()
        await task
    await until(lambda: not is_running(grandchild), within_s=3)


async def test_cancelling_its_owner_stops_the_child() -> None:
    async with living("life.ready({}); told.wait()") as (child, task):
        await child.ready()
        pid = child.pid
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert pid is not None
    assert not is_running(pid)


@pytest.mark.parametrize("kills_link_only", [False, True])
async def test_a_child_dies_with_its_parent_even_when_it_is_stuck(kills_link_only: bool) -> None:
    without = "child.ctypes.CDLL = lambda *a, **k: type('', (), {'prctl': print})()\n"
    inner = PRELUDE.replace(
        "child.prepare()", (without if kills_link_only else "") + "child.prepare()"
    )
    inner += "life.ready({'pid': os.getpid()})\ntime.sleep(60)"
    outer = (
        "import asyncio\nfrom runners.host import Child\n"
        "async def main():\n"
        f"    inner = Child('inner', [sys.executable, '-c', {inner!r}])\n"
        "    task = asyncio.create_task(inner.run())\n"
        "    life.ready(await inner.ready())\n"
        "    await task\n"
        "asyncio.run(main())"
    )
    async with living(outer) as (child, task):
        inner_pid = (await child.ready())["pid"]
        assert child.pid is not None
        psutil.Process(child.pid).kill()
        await task
        await until(lambda: not is_running(inner_pid), within_s=3)


async def test_lines_come_home_with_their_level_and_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = (
        "import logging\nfrom runners import logs\nlogs.configure(for_parent=True)\n"
        "logging.getLogger('paint').warning('dry', extra={'pots': 3})\n"
        "print('plain words', flush=True)\nlife.ready({}); told.wait()"
    )
    caplog.set_level(logging.INFO)
    async with living(source) as (child, task):
        await child.ready()
        child.stop()
        await task
    records = {record.getMessage(): record for record in caplog.records}
    assert records["dry"].name == "paint"
    assert records["dry"].levelno == logging.WARNING
    assert vars(records["dry"])["pots"] == 3
    assert vars(records["dry"])["child"] == "trial"
    assert "plain words" in records


async def test_a_child_that_prints_without_end_is_neither_logged_nor_held_in_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    source = (
        "for _ in range(20_000): sys.stdout.write('y\\n')\n"
        "sys.stdout.write('z' * 10_000_000)\nsys.stdout.flush()\nlife.ready({}); told.wait()"
    )
    async with living(source) as (child, task):
        await child.ready()
        child.stop()
        ended = await task
    assert len(caplog.records) < 2000
    assert max(len(line) for line in ended.lines) <= 4096


async def test_a_program_that_is_not_there_is_a_child_that_ended() -> None:
    child = Child("none", ["/no/such/program"])
    ended = await child.run()
    assert "cannot be started" in ended.reason
    with pytest.raises(ChildFailed, match="cannot be started"):
        await child.ready()


async def test_reports_reach_the_parent() -> None:
    source = (
        "import asyncio, socket\nfrom runners.messages import Report\n"
        "life._link.send(Report('ERROR', 'no card'))\nlife.ready({}); told.wait()"
    )
    messages: list[Message] = []
    async with living(source, messages=messages) as (child, _):
        await child.ready()
    assert messages == [Report("ERROR", "no card")]


async def test_stopping_takes_no_longer_than_its_deadlines() -> None:
    async with living("life.ready({}); time.sleep(60)") as (child, task):
        await child.ready()
        began = time.monotonic()
        child.stop()
        await task
    assert time.monotonic() - began < HASTY.stop_s + 1


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
