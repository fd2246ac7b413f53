"""The page, in a real Chromium, against a small gateway that does what a test says."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.fake_gateway import (
    BAD_OFFER,
    NO_ORCHESTRATOR,
    NO_RUNNER_FREE,
    TOO_MANY_VIEWERS,
    FakeGateway,
)
from tests.browser.pixels import bars, distance, drawn_bars, inverted, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAM = "still-pond"


async def open_page(page: Page, gateway: FakeGateway, query: str = f"?stream={STREAM}") -> None:
    await page.goto(f"{gateway.url}/{query}")
    await expect(page.get_by_role("radio", name="Negative")).to_be_visible()


async def start(page: Page) -> None:
    await page.get_by_role("button", name="Start").click()


def sentence(page: Page) -> "Sentence":
    return Sentence(page)


class Sentence:
    def __init__(self, page: Page) -> None:
        self._text = page.locator("#sentence-text")

    async def says(self, text: str, within_s: float = 10) -> None:
        await expect(self._text).to_contain_text(text, timeout=within_s * 1000)


@pytest_asyncio.fixture(loop_scope="session")
async def live(page: Page, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The page, sending the test picture and showing it inverted."""
    await open_page(page, gateway)
    await start(page)
    await sentence(page).says("Live: Negative on runner r1.")
    yield page


async def test_what_goes_in_comes_out_transformed(live: Page) -> None:
    painted = await drawn_bars(live)

    assert distance(await bars(live, "in-video"), painted) < 12
    assert distance(await bars(live, "out-video"), inverted(painted)) < 25


async def test_a_slider_changes_the_picture_within_a_second(live: Page) -> None:
    painted = await drawn_bars(live)

    await live.get_by_role("slider", name="Amount").fill("0")

    async def as_painted() -> bool:
        return distance(await bars(live, "out-video"), painted) < 25

    assert await until(as_painted, within_s=2) < 1


async def test_a_moved_slider_is_sent_at_once_and_then_not_for_every_step(
    live: Page, gateway: FakeGateway
) -> None:
    slider = live.get_by_role("slider", name="Amount")

    await slider.evaluate(
        """async (input) => {
          for (let i = 0; i < 40; i++) {
            input.value = String(i / 100);
            input.dispatchEvent(new Event("input", { bubbles: true }));
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }"""
    )

    async def last_one_came() -> bool:
        return bool(gateway.updates) and gateway.updates[-1] == {"amount": 0.39}

    await until(last_one_came, within_s=2)
    assert len(gateway.updates) < 15


async def test_another_effect_is_switched_to_without_a_new_connection(
    live: Page, gateway: FakeGateway
) -> None:
    await live.get_by_role("radio", name="Passthrough").check()

    await sentence(live).says("Live: Passthrough on runner r1.")
    painted = await drawn_bars(live)

    async def as_painted() -> bool:
        return distance(await bars(live, "out-video"), painted) < 25

    await until(as_painted, within_s=5)
    assert gateway.updates[0]["model_id"] == "passthrough"
    assert len(gateway.offers) == 1


async def test_an_effect_chosen_before_start_goes_along_with_the_offer(
    page: Page, gateway: FakeGateway
) -> None:
    await open_page(page, gateway)
    await page.get_by_role("slider", name="Amount").fill("0.25")

    await start(page)

    await sentence(page).says("Live")
    assert "pipeline=negative" in gateway.offers[0]
    assert gateway.stream(STREAM).params["amount"] == 0.25
    assert gateway.updates == []


async def test_stop_ends_both_sessions_and_the_source(live: Page, gateway: FakeGateway) -> None:
    assert len(gateway.sessions) == 2
    await live.evaluate("window.sent = document.getElementById('in-video').srcObject.getTracks()")

    await live.get_by_role("button", name="Stop").click()

    async def nothing_is_left() -> bool:
        return not gateway.sessions

    await until(nothing_is_left, within_s=2)
    assert await live.evaluate("window.sent.every((track) => track.readyState === 'ended')")
    assert await live.evaluate("document.getElementById('out-video').srcObject === null")
    await sentence(live).says("Ready.")
    await start(live)
    await sentence(live).says("Live")


