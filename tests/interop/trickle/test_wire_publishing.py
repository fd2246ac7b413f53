"""What a publisher sees on the wire, and what its bytes do."""

import asyncio

import pytest

from tests.interop.trickle.wire import Serving, Wire
from tests.support.waiting import until
from trickle.connection import Connection
from trickle.serve import TrickleServer


async def test_finished_segment_is_answered_with_its_number(serving: Serving, wire: Wire) -> None:
    wire.post("ch/0")
    wire.chunk(b"a")
    wire.end()
    reply = await wire.reply()
    assert reply.status_line == "HTTP/1.1 200 OK"
    assert (reply["lp-trickle-seq"], reply["content-length"]) == ("0", "0")
    assert reply["connection"] is None
    assert (await wire.ask("POST ch/1", body=b"b"))["lp-trickle-seq"] == "1"


async def test_next_is_resolved_to_the_write_head(serving: Serving, wire: Wire) -> None:
    assert (await wire.ask("POST ch/-1", body=b"a"))["lp-trickle-seq"] == "0"
    assert (await wire.ask("POST ch/-1", body=b"b"))["lp-trickle-seq"] == "1"


async def test_connecting_ahead_does_not_move_the_write_head(serving: Serving) -> None:
    await serving.post(0)
    assert (await serving.ask("GET ch/next")).body == b"0"


async def test_first_byte_moves_the_write_head(serving: Serving) -> None:
    writer = await serving.post(0)
    writer.chunk(b"a")
    await serving.settled()
    reply = await serving.ask("GET ch/next")
    assert (reply.body, reply["lp-trickle-latest"]) == (b"1", "1")


async def test_waiting_publisher_is_told_to_continue_again_and_again(serving: Serving) -> None:
    writer = await serving.post(0)
    for _ in range(3):
        assert (await writer.head()).status_line == "HTTP/1.1 100 Continue"
    writer.chunk(b"a")
    writer.end()
    assert (await writer.reply()).status == 200


async def test_publisher_that_expects_to_be_told_is_told_at_once(serving: Serving) -> None:
    wire = await serving.connect()
    wire.post("ch/0", "Expect: 100-continue")
    assert (await wire.head()).status == 100


async def test_empty_body_ends_the_segment_and_moves_the_write_head(serving: Serving) -> None:
    writer = await serving.post(0)
    writer.end()
    reply = await writer.reply()
    assert (reply.status, reply["lp-trickle-seq"], reply["connection"]) == (200, "0", "close")
    assert (await serving.ask("GET ch/next")).body == b"1"


async def test_pending_publisher_hears_that_its_segment_was_dropped(serving: Serving) -> None:
    writer = await serving.post(0)
    await serving.ask("DELETE ch/0")
    reply = await writer.reply()
    assert (reply.status, reply["lp-trickle-closed"]) == (200, None)
    assert (await serving.ask("GET ch/next")).body == b"1"


async def test_pending_publisher_hears_that_the_channel_has_ended(serving: Serving) -> None:
    writer = await serving.post(0)
    await serving.ask("DELETE ch")
    reply = await writer.reply()
    assert (reply.status, reply["lp-trickle-closed"]) == (200, "terminated")
    assert await writer.is_closed()


async def test_finished_segment_takes_no_second_body_and_the_head_stays(serving: Serving) -> None:
    for seq in range(3):
        await serving.publish(seq, b"%d" % seq)
    wire = await serving.connect()
    wire.post("ch/0")
    wire.chunk(b"again")
    wire.end()
    reply = await wire.reply()
    assert (reply.status, reply["lp-trickle-seq"], reply["connection"]) == (200, "0", "close")
    assert reply["lp-trickle-dropped"] is not None
    assert (await serving.ask("GET ch/0")).body == b"0"
    assert (await serving.ask("GET ch/next")).body == b"3"


async def test_go_rewinds_when_a_finished_segment_is_posted_again(like_go: Serving) -> None:
    for seq in range(3):
        await like_go.publish(seq, b"%d" % seq)
    assert (await like_go.publish(0, b"again"))["lp-trickle-dropped"] is None
    assert (await like_go.ask("GET ch/next")).body == b"1"


