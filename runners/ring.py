"""Pictures across processes: preallocated slots of shared memory, uint8, one ring per direction.

Who may touch which slot is agreed over the link; a slot has exactly one owner at any time, so no
lock is needed here. The memory has no name: it is handed on as a descriptor, lives as long as
somebody maps it, and cannot be left behind, whatever is killed.

Every slot is as large as the largest picture. That costs address space only: the system backs a
page when it is first written to, so 720p streams pay for 720p, and a stream that changes its
resolution needs nothing new.
"""

import mmap
import os
import struct
import sys
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from runners.errors import LinkError, PictureTooLarge
from runners.sdk import Picture

# A 4K picture, with room for sizes that are odd but honest (DCI 4K, a phone held upright).
MAX_PICTURE_BYTES: Final = 4096 * 2304 * 3

# One in the model, one whose result is on its way, one being written.
SLOTS: Final = 3

_PAGE_BYTES: Final = mmap.PAGESIZE
_GEOMETRY: Final = struct.Struct("<8sII")  # magic, slots, bytes per slot
_MAGIC: Final = b"pnstkrng"
_HEADER: Final = struct.Struct("<QqIIId")
_CHANNELS: Final = 3


@dataclass(frozen=True, slots=True)
class Header:
    """What goes with a picture.

    Attributes:
        seq: Counts the frames that were given to the model.
        pts: In ticks of 1/90000 s.
        epoch: The settings that held when it was made.
        width: In pixels.
        height: In pixels.
        captured_at: When its coded bytes arrived, on this machine's monotonic clock.
    """

    seq: int
    pts: int
    epoch: int
    width: int
    height: int
    captured_at: float


class Ring:
    """Slots of shared memory, mapped into this process."""

    def __init__(self, fd: int) -> None:
        """Maps the ring behind `fd`, which may be closed afterwards.

        Raises:
            LinkError: It is not a ring.
        """
        size = os.fstat(fd).st_size
        if size < _PAGE_BYTES:
            raise LinkError("the descriptor is no ring")
        self._memory = mmap.mmap(fd, size)
        magic, self.slots, self._slot_bytes = _GEOMETRY.unpack_from(self._memory, 0)
        if magic != _MAGIC or _PAGE_BYTES + self.slots * self._slot_bytes > size:
            raise LinkError("the descriptor is no ring")
        self.max_picture_bytes = self._slot_bytes - _PAGE_BYTES

    @classmethod
    def create(
        cls, *, slots: int = SLOTS, max_picture_bytes: int = MAX_PICTURE_BYTES
    ) -> tuple[Self, int]:
        """Returns a new ring and the descriptor by which another process maps it."""
        slot_bytes = _PAGE_BYTES + -(-max_picture_bytes // _PAGE_BYTES) * _PAGE_BYTES
        fd = _nameless_memory(_PAGE_BYTES + slots * slot_bytes)
        try:
            os.pwrite(fd, _GEOMETRY.pack(_MAGIC, slots, slot_bytes), 0)
            return cls(fd), fd
        except BaseException:
            os.close(fd)
            raise

    def stamp(self, slot: int, header: Header) -> Picture:
        """Writes the header of a slot and returns its picture, to be filled.

        Raises:
            PictureTooLarge: The slot cannot hold it.
        """
        if header.width * header.height * _CHANNELS > self.max_picture_bytes:
            raise PictureTooLarge(f"{header.width}x{header.height} is over the limit")
        _HEADER.pack_into(
            self._memory,
            self._offset(slot),
            header.seq,
            header.pts,
            header.epoch,
            header.width,
            header.height,
            header.captured_at,
        )
        return self._picture(slot, header.width, header.height)

    def read(self, slot: int) -> tuple[Header, Picture]:
        """Returns what is in a slot. The picture is the shared memory itself, not a copy.

        Raises:
            LinkError: The header is not one that `stamp` wrote.
        """
        header = Header(*_HEADER.unpack_from(self._memory, self._offset(slot)))
        if header.width * header.height * _CHANNELS > self.max_picture_bytes:
            raise LinkError(f"slot {slot} claims {header.width}x{header.height}")
        return header, self._picture(slot, header.width, header.height)

    def _offset(self, slot: int) -> int:
        if not 0 <= slot < self.slots:
            raise LinkError(f"no slot {slot}")
        at: int = _PAGE_BYTES + slot * self._slot_bytes
        return at

    def _picture(self, slot: int, width: int, height: int) -> Picture:
        flat = np.frombuffer(
            self._memory,
            np.uint8,
            count=width * height * _CHANNELS,
            offset=self._offset(slot) + _PAGE_BYTES,
        )
        return flat.reshape(height, width, _CHANNELS)


def _nameless_memory(size: int) -> int:
    """Returns a descriptor of zeroed shared memory that no name leads to."""
    if sys.platform == "linux":
        fd: int = os.memfd_create("penstock-ring", os.MFD_CLOEXEC)
    else:
        fd = _unlinked_memory()
    try:
        os.ftruncate(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _unlinked_memory() -> int:
    """The same for systems without memfd_create: POSIX memory whose name is gone at once.

    `multiprocessing.shared_memory` would keep the name for its life, and a tracker process to
    clean up after it.
    """
    import _posixshmem  # type: ignore[import-not-found]  # CPython's own, without stubs

    name = f"/penstock-{os.getpid()}-{os.urandom(4).hex()}"
    fd: int = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
    _posixshmem.shm_unlink(name)
    return fd
