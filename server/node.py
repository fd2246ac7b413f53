"""One node: the roles that were asked for, from start to Ctrl-C.

Each role is an async context manager; a node is those entered, then a wait for a signal. Roles
never import each other: the one thing that passes between them here is an orchestrator's address.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from server.config import NodeConfig
from server.gateway.gateway import Gateway, gateway
from server.obs.metrics import Metrics
from server.orchestrator.orchestrator import Orchestrator, orchestrator

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Node:
    """The roles that run."""

    gateway: Gateway | None = None
    orchestrator: Orchestrator | None = None


@asynccontextmanager
async def node(
    config: NodeConfig, *, with_gateway: bool, with_orchestrator: bool
) -> AsyncGenerator[Node, None]:
    """Runs the roles for as long as the body runs.

    When both run here, the gateway is given this orchestrator, unless the settings name others;
    they still meet only over HTTP and trickle.
    """
    running = Node()
    async with AsyncExitStack() as stack:
        if with_orchestrator:
            running.orchestrator = await stack.enter_async_context(
                orchestrator(config.orchestrator, Metrics())
            )
        if with_gateway:
            section = config.gateway
            if running.orchestrator and "orchestrators" not in section.model_fields_set:
                section = section.model_copy(update={"orchestrators": (running.orchestrator.url,)})
            running.gateway = await stack.enter_async_context(gateway(section, Metrics()))
        yield running


async def run(
    config: NodeConfig,
    *,
    with_gateway: bool,
    with_orchestrator: bool,
    on_ready: Callable[[Node], None],
) -> None:
    """Runs the roles until SIGINT or SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with node(
        config, with_gateway=with_gateway, with_orchestrator=with_orchestrator
    ) as running:
        on_ready(running)
        await stopping.wait()
        log.info("stopping")
