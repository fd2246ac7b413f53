"""Runs pytrickle's own publisher and subscriber, and says in JSON lines what they did.

A program, not a test: `test_pytrickle.py` starts it in an environment of its own. The package's
`__init__` imports torch and a video decoder, which publishing and subscribing do not need; so the
package is entered by the side door, and its modules are what PyPI has.

    python pytrickle_program.py publish URL JSON [burst]
    python pytrickle_program.py subscribe URL COUNT [START]

`publish` sends each string of the JSON array as a segment: one after the other, or with `burst`
without a pause. `subscribe` prints the segments it got, at most COUNT, as they come.
"""

import asyncio
import importlib
import importlib.util
import json
import sys
import types
from typing import Any

# After its connection for the next segment stands, pytrickle has counted on; see test_pytrickle.
SETTLE_S = 0.05


def module(name: str) -> Any:
    """A module of pytrickle, without what its package imports first."""
    if "pytrickle" not in sys.modules:
        found = importlib.util.find_spec("pytrickle")
        assert found is not None
        assert found.submodule_search_locations is not None
        package = types.ModuleType("pytrickle")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["pytrickle"] = package
    return importlib.import_module(f"pytrickle.{name}")


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)


async def publish(url: str, documents: list[str], *, burst: bool) -> None:
    publisher = module("publisher").TricklePublisher(url, mime_type="application/json")
    async with publisher:
        for document in documents:
            segment = await publisher.next()
            await segment.write(document.encode())
            await segment.close()
            if not burst:
                await asyncio.sleep(SETTLE_S)
        say(sent=len(documents))
        # Until we are told: leaving cancels what is still on the way.
        await asyncio.to_thread(sys.stdin.readline)


async def subscribe(url: str, count: int, start: int) -> None:
    errors: list[str] = []

    async def failed(kind: str, _error: Exception | None) -> None:
        errors.append(kind)

    subscriber = module("subscriber").TrickleSubscriber(url, start_seq=start, error_callback=failed)
    async with subscriber:
        say(ready=True)
        for _ in range(count):
            segment = await subscriber.next()
            if segment is None:
                break
            data = b""
            while piece := await segment.read():
                data += piece
            say(seq=segment.seq(), size=len(data), text=data[:100].decode("latin-1"))
        say(end=True, errors=errors)


def main() -> None:
    verb, url, what, *more = sys.argv[1:]
    if verb == "publish":
        asyncio.run(publish(url, json.loads(what), burst=more == ["burst"]))
    else:
        asyncio.run(subscribe(url, int(what), int(more[0]) if more else -2))


if __name__ == "__main__":
    main()