async def test_go_keeps_five_segments_and_a_reader_at_the_edge_drops_one(like_go: Serving) -> None:
    for seq in range(8):
        await like_go.publish(seq, b"%d" % seq)
    assert [(await like_go.ask(f"GET ch/{seq}")).status for seq in (2, 3)] == [470, 200]
    await like_go.get(8)
    assert [(await like_go.ask(f"GET ch/{seq}")).status for seq in (3, 4)] == [470, 200]


async def test_more_than_five_segments_are_kept_and_waiting_drops_none(serving: Serving) -> None:
    for seq in range(20):
        await serving.publish(seq, b"%d" % seq)
    await serving.get(20)
    await serving.post(20)
    assert (await serving.ask("GET ch/0")).body == b"0"


async def test_two_publishers_of_one_segment_interleave(serving: Serving) -> None:
    first, second, reader = await serving.post(0), await serving.post(0), await serving.get(0)
    first.chunk(b"a")
    await reader.head()
    assert await reader.read_chunk() == b"a"
    second.chunk(b"b")
    assert await reader.read_chunk() == b"b"
    first.end()
    assert (await first.reply()).status == 200
    assert await reader.read_chunk() == b""
    second.chunk(b"c")
    second.end()
    assert (await second.reply()).status == 200
    assert (await serving.ask("GET ch/0")).body == b"abc"


async def test_broken_segment_can_be_taken_up_again(serving: Serving) -> None:
    writer, reader = await serving.post(0), await serving.get(0)
    writer.chunk(b"first ")
    await reader.head()
    assert await reader.read_chunk() == b"first "
    writer.break_off()
    again = await serving.post(0)
    again.chunk(b"second")
    again.end()
    assert await reader.read_chunk() == b"second"
    assert await reader.read_chunk() == b""


async def test_readers_of_a_vanished_publisher_go_on_after_the_grace_period(
    serving: Serving,
) -> None:
    writer, reader = await serving.post(0), await serving.get(0)
    writer.chunk(b"half")
    await reader.head()
    assert await reader.read_chunk() == b"half"
    writer.break_off()
    assert await reader.read_chunk() == b""


async def test_publisher_that_breaks_off_and_goes_on_ends_its_segment(serving: Serving) -> None:
    writer, reader = await serving.post(0), await serving.get(0)
    writer.chunk(b"half")
    await reader.head()
    assert await reader.read_chunk() == b"half"
    writer.break_off()
    await serving.settled()
    await serving.publish(1, b"on")
    assert await reader.read_chunk() == b""


async def test_publisher_that_breaks_off_before_a_byte_moves_nothing(serving: Serving) -> None:
    writer = await serving.post(0)
    writer.break_off()
    await serving.settled()
    assert (await serving.ask("GET ch/next")).body == b"0"
    assert (await serving.publish(0, b"a"))["lp-trickle-seq"] == "0"
    assert (await serving.ask("GET ch/0")).body == b"a"


async def test_reset_releases_who_waits_for_earlier_segments(serving: Serving) -> None:
    writer, reader = await serving.post(0), await serving.get(0)
    writer.chunk(b"Hello")
    await reader.head()
    assert await reader.read_chunk() == b"Hello"
    restarted = await serving.connect()
    reply = await restarted.ask("POST ch/-1", "Lp-Trickle-Reset: true", body=b"after-reset")
    assert (reply.status, reply["lp-trickle-seq"]) == (200, "1")
    assert await reader.read_chunk() == b""
    assert (await serving.ask("GET ch/0")).body == b"Hello"
    assert (await serving.ask("GET ch/1")).body == b"after-reset"
    writer.chunk(b" late")
    writer.end()
    assert (await writer.reply()).status == 200


async def test_write_head_goes_back_only_by_a_reset(serving: Serving) -> None:
    await serving.publish(7, b"a")
    await serving.publish(3, b"b")
    assert (await serving.ask("GET ch/next")).body == b"8"
    await serving.ask("POST ch/0", "Lp-Trickle-Reset: 1", body=b"new life")
    assert (await serving.ask("GET ch/next")).body == b"1"
    assert (await serving.ask("GET ch/0")).body == b"new life"
    assert (await serving.ask("GET ch/7")).status == 470


