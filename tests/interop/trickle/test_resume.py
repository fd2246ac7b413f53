"""Reading a part of a segment, waiting only so long, and learning that a segment was cut."""

import pytest

from tests.interop.trickle.conftest import listening
from tests.interop.trickle.wire import PATIENCE_S, Serving
from tests.support.waiting import until
from trickle.reading import Reading
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber


@pytest.mark.parametrize(
    ("offset", "rest"), [(0, b"abcdefghi"), (2, b"cdefghi"), (3, b"defghi"), (8, b"i"), (9, b"")]
)
async def test_complete_segment_is_read_from_any_byte(
    serving: Serving, offset: int, rest: bytes
) -> None:
    posting = await serving.post(0)
    for piece in (b"abc", b"def", b"ghi"):
        posting.chunk(piece)
        await serving.settled()
    posting.end()
    assert (await posting.reply()).status == 200
    reply = await serving.ask(f"GET ch/0?offset={offset}")
    assert (reply.status, reply.body, reply["lp-trickle-size"]) == (200, rest, "9")
    assert reply["lp-trickle-offset"] == (str(offset) if offset else None)


async def test_offset_at_the_live_edge_waits_for_the_next_byte_only(serving: Serving) -> None:
    posting = await serving.post(0)
    posting.chunk(b"abc")
    reading = await serving.get("0?offset=4")
    assert await reading.is_silent()
    posting.chunk(b"d")
    await serving.settled()
    assert await reading.is_silent()
    posting.chunk(b"ef")
    posting.end()
    assert (await reading.reply()).body == b"ef"


async def test_offset_behind_the_end_is_416_with_the_size(serving: Serving) -> None:
    await serving.publish(0, b"abc")
    reply = await serving.ask("GET ch/0?offset=4")
    assert (reply.status, reply["lp-trickle-size"]) == (416, "3")


@pytest.mark.parametrize("query", ["offset=x", "offset=-1", "wait=x", "wait=1e9", "wait=nan"])
async def test_query_that_means_nothing_is_400(serving: Serving, query: str) -> None:
    await serving.publish(0, b"abc")
    reply = await serving.ask(f"GET ch/0?{query}")
    assert reply.status == 400
    assert reply.body.startswith(query.partition("=")[0].encode())


async def test_old_protocol_reads_from_an_offset_too(serving: Serving) -> None:
    await serving.publish(0, b"abcdef")
    wire = await serving.connect()
    wire.send("GET /ai/trickle/ch/0?offset=2 HTTP/1.0\r\n\r\n")
    await wire.head()
    assert await wire.reader.read() == b"cdef"


async def test_wait_ends_with_204_and_the_write_head(serving: Serving) -> None:
    await serving.publish(0, b"a")
    wire = await serving.connect()
    reply = await wire.ask("GET ch/1?wait=0.01")
    assert (reply.status, reply["lp-trickle-latest"], reply["lp-trickle-seq"]) == (204, "1", "1")
    assert (await wire.ask("GET ch/0?wait=0")).body == b"a"
    assert serving.server.paces == {}


async def test_wait_that_is_met_changes_nothing(serving: Serving) -> None:
    reading = await serving.get("0?wait=60")
    await serving.publish(0, b"a")
    assert (await reading.reply()).body == b"a"


async def cut_off(serving: Serving) -> None:
    """Segment 0 begins with `abc`, and its publisher vanishes."""
    posting = await serving.post(0)
    posting.chunk(b"abc")
    await serving.settled()
    posting.break_off()


async def test_reader_of_trailers_learns_that_the_segment_was_cut(serving: Serving) -> None:
    reading = await serving.connect()
    reading.request("GET ch/0", "TE: trailers", "Connection: TE")
    await serving.settled()
    await cut_off(serving)
    await reading.head()
    assert await reading.read_chunk() == b"abc"
    assert await reading.exactly(3) == b"0\r\n"
    assert await reading.exactly(27) == b"Lp-Trickle-Truncated: 1\r\n\r\n"


async def test_reader_who_said_nothing_of_trailers_gets_none(serving: Serving) -> None:
    reading = await serving.get(0)
    await cut_off(serving)
    await reading.head()
    assert await reading.read_chunk() == b"abc"
    assert await reading.exactly(5) == b"0\r\n\r\n"
    assert (await reading.ask("GET ch/next")).body == b"1"


async def test_who_comes_later_is_told_in_the_head(serving: Serving) -> None:
    await cut_off(serving)
    server = serving.server
    await until(lambda: server.channels.find("ch").segments[0].truncated, within_s=PATIENCE_S)
    assert (await serving.ask("GET ch/0"))["lp-trickle-truncated"] == "1"
    await serving.publish(1, b"whole")
    assert (await serving.ask("GET ch/1"))["lp-trickle-truncated"] is None


async def test_nothing_of_it_is_there_where_go_is_followed(like_go: Serving) -> None:
    await like_go.publish(0, b"abc")
    reply = await like_go.ask("GET ch/0?offset=1", "TE: trailers")
    assert (reply.body, reply["lp-trickle-offset"]) == (b"abc", None)


@pytest.mark.parametrize("late", [False, True])
async def test_subscriber_knows_a_cut_segment_from_a_whole_one(
    serving: Serving, late: bool
) -> None:
    async with TrickleSubscriber(serving.url(), start=0) as subscriber:
        if late:
            await cut_off(serving)
            first = await subscriber.next()
        else:
            posting = await serving.post(0)
            posting.chunk(b"abc")
            first = await subscriber.next()
            posting.break_off()
        assert await first.read() == b"abc"
        await serving.publish(1, b"whole")
        second = await subscriber.next()
        assert await second.read() == b"whole"
        assert (first.truncated, second.truncated) == (True, False)


async def test_broken_reader_takes_up_the_segment_where_it_was() -> None:
    server = TrickleServer()
    server.create("ch")
    async with listening(server) as serving:
        posting = await serving.post(0)
        posting.chunk(b"abc")
        async with TrickleSubscriber(serving.url(), start=0) as subscriber:
            segment = await subscriber.next()
            pieces = aiter(segment)
            assert await anext(pieces) == b"abc"
            for connection in tuple(server._connections):
                if isinstance(connection.exchange, Reading):
                    assert connection._transport is not None
                    connection._transport.abort()
            posting.chunk(b"def")
            assert await anext(pieces) == b"def"
            posting.end()
            assert [piece async for piece in pieces] == []
            # The first bytes did not travel twice: the second answer began behind them.
            offset = segment._answer.head.header("lp-trickle-offset")
            assert (subscriber.resumed, offset) == (1, "3")
