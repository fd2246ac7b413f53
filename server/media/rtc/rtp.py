"""RTP packets: the header, and the one header extension that we read.

Functions over bytes, called for every packet of every stream: they build no objects on the way in.
"""

import struct
from typing import Final, NamedTuple

HEADER_BYTES: Final = 12

_fixed = struct.Struct("!BBHLL").unpack_from
_extension = struct.Struct("!HH").unpack_from

_ONE_BYTE_PROFILE: Final = 0xBEDE


class Header(NamedTuple):
    """Where things are in a packet. `extension` and `start` bound the header extensions."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    extension: int
    start: int
    end: int


def parse(packet: bytes) -> Header | None:
    """Reads the header of a decrypted packet; None when the packet cannot be RTP."""
    size = len(packet)
    if size < HEADER_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _fixed(packet)
    start = HEADER_BYTES + 4 * (first & 15)
    extension = 0
    if first & 16:
        if start + 4 > size:
            return None
        profile, words = _extension(packet, start)
        start += 4
        if profile == _ONE_BYTE_PROFILE:
            extension = start
        start += 4 * words
    end = size - packet[size - 1] if first & 32 else size
    if start > end:
        return None
    return Header(second & 127, second > 127, sequence, timestamp, ssrc, extension, start, end)


def transport_sequence(packet: bytes, header: Header, wanted: int) -> int | None:
    """The transport-wide sequence number, which stands in the extension with the id `wanted`."""
    at, stop = header.extension, header.start
    if not at:
        return None
    while at < stop:
        first = packet[at]
        if first == 0:
            at += 1
            continue
        length = (first & 15) + 1
        if first >> 4 == wanted and length >= 2 and at + 2 < stop:
            return (packet[at + 1] << 8) | packet[at + 2]
        at += 1 + length
    return None
