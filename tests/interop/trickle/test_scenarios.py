"""The scenarios that go-livepeer's own tests tell, G1 to G28, with our clients and our server.

Those that are only about bytes on the wire are in the wire suites; hooks (G11 to G14), creation
over HTTP (G10, G15) and the idle sweep (G20) in `test_wire_requests.py`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.interop.trickle.wire import Serving
from trickle.channel import CURRENT, NEXT
from trickle.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    EndOfStream,
    TrickleError,
)
from trickle.local import LocalPublisher, LocalReader, LocalSubscriber
from trickle.publisher import TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import SegmentReader, TrickleSubscriber

# The faces are the same, so the scenarios are too.
Publisher = TricklePublisher | LocalPublisher
Subscriber = TrickleSubscriber | LocalSubscriber


@pytest.fixture(params=["http", "local"])
def publisher(request: pytest.FixtureRequest, serving: Serving) -> Callable[[str], Publisher]:
    if request.param == "http":
        return lambda name: TricklePublisher(serving.url(name))
    return serving.server.local_publisher


@pytest.fixture(params=["http", "local"])
def subscriber(
    request: pytest.FixtureRequest, serving: Serving
) -> Callable[[str, int], Subscriber]:
    if request.param == "http":
        return lambda name, start: TrickleSubscriber(serving.url(name), start=start)
    return serving.server.local_subscriber


async def flush(publisher: Publisher) -> None:
    if isinstance(publisher, TricklePublisher):
        await publisher.flush()


async def next_of(subscriber: Subscriber) -> SegmentReader | LocalReader:
    return await subscriber.next()


async def test_g1_g2_publishing_without_a_channel_fails_and_goes_on_failing(
    serving: Serving, publisher: Callable[[str], Publisher]
) -> None:
    async with publisher("missing") as missing:
        with pytest.raises(ChannelNotFound):
            await missing.publish(b"first")
            await flush(missing)
            await missing.publish(b"second")
        assert not serving.server.exists("missing")


async def test_g3_to_g5_what_is_published_is_read_until_the_channel_closes(
    serving: Serving,
    publisher: Callable[[str], Publisher],
    subscriber: Callable[[str, int], Subscriber],
) -> None:
    async with subscriber("ch", 0) as reading, publisher("ch") as writing:
        for data in (b"first", b"second"):
            await writing.publish(data)
        await flush(writing)
        got = [await reading.next() for _ in range(1)]
        bodies = [await got[0].read()]
        got.append(await reading.next())
        bodies.append(await got[1].read())
        assert ([s.seq for s in got], bodies) == ([0, 1], [b"first", b"second"])
        last = await writing.next()
        serving.server.close_channel("ch")
        with pytest.raises(EndOfStream):
            await reading.next()
        with pytest.raises((ChannelClosed, ChannelNotFound)):
            await last.write(b"third")
            await last.close()
            await flush(writing)
    async with subscriber("ch", -1) as reading:
        with pytest.raises(ChannelNotFound):
            await reading.next()


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_g6_g7_self_signed_server_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate(tmp_path))
    server = TrickleServer()
    server.create("ch")
    loop = asyncio.get_running_loop()
    port = await loop.create_server(server.protocol, "127.0.0.1", 0, ssl=tls)
    url = f"https://127.0.0.1:{port.sockets[0].getsockname()[1]}/ai/trickle/ch"
    async with TrickleSubscriber(url) as wary:
        with pytest.raises(ConnectionFailed, match="certificate"):
            await wary._ask(0)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with (
        TrickleSubscriber(url, start=0, ssl=trusting) as reading,
        TricklePublisher(url, ssl=trusting) as writing,
    ):
        await writing.publish(b"hello")
        assert await (await reading.next()).read() == b"hello"
    server.close()
    port.close()
    await port.wait_closed()


async def test_g8_local_publisher_makes_no_channel_by_itself(serving: Serving) -> None:
    with pytest.raises(ChannelNotFound):
        await serving.server.local_publisher("new").publish(b"a")
    serving.server.create("new")
    await serving.server.local_publisher("new").publish(b"a")
    assert (await serving.ask("GET new/0")).body == b"a"


async def test_g9_local_publisher_makes_it_where_the_server_does(autocreating: Serving) -> None:
    await autocreating.server.local_publisher("new").publish(b"a")
    assert autocreating.server.exists("new")


async def test_g16_reader_may_go_to_any_segment_that_is_kept(
    serving: Serving,
    publisher: Callable[[str], Publisher],
    subscriber: Callable[[str, int], Subscriber],
) -> None:
    async with publisher("ch") as writing, subscriber("ch", 0) as reading:
        for seq in range(4):
            await writing.publish(b"segment %d" % seq)
        await flush(writing)
        for seq in [0, 1, 2, 3, 3, 2, 1, 0]:
            reading.seek(seq)
            assert await (await reading.next()).read() == b"segment %d" % seq


async def test_g17_second_writer_of_a_segment_goes_on_where_the_first_is(serving: Serving) -> None:
    first, reader = await serving.post(0), await serving.get(0)
    first.chunk(b"Hello")
    await reader.head()
    assert await reader.read_chunk() == b"Hello"
    second = await serving.post(0)
    second.chunk(b"GoodbyWorld")
    assert await reader.read_chunk() == b"GoodbyWorld"
    second.end()
    first.end()
    assert [(await w.reply()).status for w in (first, second)] == [200, 200]
    assert (await serving.ask("GET ch/0")).body == b"HelloGoodbyWorld"


async def test_g18_restarted_publisher_releases_who_waits_on_the_old_one(serving: Serving) -> None:
    old = await serving.server.local_publisher("ch").next()
    await old.write(b"Hello")
    async with TrickleSubscriber(serving.url(), start=0) as reading:
        segment = await reading.next()
        chunks = aiter(segment)
        assert await anext(chunks) == b"Hello"
        async with TricklePublisher(serving.url()) as restarted:
            await restarted.publish(b"after-reset")
            assert [rest async for rest in chunks] == []
            await old.write(b"late bytes hurt nobody")
            assert await (await reading.next()).read() == b"after-reset"


async def test_g19_empty_segment_is_a_segment(
    serving: Serving,
    publisher: Callable[[str], Publisher],
    subscriber: Callable[[str, int], Subscriber],
) -> None:
    async with publisher("ch") as writing, subscriber("ch", 0) as reading:
        await writing.publish(b"")
        await flush(writing)
        segment = await reading.next()
        assert (segment.seq, await segment.read()) == (0, b"")
        await writing.publish(b"next")
        assert await (await reading.next()).read() == b"next"


async def test_g21_waiting_reader_can_be_cancelled_and_misses_nothing(
    serving: Serving,
    publisher: Callable[[str], Publisher],
    subscriber: Callable[[str, int], Subscriber],
) -> None:
    async with subscriber("ch", NEXT) as reading, publisher("ch") as writing:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await reading.next()
        await writing.publish(b"a")
        assert await (await reading.next()).read() == b"a"


async def test_g22_where_readers_start(
    serving: Serving,
    publisher: Callable[[str], Publisher],
    subscriber: Callable[[str, int], Subscriber],
) -> None:
    async def read(start: int) -> list[bytes]:
        async with subscriber("ch", start) as reading:
            got = []
            with contextlib.suppress(EndOfStream):
                while True:
                    got.append(await (await reading.next()).read())
            return got

    async with asyncio.TaskGroup() as tasks:
        from_beginning = tasks.create_task(read(NEXT))
        await serving.settled()
        async with publisher("ch") as writing:
            for seq in range(2):
                await writing.publish(b"%d" % seq)
            await flush(writing)
            from_current, from_next = (
                tasks.create_task(read(CURRENT)),
                tasks.create_task(read(NEXT)),
            )
            await serving.settled()
            for seq in range(2, 5):
                await writing.publish(b"%d" % seq)
                await flush(writing)
                await serving.settled()
            from_one = tasks.create_task(read(1))
            await serving.settled()
            await serving.settled()
    assert from_beginning.result() == [b"0", b"1", b"2", b"3", b"4"]
    assert from_current.result() == [b"1", b"2", b"3", b"4"]
    assert from_next.result() == [b"2", b"3", b"4"]
    assert from_one.result() == [b"1", b"2", b"3", b"4"]


async def test_g23_to_g25_local_reader_that_fell_behind_goes_on_at_the_edge(
    like_go: Serving,
) -> None:
    writing = like_go.server.local_publisher("ch")
    for seq in range(6):
        await writing.publish(b"%d" % seq)
    reading = like_go.server.local_subscriber("ch", NEXT)
    waiting = asyncio.create_task(reading.next())
    await asyncio.sleep(0)
    await writing.publish(b"abc")
    assert await (await waiting).read() == b"abc"
    for _ in range(6):
        await writing.publish(b"missed")
    await writing.publish(b"last")
    reading.seek(CURRENT)
    assert await (await reading.next()).read() == b"last"
    reading.seek(7)
    waiting = asyncio.create_task(reading.next())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reading.cursor.skipped > 0
    await writing.publish(b"ghi")
    assert await (await waiting).read() == b"ghi"


async def test_g26_reader_of_what_is_next_gets_each_segment_once(
    serving: Serving, subscriber: Callable[[str, int], Subscriber]
) -> None:
    got = []
    async with subscriber("ch", NEXT) as reading:
        waiting = asyncio.create_task(next_of(reading))
        await serving.settled()
        async with TricklePublisher(serving.url()) as writing:
            await writing.publish(b"hello")
        segment = await waiting
        got.append((segment.seq, await segment.read()))
        with pytest.raises(TrickleError):
            while True:
                reading.seek(NEXT)
                segment = await reading.next()
                got.append((segment.seq, await segment.read()))
    assert got == [(0, b"hello")]


async def test_g27_g28_bytes_come_through_in_order_whatever_their_sizes(
    serving: Serving,
    publisher: Callable[[str], Publisher],
    subscriber: Callable[[str, int], Subscriber],
) -> None:
    async with publisher("ch") as writing, subscriber("ch", 0) as reading:
        segment = await writing.next()
        await segment.write(b"a" * (32 << 10))
        await segment.write(b"b" * (64 << 10))
        got = bytearray()
        chunks = aiter(await reading.next())
        while len(got) < 96 << 10:
            got += await anext(chunks)
        await segment.write(b" world")
        assert await anext(chunks) == b" world"
        await segment.close()
        assert [rest async for rest in chunks] == []
    assert bytes(got) == b"a" * (32 << 10) + b"b" * (64 << 10)
