import struct

from hypothesis import given
from hypothesis import strategies as st

from server.media.rtc.rtp import parse, transport_sequence


def packet(payload: bytes = b"pay", *, first: int = 0x80, extra: bytes = b"") -> bytes:
    return struct.pack("!BBHLL", first, 0x80 | 102, 65_535, 4_000_000_000, 77) + extra + payload


def test_a_plain_packet_is_read() -> None:
    data = packet()
    header = parse(data)
    assert header is not None
    assert (header.payload_type, header.marker, header.sequence) == (102, True, 65_535)
    assert (header.timestamp, header.ssrc) == (4_000_000_000, 77)
    assert data[header.start : header.end] == b"pay"


def test_contributors_extension_and_padding_are_left_out_of_the_payload() -> None:
    extra = bytes(8) + struct.pack("!HH", 0xBEDE, 1) + bytes(4)
    data = packet(b"pay\0\0\3", first=0x80 | 0x20 | 0x10 | 2, extra=extra)
    header = parse(data)
    assert header is not None
    assert data[header.start : header.end] == b"pay"


def test_the_transport_sequence_is_found_among_other_extensions() -> None:
    body = bytes((0x12, 1, 2, 3, 0, 0x31, 0xAB, 0xCD))
    data = packet(first=0x90, extra=struct.pack("!HH", 0xBEDE, 2) + body)
    header = parse(data)
    assert header is not None
    assert transport_sequence(data, header, 3) == 0xABCD
    assert transport_sequence(data, header, 4) is None


def test_an_extension_in_the_long_form_is_skipped() -> None:
    data = packet(first=0x90, extra=struct.pack("!HH", 0x1000, 1) + bytes((3, 2, 1, 1)))
    header = parse(data)
    assert header is not None
    assert transport_sequence(data, header, 3) is None
    assert data[header.start : header.end] == b"pay"


@given(data=st.binary(max_size=80), wanted=st.integers(1, 14))
def test_no_bytes_are_read_outside_the_packet(data: bytes, wanted: int) -> None:
    header = parse(data)
    if header is not None:
        assert 12 <= header.start <= header.end <= len(data)
        found = transport_sequence(data, header, wanted)
        assert found is None or 0 <= found < 1 << 16
