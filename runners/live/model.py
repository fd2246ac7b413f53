"""The model process and its supervision: started, watched, and started again in place.

A stream attaches to it as its `Patron`. The stream's own channels stay open whatever happens
here; it is told when the process is there and when it is gone, and says anew what it wants.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from runners.errors import ChildFailed, LinkError
from runners.health import LOAD_LIMIT_S, Health, Progress, RestartPolicy
from runners.host import Child, Deadlines, Exit
from runners.link import BlockingLink, pair
from runners.messages import Given, Message, Open, Opened, Refused, Take
from runners.ring import Ring

log = logging.getLogger(__name__)

_WATCH_S: Final = 0.2


class Patron(Protocol):
    """A stream, as the model process sees it."""

    def connected(self) -> None:
        """There is a model process, new to the stream. Called on the event loop."""

    def lost(self, exit_: Exit) -> None:
        """It is gone; `connected` follows if it comes back. Called on the event loop."""

    def received(self, message: Message) -> None:
        """It says something. Called on the link's thread."""


class Model:
    """Keeps a model process running.

    Attributes:
        inward: The ring of frames to it.
        outward: The ring of results from it.
        pipelines: What it offers, once it has been ready.
        health: Told of its life.
    """

    def __init__(
        self,
        pipelines: Sequence[str],
        health: Health,
        *,
        on_change: Callable[[], None],
        python: str = sys.executable,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.health = health
        self.pipelines: list[dict[str, Any]] = []
        self.inward, self._inward_fd = Ring.create()
        self.outward, self._outward_fd = Ring.create()
        self._names = ",".join(pipelines)
        self._python = python
        self._deadlines = deadlines
        self._on_change = on_change
        self._first_ready = asyncio.Event()
        self._patron: Patron | None = None
        self._link: BlockingLink | None = None
        self._progress = Progress()
        self._opening_since: float | None = None
        self._policy = RestartPolicy()
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._child.pid if self._child is not None else None

    async def ready(self) -> None:
        """Waits until the process is ready for the first time, or never will be."""
        await self._first_ready.wait()

    def attach(self, patron: Patron) -> None:
        """A stream begins. It is told at once where a process is there."""
        self._patron = patron
        if self._link is not None:
            patron.connected()

    def detach(self, patron: Patron) -> None:
        """The stream has ended."""
        if self._patron is patron:
            self._patron = None

    def send(self, message: Message) -> bool:
        """Sends to the process; False where there is none. Any thread may."""
        link = self._link
        if link is None:
            return False
        match message:
            case Take():
                self._progress.began(time.monotonic())
            case Open():
                self._opening_since = time.monotonic()
            case _:
                pass
        return link.send(message)

    async def run(self) -> None:
        """Keeps the process running until cancelled, or until that is hopeless."""
        try:
            while True:
                exit_ = await self._live_once()
                now = time.monotonic()
                delay_s = self._policy.died(now)
                if delay_s is None or not self.pipelines:
                    self.health.gave_up(f"model process: {exit_.reason}", now)
                else:
                    self.health.model_lost(exit_.reason, now)
                log.warning(
                    "model process lost", extra={"reason": exit_.reason, "again_in_s": delay_s}
                )
                if self._patron is not None:
                    self._patron.lost(exit_)
                self._on_change()
                if self.health.failure is not None:
                    return
                await asyncio.sleep(delay_s or 0)
        finally:
            self._first_ready.set()
            os.close(self._inward_fd)
            os.close(self._outward_fd)

    async def _live_once(self) -> Exit:
        """One process, from its start to its end."""
        ours, theirs = pair()
        link = BlockingLink(ours)
        fds = (theirs.fileno(), self._inward_fd, self._outward_fd)
        child = self._child = Child("model", self._argv(fds), fds=fds, deadlines=self._deadlines)
        reading = threading.Thread(target=self._read, args=(link,), name="model", daemon=True)
        try:
            async with asyncio.TaskGroup() as group:
                living = group.create_task(child.run(), name="model.run")
                serving = group.create_task(self._serve(child, link, theirs, reading))
                exit_ = await living
                serving.cancel()
            return exit_
        finally:
            self._link = self._child = None
            link.end()
            theirs.close()
            if reading.ident is not None:
                reading.join()
            link.close()

    async def _serve(
        self, child: Child, link: BlockingLink, theirs: socket.socket, reading: threading.Thread
    ) -> None:
        """From ready on: messages flow, and the watch is kept."""
        try:
            details = await child.ready()
        except ChildFailed:
            return  # `run` says why
        theirs.close()  # so that the link ends with the process
        self.pipelines = details["pipelines"]
        self._progress.renewed()
        self._opening_since = None
        self._link = link
        reading.start()
        self.health.model_ready()
        self._first_ready.set()
        self._on_change()
        if self._patron is not None:
            self._patron.connected()
        while True:
            await asyncio.sleep(_WATCH_S)
            now = time.monotonic()
            stuck_s = self._progress.overdue_s(now)
            opening_since = self._opening_since
            if stuck_s is not None:
                child.kill(f"no progress on a frame for {stuck_s:.1f} s")
            elif opening_since is not None and now - opening_since > LOAD_LIMIT_S:
                child.kill(f"pipeline not loaded after {LOAD_LIMIT_S:g} s")

    def _read(self, link: BlockingLink) -> None:
        with contextlib.suppress(LinkError):
            while (message := link.receive()) is not None:
                match message:
                    case Given():
                        self._progress.finished(time.monotonic())
                    case Opened() | Refused():
                        self._opening_since = None
                    case _:
                        pass
                patron = self._patron
                if patron is not None:
                    patron.received(message)

    def _argv(self, fds: Sequence[int]) -> list[str]:
        work, inward, outward = map(str, fds)
        rings = ["--ring-in", inward, "--ring-out", outward]
        module = ["-m", "runners.live.process"]
        return [self._python, *module, "--pipeline", self._names, "--work-fd", work, *rings]
