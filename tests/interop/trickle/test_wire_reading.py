"""What a subscriber sees on the wire, byte by byte."""

import asyncio
from typing import cast

import pytest

from tests.interop.trickle.conftest import listening
from tests.interop.trickle.wire import PATIENCE_S, Serving, Wire
from tests.support.waiting import until
from trickle.serve import TrickleServer
from trickle.table import Limits


async def test_nothing_is_sent_before_the_first_byte(serving: Serving) -> None:
    reader = await serving.get(0)
    writer = await serving.post(0)
    assert await reader.is_silent()
    writer.chunk(b"first")
    assert (await reader.head()).status == 200
    assert await reader.read_chunk() == b"first"


async def test_every_write_is_one_chunk_for_readers_at_the_edge(serving: Serving) -> None:
    reader = await serving.get(0)
    writer = await serving.post(0)
    writer.chunk(b"one")
    await reader.head()
    assert await reader.read_chunk() == b"one"
    writer.chunk(b"two")
    assert await reader.read_chunk() == b"two"
    writer.end()
    assert await reader.read_chunk() == b""


async def test_late_reader_gets_the_segment_from_its_first_byte(serving: Serving) -> None:
    writer = await serving.post(0)
    writer.chunk(b"early ")
    await serving.settled()
    reader = await serving.get(0)
    await reader.head()
    assert await reader.read_chunk() == b"early "
    writer.chunk(b"late")
    assert await reader.read_chunk() == b"late"


async def test_small_segment_travels_in_one_write_with_its_head_and_end(serving: Serving) -> None:
    reader = await serving.get(0)
    await serving.publish(0, b'{"keep":"alive"}')
    async with asyncio.timeout(1):
        raw = await reader.reader.read(65536)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b'\r\n\r\n10\r\n{"keep":"alive"}\r\n0\r\n\r\n')


async def test_head_of_a_segment_names_it_and_its_type(serving: Serving) -> None:
    await serving.publish(0, b"a")
    reply = await serving.ask("GET ch/0")
    assert reply.status_line == "HTTP/1.1 200 OK"
    assert reply["content-type"] == "video/MP2T"
    assert reply["lp-trickle-seq"] == "0"
    assert reply["transfer-encoding"] == "chunked"
    assert reply["cache-control"] == "no-store"
    assert reply["lp-trickle-closed"] is None
    assert reply.body == b"a"


async def test_latest_is_the_edge_at_the_time_of_the_request(serving: Serving) -> None:
    await serving.publish(0, b"a")
    await serving.publish(1, b"b")
    assert (await serving.ask("GET ch/0"))["lp-trickle-latest"] == "2"


async def test_latest_is_left_out_for_a_reader_that_waited_at_the_edge(serving: Serving) -> None:
    reader = await serving.get(0)
    await serving.publish(0, b"a")
    assert (await reader.reply())["lp-trickle-latest"] is None


async def test_connection_serves_one_segment_after_another(serving: Serving, wire: Wire) -> None:
    for seq in range(3):
        await serving.publish(seq, b"%d" % seq)
    assert [(await wire.ask(f"GET ch/{seq}")).body for seq in range(3)] == [b"0", b"1", b"2"]


async def test_next_waits_for_the_segment_at_the_write_head(serving: Serving) -> None:
    await serving.publish(0, b"old")
    reader = await serving.get(-1)
    await serving.publish(1, b"new")
    reply = await reader.reply()
    assert (reply.body, reply["lp-trickle-seq"]) == (b"new", "1")


async def test_current_replays_the_last_segment_between_two(serving: Serving) -> None:
    await serving.publish(0, b"a")
    await serving.publish(1, b"b")
    reply = await serving.ask("GET ch/-2")
    assert (reply.body, reply["lp-trickle-seq"]) == (b"b", "1")


@pytest.mark.parametrize("index", [0, 1])
async def test_new_channel_lets_readers_wait_for_0_and_1(serving: Serving, index: int) -> None:
    reader = await serving.get(index)
    await serving.publish(index, b"a")
    assert (await reader.reply()).body == b"a"


async def test_one_more_than_the_edge_is_470_with_the_edge(serving: Serving) -> None:
    await serving.publish(0, b"a")
    reply = await serving.ask("GET ch/2")
    assert reply.status_line == "HTTP/1.1 470 status code 470"
    assert reply.body == b"Entry not found"
    assert reply["lp-trickle-latest"] == "1"
    assert reply["lp-trickle-seq"] == "2"
    assert reply["content-type"] == "text/plain; charset=utf-8"


async def test_470_also_tells_the_lowest_segment_there_is(serving: Serving) -> None:
    for seq in range(3, 6):
        await serving.publish(seq, b"a")
    assert (await serving.ask("GET ch/9"))["lp-trickle-oldest"] == "3"


async def test_head_tells_how_much_of_the_segment_is_there(serving: Serving) -> None:
    await serving.publish(0, b"12345")
    assert (await serving.ask("GET ch/0"))["lp-trickle-size"] == "5"


async def test_publisher_ahead_makes_its_segment_readable_ahead(serving: Serving) -> None:
    await serving.publish(0, b"a")
    writer = await serving.post(2)
    reader = await serving.get(2)
    writer.chunk(b"jumped")
    await reader.head()
    assert await reader.read_chunk() == b"jumped"


