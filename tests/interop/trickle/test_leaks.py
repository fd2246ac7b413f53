"""Whatever clients do, nothing of it stays: no task, no descriptor, no byte, no hanging reader."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import PATIENCE_S, Serving
from tests.support.waiting import until
from trickle.publisher import TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber

PATHS = [
    *("ch", "ch/0", "ch/1", "ch/5", "ch/-1", "ch/-2", "ch/-3", "ch/next", "x/0", "ch/x", "ch//0"),
    *("ch/stream", "ch/stream?from=0", "ch/0?offset=1", "ch/0?wait=0.01"),
]
METHODS = ["GET", "GET", "POST", "POST", "POST", "DELETE", "HEAD", "PUT", "OPTIONS", "BREW"]
HEADERS = [
    "Lp-Trickle-Reset: 1",
    "Expect-Content: a/b",
    "Connection: close",
    "Content-Length: 5",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "Accept: text/event-stream",
    "Sec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13",
]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"\xff" * 9,
    b"3\r\nab",
]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def nonsense(dice: random.Random) -> bytes:
    """A request, more or less."""
    lines = [
        f"{dice.choice(METHODS)} /ai/trickle/{dice.choice(PATHS)} HTTP/1.{dice.choice('1110')}"
    ]
    lines += ["Host: fuzz", *dice.sample(HEADERS, dice.randrange(4))]
    raw = bytearray("\r\n".join([*lines, "", ""]).encode() + dice.choice(BODIES))
    for _ in range(dice.choice([0, 0, 0, 1, 3])):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(raw[: dice.choice([len(raw), len(raw), dice.randrange(len(raw) + 1)])])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors by /proc")
@pytest.mark.parametrize("seed", range(3))
async def test_nonsense_cut_off_at_any_point_leaves_nothing_behind(
    autocreating: Serving, seed: int
) -> None:
    dice, server = random.Random(seed), autocreating.server
    tasks, before = len(asyncio.all_tasks()), descriptors()
    escaped: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    for _ in range(150):
        wires = [await autocreating.connect() for _ in range(dice.randrange(1, 4))]
        for wire in wires:
            for _ in range(dice.randrange(1, 4)):
                wire.send(nonsense(dice))
        await asyncio.sleep(0)
        for wire in wires:
            wire.break_off() if dice.random() < 0.5 else await wire.hang_up()
    await until(lambda: not server._connections, within_s=PATIENCE_S)
    await until(lambda: not server._timers, within_s=PATIENCE_S)
    for channel in server.channels:
        assert all(s.writers == 0 and not s.watched for s in channel.segments)
        server.close_channel(channel.name)
    assert (server.channels.budget.used, len(server.channels), server.paces) == (0, 0, {})
    autocreating.wires.clear()
    await until(lambda: descriptors() <= before, within_s=PATIENCE_S)
    assert escaped == []
    assert len(asyncio.all_tasks()) == tasks


async def test_clients_that_come_and_go_leave_nothing_behind(serving: Serving) -> None:
    tasks = len(asyncio.all_tasks())
    for turn in range(40):
        serving.server.create(f"c{turn}")
        async with (
            TricklePublisher(serving.url(f"c{turn}")) as publisher,
            TrickleSubscriber(serving.url(f"c{turn}"), start=0) as subscriber,
        ):
            writer = await publisher.next()
            await writer.write(b"x")
            reader = await subscriber.next()
            assert await anext(aiter(reader)) == b"x"
    await until(lambda: not serving.server._connections, within_s=PATIENCE_S)
    await until(lambda: len(asyncio.all_tasks()) == tasks, within_s=PATIENCE_S)
    assert len(serving.server.channels) == 1


async def test_stopping_the_server_lets_everybody_go() -> None:
    server = TrickleServer(limits=QUICK, autocreate=True)
    async with listening(server) as serving:
        running = asyncio.create_task(server.run())
        await serving.ask("POST ch")
        reader, writer = await serving.get(0), await serving.post(0)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert (await reader.reply())["lp-trickle-closed"] == "terminated"
        assert (await writer.reply())["lp-trickle-closed"] == "terminated"
        assert await reader.is_closed()
