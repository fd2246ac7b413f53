"""PES packets: how long they are, and when what is in them is to be decoded and shown.

Pure. `ts_demux` joins TS packets into PES packets and asks here. What sound is inside them is told
apart in `ts_audio`. Numbers in brackets are clauses of ISO/IEC 13818-1.
"""

from dataclasses import dataclass
from typing import Final

from trickle.media.ts_mux import LENGTH_MAGIC

HEADER_BYTES: Final = 9
_START: Final = b"\0\0\1"
_PRIVATE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PesHead:
    """Attributes: `pts` and `dts` still wrapped; `payload` is where the data begins."""

    payload: int
    pts: int | None
    dts: int | None


def is_pes(start: bytes) -> bool:
    """Whether a PES packet begins here."""
    return start.startswith(_START)


def pes_bytes(start: bytes) -> int | None:
    """How long the whole PES packet is, from its first TS packet; None when it does not say."""
    if len(start) < 6 or not start.startswith(_START):
        return None
    length = (start[4] << 8) | start[5]
    if length:
        return 6 + length
    return _marked_bytes(start)


def _marked_bytes(start: bytes) -> int | None:
    """The length that `TsMuxer` puts into the private data of a long packet."""
    if len(start) < HEADER_BYTES or not start[7] & 0x01:
        return None
    at = HEADER_BYTES + (0, 0, 5, 10)[start[7] >> 6]
    mark = start[at : at + 1 + _PRIVATE_BYTES]
    if len(mark) <= _PRIVATE_BYTES or not mark[0] & 0x80 or mark[1:13] != LENGTH_MAGIC:
        return None
    length = 0
    for byte in mark[13:17]:
        length = (length << 7) | (byte & 0x7F)
    return HEADER_BYTES + start[8] + length


def parse_head(pes: bytes) -> PesHead | None:
    """Reads the header [2.4.3.6]; None if this is no PES packet with stamps and data."""
    if len(pes) < HEADER_BYTES or not pes.startswith(_START) or pes[6] & 0xC0 != 0x80:
        return None
    flags, header = pes[7] >> 6, pes[8]
    payload = HEADER_BYTES + header
    if len(pes) < payload or header < (0, 0, 5, 10)[flags]:
        return None
    pts = _stamp(pes, 9) if flags & 2 else None
    dts = _stamp(pes, 14) if flags == 3 else pts
    return PesHead(payload, pts, dts)


def _stamp(pes: bytes, at: int) -> int:
    return (
        ((pes[at] & 0x0E) << 29)
        | (pes[at + 1] << 22)
        | ((pes[at + 2] & 0xFE) << 14)
        | (pes[at + 3] << 7)
        | (pes[at + 4] >> 1)
    )
