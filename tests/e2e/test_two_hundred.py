"""Two hundred who come and go, each with a job on a runner or a session of its own: none stays.

The node is a process of its own, so that what is counted is the node's and nothing of the test's.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import psutil
import pytest

from tests.support.node import NodeClient, node_process
from tests.support.rtmp_publisher import rtmp_publishing
from tests.support.waiting import until
from tests.support.webrtc import NumberedTrack, loopback, publishing, watching

__all__ = ["loopback"]

RTMP, WHIP, WHEP = 110, 20, 70
RUNNERS = 4
# Caches fill and pools open with the first ones; what comes after that is growth.
WARM_UP = 5
# A pooled connection more or less is no growth; one for every tenth visitor would be twenty.
SLACK = 4
# Of 200 peer connections that stayed, each would hold 0.2 MB, and each RTMP session 0.1 MB.
MEMORY_BYTES = 12 << 20

pytestmark = pytest.mark.usefixtures("loopback")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a node has at some moment."""

    tasks: int
    descriptors: int
    children: int
    memory_bytes: int


@dataclass(slots=True)
class Watched:
    """A node under observation."""

    client: NodeClient
    process: psutil.Process
    orchestrator: str

    async def reading(self, name: str) -> float:
        role = self.orchestrator if name.startswith("penstock_live_jobs") else self.client.url
        async with self.client.http.get(role + "/metrics") as answer:
            found = re.search(rf"^{re.escape(name)} (\S+)$", await answer.text(), re.MULTILINE)
        assert found is not None, f"/metrics has no {name}"
        return float(found.group(1))

    async def holdings(self) -> Holdings:
        return Holdings(
            tasks=int(await self.reading("penstock_tasks")),
            descriptors=self.process.num_fds(),
            children=len(self.process.children(recursive=True)),
            memory_bytes=self.process.memory_info().rss,
        )

    async def quiet(self) -> bool:
        """Nobody is there, and nothing is done for anybody."""
        names = ("penstock_streams", "penstock_viewers", "penstock_live_jobs")
        return not any([await self.reading(name) for name in names])

    # Who comes and goes.

    async def by_rtmp(self, names: Iterator[str]) -> None:
        for polite, name in zip(cycle([True, False]), names, strict=False):
            key = f"{name}?pipeline=passthrough"
            async with rtmp_publishing(self.client.rtmp_url, key, politely=polite):
                runner = await self.runner_of(name)
            await self.until_idle(runner)

    async def by_whip(self, names: Iterator[str]) -> None:
        for name in names:
            url = f"{self.client.url}/{name}/whip?pipeline=passthrough"
            async with publishing(url, NumberedTrack(fps=5)) as session:
                runner = await self.runner_of(name)
                await session.until_connected()
            await self.until_idle(runner)

    async def runners(self) -> list[dict[str, Any]]:
        async with self.client.http.get(self.orchestrator + "/runners") as answer:
            return list((await answer.json())["runners"])

    async def runner_of(self, stream: str) -> str:
        report = await self.client.until(stream, lambda r: r["runner"] is not None)
        return str(report["runner"]["id"])

    async def until_idle(self, runner: str) -> None:
        """Whoever has had a runner waits until it may be had again: so there is one for each."""

        async def idle() -> bool:
            runners = await self.runners()
            return any(r["id"] == runner and r["state"] == "idle" for r in runners)

        await until(idle, within_s=20)

    async def by_whep(self, count: int) -> None:
        for number in range(count):
            async with watching(f"{self.client.url}/stage/whep", "video") as session:
                await session.until_connected()
                if number % 2:
                    await self.client.http.delete(self.client.url + session.session)

    async def visited(self, *, rtmp: int, whip: int, whep: int) -> None:
        """As many publishers at once as there are runners, and viewers beside them."""
        by_rtmp, by_whip = (f"rtmp-{n}" for n in range(rtmp)), (f"whip-{n}" for n in range(whip))
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self.by_whep(whep))
            for lane in range(RUNNERS):
                lanes.create_task(self.by_whip(by_whip) if lane == 0 else self.by_rtmp(by_rtmp))
        await until(self.quiet, within_s=20)


@pytest.fixture
async def node() -> AsyncGenerator[Watched, None]:
    flags = ("--gateway.reconnect_grace_s", "0", "--orchestrator.runners.count", str(RUNNERS))
    async with node_process(*flags) as (program, client):
        await client.until_runner_ready(free=RUNNERS)
        orchestrator = (await client.get("/node"))["orchestrators"][0]
        yield Watched(client, psutil.Process(program.pid), orchestrator)


async def test_two_hundred_connects_and_disconnects_leave_no_growth(node: Watched) -> None:
    await node.visited(rtmp=WARM_UP, whip=WARM_UP, whep=WARM_UP)
    before = await node.holdings()

    await node.visited(rtmp=RTMP, whip=WHIP, whep=WHEP)

    async def nothing_is_left() -> bool:
        now = await node.holdings()
        return now.tasks <= before.tasks + SLACK and now.descriptors <= before.descriptors + SLACK

    await until(nothing_is_left, within_s=20)
    after = await node.holdings()
    assert after.children == before.children
    assert after.memory_bytes - before.memory_bytes < MEMORY_BYTES
    assert await node.reading('penstock_publishes_total{protocol="rtmp"}') == WARM_UP + RTMP
    assert await node.reading('penstock_publishes_total{protocol="whip"}') == WARM_UP + WHIP
