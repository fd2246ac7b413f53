"""The page for every eye, hand and ear: sizes, colours, keyboard, names."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, FloatRect, Page, expect

from tests.browser.conftest import LAPTOP, PHONE
from tests.browser.fake_gateway import FakeGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Everything a person may operate, with the name a screen reader would say.
NAMELESS_JS = """() => {
  const all = document.querySelectorAll("button, a, input, select, video, fieldset, summary");
  return [...all].filter((e) => e.checkVisibility()).filter((e) => {
    const labels = [...(e.labels ?? [])].map((label) => label.textContent.trim());
    const legend = e.querySelector?.(":scope > legend")?.textContent.trim();
    return !(e.ariaLabel || labels.join("") || legend || e.textContent.trim());
  }).map((e) => e.outerHTML.slice(0, 120));
}"""

# Text that is hard to read: contrast under 4.5 (WCAG AA), against the nearest painted ground.
FAINT_JS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const v = c[i] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("white");
  };
  const faint = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(".unseen, :disabled")) continue;
    const [a, b] = [luminance(rgba(getComputedStyle(e).color)), luminance(ground(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push([e.textContent.trim().slice(0, 40), contrast]);
  }
  return faint;
}"""


async def open_page(page: Page, gateway: FakeGateway) -> None:
    await page.goto(f"{gateway.url}/?stream=still-pond")
    await expect(page.get_by_role("button", name="Start")).to_be_enabled()


@pytest_asyncio.fixture(loop_scope="session", params=["light", "dark"])
async def scheme(
    browser: Browser, gateway: FakeGateway, request: pytest.FixtureRequest
) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=LAPTOP, color_scheme=request.param)
    page = await context.new_page()
    await open_page(page, gateway)
    yield page
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def phone(browser: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = await context.new_page()
    await open_page(page, gateway)
    yield page
    await context.close()


async def box(page: Page, selector: str) -> FloatRect:
    found = await page.locator(selector).bounding_box()
    assert found is not None
    return found


async def test_pictures_are_side_by_side_on_a_laptop(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)

    going_in, coming_out = await box(page, "#in-picture"), await box(page, "#out-picture")
    assert going_in["y"] == coming_out["y"]
    assert going_in["x"] + going_in["width"] <= coming_out["x"]
    assert coming_out["y"] + coming_out["height"] < LAPTOP["height"]


async def test_pictures_are_stacked_on_a_phone_and_nothing_sticks_out(phone: Page) -> None:
    going_in, coming_out = await box(phone, "#in-picture"), await box(phone, "#out-picture")
    assert going_in["x"] == coming_out["x"]
    assert going_in["y"] + going_in["height"] <= coming_out["y"]
    assert await phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    await phone.get_by_role("radio", name="OBS").check()
    assert await phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert (await box(phone, "#source-column"))["x"] == (await box(phone, "#settings"))["x"]


async def test_start_is_in_reach_on_a_phone_wherever_it_is_scrolled(phone: Page) -> None:
    await phone.evaluate("scrollTo(0, document.body.scrollHeight)")

    button = await box(phone, "#go")

    assert button["y"] + button["height"] <= PHONE["height"]
    assert button["height"] >= 44


async def test_fingers_find_every_target_on_a_phone(phone: Page) -> None:
    small: list[Any] = await phone.evaluate(
        """() => [...document.querySelectorAll("button, .tiles input, select")]
          .filter((e) => e.checkVisibility())
          .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect().height])
          .filter(([, height]) => height < 38)"""
    )

    assert small == []


async def test_dark_is_dark_and_light_is_light(scheme: Page) -> None:
    dark = await scheme.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground = await scheme.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    channels = [int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(",")]

    assert max(channels) < 64 if dark else min(channels) > 192


async def test_all_text_is_legible(scheme: Page, gateway: FakeGateway) -> None:
    assert await scheme.evaluate(FAINT_JS) == []

    gateway.say(
        "still-pond",
        state="failed",
        problem={"code": "x", "message": "It broke.", "remedy": "Mend it."},
    )
    await scheme.get_by_role("radio", name="OBS").check()
    await expect(scheme.get_by_role("alert")).to_be_visible()

    assert await scheme.evaluate(FAINT_JS) == []


async def test_everything_has_a_name(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)

    assert await page.evaluate(NAMELESS_JS) == []

    await page.get_by_role("radio", name="OBS").check()
    await page.get_by_role("radio", name="Seeded").check()

    assert await page.evaluate(NAMELESS_JS) == []


async def test_a_screen_reader_is_told_the_state_politely(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)

    spoken = page.get_by_role("status")

    await expect(spoken).to_contain_text("Ready. Press Start")
    assert await spoken.get_attribute("aria-live") == "polite"


async def test_the_page_has_one_title_and_its_landmarks(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)

    await expect(page.get_by_role("banner")).to_have_count(1)
    await expect(page.get_by_role("main")).to_have_count(1)
    await expect(page.get_by_role("contentinfo")).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    for region in ("Pictures", "Live numbers", "Controls"):
        await expect(page.get_by_role("region", name=region)).to_have_count(1)


async def test_the_keyboard_alone_picks_an_effect_tunes_it_and_starts(
    page: Page, gateway: FakeGateway
) -> None:
    await open_page(page, gateway)
    press = page.keyboard.press

    async def tab_to(selector: str) -> None:
        for _ in range(30):
            await press("Tab")
            if await page.evaluate(f"document.activeElement.matches('{selector}')"):
                return
        raise AssertionError(f"Tab never came to {selector}")

    await tab_to("[name=effect]")
    await press("ArrowLeft")
    await press("ArrowRight")
    await expect(page.get_by_role("radio", name="Negative")).to_be_checked()
    await tab_to("[type=range]")
    await press("Home")
    await expect(page.get_by_role("slider", name="Amount")).to_have_value("0")
    await page.evaluate("document.activeElement.blur()")
    await page.locator("#share").focus()
    await tab_to("#go")
    await press("Enter")

    await expect(page.get_by_role("button", name="Stop")).to_be_visible()


async def test_focus_can_be_seen_wherever_it_is(page: Page, gateway: FakeGateway) -> None:
    await open_page(page, gateway)
    invisible = []

    for _ in range(16):
        await page.keyboard.press("Tab")
        seen = await page.evaluate(
            """() => {
              const e = document.activeElement;
              if (e === document.body) return true;
              const ring = (at) => at && parseFloat(getComputedStyle(at).outlineWidth) >= 2
                && getComputedStyle(at).outlineStyle !== "none";
              return ring(e) || ring(e.nextElementSibling) || e.outerHTML.slice(0, 80);
            }"""
        )
        if seen is not True:
            invisible.append(seen)

    assert invisible == []


async def test_nothing_moves_by_itself_for_those_who_ask_for_it(
    context: BrowserContext, page: Page, gateway: FakeGateway
) -> None:
    await page.emulate_media(reduced_motion="reduce")
    gateway.say("still-pond", state="restarting")
    await open_page(page, gateway)
    await page.get_by_role("radio", name="OBS").check()
    await expect(page.locator("#sentence[data-tone=warn]")).to_be_visible()

    moving: int = await page.evaluate("document.getAnimations().length")

    assert moving == 0
