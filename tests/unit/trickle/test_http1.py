"""Messages are the same however the network cuts them, and nonsense is refused."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trickle.http1 import (
    BadMessage,
    Body,
    ChunkedBody,
    answer_body,
    chunk,
    parse_answer,
    parse_request,
    request_body,
)

PIECES = [b"one", b"x" * 300, b"\r\n0\r\n\r\n", b"last"]
WIRE = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in PIECES) + b"0\r\nTrailer: yes\r\n\r\n"
NEXT_MESSAGE = b"GET / HTTP/1.1\r\n"


@given(st.lists(st.integers(0, len(WIRE) + len(NEXT_MESSAGE)), max_size=8))
def test_any_cuts_give_the_same_body_and_the_same_rest(cuts: list[int]) -> None:
    stream, edges = WIRE + NEXT_MESSAGE, sorted({0, *cuts, len(WIRE + NEXT_MESSAGE)})
    body, got, rest = ChunkedBody(), b"", b""
    for start, stop in itertools.pairwise(edges):
        if body.done:
            rest += stream[start:stop]
        else:
            got += body.feed(stream[start:stop])
            rest = body.rest
    assert (got, body.done, rest) == (b"".join(PIECES), True, NEXT_MESSAGE)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_chunks_in_another_way(data: bytes) -> None:
    body = ChunkedBody()
    with contextlib.suppress(BadMessage):
        assert len(body.feed(data)) <= len(data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_heads_in_another_way(data: bytes) -> None:
    for parse in (parse_request, parse_answer):
        with contextlib.suppress(BadMessage):
            parse(data + b"\r\n\r\n")


def test_inside_a_big_chunk_nothing_is_copied() -> None:
    body, data = ChunkedBody(), b"x" * 1000
    body.feed(b"2000\r\n")
    assert body.feed(data) is data


@pytest.mark.parametrize(
    "wire",
    [b"\r\n", b"g\r\n", b"-1\r\n", b"+1\r\n", b" 1\r\n", b"1" * 20 + b"\r\n", b"1\r\nab\r\n"],
)
def test_chunk_that_is_none_is_refused(wire: bytes) -> None:
    with pytest.raises(BadMessage):
        ChunkedBody().feed(wire)


def test_endless_line_and_endless_trailer_are_refused() -> None:
    with pytest.raises(BadMessage, match="line"):
        ChunkedBody().feed(b"0;" + b"x" * 300)
    with pytest.raises(BadMessage, match="trailer"):
        ChunkedBody().feed(b"0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000)


def test_body_of_known_length_ends_where_it_should() -> None:
    body = Body(5)
    assert (body.feed(b"ab"), body.done) == (b"ab", False)
    assert (body.feed(b"cdeGET"), body.done, body.rest) == (b"cde", True, b"GET")


def test_head_is_read_with_names_in_lower_case() -> None:
    head = parse_request(
        b"POST /a/0?x HTTP/1.1\r\nHost: h\r\nLp-Trickle-Reset: 1\r\nX: a\r\nx: b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    assert (head.method, head.target, head.keep_alive) == (b"POST", b"/a/0?x", True)
    assert (head.headers[b"lp-trickle-reset"], head.headers[b"x"]) == (b"1", b"a, b")
    assert isinstance(request_body(head), ChunkedBody)


@pytest.mark.parametrize(
    ("lines", "keep"),
    [
        (b"HTTP/1.1\r\n", True),
        (b"HTTP/1.1\r\nConnection: close\r\n", False),
        (b"HTTP/1.0\r\n", False),
    ],
)
def test_whether_a_connection_is_kept_is_read(lines: bytes, keep: bool) -> None:
    assert parse_request(b"GET / " + lines + b"\r\n").keep_alive is keep


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 1\r\nContent-Length: 1\r\n",
        b"Transfer-Encoding: identity\r\n",
    ],
)
def test_body_whose_end_is_open_to_opinion_is_refused(lines: bytes) -> None:
    with pytest.raises(BadMessage):
        request_body(parse_request(b"POST / HTTP/1.1\r\n" + lines + b"\r\n"))


def test_answers_body_lasts_as_its_head_says() -> None:
    until_close = answer_body(parse_answer(b"HTTP/1.1 200 OK\r\n\r\n"))
    assert (until_close.length, until_close.done) == (None, False)
    assert answer_body(parse_answer(b"HTTP/1.1 204 No\r\n\r\n")).done
    odd = parse_answer(b"HTTP/1.1 470 status code 470\r\nContent-Length: 15\r\n\r\n")
    assert (odd.status, answer_body(odd).length) == (470, 15)
    assert answer_body(odd, to_head=True).done


def test_small_chunk_is_one_piece_and_a_big_one_is_not_copied() -> None:
    assert chunk(b"abc") == b"3\r\nabc\r\n"
    big = b"x" * 100_000
    framed = chunk(big)
    assert isinstance(framed, tuple)
    assert framed[1] is big
