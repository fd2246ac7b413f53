"""The whole journey, as a stranger makes it: the real node, the real page, a real browser.

SCREENSHOT=path keeps a picture of the page while it is live (the README shows one).
"""

import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import Node
from tests.browser.pixels import bars, distance, drawn_bars, lightness, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAM = "journey"
A_NUMBER = re.compile(r"^\d+$")
NOTHING = "\N{EN DASH}"  # what the page shows where there is nothing to show
# Runners load and the machine is shared: generous here, measured by the bench.
LIVE_S = 30
SETTLE_S = 10


async def begin(page: Page, node_url: str, pipeline: str) -> None:
    await page.goto(f"{node_url}/?stream={STREAM}&pipeline={pipeline}")
    start = page.get_by_role("button", name="Start")
    await expect(start).to_be_enabled(timeout=LIVE_S * 1000)
    await start.click()
    await expect(page.locator("#sentence[data-tone=live]")).to_be_visible(timeout=LIVE_S * 1000)


async def status(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(
        "(name) => fetch(`/live/video-to-video/${name}/status`).then((r) => r.json())", STREAM
    )
    return found


async def stop(page: Page) -> None:
    await page.get_by_role("button", name="Stop").click()
    await nobody_publishes(page)


async def nobody_publishes(page: Page) -> None:
    async def gone() -> bool:
        return (await status(page)).get("state") in ("waiting", "ended", None)

    await until(gone, within_s=SETTLE_S)


@pytest_asyncio.fixture(loop_scope="session")
async def plain(page: Page, node_url: str) -> AsyncIterator[Page]:
    await begin(page, node_url, "passthrough")
    yield page
    await stop(page)


@pytest_asyncio.fixture(loop_scope="session")
async def neon(page: Page, node_url: str) -> AsyncIterator[Page]:
    await begin(page, node_url, "neon")
    yield page
    await stop(page)


async def test_the_test_picture_comes_back_untouched_through_passthrough(plain: Page) -> None:
    painted = await drawn_bars(plain)

    async def the_bars_are_there() -> bool:
        return distance(await bars(plain, "out-video"), painted) < 20

    await until(the_bars_are_there, within_s=SETTLE_S)


async def test_the_picture_comes_out_transformed(neon: Page) -> None:
    painted = await drawn_bars(neon)

    async def dark_off_the_edges() -> bool:
        found = await bars(neon, "out-video")
        return max(max(colour) for colour in found) < 90 and distance(found, painted) > 60

    await until(dark_off_the_edges, within_s=SETTLE_S)
    assert distance(await bars(neon, "in-video"), painted) < 20
    assert 1 < await lightness(neon, "out-video") < await lightness(neon, "in-video")
    if path := os.environ.get("SCREENSHOT"):
        await expect(neon.locator("#fps-out")).to_have_text(A_NUMBER)
        await expect(neon.locator("#latency")).to_have_text(A_NUMBER)
        await neon.screenshot(path=path)


async def test_a_slider_changes_the_output_within_a_second(neon: Page) -> None:
    before = await lightness(neon, "out-video")

    await neon.get_by_role("slider", name="Backdrop").fill("1")

    async def the_picture_shines_through() -> bool:
        return await lightness(neon, "out-video") > before + 25

    assert await until(the_picture_shines_through, within_s=5) < 1


async def test_another_effect_takes_over_in_the_running_stream(neon: Page) -> None:
    painted = await drawn_bars(neon)

    await neon.get_by_role("radio", name="Passthrough").check()

    async def the_bars_are_there() -> bool:
        return distance(await bars(neon, "out-video"), painted) < 20

    await until(the_bars_are_there, within_s=5)
    await expect(neon.locator("#sentence-text")).to_contain_text("Live: Passthrough")


async def test_numbers_are_those_of_a_live_stream(plain: Page) -> None:
    await expect(plain.locator("#latency-label")).to_have_text("Delay, measured", timeout=10_000)
    await expect(plain.locator("#fps-out")).to_have_text(A_NUMBER)

    assert 0 < int(await plain.locator("#latency").inner_text()) < 2_000
    assert int(await plain.locator("#fps-out").inner_text()) > 5
    assert await plain.locator("#runner").inner_text() != NOTHING
    assert await plain.locator("#orchestrator").inner_text() != NOTHING


async def test_a_second_page_sees_the_same_and_may_come_late(plain: Page, node_url: str) -> None:
    painted = await drawn_bars(plain)
    watcher = await plain.context.new_page()

    await watcher.goto(f"{node_url}/?watch={STREAM}")

    async def the_bars_are_there() -> bool:
        return distance(await bars(watcher, "out-video"), painted) < 20

    await until(the_bars_are_there, within_s=LIVE_S)
    await watcher.close()


async def test_stop_frees_everything(page: Page, node_url: str) -> None:
    await begin(page, node_url, "passthrough")
    await page.evaluate("window.sent = document.getElementById('in-video').srcObject.getTracks()")

    await page.get_by_role("button", name="Stop").click()

    await nobody_publishes(page)
    assert await page.evaluate("sent.every((track) => track.readyState === 'ended')")
    assert (await status(page))["viewers"] == 0
    # The runner is free again: the next stream gets it at once, as often as one likes.
    for _ in range(3):
        await begin(page, node_url, "passthrough")
        await stop(page)


async def test_a_closed_tab_ends_the_stream(page: Page, node_url: str) -> None:
    await begin(page, node_url, "passthrough")
    other = await page.context.new_page()
    await other.goto(f"{node_url}/?watch=nothing-here")

    await page.goto("about:blank")

    await nobody_publishes(other)
    await other.close()


async def test_a_killed_model_process_is_replaced_while_the_page_says_so(
    plain: Page, node: Node
) -> None:
    await watch_sentences(plain)
    models = node.processes("runners.live.process")
    assert models

    for model in models:
        model.kill()

    await back_to_live(plain, within_s=15)
    assert any("restarting" in said for said in await sentences(plain))


async def test_a_killed_runner_is_replaced_and_the_picture_comes_back(
    plain: Page, node: Node
) -> None:
    await watch_sentences(plain)
    runner_id = (await status(plain))["runner"]["id"]

    for runner in node.processes("-m runners"):
        runner.kill()

    await back_to_live(plain, within_s=30)
    assert len(await sentences(plain)) > 1, f"nothing was said of the end of {runner_id}"


async def watch_sentences(page: Page) -> None:
    """Remembers every sentence the page says from now on."""
    await page.evaluate(
        """() => {
          const text = document.getElementById("sentence-text");
          window.said = [];
          new MutationObserver(() => said.push(text.textContent)).observe(text, {
            childList: true, characterData: true, subtree: true,
          });
        }"""
    )


async def sentences(page: Page) -> list[str]:
    found: list[str] = await page.evaluate("said")
    return found


async def back_to_live(page: Page, *, within_s: float) -> None:
    async def said_something_and_live_again() -> bool:
        said = await sentences(page)
        return len(said) > 1 and said[-1].startswith("Live")

    await until(said_something_and_live_again, within_s=within_s)
