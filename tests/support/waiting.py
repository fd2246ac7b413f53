"""Waiting for something to become true that nothing announces: another process, the kernel."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

# Short against anything that is waited for, long against the cost of looking.
LOOK_EVERY_S = 0.02


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within_s: float
) -> None:
    """Returns as soon as `condition` holds; fails the test when it does not in time."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                held = condition()
                if await held if inspect.isawaitable(held) else held:
                    return
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {inspect.getsource(condition)}") from None
