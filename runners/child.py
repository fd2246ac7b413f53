"""The child's half of `runners.host`: it says when it is ready, and never outlives its parent.

Two things end a child whose parent is gone: the end of the link, on every system, and on Linux
the kernel, even where the child is stuck. `Lifeline` keeps the link on a thread of its own, for a
process whose main thread computes; `AsyncLifeline` keeps it on the event loop, so that a stuck
loop stops answering.
"""

import asyncio
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from runners.errors import LinkError
from runners.link import AsyncLink, BlockingLink
from runners.messages import Ping, Pong, Ready, Report, Stop

# How a child says, to whoever looks, that it left because its parent did.
EXIT_ORPHANED: Final = 70

_PR_SET_PDEATHSIG: Final = 1


def prepare() -> None:
    """First thing in a child: die with the parent, and show the stacks when told to (SIGUSR1)."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # The parent alone decides when to stop: Ctrl-C reaches the whole terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went in between
            os._exit(EXIT_ORPHANED)


class Lifeline:
    """The link to the parent, on a thread."""

    def __init__(self, fd: int, *, on_stop: Callable[[], None]) -> None:
        self._link = BlockingLink(socket.socket(fileno=fd))
        self._on_stop = on_stop
        self._thread = threading.Thread(target=self._listen, name="lifeline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ready(self, details: dict[str, Any]) -> None:
        self._link.send(Ready(details))

    def _listen(self) -> None:
        while True:
            try:
                message = self._link.receive()
            except LinkError:
                message = None
            match message:
                case Ping(number=number):
                    self._link.send(Pong(number))
                case Stop():
                    self._on_stop()
                case None:
                    # Nobody is left to stop for. The main thread may be stuck, so no clean-up.
                    os._exit(EXIT_ORPHANED)
                case _:
                    pass


class AsyncLifeline:
    """The link to the parent, on the event loop. `run` returns when it is time to stop."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._link: AsyncLink | None = None
        self._unsent: list[Ready | Report] = []

    def ready(self, details: dict[str, Any]) -> None:
        self._send(Ready(details))

    def report(self, status: str, message: str) -> None:
        self._send(Report(status, message))

    async def run(self) -> None:
        """Answers the parent until it says stop, or is gone."""
        async with await AsyncLink.over(self._socket) as link:
            self._link = link
            for message in self._unsent:
                link.send(message)
            try:
                async for received in link:
                    match received:
                        case Ping(number=number):
                            link.send(Pong(number))
                        case Stop():
                            return
                        case _:
                            pass
            finally:
                self._link = None

    def _send(self, message: Ready | Report) -> None:
        if self._link is None:
            self._unsent.append(message)
        else:
            self._link.send(message)


async def until_signalled() -> None:
    """Returns at SIGTERM or SIGINT, for a process that has no parent to tell it."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await told.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
