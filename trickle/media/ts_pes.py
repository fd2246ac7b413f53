"""What is inside a PES packet: stamps, access units, audio frames.

Pure. `ts_demux` joins TS packets into PES packets and asks here what they hold. Numbers in brackets
are clauses of ISO/IEC 13818-1.
"""

from dataclasses import dataclass
from typing import Final

from trickle.media.packets import CLOCK_HZ
from trickle.media.ts_mux import LENGTH_MAGIC

HEADER_BYTES: Final = 9
_START: Final = b"\0\0\1"
_PRIVATE_BYTES: Final = 16

AAC_FRAME_SAMPLES: Final = 1024
AAC_RATES: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_ADTS_HEADER_BYTES: Final = 7

# Opus frame durations in ticks by the five bits of configuration (RFC 6716, table 2).
_OPUS_MS: Final = (10, 20, 40, 60) * 3 + (10, 20) * 2 + (2.5, 5, 10, 20) * 4
_OPUS_TICKS: Final = tuple(int(ms * CLOCK_HZ / 1000) for ms in _OPUS_MS)
_OPUS_PACKET_TICKS_MAX: Final = CLOCK_HZ * 120 // 1000


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


def adts_frames(data: bytes) -> tuple[list[tuple[bytes, float]], bytes]:
    """Splits AAC at its ADTS headers.

    Returns:
        Each frame with its duration in ticks, and the beginning of a frame that is not all there.
    """
    frames: list[tuple[bytes, float]] = []
    at = 0
    end = len(data)
    while end - at >= _ADTS_HEADER_BYTES:
        if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
            at = data.find(b"\xff", at + 1)
            if at < 0:
                return frames, b""
            continue
        rate = (data[at + 2] >> 2) & 15
        size = ((data[at + 3] & 3) << 11) | (data[at + 4] << 3) | (data[at + 5] >> 5)
        if rate >= len(AAC_RATES) or size < _ADTS_HEADER_BYTES:
            at += 1
            continue
        if at + size > end:
            break
        samples = AAC_FRAME_SAMPLES * ((data[at + 6] & 3) + 1)
        frames.append((data[at : at + size], samples * CLOCK_HZ / AAC_RATES[rate]))
        at += size
    return frames, data[at:]


def opus_frames(data: bytes) -> list[tuple[bytes, float]]:
    """Splits Opus at its control headers (the Opus-in-TS mapping, draft 0.1.3)."""
    frames: list[tuple[bytes, float]] = []
    at = 0
    end = len(data)
    while at + 2 < end and data[at] == 0x7F and data[at + 1] & 0xE0 == 0xE0:
        flags = data[at + 1]
        at += 2
        size = 0
        while at < end and data[at] == 0xFF:
            size += 255
            at += 1
        if at >= end:
            break
        size += data[at]
        at += 1
        at += 2 * bool(flags & 0x10) + 2 * bool(flags & 0x08)  # samples to trim off either end
        if flags & 0x04 and at < end:
            at += 1 + data[at]
        if not size or at + size > end:
            break
        packet = data[at : at + size]
        frames.append((packet, float(opus_ticks(packet))))
        at += size
    return frames


def opus_ticks(packet: bytes) -> int:
    """How long an Opus packet plays; 0 when it is malformed."""
    if not packet:
        return 0
    count = (1, 2, 2, 0)[packet[0] & 3]
    if not count and len(packet) > 1:
        count = packet[1] & 0x3F
    ticks = count * _OPUS_TICKS[packet[0] >> 3]
    return ticks if ticks <= _OPUS_PACKET_TICKS_MAX else 0
