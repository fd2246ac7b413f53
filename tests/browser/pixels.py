"""Looks at a video element of the page as a person would: by its pixels."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from playwright.async_api import Page

Colour = tuple[int, int, int]

# The middle of each of the test picture's eight bars, in the given video, as displayed now.
BARS_JS = """
async (id) => {
  const { BARS, BARS_HEIGHT } = await import("/src/testpattern.js");
  const video = document.getElementById(id);
  const [w, h] = [320, 180];
  const canvas = new OffscreenCanvas(w, h);
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  ctx.drawImage(video, 0, 0, w, h);
  return BARS.map((_, i) => {
    const [x, y] = [Math.round(((i + 0.5) * w) / BARS.length), Math.round((BARS_HEIGHT / 2) * h)];
    const { data } = ctx.getImageData(x - 4, y - 4, 8, 8);
    const sum = [0, 0, 0];
    for (let p = 0; p < data.length; p++) if (p % 4 < 3) sum[p % 4] += data[p];
    return sum.map((value) => Math.round((value * 4) / data.length));
  });
}
"""

LIGHT_JS = """
async (id) => {
  const video = document.getElementById(id);
  const [w, h] = [320, 180];
  const ctx = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true });
  ctx.drawImage(video, 0, 0, w, h);
  const { data } = ctx.getImageData(0, 0, w, h);
  let sum = 0;
  for (let p = 0; p < data.length; p++) if (p % 4 < 3) sum += data[p];
  return sum / (w * h * 3);
}
"""


async def bars(page: Page, video: str) -> list[Colour]:
    found: list[list[int]] = await page.evaluate(BARS_JS, video)
    return [(red, green, blue) for red, green, blue in found]


async def drawn_bars(page: Page) -> list[Colour]:
    """The colours that the test picture's bars are painted with."""
    hexes: list[str] = await page.evaluate(
        "async () => (await import('/src/testpattern.js')).BARS.slice()"
    )
    return [(int(c[1:3], 16), int(c[3:5], 16), int(c[5:7], 16)) for c in hexes]


async def lightness(page: Page, video: str) -> float:
    """The mean of all pixels, 0 to 255."""
    found: float = await page.evaluate(LIGHT_JS, video)
    return found


def distance(some: list[Colour], others: list[Colour]) -> float:
    """The mean difference per channel, 0 to 255."""
    pairs = [
        abs(a - b)
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    return sum(pairs) / len(pairs)


def inverted(colours: list[Colour]) -> list[Colour]:
    return [(255 - red, 255 - green, 255 - blue) for red, green, blue in colours]


async def until(
    condition: Callable[[], Awaitable[bool]], *, within_s: float, every_s: float = 0.05
) -> float:
    """Waits for a condition that has no event of its own, and returns how long it took."""
    began = time.monotonic()
    while not await condition():
        passed = time.monotonic() - began
        assert passed < within_s, f"not within {within_s} s"
        await asyncio.sleep(every_s)
    return time.monotonic() - began


async def colour_at(page: Page, video: str, x: float, y: float) -> Colour:
    """The colour around a point, given as shares of width and height."""
    red, green, blue = await page.evaluate(
        """([id, x, y]) => {
          const video = document.getElementById(id);
          const ctx = new OffscreenCanvas(320, 180).getContext("2d", { willReadFrequently: true });
          ctx.drawImage(video, 0, 0, 320, 180);
          const { data } = ctx.getImageData(Math.round(x * 320) - 2, Math.round(y * 180) - 2, 4, 4);
          const sum = [0, 0, 0];
          for (let p = 0; p < data.length; p++) if (p % 4 < 3) sum[p % 4] += data[p];
          return sum.map((value) => Math.round(value / 16));
        }""",
        [video, x, y],
    )
    return (red, green, blue)
