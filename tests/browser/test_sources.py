"""Where pictures come from: this page's sources, OBS, and other people."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.fake_gateway import (
    FakeGateway,
)
from tests.browser.pixels import bars, distance, drawn_bars, inverted, until
from tests.browser.steps import STREAM, open_page, says, start

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_camera_is_sent_when_it_is_allowed(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await context.grant_permissions(["camera"])
    await open_page(page, gateway)
    await page.get_by_role("radio", name="Camera").check()

    await start(page)

    await says(page, "Live")


async def test_a_refused_camera_is_explained(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)
    await page.get_by_role("radio", name="Camera").check()

    await start(page)

    await expect(page.get_by_role("alert")).to_contain_text("Allow the camera with the icon")
    await expect(page.locator("#problem-code")).to_have_text("camera_refused")


async def test_no_camera_at_all_is_explained(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await context.grant_permissions(["camera"])
    await page.add_init_script(
        """navigator.mediaDevices.getUserMedia = () =>
             Promise.reject(new DOMException("Requested device not found", "NotFoundError"));"""
    )
    await open_page(page, gateway)
    await page.get_by_role("radio", name="Camera").check()

    await start(page)

    await expect(page.get_by_role("alert")).to_contain_text("No camera was found")
    await expect(page.get_by_role("alert")).to_contain_text("choose the test picture")


async def test_a_page_that_is_not_secure_says_how_to_get_the_camera(
    page: Page, gateway: FakeGateway
) -> None:
    await page.goto(f"http://node.test:{gateway.port}/?stream={STREAM}")
    await page.get_by_role("radio", name="Camera").check()

    await start(page)

    await expect(page.get_by_role("alert")).to_contain_text(f"Open http://localhost:{gateway.port}")


async def test_the_source_is_changed_in_the_running_stream(
    live: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await context.grant_permissions(["camera"])
    painted = inverted(await drawn_bars(live))

    await live.get_by_role("radio", name="Camera").check()

    async def no_longer_the_bars() -> bool:
        return distance(await bars(live, "out-video"), painted) > 40

    await until(no_longer_the_bars, within_s=5)
    await expect(live.locator("#in-what")).to_have_text("Camera")
    assert len(gateway.offers) == 1


async def test_a_refused_change_of_source_leaves_the_old_one_running(
    live: Page, gateway: FakeGateway
) -> None:
    await live.get_by_role("radio", name="Camera").click()

    await expect(live.get_by_role("alert")).to_contain_text("may not use the camera")
    await expect(live.get_by_role("radio", name="Test picture")).to_be_checked()
    await says(live, "Live")


async def test_the_test_picture_moves_on_in_a_hidden_window(live: Page) -> None:
    cdp = await live.context.new_cdp_session(live)
    window = (await cdp.send("Browser.getWindowForTarget"))["windowId"]
    hidden = {"windowId": window, "bounds": {"windowState": "minimized"}}
    await cdp.send("Browser.setWindowBounds", hidden)
    frames = """async () => {
      const track = document.getElementById('in-video').srcObject.getVideoTracks()[0];
      const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
      const from = performance.now();
      for (let i = 0; i < 30; i++) (await reader.read()).value.close();
      await reader.cancel();
      return performance.now() - from;
    }"""

    took_ms = await live.evaluate(frames)

    # 1 s at 30 fps, in a window whose own frames come once a second.
    assert took_ms < 3_000


async def test_obs_is_told_server_and_key_with_the_chosen_effect(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await open_page(page, gateway)

    await page.get_by_role("radio", name="OBS").check()

    settings = page.get_by_role("region", name="Settings for OBS")
    await expect(settings).to_contain_text("rtmp://127.0.0.1:1935/live")
    await expect(settings).to_contain_text(f"{STREAM}?pipeline=negative")
    await says(page, "Waiting for OBS: press Start Streaming there.")
    await expect(page.get_by_role("button", name="Start")).to_be_hidden()
    await page.get_by_role("button", name="Copy stream key").click()
    await expect(page.get_by_role("button", name="Copy stream key")).to_have_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{STREAM}?pipeline=negative"


async def test_a_watcher_sees_and_steers_what_somebody_else_sends(
    live: Page, gateway: FakeGateway
) -> None:
    watcher = await live.context.new_page()
    await watcher.goto(f"{gateway.url}/?watch={STREAM}")

    await says(watcher, "Live: Negative on runner r1.")
    await expect(watcher.get_by_role("group", name="Source")).to_be_hidden()
    await watcher.get_by_role("radio", name="Passthrough").check()

    await says(live, "Live: Passthrough on runner r1.")
    await expect(live.get_by_role("radio", name="Passthrough")).to_be_checked()
    await watcher.close()


async def test_a_watcher_who_came_first_gets_the_picture_when_it_comes(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await page.goto(f"{gateway.url}/?watch={STREAM}")
    await says(page, f"Waiting for somebody to publish {STREAM}.")
    sender = await context.new_page()
    await open_page(sender, gateway)

    await start(sender)

    await says(page, "Live: Negative on runner r1.", within_s=15)
    await sender.close()


async def test_an_effect_in_the_address_is_chosen(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway, "?stream=a&pipeline=passthrough")

    await expect(page.get_by_role("radio", name="Passthrough")).to_be_checked()


async def test_an_unknown_effect_in_the_address_is_said(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway, "?stream=a&pipeline=toonn")

    await expect(page.get_by_role("alert")).to_contain_text("no effect named “toonn”")
    await expect(page.get_by_role("radio", name="Passthrough")).to_be_checked()


async def test_a_stream_name_is_invented_and_kept(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway, "")
    name = await page.locator("#stream-name").inner_text()

    await page.reload()

    assert len(name) > 8
    await expect(page.locator("#stream-name")).to_have_text(name)
