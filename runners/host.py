"""A child process from the side of its parent: start, ready, heartbeat, stop, kill.

Every step has a deadline. Children are spawned, never forked, each in a process group of its own
that is killed as a whole. What they print comes home line by line. `runners.pool` keeps runner
processes with it, and `runners.live.model` keeps model processes; the child's half is
`runners.child`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from runners import logs
from runners.errors import ChildFailed, LinkError
from runners.link import AsyncLink, pair
from runners.messages import Message, Ping, Pong, Ready, Stop

log = logging.getLogger(__name__)

# The folder that holds our packages: a child must find them wherever its parent was started.
_ROOT: Final = str(Path(__file__).resolve().parent.parent)

# In place of the code of a process that never was, as shells have it.
EXIT_NOT_STARTED: Final = 127

_LAST_LINES: Final = 20
_READ_BYTES: Final = 1 << 16
# How long the stacks of a stuck child may take to come out before it is killed.
_STACKS_S: Final = 0.2
# A grandchild that left the process group may hold the pipe open; its words are not waited for.
_LAST_WORDS_S: Final = 1.0


class ChildState(StrEnum):
    """How far the child is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each step may take.

    Attributes:
        ready_s: From start to `Ready`. Weights are loaded in this time.
        beat_s: Between two pings.
        silent_s: Without an answer for so long it is stuck. Importing a large library can hold
            the interpreter for seconds.
        stop_s: From `Stop` to the end.
        kill_s: From SIGKILL to the end; beyond, the kernel holds it and nobody can help.
    """

    ready_s: float = 180.0
    beat_s: float = 1.0
    silent_s: float = 10.0
    stop_s: float = 4.0
    kill_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended.

    Attributes:
        reason: For people: "stopped", "killed by SIGKILL", "no heartbeat for 10 s", ... with its
            last words where it ended before it was ready.
        returncode: Negative for a signal, as in `subprocess`.
        was_ready: Whether it had said so.
        lines: The last that it printed.
    """

    reason: str
    returncode: int
    was_ready: bool
    lines: tuple[str, ...]


