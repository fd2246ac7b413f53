"""What one client does, the others do not feel: killed publishers, readers that stop, floods."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import PATIENCE_S, Serving, Wire
from tests.support.processes import program
from tests.support.waiting import until
from trickle.connection import HIGH_WATER_BYTES
from trickle.serve import TrickleServer

# Segments that are larger than what a reader's sockets hold.
ROOMY = replace(QUICK, window=replace(QUICK.window, max_segment_bytes=24 << 20, max_bytes=48 << 20))

# Publishes one byte after the other, and never ends its segment.
ENDLESS_PUBLISHER = """
import socket, sys, time
end = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
head = "POST /ai/trickle/ch/0 HTTP/1.1\\r\\nHost: t\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
end.sendall(head.encode())
print("publishing", flush=True)
while True:
    end.sendall(b"1\\r\\nx\\r\\n")
    time.sleep(0.005)
"""


@pytest_asyncio.fixture
async def roomy() -> AsyncGenerator[Serving, None]:
    server = TrickleServer(limits=ROOMY)
    server.create("ch", mime_type="video/MP2T")
    async with listening(server) as serving:
        yield serving


@contextlib.asynccontextmanager
async def endless_publisher(serving: Serving) -> AsyncGenerator[None, None]:
    """A publisher in a process of its own, in the middle of segment 0; killed at the end."""
    command = (sys.executable, "-c", ENDLESS_PUBLISHER, str(serving.port))
    async with program(*command) as publisher:
        await publisher.said("publishing")
        try:
            yield
        finally:
            publisher.kill()


async def test_killed_publisher_ends_its_segment_for_readers_within_the_grace_period(
    serving: Serving,
) -> None:
    async with endless_publisher(serving):
        reader = await serving.get(0)
        assert (await reader.head()).status == 200
        assert await reader.read_chunk()
    # Killed: what the kernel still holds comes, then the end.
    while await reader.read_chunk():
        pass
    assert serving.server.counters.aborts == 1


async def test_successor_of_a_killed_publisher_is_read_on_the_same_connections(
    serving: Serving,
) -> None:
    async with endless_publisher(serving):
        readers = [await serving.get(0) for _ in range(3)]
        ahead = [await serving.get(1) for _ in range(3)]
        for reader in readers:
            await reader.head()
    await serving.publish(1, b"the next life")
    for reader in readers:
        while await reader.read_chunk():
            pass
    assert [(await reader.reply()).body for reader in ahead] == [b"the next life"] * 3


async def test_killed_publisher_is_resumed_where_it_stopped(serving: Serving) -> None:
    async with endless_publisher(serving):
        reader = await serving.get(0)
        assert (await reader.head()).status == 200
        got = await reader.read_chunk()
    await until(lambda: serving.server.counters.aborts == 1, within_s=PATIENCE_S)
    await serving.publish(0, b"|resumed")
    while piece := await reader.read_chunk():
        got += piece
    before, _, after = got.partition(b"|")
    assert (set(before), after) == (set(b"x"), b"resumed")


async def stopped_reader(serving: Serving, path: str) -> socket.socket:
    """A reader that asks, and then reads nothing any more."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    end.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(end, ("127.0.0.1", serving.port))
    await loop.sock_sendall(end, f"GET /ai/trickle/{path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    await serving.settled()
    return end


async def publish_segments(serving: Serving, reader: Wire, count: int, size: int) -> list[int]:
    """Publishes and reads `count` segments; the reader's sizes."""
    writer, got = await serving.connect(), []
    for seq in range(count):
        reader.request(f"GET ch/{seq}")
        answer = await writer.ask(f"POST ch/{seq}", body=bytes(size))
        assert answer.status == 200
        got.append(len((await reader.reply()).body))
    return got


async def test_reader_that_stops_costs_itself_its_data_and_others_nothing(
    serving: Serving,
) -> None:
    stopped = await stopped_reader(serving, "ch/0")
    try:
        reader = await serving.connect()
        got = await publish_segments(serving, reader, 60, 512 << 10)
        assert got == [512 << 10] * 60
    finally:
        stopped.close()


async def write_until_cut(roomy: Serving, writer: Wire, reader: Wire, count: int) -> int:
    """Publishes into one segment, and reads it, until `count` readers were cut; the bytes sent."""
    piece, sent = bytes(256 << 10), 0
    writer.chunk(piece)
    sent += len(piece)
    await reader.head()
    got = len(await reader.read_chunk())
    async with asyncio.timeout(PATIENCE_S):
        while roomy.server.counters.readers_cut < count:
            if sent < ROOMY.window.max_segment_bytes - len(piece):
                writer.chunk(piece)
                sent += len(piece)
            while got < sent:
                got += len(await reader.read_chunk())
            await asyncio.sleep(0.001)
    return sent


async def test_reader_that_stops_is_cut_in_the_middle_of_its_answer(roomy: Serving) -> None:
    writer = await roomy.post(0)
    stopped = await stopped_reader(roomy, "ch/0")
    reader = await roomy.get(0)
    try:
        await write_until_cut(roomy, writer, reader, 1)
        # It breaks off without the last chunk: no client takes that for the whole.
        loop, heard = asyncio.get_running_loop(), b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while piece := await loop.sock_recv(stopped, 1 << 20):
                    heard += piece
        assert not heard.endswith(b"0\r\n\r\n")
        # The other reader has lost nothing, and goes on.
        writer.chunk(b"still here")
        assert await reader.read_chunk() == b"still here"
    finally:
        stopped.close()


async def test_readers_that_stop_hold_no_more_than_their_sockets(roomy: Serving) -> None:
    writer = await roomy.post(0)
    stopped = [await stopped_reader(roomy, "ch/0") for _ in range(20)]
    reader = await roomy.get(0)
    server = roomy.server
    try:
        sent = await write_until_cut(roomy, writer, reader, 20)
        # They were references to the segment's own bytes, which nothing but it holds any more.
        assert server.channels.budget.used == sent
        await until(lambda: len(server._connections) == 2, within_s=PATIENCE_S)
        held = [
            c._transport.get_write_buffer_size()
            for c in server._connections
            if c._transport is not None
        ]
        assert max(held) <= HIGH_WATER_BYTES
    finally:
        for end in stopped:
            end.close()


async def test_reader_that_comes_back_is_told_what_it_missed(serving: Serving) -> None:
    reader = await serving.connect()
    await publish_segments(serving, reader, 70, 1 << 10)
    reply = await serving.ask("GET ch/0")
    assert (reply.status, reply["lp-trickle-latest"]) == (470, "70")
    assert int(reply["lp-trickle-oldest"] or 0) > 0


async def test_flood_of_short_segments_reaches_every_reader_whole(serving: Serving) -> None:
    count = 400
    readers = [await serving.get(0) for _ in range(3)]

    async def read(wire: Wire) -> list[bytes]:
        first = (await wire.reply()).body
        return [first] + [(await wire.ask(f"GET ch/{seq}")).body for seq in range(1, count)]

    async def flood() -> None:
        # Two ahead of the answers, over two connections in turn.
        wires = [await serving.connect() for _ in range(2)]
        for seq in range(count):
            wire = wires[seq % 2]
            if seq > 1:
                assert (await wire.reply()).status == 200
            wire.request(f"POST ch/{seq}", body=b"%d" % seq)

    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(read(wire)) for wire in readers]
        tasks.create_task(flood())
    assert [task.result() for task in reading] == [[b"%d" % n for n in range(count)]] * 3
    assert serving.server.counters.no_segment == 0


async def test_publisher_whose_reader_never_comes_back_is_answered_all_the_same(
    serving: Serving,
) -> None:
    await serving.get(0)
    writer = await serving.connect()
    for seq in range(80):
        assert (await writer.ask(f"POST ch/{seq}", body=b"x"))["lp-trickle-seq"] == str(seq)
    await until(lambda: not serving.server.paces, within_s=PATIENCE_S)


async def test_publisher_that_has_said_all_it_will_say_need_not_wait(serving: Serving) -> None:
    await serving.get(0)
    wires = []
    for seq in range(30):
        wire = await serving.connect()
        wire.request(f"POST ch/{seq}", body=b"x")
        wire.writer.write_eof()
        wires.append(wire)
    assert [(await wire.reply()).status for wire in wires] == [200] * 30


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
async def test_ten_thousand_idle_channels_cost_less_than_100_mb() -> None:
    server = TrickleServer(limits=QUICK)
    async with listening(server):
        before = resident_bytes()
        for number in range(10_000):
            server.create(f"channel-{number}")
        assert resident_bytes() - before < 100e6


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
