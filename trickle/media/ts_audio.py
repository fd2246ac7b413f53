"""Sound inside PES packets: several frames, or the end of one and the beginning of the next.

Pure. `ts_demux` makes packets of the frames that are found here.
"""

from typing import Final

from trickle.media.packets import CLOCK_HZ

AAC_FRAME_SAMPLES: Final = 1024
AAC_RATES: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_ADTS_HEADER_BYTES: Final = 7

# Opus frame durations in ticks by the five bits of configuration (RFC 6716, table 2).
_OPUS_MS: Final = (10, 20, 40, 60) * 3 + (10, 20) * 2 + (2.5, 5, 10, 20) * 4
_OPUS_TICKS: Final = tuple(int(ms * CLOCK_HZ / 1000) for ms in _OPUS_MS)
_OPUS_PACKET_TICKS_MAX: Final = CLOCK_HZ * 120 // 1000
# The longest ADTS frame that its 13-bit length can say.
_REST_BYTES_MAX: Final = 8191

# A frame with the time it begins, in ticks.
Timed = tuple[bytes, int]


class AacSplitter:
    """Splits one stream of AAC into frames, wherever its PES packets begin and end."""

    def __init__(self) -> None:
        self._rest = b""
        self._rest_at = 0.0

    def split(self, payload: bytes, pts: int) -> list[Timed]:
        """Takes a PES packet's payload.

        Its stamp belongs to the first frame that begins in it, not to one that only ends there.
        """
        rest, self._rest = self._rest, b""
        if rest and payload[:3] == rest[:3]:
            # A header, where the end of a frame should be: that frame's length was a lie.
            rest = b""
        frames, left = adts_frames(rest + payload if rest else payload)
        timed: list[Timed] = []
        if rest and frames and len(frames[0][0]) > len(rest):
            timed.append((frames[0][0], round(self._rest_at)))
            frames = frames[1:]
        at = float(pts)
        for frame, ticks in frames:
            timed.append((frame, round(at)))
            at += ticks
        if len(left) <= _REST_BYTES_MAX:
            self._rest = left
            self._rest_at = at
        return timed


def split_opus(payload: bytes, pts: int) -> list[Timed]:
    """Splits a PES packet's payload of Opus."""
    timed: list[Timed] = []
    for frame in opus_frames(payload):
        timed.append((frame, pts))
        pts += opus_ticks(frame)
    return timed


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


def opus_frames(data: bytes) -> list[bytes]:
    """Splits Opus at its control headers (the Opus-in-TS mapping, draft 0.1.3)."""
    frames: list[bytes] = []
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
        frames.append(data[at : at + size])
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