async def test_posts_that_overtake_each_other_reach_a_reader_in_order(serving: Serving) -> None:
    wire = await serving.connect()
    wire.request("GET ch/0")
    for seq in (0, 1, 4, 2, 3, 5):
        await serving.publish(seq, b"%d" % seq)
    got = [(await wire.reply()).body]
    got += [(await wire.ask(f"GET ch/{seq}")).body for seq in range(1, 6)]
    assert got == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_overtaken_segment_is_waited_for_while_it_may_still_come(serving: Serving) -> None:
    await serving.publish(0, b"a")
    await serving.publish(2, b"c")
    reader = await serving.get(1)
    await serving.publish(1, b"b")
    assert (await reader.reply()).body == b"b"


async def test_segment_over_its_limit_is_413_and_ends_for_its_readers(serving: Serving) -> None:
    reader = await serving.get(0)
    writer = await serving.post(0)
    limit = serving.server.limits.window.max_segment_bytes
    writer.chunk(b"x" * (limit - 10))
    writer.chunk(b"y" * 20)
    reply = await writer.reply()
    assert (reply.status, reply["connection"]) == (413, "close")
    assert (await reader.reply()).body == b"x" * (limit - 10) + b"y" * 10


async def test_server_that_is_full_says_503(serving: Serving) -> None:
    serving.server.channels.budget.limit = 3
    await serving.publish(0, b"abc")
    reply = await serving.publish(1, b"d")
    assert (reply.status, reply["retry-after"]) == (503, "1")


async def test_channel_over_its_limit_forgets_its_oldest_segments(serving: Serving) -> None:
    for seq in range(10):
        await serving.publish(seq, b"x" * (1 << 19))
    assert serving.server.channels.find("ch").size <= serving.server.limits.window.max_bytes
    assert (await serving.ask("GET ch/0")).status == 470
    assert (await serving.ask("GET ch/9")).status == 200


async def test_body_with_a_length_is_relayed_as_it_comes(serving: Serving) -> None:
    reader, wire = await serving.get(0), await serving.connect()
    wire.request("POST ch/0", "Content-Length: 4")
    wire.send(b"ab")
    await reader.head()
    assert await reader.read_chunk() == b"ab"
    wire.send(b"cd")
    assert (await wire.reply()).status == 200
    assert await reader.read_chunk() == b"cd"


@pytest.mark.parametrize("bad", [b"zz\r\n", b"-1\r\n", b"1\r\nab", b"f" * 300])
async def test_broken_chunk_is_400_and_counts_as_breaking_off(serving: Serving, bad: bytes) -> None:
    writer = await serving.post(0)
    writer.send(bad)
    assert (await writer.reply()).status == 400
    assert await writer.is_closed()


async def test_bytes_are_with_every_reader_before_the_publisher_is_answered() -> None:
    server = TrickleServer()
    server.create("ch")
    made: list[Connection] = []
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        connection = server.protocol()
        assert isinstance(connection, Connection)
        made.append(connection)
        return connection

    port = await loop.create_server(protocol, "127.0.0.1", 0)
    number = port.sockets[0].getsockname()[1]
    readers = [await asyncio.open_connection("127.0.0.1", number) for _ in range(5)]
    for _, writer in readers:
        writer.write(b"GET /ai/trickle/ch/0 HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: len(made) == 5 and all(c.exchange is not None for c in made), within_s=5)
    before = server.counters.bytes_out
    feeder = server.protocol()
    feeder.connection_made(_Nowhere())
    feeder.data_received(
        b"POST /ai/trickle/ch/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    )
    # No turn of the loop has passed.
    assert server.counters.bytes_out - before > 5 * len(b"hello")
    for reader, writer in readers:
        assert (await reader.readuntil(b"hello\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        await writer.wait_closed()
    server.close()
    port.close()
    await port.wait_closed()


class _Nowhere(asyncio.Transport):
    """A transport that leads nowhere."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        pass

    def close(self) -> None:
        pass
