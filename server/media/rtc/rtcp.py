"""RTCP: what the two ends of a media stream tell each other beside the media.

Functions from values to bytes, and one from bytes to values. Reading never fails: a peer that
sends nonsense has what came before the nonsense heard, and the rest ignored.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SR: Final = 200
RR: Final = 201
SDES: Final = 202
BYE: Final = 203
RTPFB: Final = 205
PSFB: Final = 206

_NACK: Final = 1
_TRANSPORT_CC: Final = 15
_PLI: Final = 1
_FIR: Final = 4
_APPLICATION: Final = 15
_CNAME: Final = 1

# One NACK names at most this many packets: more are a lost cause, and a keyframe is cheaper.
NACKS_MAX: Final = 256

# Seconds from 1900, which NTP counts from, to 1970.
_NTP_EPOCH_S: Final = 2_208_988_800


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one source is received, as RFC 3550 6.4.1 has it."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A source's wall clock at one of its timestamps."""

    ssrc: int
    ntp: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets of one source that did not arrive."""

    media_ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """PLI or FIR: the other side cannot decode without a keyframe."""

    media_ssrc: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A source has ended."""

    ssrcs: tuple[int, ...]


Message = ReportBlock | SenderReport | Nack | KeyframeRequest | Goodbye


def parse(data: bytes) -> list[Message]:
    """Reads a compound packet, decrypted. What we have no use for is left out."""
    messages: list[Message] = []
    at = 0
    while at + 4 <= len(data):
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            break
        try:
            messages += _messages(kind, first & 31, data[at + 4 : end])
        except struct.error:
            break
        at = end
    return messages


def _messages(kind: int, count: int, body: bytes) -> list[Message]:
    if kind == SR:
        ssrc, ntp, timestamp = struct.unpack_from("!LQL", body)
        return [SenderReport(ssrc, ntp, timestamp), *_blocks(body, 24, count)]
    if kind == RR:
        return list(_blocks(body, 4, count))
    if kind == BYE:
        return [Goodbye(struct.unpack_from(f"!{count}L", body))]
    if kind == RTPFB and count == _NACK:
        return [Nack(struct.unpack_from("!L", body, 4)[0], tuple(_lost(body)))]
    if kind == PSFB and count == _PLI:
        return [KeyframeRequest(struct.unpack_from("!L", body, 4)[0])]
    if kind == PSFB and count == _FIR:
        return [
            KeyframeRequest(struct.unpack_from("!L", body, at)[0])
            for at in range(8, len(body) - 7, 8)
        ]
    return []


def _blocks(body: bytes, at: int, count: int) -> Iterable[ReportBlock]:
    for start in range(at, at + 24 * count, 24):
        ssrc, loss, highest, jitter, last, delay = struct.unpack_from("!LLLLLL", body, start)
        lost = loss & 0xFFFFFF
        yield ReportBlock(ssrc, loss >> 24, lost - (lost >> 23 << 24), highest, jitter, last, delay)


def _lost(body: bytes) -> Iterable[int]:
    left = NACKS_MAX
    for at in range(8, len(body) - 3, 4):
        first, mask = struct.unpack_from("!HH", body, at)
        for offset in range(17):
            if offset == 0 or mask >> (offset - 1) & 1:
                if not left:
                    return
                left -= 1
                yield (first + offset) & 0xFFFF


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def sender_report(
    ssrc: int, *, ntp: int, timestamp: int, packets: int, octets: int, cname: str
) -> bytes:
    """SR and the SDES that must go with it."""
    report = _packet(
        SR,
        0,
        struct.pack("!LQLLL", ssrc, ntp, timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF),
    )
    name = cname.encode()
    items = struct.pack("!LBB", ssrc, _CNAME, len(name)) + name
    items += bytes(4 - len(items) % 4)  # one to four zeros end the list
    return report + _packet(SDES, 1, items)


def receiver_report(ssrc: int, blocks: Iterable[ReportBlock]) -> bytes:
    """RR with one block per source."""
    packed = [
        struct.pack(
            "!LLLLLL",
            block.ssrc,
            (block.fraction_lost << 24) | (block.lost & 0xFFFFFF),
            block.highest_sequence & 0xFFFFFFFF,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks
    ]
    return _packet(RR, len(packed), struct.pack("!L", ssrc) + b"".join(packed))


def nack(ssrc: int, media_ssrc: int, lost: Iterable[int]) -> bytes:
    """Asks for packets again. `lost` is in sending order; it may cross the wrap."""
    pairs: list[list[int]] = []
    for sequence in lost:
        distance = (sequence - pairs[-1][0]) & 0xFFFF if pairs else 0
        if pairs and 1 <= distance <= 16:
            pairs[-1][1] |= 1 << (distance - 1)
        else:
            pairs.append([sequence, 0])
    body = struct.pack("!LL", ssrc, media_ssrc)
    return _packet(RTPFB, _NACK, body + b"".join(struct.pack("!HH", *pair) for pair in pairs))


def keyframe_request(ssrc: int, media_ssrc: int) -> bytes:
    """PLI."""
    return _packet(PSFB, _PLI, struct.pack("!LL", ssrc, media_ssrc))


def bitrate_limit(ssrc: int, bits_per_s: int, ssrcs: list[int]) -> bytes:
    """REMB: the most that the other side should send."""
    exponent = max(0, bits_per_s.bit_length() - 18)
    mantissa = bits_per_s >> exponent
    body = struct.pack("!LL4sBBH", ssrc, 0, b"REMB", len(ssrcs), exponent << 2 | mantissa >> 16,
                       mantissa & 0xFFFF)  # fmt: skip
    return _packet(PSFB, _APPLICATION, body + struct.pack(f"!{len(ssrcs)}L", *ssrcs))


def transport_feedback(ssrc: int, media_ssrc: int, content: bytes) -> bytes:
    """Transport-wide feedback around what `twcc` made."""
    padding = bytes(-len(content) % 4)
    return _packet(RTPFB, _TRANSPORT_CC, struct.pack("!LL", ssrc, media_ssrc) + content + padding)


def goodbye(ssrc: int) -> bytes:
    """BYE."""
    return _packet(BYE, 1, struct.pack("!L", ssrc))


def ntp_time(unix_s: float) -> int:
    """A Unix time as a 64-bit NTP timestamp."""
    return int((unix_s + _NTP_EPOCH_S) * (1 << 32))


def ntp_middle(ntp: int) -> int:
    """The middle 32 bits, as reports name a sender report."""
    return ntp >> 16 & 0xFFFFFFFF


__all__ = [
    "NACKS_MAX",
    "Goodbye",
    "KeyframeRequest",
    "Message",
    "Nack",
    "ReportBlock",
    "SenderReport",
    "bitrate_limit",
    "goodbye",
    "keyframe_request",
    "nack",
    "ntp_middle",
    "ntp_time",
    "parse",
    "receiver_report",
    "sender_report",
    "transport_feedback",
]
