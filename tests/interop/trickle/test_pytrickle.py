"""pytrickle 0.1.6 from PyPI, both ways, in an environment of its own (`make interop` builds it).

What pytrickle loses by itself, against any server: it counts its segments in a background task,
so calls of `next()` that follow each other without a turn of the loop in between all write to the
same number. The first of these ends the segment. Those whose requests stood by then are appended
for readers who come later; the rest arrive at a segment that has ended. Nobody can tell such a
publisher from one that repeats itself, so they are dropped, and their answers say so. The segments
after the burst are whole: no number is used up by it, and readers are never sent back.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interop.trickle.wire import PATIENCE_S, Serving
from tests.support.waiting import until
from trickle.publisher import TricklePublisher
from trickle.subscriber import TrickleSubscriber

HERE = Path(__file__).parent
PYTHON = Path(__file__).parents[3] / ".venv-interop" / "bin" / "python"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="`make interop` installs pytrickle")

DOCUMENTS = [json.dumps({"n": n}) for n in range(8)]


class Pytrickle:
    """A running pytrickle program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        assert line, "pytrickle ended without a word"
        return json.loads(line)

    async def says_until_its_end(self) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        while not said or "end" not in said[-1]:
            said.append(await self.says())
        return said


@asynccontextmanager
async def pytrickle(*arguments: object) -> AsyncGenerator[Pytrickle, None]:
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON), str(HERE / "pytrickle_program.py"), *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Pytrickle(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def read(subscriber: TrickleSubscriber, count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE_S):
        return [(await (await subscriber.next()).read()).decode() for _ in range(count)]


async def test_what_pytrickle_publishes_we_read(serving: Serving) -> None:
    async with (
        TrickleSubscriber(serving.url(), start=0) as subscriber,
        pytrickle("publish", serving.url(), json.dumps(DOCUMENTS)),
    ):
        assert await read(subscriber, len(DOCUMENTS)) == DOCUMENTS


async def test_what_we_publish_pytrickle_reads_to_the_end(serving: Serving) -> None:
    async with pytrickle("subscribe", serving.url(), 100, 0) as reader:
        assert await reader.says() == {"ready": True}
        async with TricklePublisher(serving.url(), mime_type="application/json") as publisher:
            for document in DOCUMENTS:
                await publisher.publish(document.encode())
            got = [await reader.says() for _ in DOCUMENTS]
        assert [said["text"] for said in got] == DOCUMENTS
        assert [said["seq"] for said in got] == list(range(len(DOCUMENTS)))
        *rest, last = await reader.says_until_its_end()
        # The segment we had connected for ends empty, or tells of the end; both are no error.
        assert [said["size"] for said in rest] == [0] * len(rest)
        assert set(last["errors"]) <= {"stream_not_found"}


async def test_pytrickle_reads_a_burst_whole(serving: Serving) -> None:
    """go-livepeer keeps five; of twenty sent at once most are gone before they are asked for."""
    documents = [json.dumps({"n": n}) for n in range(60)]
    async with pytrickle("subscribe", serving.url(), 60, 0) as reader:
        assert await reader.says() == {"ready": True}
        async with TricklePublisher(serving.url(), mime_type="application/json") as publisher:
            for document in documents:
                await publisher.publish(document.encode())
            assert [(await reader.says())["text"] for _ in documents] == documents


async def test_pytrickle_reads_media_in_big_segments(serving: Serving) -> None:
    async with pytrickle("subscribe", serving.url(), 3, 0) as reader:
        assert await reader.says() == {"ready": True}
        async with TricklePublisher(serving.url()) as publisher:
            for _ in range(3):
                await publisher.publish(bytes(900_000))
            assert [(await reader.says())["size"] for _ in range(3)] == [900_000] * 3


async def test_pytrickle_that_joins_late_begins_at_the_current_segment(serving: Serving) -> None:
    for seq in range(5):
        await serving.publish(seq, b"%d" % seq)
    async with pytrickle("subscribe", serving.url(), 1) as reader:
        assert await reader.says() == {"ready": True}
        assert (await reader.says())["text"] == "4"


async def test_pytrickle_is_told_that_there_is_no_channel(serving: Serving) -> None:
    async with pytrickle("subscribe", serving.url("absent"), 1) as reader:
        assert (await reader.says_until_its_end())[-1]["errors"] == ["stream_not_found"]


async def test_burst_of_pytrickle_loses_what_it_numbers_twice_and_nothing_else(
    serving: Serving,
) -> None:
    """Six documents without a pause: pytrickle posts them all to segment 0."""
    documents = [f"<{n}>" for n in range(6)]
    async with (
        TrickleSubscriber(serving.url(), start=0) as subscriber,
        pytrickle("publish", serving.url(), json.dumps(documents), "burst") as writer,
    ):
        assert await writer.says() == {"sent": 6}
        counters = serving.server.counters
        await until(lambda: counters.segments_in + counters.dropped_posts == 6, within_s=PATIENCE_S)
        kept, dropped = counters.segments_in, counters.dropped_posts
        # Its connection for segment 1 has sent nothing: the number is free for who comes next.
        await serving.publish(1, b"whole")
        burst, whole = await read(subscriber, 2)
        assert (burst.count("<"), whole) == (kept, "whole")
        assert kept + dropped == 6
