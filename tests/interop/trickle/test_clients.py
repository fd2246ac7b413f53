"""Our clients against servers that misbehave, as some do, and networks that break."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.interop.trickle.wire import PATIENCE_S, Serving, Wire
from tests.support.waiting import until
from trickle.errors import ChannelClosed, ChannelNotFound, ConnectionFailed, UnexpectedAnswer
from trickle.lines import JsonPublisher, JsonSubscriber
from trickle.publisher import TricklePublisher
from trickle.subscriber import TrickleSubscriber

Script = Callable[["Fake", str, Wire], Awaitable[None]]


@dataclass
class Fake:
    """A server that does what a script says to each request, and notes what it was asked."""

    script: Script
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ch"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line = head.split(" HTTP/1.1\r\n")[0]
                self.heads.append(head)
                self.asked.append(line)
                await self.script(self, line, wire)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def body(self, line: str, wire: Wire) -> None:
        """Takes a chunked body."""
        while piece := await _chunk(wire):
            self.bodies[line] = self.bodies.get(line, b"") + piece


async def _chunk(wire: Wire) -> bytes:
    """As `Wire.read_chunk`, with patience for a publisher that waits."""
    size = int((await wire.reader.readuntil(b"\r\n"))[:-2], 16)
    data = await wire.reader.readexactly(size)
    await wire.reader.readexactly(2)
    return data


def ok(wire: Wire, *lines: str) -> None:
    wire.send("\r\n".join(["HTTP/1.1 200 OK", "Content-Length: 0", *lines, "", ""]))


def segment(wire: Wire, seq: int, data: bytes) -> None:
    wire.send(f"HTTP/1.1 200 OK\r\nLp-Trickle-Seq: {seq}\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.chunk(data)
    wire.end()


async def forever(wire: Wire) -> None:
    """Says nothing until the client goes."""
    await wire.reader.read()
    raise ConnectionError


@pytest_asyncio.fixture
async def fake() -> AsyncGenerator[Callable[[Script], Awaitable[Fake]]]:
    ports: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(script: Script) -> Fake:
        made = Fake(script)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            await made.serve(reader, writer)

        ports.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        made.port = ports[-1].sockets[0].getsockname()[1]
        return made

    yield start
    for port in ports:
        port.close()
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for port in ports:
        await port.wait_closed()


Starting = Callable[[Script], Awaitable[Fake]]


async def _willing(fake: Fake, line: str, wire: Wire) -> None:
    """A server that takes everything."""
    if line.startswith("POST"):
        await fake.body(line, wire)
        ok(wire, f"Lp-Trickle-Seq: {line.rpartition('/')[2]}")
    elif line == "GET /ch/next":
        wire.send("HTTP/1.1 200 OK\r\nLp-Trickle-Latest: 5\r\nContent-Length: 1\r\n\r\n5")
    else:
        ok(wire)


async def test_publisher_starts_where_the_channel_stands_with_a_reset(fake: Starting) -> None:
    server = await fake(_willing)
    async with TricklePublisher(server.url, mime_type="a/b") as publisher:
        await publisher.publish(b"x")
        await publisher.publish(b"y")
        await publisher.flush()
    assert server.bodies == {"POST /ch/5": b"x", "POST /ch/6": b"y"}
    first, second = (h for h in server.heads if h.startswith(("POST /ch/5", "POST /ch/6")))
    assert "Lp-Trickle-Reset: 1\r\n" in first
    assert "Lp-Trickle-Reset" not in second
    assert all("Content-Type: a/b\r\n" in head for head in (first, second))
    assert server.asked[-1] == "DELETE /ch"


async def test_head_of_the_next_post_is_on_the_wire_before_its_body(fake: Starting) -> None:
    server = await fake(_willing)
    async with TricklePublisher(server.url) as publisher:
        writer = await publisher.next()
        await writer.write(b"x")
        await until(lambda: "POST /ch/6" in server.asked, within_s=PATIENCE_S)
        assert server.bodies.keys() <= {"POST /ch/5"}
        await writer.close()


@pytest.mark.parametrize("status", ["400 Bad Request", "200 OK"])
async def test_server_that_knows_no_next_is_taken_from_its_start(
    fake: Starting, status: str
) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line == "GET /ch/next":
            wire.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
        else:
            await _willing(fake, line, wire)

    server = await fake(script)
    async with TricklePublisher(server.url) as publisher:
        await publisher.publish(b"x")
    assert server.bodies == {"POST /ch/0": b"x"}


async def test_publisher_ignores_any_number_of_continues(fake: Starting) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line.startswith("POST"):
            wire.send("HTTP/1.1 100 Continue\r\n\r\n" * 12)
        await _willing(fake, line, wire)

    server = await fake(script)
    async with TricklePublisher(server.url) as publisher:
        await publisher.publish(b"x")
        await publisher.flush()
        assert publisher.dropped == 0


async def test_segment_closed_under_the_publisher_is_counted_and_the_next_goes_on(
    fake: Starting,
) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line == "POST /ch/5":
            ok(wire, "Lp-Trickle-Seq: 5", "Connection: close")
            raise ConnectionError
        await _willing(fake, line, wire)

    server = await fake(script)
    async with TricklePublisher(server.url) as publisher:
        writer = await publisher.next()
        await until(lambda: writer._told is not None and writer._told.done(), within_s=PATIENCE_S)
        await writer.write(b"lost")
        await writer.close()
        assert (writer.dropped, publisher.dropped) == (True, 1)
        await publisher.publish(b"kept")
    assert server.bodies == {"POST /ch/6": b"kept"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ChannelNotFound),
        (
            "HTTP/1.1 200 OK\r\nLp-Trickle-Closed: terminated\r\nContent-Length: 0\r\n\r\n",
            ChannelClosed,
        ),
    ],
)
async def test_publisher_is_told_that_the_channel_is_over(
    fake: Starting, answer: str, error: type[Exception]
) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line.startswith("POST"):
            wire.send(answer)
        else:
            await _willing(fake, line, wire)

    server = await fake(script)
    async with TricklePublisher(server.url) as publisher:
        writer = await publisher.next()
        await until(lambda: writer._told is not None and writer._told.done(), within_s=PATIENCE_S)
        with pytest.raises(error):
            await writer.write(b"x")


@pytest.mark.parametrize("answer", ["", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"])
async def test_failure_before_the_first_byte_is_tried_again_with_the_same_number(
    fake: Starting, answer: str
) -> None:
    tries: list[str] = []

    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line == "POST /ch/5":
            tries.append(line)
            if len(tries) == 1:
                wire.send(answer)
                raise ConnectionError
        await _willing(fake, line, wire)

    server = await fake(script)
    async with TricklePublisher(server.url) as publisher:
        writer = await publisher.next()
        await until(lambda: writer._told is not None and writer._told.done(), within_s=PATIENCE_S)
        await writer.write(b"x")
        await writer.close()
        await publisher.flush()
        assert publisher.dropped == 0
    assert server.bodies["POST /ch/5"] == b"x"


async def test_failure_inside_a_segment_releases_its_readers_and_goes_on(fake: Starting) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line == "POST /ch/5":
            await wire.read_chunk()
            raise ConnectionError
        await _willing(fake, line, wire)

    server = await fake(script)
    async with TricklePublisher(server.url) as publisher:
        writer = await publisher.next()
        await writer.write(b"some")
        await until(lambda: writer._told is not None and writer._told.done(), within_s=PATIENCE_S)
        await writer.write(b"more")
        await writer.close()
        assert (writer.dropped, publisher.dropped) == (True, 1)
        await publisher.publish(b"kept")
    assert "DELETE /ch/5" in server.asked
    assert server.bodies["POST /ch/6"] == b"kept"


async def test_two_tasks_never_get_the_same_segment(serving: Serving) -> None:
    async with TricklePublisher(serving.url()) as publisher:
        writers = await asyncio.gather(*[publisher.next() for _ in range(6)])
        for writer in writers:
            await writer.finish(b"%d" % writer.seq)
        await publisher.flush()
    assert sorted(writer.seq for writer in writers) == list(range(6))


async def test_cancelled_next_loses_no_number(serving: Serving) -> None:
    async with TricklePublisher(serving.url()) as publisher:
        numbers = []
        for turns in range(6):
            task = asyncio.create_task(publisher.next())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                numbers.append(task.result().seq)
        numbers.append((await publisher.next()).seq)
    assert numbers == list(range(len(numbers)))


async def test_burst_arrives_whole(serving: Serving) -> None:
    got = []

    async def read() -> None:
        async with TrickleSubscriber(serving.url(), start=0, complete=True) as subscriber:
            async for document in JsonSubscriber(subscriber):
                got.append(document["n"])
                if document["n"] == 39:
                    return

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read())
        async with TricklePublisher(serving.url(), mime_type="application/json") as publisher:
            events = JsonPublisher(publisher)
            for n in range(40):
                await events.send({"n": n})
            await reading
    assert got == list(range(40))


async def test_nobody_there_is_said_in_good_time(fake: Starting) -> None:
    server = await fake(_willing)
    port = server.port
    url = f"http://127.0.0.1:{port + 1 if port < 65535 else port - 1}/ch"
    async with TrickleSubscriber(url) as subscriber:
        with pytest.raises((ConnectionFailed, TimeoutError)):
            async with asyncio.timeout(0.3):
                await subscriber.next()


async def test_broken_body_is_taken_up_where_it_broke(fake: Starting) -> None:
    gets: list[str] = []

    async def script(fake: Fake, line: str, wire: Wire) -> None:
        # A server that does not know of offsets ignores them.
        if line.partition("?")[0] == "GET /ch/0":
            gets.append(line)
            wire.send("HTTP/1.1 200 OK\r\nLp-Trickle-Seq: 0\r\nTransfer-Encoding: chunked\r\n\r\n")
            if len(gets) == 1:
                wire.chunk(b"first ")
                await wire.writer.drain()
                raise ConnectionError
            wire.chunk(b"first and ")
            wire.chunk(b"second")
            wire.end()
        else:
            await forever(wire)

    server = await fake(script)
    async with TrickleSubscriber(server.url, start=0) as subscriber:
        reader = await subscriber.next()
        assert await reader.read() == b"first and second"
        assert (subscriber.resumed, reader.truncated) == (1, False)
        assert gets == ["GET /ch/0", "GET /ch/0?offset=6"]


async def test_broken_body_that_is_gone_ends_truncated(fake: Starting) -> None:
    gets: list[str] = []

    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line.partition("?")[0] != "GET /ch/0":
            await forever(wire)
        gets.append(line)
        if len(gets) > 1:
            wire.send("HTTP/1.1 470 gone\r\nLp-Trickle-Latest: 9\r\nContent-Length: 0\r\n\r\n")
            return
        wire.send("HTTP/1.1 200 OK\r\nLp-Trickle-Seq: 0\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.chunk(b"half")
        await wire.writer.drain()
        raise ConnectionError

    server = await fake(script)
    async with TrickleSubscriber(server.url, start=0) as subscriber:
        reader = await subscriber.next()
        assert (await reader.read(), reader.truncated) == (b"half", True)


async def test_subscriber_connects_ahead_while_it_reads(fake: Starting) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line == "GET /ch/0":
            wire.send("HTTP/1.1 200 OK\r\nLp-Trickle-Seq: 0\r\nTransfer-Encoding: chunked\r\n\r\n")
            wire.chunk(b"x")
        await forever(wire)

    server = await fake(script)
    async with TrickleSubscriber(server.url, start=0) as subscriber:
        await subscriber.next()
        await until(lambda: "GET /ch/1" in server.asked, within_s=PATIENCE_S)


async def test_server_errors_are_tried_again(fake: Starting) -> None:
    gets: list[str] = []

    async def script(fake: Fake, line: str, wire: Wire) -> None:
        gets.append(line)
        if len(gets) < 3:
            wire.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad")
        elif len(gets) == 3:
            segment(wire, 0, b"at last")
        else:
            await forever(wire)

    server = await fake(script)
    async with TrickleSubscriber(server.url, start=0) as subscriber:
        assert await (await subscriber.next()).read() == b"at last"


async def test_status_without_a_meaning_is_an_error_at_once(fake: Starting) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        wire.send("HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n")

    server = await fake(script)
    async with TrickleSubscriber(server.url, start=0) as subscriber:
        with pytest.raises(UnexpectedAnswer, match="402"):
            await subscriber.next()


async def test_missing_channel_is_asked_for_exactly_once(fake: Starting) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        wire.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    server = await fake(script)
    async with TrickleSubscriber(server.url) as subscriber:
        with pytest.raises(ChannelNotFound):
            await subscriber.next()
    assert server.asked == ["GET /ch/-2"]


async def test_body_without_a_length_ends_with_its_connection(fake: Starting) -> None:
    async def script(fake: Fake, line: str, wire: Wire) -> None:
        if line == "GET /ch/0":
            wire.send("HTTP/1.1 200 OK\r\nLp-Trickle-Seq: 0\r\n\r\nall of it")
            raise ConnectionError
        await forever(wire)

    server = await fake(script)
    async with TrickleSubscriber(server.url, start=0) as subscriber:
        assert await (await subscriber.next()).read() == b"all of it"


async def test_reader_that_is_slow_makes_the_server_wait_and_loses_nothing(
    serving: Serving,
) -> None:
    data = bytes(range(256)) * 3000
    async with (
        TricklePublisher(serving.url()) as publisher,
        TrickleSubscriber(serving.url(), start=0) as subscriber,
    ):
        await publisher.publish(data)
        await publisher.flush()
        reader = await subscriber.next()
        got = bytearray()
        async for piece in reader:
            got += piece
            await asyncio.sleep(0)
    assert bytes(got) == data


@pytest.mark.parametrize("url", ["ftp://x/ch", "/ch", "http://", ""])
async def test_url_that_is_none_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        TricklePublisher(url)


async def test_connections_are_reused(serving: Serving) -> None:
    async with (
        TricklePublisher(serving.url()) as publisher,
        TrickleSubscriber(serving.url(), start=0) as subscriber,
    ):
        for seq in range(20):
            await publisher.publish(b"%d" % seq)
            assert await (await subscriber.next()).read() == b"%d" % seq
    # Each uses two in turn; one more may be made while another is still being answered.
    assert serving.server.counters.connections <= 7
