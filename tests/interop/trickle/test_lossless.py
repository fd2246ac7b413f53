"""A channel on which nothing may be lost: publishers wait for readers who gave a name."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest_asyncio

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import PATIENCE_S, Serving
from tests.support.waiting import until
from trickle.publisher import TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber


@pytest_asyncio.fixture
async def careful() -> AsyncGenerator[Serving]:
    """A server with one channel, `ch`, whose readers may be 2 segments behind."""
    server = TrickleServer(limits=replace(QUICK, patience_s=0.3))
    server.create("ch", lossless=2)
    async with listening(server) as serving:
        yield serving


async def register(serving: Serving, reader: str = "r") -> None:
    """A reader of that name is owed everything from segment 0 on."""
    wire = await serving.connect()
    wire.request("GET ch/0?wait=0", f"Lp-Trickle-Reader: {reader}")
    assert (await wire.reply()).status == 204


async def test_publisher_waits_until_the_slowest_reader_is_near(careful: Serving) -> None:
    await register(careful)
    for seq in range(2):
        assert (await careful.publish(seq, b"a")).status == 200
    third = await careful.connect()
    third.request("POST ch/2", body=b"a")
    assert await third.is_silent()
    reply = await careful.ask("GET ch/0", "Lp-Trickle-Reader: r")
    assert reply.body == b"a"
    assert (await third.reply()).status == 200


async def test_dead_reader_holds_publishers_up_only_so_long(careful: Serving) -> None:
    await register(careful)
    for seq in range(12):
        assert (await careful.publish(seq, b"a")).status == 200
    ledger = careful.server.channels.find("ch").ledger
    assert ledger is not None
    assert (ledger.struck, len(ledger)) == (1, 0)


async def test_reader_without_a_name_holds_nobody_up(careful: Serving) -> None:
    reading = await careful.get(0)
    for seq in range(6):
        assert (await careful.publish(seq, b"a")).status == 200
    assert (await reading.reply()).body == b"a"


async def test_publisher_that_waits_and_vanishes_leaves_nothing(careful: Serving) -> None:
    await register(careful)
    for seq in range(2):
        await careful.publish(seq, b"a")
    third = await careful.connect()
    third.request("POST ch/2", body=b"a")
    assert await third.is_silent()
    third.break_off()
    server = careful.server
    await until(lambda: not server._credits.values() or _nobody_waits(server), within_s=PATIENCE_S)
    assert (await careful.ask("GET ch/2")).body == b"a"


def _nobody_waits(server: TrickleServer) -> bool:
    return all(not credit._waiting for credit in server._credits.values())


async def test_request_behind_one_that_waits_is_taken_up_after_it(careful: Serving) -> None:
    await register(careful)
    for seq in range(2):
        await careful.publish(seq, b"a")
    wire = await careful.connect()
    wire.request("POST ch/2", body=b"a")
    wire.request("GET ch/next")
    assert await wire.is_silent()
    assert (await wire.reply())["lp-trickle-seq"] == "2"
    assert (await wire.reply()).body == b"3"


async def test_publisher_that_waits_is_released_when_the_channel_ends(careful: Serving) -> None:
    await register(careful)
    for seq in range(2):
        await careful.publish(seq, b"a")
    third = await careful.connect()
    third.request("POST ch/2", body=b"a")
    assert await third.is_silent()
    careful.server.close_channel("ch")
    assert (await third.reply()).status == 200
    assert careful.server._credits == {}


async def test_every_segment_of_an_unpaced_burst_reaches_a_slow_reader(careful: Serving) -> None:
    async def publish() -> None:
        async with TricklePublisher(careful.url()) as publisher:
            for number in range(200):
                await publisher.publish(b"%d" % number)
            await until(lambda: len(got) == 200, within_s=4 * PATIENCE_S)

    got: list[int] = []
    async with (
        TrickleSubscriber(careful.url(), start=0, reader="slow") as subscriber,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(publish())
        async for segment in subscriber:
            got.append(int(await segment.read()))
            await asyncio.sleep(0.001)
    assert got == list(range(200))
    assert subscriber.cursor.skipped == 0


async def test_stream_is_a_registered_reader_while_it_lasts(careful: Serving) -> None:
    ledger = careful.server.channels.find("ch").ledger
    assert ledger is not None
    wire = await careful.connect()
    wire.request("GET ch/stream?from=0")
    await wire.head()
    for seq in range(5):
        assert (await careful.publish(seq, b"a")).status == 200
        assert await wire.read_chunk() == b"a"
    assert (len(ledger), ledger.floor) == (1, 5)
    await wire.hang_up()
    await until(lambda: len(ledger) == 0, within_s=PATIENCE_S)
