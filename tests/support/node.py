"""A whole node for a test, in this process or in its own, on free ports, gone at the end."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from server.config import NodeConfig
from server.config_load import load
from server.node import Node, node
from tests.support.processes import FREE_PORTS, Program, penstock, program
from tests.support.waiting import until

# A state that has not come after this long will not come.
PATIENCE_S = 30.0


@dataclass(slots=True)
class NodeClient:
    """Asks a node as a user would."""

    url: str
    rtmp_url: str
    http: aiohttp.ClientSession

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path) as response:
            return await response.json(content_type=None)

    async def status(self, stream: str) -> dict[str, Any]:
        return dict(await self.get(f"/live/video-to-video/{stream}/status"))

    async def until(
        self,
        stream: str,
        wanted: Callable[[dict[str, Any]], bool],
        *,
        within_s: float = PATIENCE_S,
    ) -> dict[str, Any]:
        """Follows a stream's events until a report is as wanted, and returns it."""
        last: dict[str, Any] = {}
        try:
            async with (
                asyncio.timeout(within_s),
                self.http.get(f"{self.url}/live/video-to-video/{stream}/events") as response,
            ):
                async for line in response.content:
                    if line.startswith(b"data: "):
                        last = json.loads(line[6:])
                        if wanted(last):
                            return last
        except TimeoutError:
            raise AssertionError(f"not within {within_s:g} s; the last report: {last}") from None
        raise AssertionError(f"the events ended; the last report: {last}")

    async def until_live(self, stream: str, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        return await self.until(stream, lambda r: r["state"] == "live", within_s=within_s)

    async def until_runner_ready(self, *, free: int = 1, within_s: float = PATIENCE_S) -> None:
        """Waits until the orchestrator has runners to lend."""
        orchestrator = (await self.get("/node"))["orchestrators"][0]

        async def enough() -> bool:
            async with self.http.get(orchestrator + "/runners") as response:
                runners = (await response.json())["runners"]
            return len([runner for runner in runners if runner["state"] == "idle"]) >= free

        await until(enough, within_s=within_s)


def free_config(**flags: str) -> NodeConfig:
    """Settings of a node on free ports; `gateway__default_pipeline="neon"` sets one more."""
    pairs = dict(zip(FREE_PORTS[::2], FREE_PORTS[1::2], strict=True))
    chosen = {name.removeprefix("--"): value for name, value in pairs.items()}
    return load(flags={**chosen, **{key.replace("__", "."): v for key, v in flags.items()}})


@asynccontextmanager
async def node_here(**flags: str) -> AsyncGenerator[tuple[Node, NodeClient], None]:
    """A node in this process: a test may look inside."""
    config = free_config(**flags)
    async with (
        node(config, with_gateway=True, with_orchestrator=True) as running,
        aiohttp.ClientSession() as http,
    ):
        assert running.gateway is not None
        client = NodeClient(running.gateway.url, running.gateway.rtmp_url or "", http)
        await client.until_runner_ready(free=config.orchestrator.runners.count)
        yield running, client


@asynccontextmanager
async def node_process(*flags: str) -> AsyncGenerator[tuple[Program, NodeClient], None]:
    """`penstock up` as its user starts it."""
    async with (
        program(*penstock("up", *FREE_PORTS, *flags)) as running,
        aiohttp.ClientSession() as http,
    ):
        url = (await running.said(r"Open (http://\S+)")).group(1)
        rtmp_url = (await running.said(r"Server:\s+(rtmp://\S+)")).group(1)
        client = NodeClient(url, rtmp_url, http)
        await client.until_runner_ready()
        yield running, client
