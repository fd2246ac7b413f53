"""A real Chromium, the small gateway the page is tested against, and the real node.

All of them live on the session's event loop, so that one browser serves all tests; modules here
say `pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aioice.ice
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    async_playwright,
)

from tests.browser.fake_gateway import FakeGateway, fake_gateway
from tests.browser.steps import open_page, says, start
from tests.support.chromium import executable

LAPTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

NODE_START_S = 20  # 3 s to a serving page on an idle machine; tests run on busy ones
NODE_STOP_S = 8  # 5 s is promised

# Real media in a real browser, on a machine without a screen, a camera or a network.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    # A name that is not localhost is not a secure context, as the node seen from the next room.
    "--host-resolver-rules=MAP node.test 127.0.0.1",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport=LAPTOP)
    context.set_default_timeout(10_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page; an exception that nobody in it caught fails the test."""
    page = await context.new_page()
    uncaught: list[str] = []
    page.on("pageerror", lambda error: uncaught.append(str(error)))
    yield page
    assert uncaught == []


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGateway]:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda *_, **__: ["127.0.0.1"])
    async with fake_gateway() as gateway:
        yield gateway


@dataclass(frozen=True)
class Node:
    """A running node: where its page is, and which process to be unkind to."""

    url: str
    pid: int

    def processes(self, command: str) -> list[psutil.Process]:
        """Its descendants whose command line contains the given words."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [child for child in children if command in " ".join(child.cmdline())]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[Node]:
    """The real node, all roles in one process tree, on ports of its own choosing."""
    ports = ("gateway.http", "gateway.rtmp", "gateway.webrtc", "orchestrator")
    flags = [flag for name in ports for flag in (f"--{name}.port", "0")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "server", "up", *flags),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(NODE_START_S):
            url = await first_url(process.stdout, said)
        # A pipe that nobody reads fills up, and then the node stands still.
        reading = asyncio.create_task(read_on(process.stdout, said))
        yield Node(url, process.pid)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(NODE_STOP_S):
            await process.wait()
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
            print("".join(said[-60:]))


@pytest.fixture(scope="session")
def node_url(node: Node) -> str:
    return node.url


async def first_url(output: asyncio.StreamReader, said: list[str]) -> str:
    while line := (await output.readline()).decode():
        said.append(line)
        if found := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)(?=/?\s|/?$)", line):
            return f"http://127.0.0.1:{found[1]}"
    raise AssertionError("the node ended without naming its page:\n" + "".join(said))


async def read_on(output: asyncio.StreamReader, said: list[str]) -> None:
    while line := await output.readline():
        said.append(line.decode(errors="replace"))


@pytest_asyncio.fixture(loop_scope="session")
async def live(page: Page, gateway: FakeGateway) -> Page:
    """The page, sending the test picture and showing it inverted."""
    await open_page(page, gateway)
    await start(page)
    await says(page, "Live: Negative on runner r1.")
    return page
