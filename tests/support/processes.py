"""Programs under test, started for real: the `penstock` command and ffmpeg."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A node that does not say where it is after this long will not.
READY_S = 30.0
STOP_S = 10.0

# Every port of a node, let free.
FREE_PORTS = (
    *("--gateway.http.port", "0"),
    *("--gateway.rtmp.port", "0"),
    *("--gateway.webrtc.port", "0"),
    *("--orchestrator.port", "0"),
)


@dataclass(slots=True)
class Program:
    """A running program and what it has said."""

    process: asyncio.subprocess.Process
    began_at: float
    lines: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self.news:
                self.lines.append(line.decode(errors="replace").rstrip())
                self.news.notify_all()
        async with self.news:
            self.news.notify_all()

    async def said(self, pattern: str, *, within_s: float = READY_S) -> re.Match[str]:
        """Waits for a line that matches, and returns the match."""

        def found() -> re.Match[str] | None:
            return next((m for line in self.lines if (m := re.search(pattern, line))), None)

        try:
            async with asyncio.timeout(within_s), self.news:
                await self.news.wait_for(lambda: found() or self.process.returncode is not None)
        except TimeoutError:
            raise AssertionError(f"never said {pattern!r}: {self.lines[-20:]}") from None
        match = found()
        assert match is not None, f"ended without saying {pattern!r}: {self.lines[-20:]}"
        return match

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


@asynccontextmanager
async def program(*command: str, **environment: str) -> AsyncGenerator[Program, None]:
    """Runs a program for as long as the body does; output and errors are read together."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    running = Program(process, time.monotonic())
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                running.kill()
                await process.wait()
        await reading
        # The transport is closed by the loop, but only in a later turn of its own choosing.
        process._transport.close()  # type: ignore[attr-defined]


def penstock(*arguments: str) -> tuple[str, ...]:
    """The command line of `penstock`, under this interpreter."""
    return (sys.executable, "-m", "server", *arguments)


def ffmpeg_publish(
    url: str,
    *,
    size: str = "1280x720",
    rate: int = 30,
    pattern: str = "testsrc2",
    audio: bool = True,
    extra: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """ffmpeg publishing a test picture, as OBS would: H.264 and AAC over RTMP."""
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000") if audio else ()
    return (
        *("ffmpeg", "-hide_banner", "-loglevel", "error", "-re"),
        *("-f", "lavfi", "-i", f"{pattern}=size={size}:rate={rate}"),
        *sound,
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"),
        *("-g", str(rate), "-b:v", "2500k", "-pix_fmt", "yuv420p", "-threads", "1"),
        *(("-c:a", "aac", "-b:a", "96k") if audio else ()),
        *extra,
        *("-f", "flv", url),
    )