async def test_a_closed_tab_ends_its_sessions(live: Page, gateway: FakeGateway) -> None:
    await live.goto("about:blank")

    async def nothing_is_left() -> bool:
        return not gateway.sessions

    await until(nothing_is_left, within_s=2)


async def test_numbers_say_rates_delay_and_who_works(live: Page) -> None:
    await expect(live.locator("#fps-out")).to_have_text("30", timeout=15_000)
    await expect(live.locator("#latency-label")).to_have_text("Delay, estimated")
    assert int(await live.locator("#latency").inner_text()) >= 41  # the gateway's share alone
    assert int(await live.locator("#dropped").inner_text()) >= 3
    await expect(live.locator("#orchestrator")).to_have_text("localhost:8935")
    await expect(live.locator("#runner")).to_have_text("r1")
    await live.get_by_text("Where the time goes").click()
    await expect(live.locator("#budget-list")).to_contain_text("gateway, runner and back")


async def test_a_readable_counter_makes_the_delay_a_measurement(live: Page) -> None:
    await live.get_by_role("radio", name="Passthrough").check()

    await expect(live.locator("#latency-label")).to_have_text("Delay, measured")
    assert 5 < int(await live.locator("#latency").inner_text()) < 2_000


# Bad weather -----------------------------------------------------------------------------------


async def test_no_free_runner_is_waited_for(page: Page, gateway: FakeGateway) -> None:
    gateway.refuse["whip"] = NO_RUNNER_FREE
    await open_page(page, gateway)

    await start(page)

    await sentence(page).says("Waiting for a free runner…")
    await expect(page.get_by_role("alert")).to_contain_text("raise orchestrator.runners")
    del gateway.refuse["whip"]
    await sentence(page).says("Live: Negative on runner r1.")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_refusal_for_good_says_why_and_what_to_do(page: Page, gateway: FakeGateway) -> None:
    gateway.refuse["whip"] = BAD_OFFER
    await open_page(page, gateway)

    await start(page)

    await sentence(page).says("It did not start.")
    for words in ("The offer has no H.264.", "Send H.264 video.", "bad_offer"):
        await expect(page.get_by_role("alert")).to_contain_text(words)
    await expect(page.get_by_role("button", name="Start")).to_be_enabled()
    assert len(gateway.offers) == 1
    assert await page.evaluate("document.getElementById('in-video').srcObject === null")


async def test_refused_parameters_are_explained_while_the_picture_goes_on(
    live: Page, gateway: FakeGateway
) -> None:
    gateway.refuse["update"] = (400, "bad_parameters", "levels: at most 16", "See /pipelines.", "")

    await live.get_by_role("slider", name="Number of levels").fill("3")

    await expect(live.get_by_role("alert")).to_contain_text("levels: at most 16")
    await sentence(live).says("Live")
    await live.get_by_role("button", name="Dismiss").click()
    await expect(live.get_by_role("alert")).to_be_hidden()


async def test_a_server_that_comes_back_gets_the_stream_back(
    live: Page, gateway: FakeGateway
) -> None:
    await gateway.stop()

    await sentence(live).says("The server is gone; trying again in")
    assert await live.locator("#sentence-spoken").inner_text() == (
        "The server is gone; trying again."
    )
    await gateway.start()
    await sentence(live).says("Live: Negative on runner r1.", within_s=20)
    painted = await drawn_bars(live)

    async def inverted_again() -> bool:
        return distance(await bars(live, "out-video"), inverted(painted)) < 25

    await until(inverted_again, within_s=10)


async def test_a_server_that_hangs_without_a_word_is_noticed(
    page: Page, gateway: FakeGateway
) -> None:
    await page.clock.install()
    await open_page(page, gateway)
    await sentence(page).says("Ready.")
    gateway.mute = True

    await page.clock.run_for(7_000)

    await sentence(page).says("The server is gone")