class Child:
    """One process. `run` is its whole life: when that returns nothing of it is left."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
        deadlines: Deadlines | None = None,
        on_message: Callable[[Message], None] | None = None,
    ) -> None:
        """Describes a child; `run` starts it.

        Args:
            name: What it is called in logs.
            argv: Its command line. ` --link-fd N` is added.
            env: Added to this process's environment.
            fds: Descriptors that it inherits under the same numbers.
            deadlines: How long each step may take.
            on_message: Told what the child says beyond being ready and alive.
        """
        self.name = name
        self.state = ChildState.STARTING
        self.details: dict[str, Any] = {}
        self.pid: int | None = None
        self._argv = list(argv)
        self._env = dict(env or {})
        self._fds = tuple(fds)
        self._deadlines = deadlines or Deadlines()
        self._on_message = on_message
        self._settled = asyncio.Event()  # ready, or gone
        self._leave = asyncio.Event()  # somebody wants it to end
        self._reason: str | None = None
        self._at_once = False
        self._was_ready = False
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)

    async def ready(self) -> dict[str, Any]:
        """Waits until the child is ready and returns what it said about itself.

        Raises:
            ChildFailed: It ended first.
        """
        await self._settled.wait()
        if self.state is ChildState.GONE:
            raise ChildFailed(f"{self.name} ended before it was ready: {self._reason}")
        return self.details

    def stop(self, reason: str = "stopped") -> None:
        """Asks it to end, and kills it if it does not. `run` returns when it has."""
        self._reason = self._reason or reason
        self._leave.set()

    def kill(self, reason: str) -> None:
        """Ends it at once; the stacks of a stuck process come out in the log first."""
        self._at_once = True
        self.stop(reason)

    async def run(self) -> Exit:
        """Starts the process and returns how it ended.

        Cancelled, it stops the process first and then passes the cancellation on. A process that
        the system does not start is one that ended.
        """
        ours, theirs = pair()
        try:
            process = await self._start(theirs)
        except OSError as error:
            ours.close()
            self._reason = f"cannot be started: {error}"
            self._gone()
            return Exit(self._reason, EXIT_NOT_STARTED, False, ())
        except BaseException:
            ours.close()
            self._gone()
            raise
        finally:
            theirs.close()
        try:
            async with await AsyncLink.over(ours) as link, asyncio.TaskGroup() as group:
                reading = group.create_task(self._read_lines(process))
                listening = group.create_task(self._listen(link))
                try:
                    await self._live(process)
                    await self._end(process, link)
                except asyncio.CancelledError:
                    self.stop("its owner left")
                    await self._end(process, link)
                    raise
                finally:
                    # Both end by themselves with the process.
                    await asyncio.wait([reading, listening], timeout=_LAST_WORDS_S)
                    listening.cancel()
                    reading.cancel()
        finally:
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGKILL)
            self._gone()
        returncode = process.returncode if process.returncode is not None else -signal.SIGKILL
        reason = self._reason or _describe(returncode)
        if not self._was_ready and not self._reason and self._lines:
            reason = f"{reason}: {self._lines[-1]}"  # why it never got that far
        return Exit(reason, returncode, self._was_ready, tuple(self._lines))

    async def _start(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self._env}
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            "--link-fd",
            str(theirs.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            pass_fds=(theirs.fileno(), *self._fds),
            start_new_session=True,
        )
        self.pid = process.pid
        log.debug("child started", extra={"child": self.name, "child_pid": process.pid})
        return process

    async def _live(self, process: asyncio.subprocess.Process) -> None:
        """Returns when the process has ended, or should."""
        ended = asyncio.ensure_future(process.wait())
        leave = asyncio.ensure_future(self._leave.wait())
        try:
            await asyncio.wait((ended, leave), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (ended, leave):
                waiting.cancel()

    async def _end(self, process: asyncio.subprocess.Process, link: AsyncLink) -> None:
        self.state = ChildState.STOPPING
        if process.returncode is None and not self._at_once:
            try:
                link.send(Stop(self._deadlines.stop_s))
                async with asyncio.timeout(self._deadlines.stop_s):
                    await process.wait()
            except (TimeoutError, LinkError):
                log.warning("child does not stop", extra={"child": self.name})
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGUSR1)
            try:
                async with asyncio.timeout(_STACKS_S):
                    await process.wait()
            except TimeoutError:
                pass
        _signal_group(process.pid, signal.SIGKILL)  # whatever it had started, too
        try:
            async with asyncio.timeout(self._deadlines.kill_s):
                await process.wait()
        except TimeoutError:
            log.error("child survives SIGKILL", extra={"child": self.name})  # noqa: TRY400

    async def _listen(self, link: AsyncLink) -> None:
        """Keeps the deadlines of getting ready and of answering."""
        heard = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(link, heard))
            try:
                async for message in link:
                    heard.set()
                    match message:
                        case Ready(details=details):
                            self.details = details
                            self._was_ready = True
                            if self.state is ChildState.STARTING:
                                self.state = ChildState.READY
                            self._settled.set()
                        case Pong():
                            pass
                        case _ if self._on_message is not None:
                            self._on_message(message)
                        case _:
                            pass
            except LinkError as error:
                self.kill(f"broken link: {error}")
            finally:
                watching.cancel()

    async def _watch(self, link: AsyncLink, heard: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._deadlines.ready_s):
                await self._settled.wait()
        except TimeoutError:
            self.kill(f"not ready after {self._deadlines.ready_s:g} s")
            return
        number = 0
        last_heard = time.monotonic()
        while True:
            heard.clear()
            number += 1
            try:
                link.send(Ping(number))
            except LinkError as error:
                self.kill(str(error))
                return
            await asyncio.sleep(self._deadlines.beat_s)
            now = time.monotonic()
            if heard.is_set():
                last_heard = now
            elif now - last_heard > self._deadlines.silent_s:
                self.kill(f"no heartbeat for {self._deadlines.silent_s:g} s")
                return

    async def _read_lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        cutter, budget = logs.LineCutter(), logs.LineBudget()
        while data := await process.stdout.read(_READ_BYTES):
            self._pass_on(cutter.feed(data), budget)
        self._pass_on(cutter.flush(), budget)

    def _pass_on(self, lines: list[str], budget: logs.LineBudget) -> None:
        for line in lines:
            self._lines.append(logs.readable(line))
            if budget.admits(time.monotonic()):
                if held_back := budget.take_held_back():
                    extra = {"child": self.name, "lines": held_back}
                    log.warning("child says too much, lines left out", extra=extra)
                logs.relay(line, child=self.name, fallback=log)

    def _gone(self) -> None:
        self.state = ChildState.GONE
        self._settled.set()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left of it
        os.killpg(pid, number)


def _describe(returncode: int) -> str:
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"ended with code {returncode}"
