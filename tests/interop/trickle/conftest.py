"""A real trickle server on a real loopback port, on both event loops."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import pytest
import pytest_asyncio
import uvloop

from tests.interop.trickle.wire import Serving, Wire
from trickle.serve import TrickleServer
from trickle.table import Limits
from trickle.window import Window

# Short, because tests wait for them; their ratio is what matters.
QUICK = Limits(
    window=Window(resume_s=0.15, gap_s=0.1, max_segment_bytes=1 << 20, max_bytes=4 << 20),
    continue_s=0.1,
    head_s=0.15,
    reader_stall_s=0.3,
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@contextlib.asynccontextmanager
async def listening(server: TrickleServer) -> AsyncGenerator[Serving]:
    loop = asyncio.get_running_loop()
    port = await loop.create_server(server.protocol, "127.0.0.1", 0)
    serving = Serving(server, port.sockets[0].getsockname()[1])
    try:
        yield serving
    finally:
        port.close()
        server.close()
        await serving.hang_up()
        await port.wait_closed()


@pytest_asyncio.fixture
async def serving() -> AsyncGenerator[Serving]:
    """A server with one channel, `ch`."""
    server = TrickleServer(limits=QUICK)
    server.create("ch", mime_type="video/MP2T")
    async with listening(server) as serving:
        yield serving


@pytest_asyncio.fixture
async def autocreating() -> AsyncGenerator[Serving]:
    async with listening(TrickleServer(limits=QUICK, autocreate=True)) as serving:
        yield serving


@pytest_asyncio.fixture
async def like_go() -> AsyncGenerator[Serving]:
    """A server that loses what go-livepeer loses, with one channel, `ch`."""
    server = TrickleServer(limits=QUICK, strict_go=True)
    server.create("ch", mime_type="video/MP2T")
    async with listening(server) as serving:
        yield serving


@pytest_asyncio.fixture
async def wire(serving: Serving) -> Wire:
    return await serving.connect()
