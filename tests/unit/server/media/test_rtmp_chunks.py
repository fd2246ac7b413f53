"""The chunk reader finds the same messages however the network cuts the bytes."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media.errors import RtmpProtocolError
from server.media.rtmp_chunks import (
    CHUNK_STREAMS_MAX,
    MESSAGE_BYTES_MAX,
    ChunkReader,
    ChunkWriter,
    Message,
)


def head(number: int, time_ms: int, size: int, kind: int = 9) -> bytes:
    """A full header."""
    return (
        bytes((number,))
        + time_ms.to_bytes(3, "big")
        + size.to_bytes(3, "big")
        + bytes((kind,))
        + (1).to_bytes(4, "little")
    )


def chunk_size(size: int) -> bytes:
    return head(2, 0, 4, kind=1) + size.to_bytes(4, "big")


def read(*pieces: bytes) -> list[Message]:
    reader = ChunkReader()
    return [message for piece in pieces for message in reader.feed(piece)]


def times(*pieces: bytes) -> list[int]:
    return [message.timestamp_ms for message in read(*pieces)]


BODY = bytes(range(256)) * 3
LONG = head(4, 10, 300) + BODY[:128] + b"\xc4" + BODY[128:256] + b"\xc4" + BODY[256:300]
WIRE = (
    LONG
    + b"\x44\0\0\x14\0\0\x05\x08hello"  # a new message by delta
    + b"\x84\0\0\x15world"  # of the same size and kind
    + b"\xc4again"  # and delta
    + chunk_size(4096)
    + head(3, 0xFFFFFF, 5)
    + (0x01020304).to_bytes(4, "big")
    + b"super"
)
MESSAGES = [
    Message(9, 1, 10, BODY[:300]),
    Message(8, 1, 30, b"hello"),
    Message(8, 1, 51, b"world"),
    Message(8, 1, 72, b"again"),
    Message(1, 1, 0, b"\0\0\x10\0"),
    Message(9, 1, 0x01020304, b"super"),
]


def test_messages_are_joined_and_their_times_added_up() -> None:
    assert read(WIRE) == MESSAGES


@given(cuts=st.lists(st.integers(0, len(WIRE)), max_size=10))
def test_any_cut_gives_the_same_messages(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    assert read(*(WIRE[a:b] for a, b in pairwise(edges))) == MESSAGES


def test_a_byte_at_a_time() -> None:
    assert read(*(bytes((byte,)) for byte in WIRE)) == MESSAGES


@settings(max_examples=50)
@given(
    bodies=st.lists(
        st.tuples(st.integers(3, 70), st.integers(0, 2**32 - 1), st.binary(max_size=3000)),
        max_size=6,
    ),
    size=st.sampled_from([1, 128, 4096, 65536]),
    cuts=st.lists(st.integers(0, 20_000), max_size=6),
)
def test_what_the_writer_writes_the_reader_reads(
    bodies: list[tuple[int, int, bytes]], size: int, cuts: list[int]
) -> None:
    writer = ChunkWriter()
    wire = writer.write(2, Message(1, 0, 0, size.to_bytes(4, "big")))
    writer.chunk_bytes = size
    messages = [Message(9, 1, time_ms, body) for _, time_ms, body in bodies]
    for (number, _, _), message in zip(bodies, messages, strict=True):
        wire += writer.write(min(number, 63), message)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    assert read(*(wire[a:b] for a, b in pairwise(edges)))[1:] == messages


@pytest.mark.parametrize("size", [128, 4096, 65536])
def test_small_and_large_chunks_join_to_the_same(size: int) -> None:
    body = bytes(range(251)) * 400
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    wire = chunk_size(size) + head(6, 5, len(body)) + b"\xc6".join(chunks)
    assert read(wire)[1] == Message(9, 1, 5, body)


def test_audio_may_come_in_the_middle_of_a_picture() -> None:
    wire = head(6, 1, 200) + bytes(128) + head(4, 2, 3, kind=8) + b"abc" + b"\xc6" + bytes(72)
    assert [message.kind for message in read(wire)] == [8, 9]


def test_many_small_chunks_in_a_row_let_another_stream_in() -> None:
    body = bytes(128 * 20)
    chunks = [b"\xc6" + body[:128] for _ in range(19)]
    wire = head(6, 1, len(body)) + body[:128] + b"".join(chunks[:10])
    wire += head(4, 2, 3, kind=8) + b"abc" + b"".join(chunks[10:])
    assert [message.kind for message in read(wire)] == [8, 9]
    assert read(wire)[1].body == body


def test_chunk_streams_of_two_and_three_bytes_are_told_apart() -> None:
    fields = head(0, 7, 1)[1:]
    wire = b"\x00\x00" + fields + b"a" + b"\x01\x40\x01" + fields + b"b" + b"\xc0\x00c"
    assert [message.body for message in read(wire)] == [b"a", b"b", b"c"]


def test_time_wraps_at_32_bits() -> None:
    wire = head(4, 0xFFFFFF, 1) + b"\xff\xff\xff\xf6a" + b"\x84\0\0\x14b"
    assert times(wire) == [0xFFFFFFF6, 10]


def test_extended_time_is_repeated_in_every_chunk_of_a_message() -> None:
    stamp = (0x01000000).to_bytes(4, "big")
    wire = head(4, 0xFFFFFF, 200) + stamp + bytes(128) + b"\xc4" + stamp + b"x" * 72
    assert read(wire) == [Message(9, 1, 0x01000000, bytes(128) + b"x" * 72)]


def test_extended_time_left_out_of_later_chunks_is_not_missed() -> None:
    wire = head(4, 0xFFFFFF, 200) + b"\x01\0\0\0" + bytes(128) + b"\xc4" + b"x" * 72
    assert read(wire)[0].body == bytes(128) + b"x" * 72


def test_an_extended_delta_adds_up() -> None:
    wire = head(4, 5, 1) + b"a" + b"\x84\xff\xff\xff\x01\0\0\0b" + b"\xc4\x01\0\0\0c"
    assert times(wire) == [5, 0x01000005, 0x02000005]


def test_an_aborted_message_is_forgotten_and_its_memory_with_it() -> None:
    wire = head(6, 1, 200) + bytes(128) + head(2, 0, 4, kind=2) + (6).to_bytes(4, "big")
    wire += head(6, 3, 2) + b"ok"
    reader = ChunkReader()
    assert [message.kind for message in reader.feed(wire)] == [2, 9]
    assert reader._pending == 0


def test_a_message_without_body_is_a_message() -> None:
    assert read(head(4, 5, 0)) == [Message(9, 1, 5, b"")]


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (head(4, 0, MESSAGE_BYTES_MAX + 1), "over the limit"),
        (b"\xc4abc", "without a full header"),
        (head(4, 0, 200) + bytes(128) + head(4, 0, 2), "inside another"),
        (chunk_size(0), "chunk size"),
        (chunk_size(2**31 - 1), "chunk size"),
        (head(2, 0, 1, kind=1) + b"x", "control message"),
        (b"".join(head(n, 0, 0) for n in range(2, 3 + CHUNK_STREAMS_MAX)), "chunk streams"),
    ],
)
def test_what_is_forbidden_or_too_much_is_refused(wire: bytes, problem: str) -> None:
    with pytest.raises(RtmpProtocolError, match=problem):
        read(wire)


def test_unfinished_messages_are_bounded_together() -> None:
    reader = ChunkReader()
    reader.feed(chunk_size(0xFFFFFF))
    with pytest.raises(RtmpProtocolError, match="unfinished"):
        for number in range(3, 9):
            reader.feed(head(number, 0, MESSAGE_BYTES_MAX) + bytes(MESSAGE_BYTES_MAX - 1))
            reader._current = None  # as if the peer had gone on to the next chunk stream


def test_a_reader_that_refused_refuses_for_good() -> None:
    reader = ChunkReader()
    with pytest.raises(RtmpProtocolError):
        reader.feed(b"\xc4abc")
    with pytest.raises(RtmpProtocolError, match="fed again"):
        reader.feed(LONG)


@given(noise=st.binary(max_size=4096))
def test_noise_is_refused_and_never_crashes(noise: bytes) -> None:
    with suppress(RtmpProtocolError):
        read(noise)


@given(cut=st.integers(0, len(WIRE)), noise=st.binary(max_size=300))
def test_noise_behind_messages_does_not_change_them(cut: int, noise: bytes) -> None:
    reader = ChunkReader()
    with suppress(RtmpProtocolError):
        assert reader.feed(WIRE) == MESSAGES
        reader.feed(WIRE[:cut] + noise)