async def test_skipped_segment_is_470_once_it_cannot_come_any_more(serving: Serving) -> None:
    await serving.publish(0, b"a")
    await serving.publish(3, b"d")
    reply = await serving.ask("GET ch/1")
    assert (reply.status, reply["lp-trickle-latest"]) == (470, "4")


async def test_far_jump_is_470_at_once(serving: Serving) -> None:
    await serving.publish(0, b"a")
    await serving.publish(100, b"b")
    assert (await serving.ask("GET ch/50"))["lp-trickle-latest"] == "101"
    assert (await serving.ask("GET ch/next")).body == b"101"


async def test_empty_segment_is_an_empty_200_that_does_not_end_the_stream(
    serving: Serving,
) -> None:
    reader = await serving.get(0)
    writer = await serving.post(0)
    writer.end()
    reply = await reader.reply()
    assert (reply.status, reply.body, reply["content-length"]) == (200, b"", "0")
    assert reply["lp-trickle-seq"] == "0"
    assert reply["lp-trickle-latest"] == "1"
    assert reply["lp-trickle-closed"] is None
    assert reply["content-type"] == "video/MP2T"


async def test_closing_the_channel_ends_the_stream_for_who_waits(serving: Serving) -> None:
    await serving.publish(0, b"a")
    reader = await serving.get(1)
    assert (await serving.ask("DELETE ch")).status == 200
    reply = await reader.reply()
    assert (reply.status, reply.body) == (200, b"")
    assert reply["lp-trickle-closed"] == "terminated"
    assert reply["lp-trickle-latest"] == "1"
    assert (await reader.ask("GET ch/1")).status == 404


async def test_closing_the_channel_inside_a_segment_ends_it_normally(serving: Serving) -> None:
    writer = await serving.post(0)
    writer.chunk(b"half")
    await serving.settled()
    reader = await serving.get(0)
    serving.server.close_channel("ch")
    assert (await reader.reply()).body == b"half"


async def test_dropped_segment_lets_its_waiting_readers_go_on(serving: Serving) -> None:
    reader = await serving.get(0)
    assert (await serving.ask("DELETE ch/0")).status == 200
    reply = await reader.reply()
    assert (reply.status, reply.body, reply["lp-trickle-closed"]) == (200, b"", None)


async def test_dropped_segment_ends_for_readers_inside_it(serving: Serving) -> None:
    writer = await serving.post(0)
    writer.chunk(b"half")
    await serving.settled()
    reader = await serving.get(0)
    await serving.ask("DELETE ch/0")
    assert (await reader.reply()).body == b"half"


async def test_http_1_0_reader_gets_a_body_ended_by_close(serving: Serving) -> None:
    await serving.publish(0, b"old times")
    wire = await serving.connect()
    wire.send("GET /ai/trickle/ch/0 HTTP/1.0\r\n\r\n")
    reply = await wire.head()
    assert reply["transfer-encoding"] is None
    assert await wire.reader.read() == b"old times"


async def test_head_request_waits_as_a_get_does_and_gets_no_body(serving: Serving) -> None:
    wire = await serving.connect()
    wire.request("HEAD ch/0")
    assert await wire.is_silent()
    await serving.publish(0, b"a")
    reply = await wire.reply(to_head=True)
    assert (reply.status, reply["lp-trickle-seq"]) == (200, "0")
    assert (await wire.ask("GET ch/0")).body == b"a"


async def test_waiting_reader_that_hangs_up_leaves_nothing_behind(serving: Serving) -> None:
    reader = await serving.get(0)
    (segment,) = serving.server.channels.find("ch").segments
    assert segment.watched
    await reader.hang_up()
    await serving.settled()
    assert not segment.watched


async def test_large_segment_reaches_a_slow_reader_whole(serving: Serving) -> None:
    data = bytes(range(256)) * 4000
    await serving.publish(0, data)
    assert (await serving.ask("GET ch/0")).body == data


async def test_reader_that_takes_nothing_is_cut_and_nobody_else_notices() -> None:
    limits = Limits(reader_stall_s=0.2)
    server = TrickleServer(limits=limits, autocreate=True)
    async with listening(server) as serving:
        await serving.ask("POST ch")
        stuck, other = await serving.get(0), await serving.get(0)
        transport = cast("asyncio.Transport", stuck.writer.transport)
        transport.pause_reading()
        writer = await serving.post(0)
        await writer.is_silent()
        # More than the sockets between us hold.
        for count in range(200):
            writer.chunk(b"%03d" % count + b"x" * 100_000)
            if not count:
                await other.head()
            got = 0
            while got < 100_003:
                got += len(await other.read_chunk())
        await until(lambda: server.counters.readers_cut == 1, within_s=PATIENCE_S)
        writer.end()
        assert await other.read_chunk() == b""
        transport.resume_reading()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await stuck.reply()


async def test_requests_sent_ahead_are_answered_in_their_order(serving: Serving) -> None:
    await serving.publish(0, b"a")
    await serving.publish(1, b"b")
    wire = await serving.connect()
    for path in ("ch/0", "ch/2", "ch/1", "ch/next"):
        wire.request(f"GET {path}")
    assert (await wire.reply()).body == b"a"
    assert await wire.is_silent()
    await serving.publish(2, b"c")
    assert (await wire.reply()).body == b"c"
    assert (await wire.reply()).body == b"b"
    assert (await wire.reply()).body == b"3"
