"""H.264 in RTP (RFC 6184): access units out of payloads, and payloads out of access units.

Whole pictures only: a picture of which anything is missing is dropped here, since neither a
decoder in a runner nor one in a browser shows half a picture well. The stream that comes out can
be joined at any keyframe, because each one carries its parameter sets.
"""

import struct
from dataclasses import dataclass
from typing import Final

from trickle.media.annexb import H264_AUD, H264_FILLER, H264_IDR, H264_PPS, H264_SPS, START_CODE
from trickle.media.annexb import nal_units as split

# Payload bytes per packet. With RTP, SRTP, UDP, IP and an extension it stays under the 1280 of
# IPv6's minimum link, so that no path fragments it; browsers send as much.
PAYLOAD_MAX_BYTES: Final = 1200

# No encoder for the web makes a picture this large; a sender that never ends one must not fill
# our memory.
ACCESS_UNIT_MAX_BYTES: Final = 8 << 20

# Encoders that switch sizes use a second or third pair of sets; none needs more.
PARAMETER_SETS_MAX: Final = 8

_STAP_A: Final = 24
_FU_A: Final = 28
_SLICES: Final = range(1, 6)


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture in Annex B form."""

    data: bytes
    timestamp: int
    keyframe: bool


class AccessUnits:
    """Puts access units together from payloads in sending order. A parser.

    Attributes:
        broken: Pictures dropped because a part was missing or made no sense.
    """

    def __init__(self) -> None:
        self.broken = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._timestamp: int | None = None
        self._damaged = False
        self._gap = False
        self._in_fragment = False
        self._kinds = 0  # a bit per NAL unit type seen in this picture
        self._sets: list[bytes] = []

    def feed(self, payload: bytes, timestamp: int, *, marker: bool) -> AccessUnit | None:
        """Takes the next payload; returns the picture that it completes, if any.

        The marker bit ends a picture at once, without waiting for the next. For senders that
        do not set it, a new timestamp ends the picture before; what that packet itself ends is
        then returned with the packet after it.
        """
        done = None
        if self._gap:
            # What was being put together and what goes on after the gap may both lack parts.
            self._gap = False
            if timestamp != self._timestamp:
                self.broken += bool(self._parts)
            self._reset()
            self._timestamp, self._damaged = timestamp, True
        elif timestamp != self._timestamp:
            if self._timestamp is not None and (self._parts or self._damaged):
                done = self._finish()
            self._timestamp = timestamp
        if payload:
            self._unpack(payload)
        if marker and done is None:
            done = self._finish()
        return done

    def lose(self) -> None:
        """Something is missing before the next payload."""
        self._gap = True

    def _unpack(self, payload: bytes) -> None:
        kind = payload[0] & 31
        if kind == _FU_A and len(payload) > 2:
            head = payload[1]
            if head & 0x80:
                self._kinds |= 1 << (head & 31)
                self._append(START_CODE + bytes(((payload[0] & 0xE0) | (head & 31),)))
                self._in_fragment = True
            elif not self._in_fragment:
                self._damaged = True
            self._append(payload[2:])
            if head & 0x40:
                self._in_fragment = False
        elif 1 <= kind < _STAP_A:
            self._unit(payload)
        elif kind == _STAP_A:
            at = 1
            while at + 2 < len(payload):
                size = (payload[at] << 8) | payload[at + 1]
                unit = payload[at + 2 : at + 2 + size]
                if not size or len(unit) < size:
                    self._damaged = True
                    return
                self._unit(unit)
                at += 2 + size
        else:
            self._damaged = True

    def _unit(self, unit: bytes) -> None:
        kind = unit[0] & 31
        self._kinds |= 1 << kind
        if kind in (H264_SPS, H264_PPS):
            self._remember(unit, kind)
        elif kind in (H264_AUD, H264_FILLER):
            return
        self._append(START_CODE)
        self._append(unit)

    def _append(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > ACCESS_UNIT_MAX_BYTES:
            self._damaged = True
            self._parts.clear()
            return
        self._parts.append(part)

    def _remember(self, unit: bytes, kind: int) -> None:
        if unit in self._sets:
            return
        if kind == H264_SPS:
            # A new sequence: what went before describes another picture.
            self._sets = [s for s in self._sets if s[0] & 31 == H264_SPS and s[1:4] != unit[1:4]]
        self._sets.append(unit)
        del self._sets[:-PARAMETER_SETS_MAX]

    def _reset(self) -> None:
        self._parts, self._size, self._kinds = [], 0, 0
        self._damaged = self._in_fragment = False

    def _finish(self) -> AccessUnit | None:
        parts, kinds, damaged = self._parts, self._kinds, self._damaged
        self._reset()
        if damaged:
            self.broken += bool(parts)
            return None
        if not kinds & 0b111110:  # parameter sets alone: kept for the keyframe to come
            return None
        keyframe = bool(kinds & 1 << H264_IDR)
        if keyframe and not (kinds >> H264_SPS & 1 and kinds >> H264_PPS & 1):
            front = [piece for each in self._sets for piece in (START_CODE, each)]
            if kinds >> H264_SPS & 1 or kinds >> H264_PPS & 1:
                # Some came with the picture; all go in front of it, once.
                parts = _without_sets(b"".join(parts))
            parts = front + parts
        assert self._timestamp is not None
        return AccessUnit(b"".join(parts), self._timestamp, keyframe)


def _without_sets(data: bytes) -> list[bytes]:
    units = [u for u in split(data) if u[0] & 31 not in (H264_SPS, H264_PPS)]
    return [piece for unit in units for piece in (START_CODE, unit)]


def payloads(access_unit: bytes) -> list[bytes]:
    """Packs an Annex B access unit: small units together, large ones in equal fragments."""
    packed: list[bytes] = []
    small: list[bytes] = []
    room = PAYLOAD_MAX_BYTES - 1
    for unit in split(access_unit):
        kind = unit[0] & 31
        if kind in (H264_AUD, H264_FILLER):
            continue
        size = len(unit)
        if size > PAYLOAD_MAX_BYTES:
            packed += _aggregated(small)
            packed += _fragments(unit)
            small, room = [], PAYLOAD_MAX_BYTES - 1
            continue
        if size + 2 > room and small:
            packed += _aggregated(small)
            small, room = [], PAYLOAD_MAX_BYTES - 1
        small.append(unit)
        room -= size + 2
    return packed + _aggregated(small)


def _aggregated(units: list[bytes]) -> list[bytes]:
    if len(units) < 2:
        return units
    importance = max(unit[0] & 0x60 for unit in units)
    body = b"".join([piece for u in units for piece in (struct.pack("!H", len(u)), u)])
    return [bytes((importance | _STAP_A,)) + body]


def _fragments(unit: bytes) -> list[bytes]:
    room = PAYLOAD_MAX_BYTES - 2
    body = len(unit) - 1
    count = -(-body // room)
    step = -(-body // count)
    indicator, kind = (unit[0] & 0xE0) | _FU_A, unit[0] & 31
    fragments = []
    for at in range(1, body + 1, step):
        flags = (0x80 if at == 1 else 0) | (0x40 if at + step > body else 0)
        fragments.append(bytes((indicator, flags | kind)) + unit[at : at + step])
    return fragments
