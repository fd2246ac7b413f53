"""What strangers do with a real node: come too early, come too many, reload, come by phone."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import PHONE, Node
from tests.browser.pixels import bars, distance, drawn_bars, lightness, until
from tests.browser.steps import says, start
from tests.support.processes import Program, penstock, program

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIVE_S = 30
TURN_S = 12  # the page's longest pause between two tries is eight


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(context: BrowserContext) -> AsyncIterator[list[Page]]:
    """Three tabs of one window."""
    pages = [await context.new_page() for _ in range(3)]
    yield pages
    for page in pages:
        await page.close()


async def serving(*ports: tuple[str, int]) -> tuple[AsyncExitStack, Program, str, str]:
    """A node of the test's own that serves its page; its runners are not waited for."""
    stack = AsyncExitStack()
    flags = [flag for name, port in ports for flag in (f"--{name}.port", str(port))]
    running = await stack.enter_async_context(program(*penstock("up", *flags)))
    url = (await running.said(r"Open http://\S+?:(\d+)")).group(1)
    rtmp = (await running.said(r"Server:\s+(rtmp://\S+)")).group(1)
    return stack, running, f"http://127.0.0.1:{url}", rtmp


def ports(http: int = 0, rtmp: int = 0) -> tuple[tuple[str, int], ...]:
    return (
        ("gateway.http", http),
        ("gateway.rtmp", rtmp),
        ("gateway.webrtc", 0),
        ("orchestrator", 0),
    )


async def the_test_picture_shows(page: Page) -> None:
    painted = await drawn_bars(page)

    async def shown() -> bool:
        return distance(await bars(page, "out-video"), painted) < 20

    await until(shown, within_s=LIVE_S)


async def test_who_comes_before_the_runners_have_loaded_waits_and_is_served(page: Page) -> None:
    stack, _, url, _ = await serving(*ports())
    async with stack:
        await page.goto(f"{url}/?stream=early&pipeline=passthrough")
        await watch_complaints(page)
        button = page.get_by_role("button", name="Start")
        await expect(button).to_be_enabled(timeout=LIVE_S * 1000)
        await button.click()

        await says(page, "Live: Passthrough", within_s=LIVE_S)
        await the_test_picture_shows(page)
        # Loading is no failure, and nothing that the person should mend.
        assert await page.evaluate("complaints") == []
        await page.goto("about:blank")


async def test_a_third_stream_waits_for_one_of_two_runners(tabs: list[Page], node: Node) -> None:
    for number, page in enumerate(tabs):
        await page.goto(f"{node.url}/?stream=crowd-{number}&pipeline=passthrough")
        await expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=LIVE_S * 1000)
    first, second, third = tabs
    for page in (first, second):
        await page.bring_to_front()  # browsers slow down those behind
        await start(page)
        await says(page, "Live: Passthrough", within_s=LIVE_S)

    await third.bring_to_front()
    await start(third)

    await says(third, "Waiting for a free runner…")
    await expect(third.get_by_role("alert")).to_contain_text("raise orchestrator.runners")
    runners = {await page.locator("#runner").inner_text() for page in (first, second)}
    assert len(runners) == 2
    await first.get_by_role("button", name="Stop").click()
    await says(third, "Live: Passthrough", within_s=TURN_S)
    await expect(third.get_by_role("alert")).to_be_hidden()
    await the_test_picture_shows(third)
    await says(second, "Live: Passthrough")
    await says(first, "Ready.")


async def test_a_reloaded_tab_has_its_stream_again_at_one_press(page: Page, node: Node) -> None:
    await page.goto(f"{node.url}/?pipeline=passthrough")
    await expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=LIVE_S * 1000)
    name = await page.locator("#stream-name").inner_text()
    await start(page)
    await says(page, "Live: Passthrough", within_s=LIVE_S)
    watcher = await page.context.new_page()
    await watcher.goto(f"{node.url}/?watch={name}")
    await says(watcher, "Live: Passthrough", within_s=LIVE_S)

    await page.bring_to_front()
    await page.reload()

    await expect(page.locator("#stream-name")).to_have_text(name)
    await says(page, "Ready.")
    await says(watcher, f"Waiting for somebody to publish {name}.")
    await start(page)
    await says(page, "Live: Passthrough", within_s=LIVE_S)
    await says(watcher, "Live: Passthrough", within_s=LIVE_S)
    await the_test_picture_shows(watcher)
    await watcher.close()
    await page.get_by_role("button", name="Stop").click()


async def test_a_page_left_open_goes_on_when_the_node_is_started_again(page: Page) -> None:
    stack, first, url, rtmp = await serving(*ports())
    async with stack:
        await page.goto(f"{url}/?stream=patient&pipeline=passthrough")
        await expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=LIVE_S * 1000)
        await start(page)
        await says(page, "Live: Passthrough", within_s=LIVE_S)
        assert await first.interrupt() == 0
        await says(page, "The server is gone; trying again")

    stack, _, _, _ = await serving(*ports(urlsplit(url).port or 0, urlsplit(rtmp).port or 0))
    async with stack:
        await says(page, "Live: Passthrough", within_s=LIVE_S)
        await the_test_picture_shows(page)
        await page.goto("about:blank")


async def test_the_whole_journey_goes_by_thumb(browser: Browser, node: Node) -> None:
    context = await browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = await context.new_page()
    await page.goto(f"{node.url}/?stream=thumb")
    button = page.get_by_role("button", name="Start")
    await expect(button).to_be_enabled(timeout=LIVE_S * 1000)

    await page.get_by_role("radio", name="Neon").tap()
    await button.tap()
    await says(page, "Live: Neon", within_s=LIVE_S)
    before = await lightness(page, "out-video")
    slider = page.get_by_role("slider", name="Backdrop")
    await slider.scroll_into_view_if_needed()
    box = await slider.bounding_box()
    assert box is not None
    await page.touchscreen.tap(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)

    async def it_shines_through() -> bool:
        return await lightness(page, "out-video") > before + 20

    await until(it_shines_through, within_s=5)
    await page.get_by_role("button", name="Stop").tap()
    await says(page, "Ready.")
    await expect(page.locator("#fps-out")).to_have_text(re.compile("^\N{EN DASH}$"))
    await context.close()


async def watch_complaints(page: Page) -> None:
    """Remembers every problem the page shows from now on."""
    await page.evaluate(
        """() => {
          const code = document.getElementById("problem-code");
          window.complaints = [];
          new MutationObserver(() => code.textContent && complaints.push(code.textContent)).observe(
            code, { childList: true, characterData: true, subtree: true },
          );
        }"""
    )
