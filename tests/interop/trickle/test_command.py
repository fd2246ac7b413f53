"""`python -m trickle`, as a shell uses it."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.waiting import until

# The children run uvloop; this end only minds their pipes, which asyncio does better.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

PIPE = asyncio.subprocess.PIPE


async def run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trickle", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def finish(process: asyncio.subprocess.Process, data: bytes = b"") -> tuple[bytes, bytes]:
    async with asyncio.timeout(20):
        return await process.communicate(data)


@asynccontextmanager
async def served(*arguments: str) -> AsyncGenerator[str]:
    """A server of its own, and its base URL."""
    process = await run("--port", "0", *arguments)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        yield line.split(" on ")[1].strip()
    finally:
        process.send_signal(signal.SIGINT)
        await finish(process)
    assert process.returncode == 0


async def test_what_goes_into_one_pipe_comes_out_of_the_other() -> None:
    data = bytes(range(256)) * 4000
    async with served("--autocreate", "--changefeed") as base:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base).port)
        writer.write(b"POST /ai/trickle/demo HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        subscriber = await run("sub", f"{base}demo", "--start", "0")
        await until(lambda: subscriber.returncode is None, within_s=1)
        publisher = await run("pub", f"{base}demo")
        assert publisher.stdin is not None
        assert subscriber.stdout is not None
        publisher.stdin.write(data)
        await publisher.stdin.drain()
        async with asyncio.timeout(20):
            got = await subscriber.stdout.readexactly(len(data))
        assert got == data
        assert (await finish(publisher))[1] == b""
        assert (await finish(subscriber))[0] == b""
        assert (publisher.returncode, subscriber.returncode) == (0, 0)
        writer.close()
        await writer.wait_closed()


async def test_missing_channel_is_one_line_and_a_status() -> None:
    async with served() as base:
        process = await run("sub", f"{base}missing")
        _, said = await finish(process)
    assert (said, process.returncode) == (b"trickle: channel 'missing' does not exist\n", 1)


async def test_signed_token_opens_a_guarded_server(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("nobody knows\n")
    async with served("--autocreate", "--secret-file", str(secret)) as base:
        signing = await run("sign", "publish", "demo", "--secret-file", str(secret))
        token = (await finish(signing))[0].decode().strip()
        publisher = await run("pub", f"{base}demo?token={token}")
        assert (await finish(publisher, b"hello"))[1] == b""
        stranger = await run("pub", f"{base}demo")
        said = (await finish(stranger, b"hello"))[1]
    assert (publisher.returncode, stranger.returncode) == (0, 1)
    assert b"token" in said


async def test_metrics_are_there() -> None:
    async with served() as base, aiohttp.ClientSession() as session:
        answer = await session.get(base.replace("/ai/trickle/", "/metrics"))
        assert (answer.status, "trickle_channels 0" in await answer.text()) == (200, True)


async def test_bad_address_is_one_line_and_a_status() -> None:
    process = await run("pub", "nonsense")
    _, said = await finish(process)
    assert process.returncode == 1
    assert said.count(b"\n") == 1
