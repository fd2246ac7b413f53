"""A real Chromium, the small gateway the page is tested against, and the real node.

All of them live on the session's event loop, so that one browser serves all tests; modules here
say `pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

import shutil
from collections.abc import AsyncIterator

import aioice.ice
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.browser.fake_gateway import FakeGateway, fake_gateway

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

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


def chromium_path() -> str:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: apt install chromium")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), args=CHROMIUM_FLAGS
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
