"""The page beside OBS: ffmpeg publishes where the page says, and the page shows the result."""

import re
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.pixels import Colour, colour_at, distance, lightness, until
from tests.browser.steps import says
from tests.support.processes import Program, ffmpeg_publish, program

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAM = "studio"
LIVE_S = 30
GONE_S = 10  # what is promised to viewers of a publisher that vanished

# The upper bars of ffmpeg's smptebars, from left to right.
SMPTE: list[Colour] = [
    *((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0)),
    *((191, 0, 191), (191, 0, 0), (0, 0, 191)),
]

REMEMBER_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) { super(...args); window.connections.push(this); }
};
"""

# What the player under `id` has received of sound: bytes, and the energy after decoding.
SOUND_JS = """async (id) => {
  const tracks = document.getElementById(id).srcObject?.getAudioTracks() ?? [];
  for (const pc of connections) {
    for (const receiver of pc.getReceivers()) {
      if (!tracks.includes(receiver.track)) continue;
      for (const report of (await receiver.getStats()).values()) {
        if (report.type === "inbound-rtp") return [report.bytesReceived, report.totalAudioEnergy];
      }
    }
  }
  return [0, 0];
}"""


def obs(server: str, key: str) -> AbstractAsyncContextManager[Program]:
    """Stands in for OBS: the same protocol, the same codecs, and it can be killed."""
    return program(*ffmpeg_publish(f"{server}/{key}", size="640x360", pattern="smptebars"))


async def told(page: Page) -> tuple[str, str]:
    """The server and the stream key that the page gives to people with OBS."""
    settings = page.get_by_role("region", name="Settings for OBS")
    server, key = (await settings.locator("code").all_inner_texts())[:2]
    return server, key


async def smpte_bars(page: Page, video: str) -> list[Colour]:
    return [await colour_at(page, video, (i + 0.5) / 7, 0.3) for i in range(7)]


@pytest_asyncio.fixture(loop_scope="session")
async def waiting(page: Page, node_url: str) -> AsyncIterator[Page]:
    """The page, in OBS mode, before anybody publishes."""
    await page.add_init_script(REMEMBER_CONNECTIONS)
    await page.goto(f"{node_url}/?stream={STREAM}&source=obs&pipeline=neon")
    await says(page, "Waiting for OBS: press Start Streaming there.", within_s=LIVE_S)
    # The node before it knew the stream, and what it was to be made of.
    await expect(page.get_by_role("radio", name="Neon")).to_be_checked(timeout=LIVE_S * 1000)
    yield page


async def test_what_obs_sends_is_seen_before_and_after_and_heard(waiting: Page) -> None:
    page = waiting

    async with obs(*await told(page)):
        await says(page, "Live: Neon", within_s=LIVE_S)

        async def the_bars_go_in() -> bool:
            return distance(await smpte_bars(page, "in-video"), SMPTE) < 20

        async def a_tone_is_heard() -> bool:
            received, energy = await page.evaluate(SOUND_JS, "out-video")
            return bool(received > 5_000 and energy > 0.001)

        await until(the_bars_go_in, within_s=LIVE_S)
        # Neon is dark but for edges; so the middles of the bars are dark.
        assert max(max(colour) for colour in await smpte_bars(page, "out-video")) < 90
        # Browsers decode no sound of a muted player, so its energy is that of what is played.
        await page.get_by_role("button", name="Sound").click()
        await until(a_tone_is_heard, within_s=LIVE_S)
        await expect(page.locator("#fps-in")).to_have_text(re.compile("^(2[89]|3[012])$"))
    await says(page, "Waiting for OBS", within_s=GONE_S)


async def test_the_page_steers_what_obs_sends(waiting: Page) -> None:
    page = waiting
    async with obs(*await told(page)):
        await says(page, "Live: Neon", within_s=LIVE_S)
        before = await lightness(page, "out-video")

        await page.get_by_role("slider", name="Backdrop").fill("1")

        async def it_shines_through() -> bool:
            return await lightness(page, "out-video") > before + 20

        assert await until(it_shines_through, within_s=5) < 1
        await page.get_by_role("radio", name="Passthrough").check()
        await says(page, "Live: Passthrough")

        async def the_bars_come_out() -> bool:
            return distance(await smpte_bars(page, "out-video"), SMPTE) < 20

        await until(the_bars_come_out, within_s=5)
    await says(page, "Waiting for OBS", within_s=GONE_S)


async def test_a_killed_obs_is_missed_and_welcomed_back(waiting: Page) -> None:
    page = waiting
    async with obs(*await told(page)) as first:
        await says(page, "Live: Neon", within_s=LIVE_S)
        first.process.send_signal(signal.SIGKILL)
        await says(page, "Waiting for OBS", within_s=GONE_S)

    async with obs(*await told(page)):
        await says(page, "Live: Neon", within_s=LIVE_S)

        async def the_bars_go_in() -> bool:
            return distance(await smpte_bars(page, "in-video"), SMPTE) < 20

        await until(the_bars_go_in, within_s=GONE_S)
    await says(page, "Waiting for OBS", within_s=GONE_S)