async def test_a_page_opened_while_no_orchestrator_answers_waits_for_one(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.refuse["pipelines"] = NO_ORCHESTRATOR
    await page.goto(gateway.url)

    await expect(page.get_by_role("alert")).to_contain_text("penstock orchestrator")
    await expect(page.get_by_role("button", name="Start")).to_be_disabled()
    del gateway.refuse["pipelines"]
    await expect(page.get_by_role("button", name="Start")).to_be_enabled()
    await expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"state": "restarting"}, "The runner is restarting…"),
        ({"state": "starting", "runner": None}, "Starting Negative…"),
        ({"state": "degraded", "message": "Slower than it should be."}, "Slower than it should"),
        (
            {
                "state": "failed",
                "problem": {"code": "x", "message": "The model died twice.", "remedy": "Wait."},
            },
            "The stream failed.",
        ),
    ],
)
async def test_what_the_gateway_says_is_put_into_words(
    live: Page, gateway: FakeGateway, status: dict[str, object], words: str
) -> None:
    gateway.say(STREAM, **status)

    await sentence(live).says(words)
    if status["state"] == "failed":
        await expect(live.get_by_role("alert")).to_contain_text("The model died twice.")
    gateway.say(STREAM)
    await sentence(live).says("Live")


async def test_a_gateway_that_forgot_the_stream_is_sent_it_again(
    live: Page, gateway: FakeGateway
) -> None:
    gateway.say(STREAM, state="waiting")

    async def offered_again() -> bool:
        return len(gateway.offers) > 1

    await until(offered_again, within_s=10)
    gateway.say(STREAM)
    await sentence(live).says("Live")


async def test_a_firewall_in_the_way_is_named(page: Page, gateway: FakeGateway) -> None:
    await page.clock.install()
    await open_page(page, gateway)
    gateway.unreachable = True
    await start(page)

    async def both_answered() -> bool:
        return len(gateway.sessions) == 2

    await until(both_answered, within_s=5)
    await sentence(page).says("Connecting…")
    await page.clock.run_for(10_500)

    await expect(page.get_by_role("alert")).to_contain_text("Is UDP to the node blocked")
    await sentence(page).says("Not connected; trying again")


async def test_a_full_house_is_explained_to_the_watcher_who_gets_in_later(
    live: Page, gateway: FakeGateway
) -> None:
    gateway.refuse["whep"] = TOO_MANY_VIEWERS
    watcher = await live.context.new_page()

    await watcher.goto(f"{gateway.url}/?watch={STREAM}")

    await sentence(watcher).says("Live, but it cannot be shown here.")
    await expect(watcher.get_by_role("alert")).to_contain_text("Raise gateway.viewers_max")
    del gateway.refuse["whep"]
    await sentence(watcher).says("Live: Negative on runner r1.", within_s=20)
    await watcher.close()


# Sources ---------------------------------------------------------------------------------------


