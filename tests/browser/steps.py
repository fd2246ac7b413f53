"""What a person does on the page, and how a test reads what it says."""

from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway

STREAM = "still-pond"


async def open_page(page: Page, gateway: FakeGateway, query: str = f"?stream={STREAM}") -> None:
    await page.goto(f"{gateway.url}/{query}")
    await expect(page.get_by_role("radio", name="Negative")).to_be_visible()


async def start(page: Page) -> None:
    await page.get_by_role("button", name="Start").click()


async def says(page: Page, text: str, within_s: float = 10) -> None:
    """Waits until the page's sentence contains the text."""
    sentence = page.locator("#sentence-text")
    await expect(sentence).to_contain_text(text, timeout=within_s * 1000)
