"""What the page says and does when something fails: a sentence, a remedy, another try."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import (
    BAD_OFFER,
    NO_ORCHESTRATOR,
    NO_RUNNER_FREE,
    TOO_MANY_VIEWERS,
    FakeGateway,
)
from tests.browser.pixels import bars, distance, drawn_bars, inverted, until
from tests.browser.steps import STREAM, open_page, says, start

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_no_free_runner_is_waited_for(page: Page, gateway: FakeGateway) -> None:
    gateway.refuse["whip"] = NO_RUNNER_FREE
    await open_page(page, gateway)

    await start(page)

    await says(page, "Waiting for a free runner…")
    await expect(page.get_by_role("alert")).to_contain_text("raise orchestrator.runners")
    del gateway.refuse["whip"]
    await says(page, "Live: Negative on runner r1.")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_refusal_for_good_says_why_and_what_to_do(page: Page, gateway: FakeGateway) -> None:
    gateway.refuse["whip"] = BAD_OFFER
    await open_page(page, gateway)

    await start(page)

    await says(page, "It did not start.")
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
    await says(live, "Live")
    await live.get_by_role("button", name="Dismiss").click()
    await expect(live.get_by_role("alert")).to_be_hidden()


async def test_a_server_that_comes_back_gets_the_stream_back(
    live: Page, gateway: FakeGateway
) -> None:
    await gateway.stop()

    await says(live, "The server is gone; trying again in")
    assert await live.locator("#sentence-spoken").inner_text() == (
        "The server is gone; trying again."
    )
    await gateway.start()
    await says(live, "Live: Negative on runner r1.", within_s=20)
    painted = await drawn_bars(live)

    async def inverted_again() -> bool:
        return distance(await bars(live, "out-video"), inverted(painted)) < 25

    await until(inverted_again, within_s=10)


async def test_a_server_that_hangs_without_a_word_is_noticed(
    page: Page, gateway: FakeGateway
) -> None:
    await page.clock.install()
    await open_page(page, gateway)
    await says(page, "Ready.")
    gateway.mute = True

    await page.clock.run_for(7_000)

    await says(page, "The server is gone")


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


async def test_what_the_gateway_says_is_put_into_words(live: Page, gateway: FakeGateway) -> None:
    died = {"code": "x", "message": "The model died twice.", "remedy": "Wait."}
    situations: list[tuple[dict[str, object], str]] = [
        ({"state": "restarting"}, "The runner is restarting…"),
        ({"state": "starting", "runner": None}, "Starting Negative…"),
        ({"state": "degraded", "message": "Slower than it should be."}, "Slower than it should"),
        ({"state": "failed", "problem": died}, "The stream failed."),
    ]
    for status, words in situations:
        gateway.say(STREAM, **status)

        await says(live, words)

    await expect(live.get_by_role("alert")).to_contain_text("The model died twice.")
    gateway.say(STREAM)
    await says(live, "Live")


async def test_a_gateway_that_forgot_the_stream_is_sent_it_again(
    live: Page, gateway: FakeGateway
) -> None:
    gateway.say(STREAM, state="waiting")

    async def offered_again() -> bool:
        return len(gateway.offers) > 1

    await until(offered_again, within_s=10)
    gateway.say(STREAM)
    await says(live, "Live")


async def test_a_firewall_in_the_way_is_named(page: Page, gateway: FakeGateway) -> None:
    await page.clock.install()
    await open_page(page, gateway)
    gateway.unreachable = True
    await start(page)

    async def both_answered() -> bool:
        return len(gateway.sessions) == 2

    await until(both_answered, within_s=5)
    await says(page, "Connecting…")
    await page.clock.run_for(10_500)

    await expect(page.get_by_role("alert")).to_contain_text("Is UDP to the node blocked")
    await says(page, "Not connected; trying again")


async def test_a_full_house_is_explained_to_the_watcher_who_gets_in_later(
    live: Page, gateway: FakeGateway
) -> None:
    gateway.refuse["whep"] = TOO_MANY_VIEWERS
    watcher = await live.context.new_page()

    await watcher.goto(f"{gateway.url}/?watch={STREAM}")

    await says(watcher, "Live, but it cannot be shown here.")
    await expect(watcher.get_by_role("alert")).to_contain_text("Raise gateway.viewers_max")
    del gateway.refuse["whep"]
    await says(watcher, "Live: Negative on runner r1.", within_s=20)
    await watcher.close()