async def test_the_camera_is_sent_when_it_is_allowed(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await context.grant_permissions(["camera"])
    await open_page(page, gateway)
    await page.get_by_role("radio", name="Camera").check()

    await start(page)

    await sentence(page).says("Live")


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
    await sentence(live).says("Live")


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


# OBS and watching ------------------------------------------------------------------------------


async def test_obs_is_told_server_and_key_with_the_chosen_effect(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await open_page(page, gateway)

    await page.get_by_role("radio", name="OBS").check()

    settings = page.get_by_role("region", name="Settings for OBS")
    await expect(settings).to_contain_text("rtmp://127.0.0.1:1935/live")
    await expect(settings).to_contain_text(f"{STREAM}?pipeline=negative")
    await sentence(page).says("Waiting for OBS: press Start Streaming there.")
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

    await sentence(watcher).says("Live: Negative on runner r1.")
    await expect(watcher.get_by_role("group", name="Source")).to_be_hidden()
    await watcher.get_by_role("radio", name="Passthrough").check()

    await sentence(live).says("Live: Passthrough on runner r1.")
    await expect(live.get_by_role("radio", name="Passthrough")).to_be_checked()
    await watcher.close()


async def test_a_watcher_who_came_first_gets_the_picture_when_it_comes(
    page: Page, context: BrowserContext, gateway: FakeGateway
) -> None:
    await page.goto(f"{gateway.url}/?watch={STREAM}")
    await sentence(page).says(f"Waiting for somebody to publish {STREAM}.")
    sender = await context.new_page()
    await open_page(sender, gateway)

    await start(sender)

    await sentence(page).says("Live: Negative on runner r1.", within_s=15)
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


# The controls ----------------------------------------------------------------------------------


async def test_every_kind_of_parameter_gets_its_control(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)

    settings = page.get_by_role("form", name="Negative settings")
    amount = settings.get_by_role("slider", name="Amount")
    assert await amount.get_attribute("step") == "0.01"
    await expect(amount).to_have_accessible_description("How far to go.")
    assert await settings.get_by_role("slider", name="Number of levels").input_value() == "8"
    await expect(settings.get_by_role("switch", name="Glow")).not_to_be_checked()
    assert await settings.get_by_label("Tint").locator("option").all_inner_texts() == [
        "None",
        "Warm",
        "Cool blue",
    ]
    assert await settings.get_by_label("Ink colour").input_value() == "#112233"


async def test_parameters_of_odd_shapes_are_still_within_reach(
    page: Page, gateway: FakeGateway
) -> None:
    await open_page(page, gateway)
    await page.get_by_role("radio", name="Seeded").check()
    await start(page)
    await sentence(page).says("Live: Seeded")

    await page.get_by_label("Points").fill("[[1, 2]]")
    await page.get_by_label("Shadow").fill("#0102ff")
    await page.get_by_label("Seed", exact=True).fill("12")

    wanted = {"points": [[1, 2]], "shadow": [1, 2, 255], "seed": 12}

    async def all_came() -> bool:
        params = gateway.stream(STREAM).params
        return all(params[name] == value for name, value in wanted.items())

    await until(all_came, within_s=3)
    await page.get_by_label("Points").fill("[[1,")
    await expect(page.get_by_label("Points")).to_have_attribute("aria-invalid", "true")


async def test_defaults_come_back_at_one_press(live: Page, gateway: FakeGateway) -> None:
    await live.get_by_role("slider", name="Amount").fill("0.5")

    await live.get_by_role("button", name="Defaults").click()

    async def default_again() -> bool:
        return bool(gateway.stream(STREAM).params["amount"] == 1)

    await until(default_again, within_s=2)
    assert await live.get_by_role("slider", name="Amount").input_value() == "1"


async def test_what_was_set_for_an_effect_is_still_set_after_trying_another(
    page: Page, gateway: FakeGateway
) -> None:
    await open_page(page, gateway)
    await page.get_by_role("slider", name="Amount").fill("0.5")

    await page.get_by_role("radio", name="Passthrough").check()
    await page.get_by_role("radio", name="Negative").check()

    assert await page.get_by_role("slider", name="Amount").input_value() == "0.5"


async def test_ten_starts_and_stops_leave_no_connection(page: Page, gateway: FakeGateway) -> None:
    await page.add_init_script(
        """window.connections = [];
        window.RTCPeerConnection = class extends RTCPeerConnection {
          constructor(...args) { super(...args); window.connections.push(this); }
        };"""
    )
    await open_page(page, gateway)

    for _ in range(10):
        await start(page)
        await page.get_by_role("button", name="Stop").click()

    async def nothing_is_left() -> bool:
        return not gateway.sessions

    await until(nothing_is_left, within_s=5)
    assert await page.evaluate("connections.every((pc) => pc.signalingState === 'closed')")
