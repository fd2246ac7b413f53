"""Frames, as RFC 6455 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trickle.websocket import MAX_INCOMING_BYTES, BadFrame, Listener, Opcode, accept, frame


def masked(opcode: int, payload: bytes, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    head = frame(Opcode.TEXT, payload)[: -len(payload) or None]
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((0x80 | opcode, head[1] | 0x80)) + head[2:] + mask + body


def test_key_is_accepted_as_in_the_rfc() -> None:
    assert accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, b"\x82\0"), (125, b"\x82}"), (126, b"\x82~\0~"), (1 << 16, b"\x82\x7f" + b"\0" * 5)],
)
def test_length_takes_the_room_it_needs(size: int, head: bytes) -> None:
    assert frame(Opcode.BINARY, bytes(size)).startswith(head)


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 8, 9, 10]), st.binary(max_size=300)), max_size=5),
    st.binary(min_size=4, max_size=4),
    st.integers(1, 50),
)
def test_frames_come_out_whole_however_they_arrive(
    frames: list[tuple[int, bytes]], mask: bytes, step: int
) -> None:
    data = b"".join(masked(opcode, payload, mask) for opcode, payload in frames)
    listener, got = Listener(), []
    for at in range(0, len(data), step):
        got += listener.feed(data[at : at + step])
    assert got == frames


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),
        (b"\xc1\x80abcd", 1002),
        (b"\x82\xff" + (MAX_INCOMING_BYTES + 1).to_bytes(8, "big"), 1009),
    ],
)
def test_what_is_no_frame_of_a_client_has_a_close_code(data: bytes, code: int) -> None:
    with pytest.raises(BadFrame) as caught:
        Listener().feed(data)
    assert caught.value.code == code
