"""The page, in a real Chromium, against a small gateway that does what a test says."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import (
    FakeGateway,
)
from tests.browser.pixels import bars, distance, drawn_bars, inverted, until
from tests.browser.steps import STREAM, open_page, says, start

pytestmark = pytest.mark.asyncio(loop_scope="session")


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

    await says(live, "Live: Passthrough on runner r1.")
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

    await says(page, "Live")
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
    await says(live, "Ready.")
    await start(live)
    await says(live, "Live")


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
    await says(page, "Live: Seeded")

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
