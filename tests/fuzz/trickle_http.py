"""Throws nonsense at a trickle server over real sockets, and looks at what stays behind.

Some connections are open at any time, each with several requests behind each other. In every turn
one of them sends a piece of them, cut anywhere, or reads, or ends in one of three ways; so they are
given up in every state there is. Now and then somebody with good manners publishes and reads, and
must be served as ever.
"""

import asyncio
import contextlib
import gc
import random
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.requests import request
from tests.support.waiting import until
from trickle.connection import Connection, Exchange
from trickle.http1 import RequestHead
from trickle.posting import Posting
from trickle.reading import Reading
from trickle.segment import Segment
from trickle.serve import TrickleServer
from trickle.table import Limits
from trickle.window import Window

OPEN_AT_ONCE = 40
TURNS_PER_ROUND = 20
ROUNDS_PER_CANARY = 200

# Everything that waits for something is over soon after the last client has gone.
SETTLE_S = 10.0
CANARY_S = 5.0

LIMITS = Limits(
    window=Window(resume_s=0.05, gap_s=0.05, max_segment_bytes=256 << 10, max_bytes=2 << 20),
    max_channels=20,
    continue_s=0.05,
    head_s=0.1,
    reader_stall_s=0.2,
    connection_idle_s=0.3,
    idle_s=1.0,
    sweep_s=0.1,
)
FDS = Path("/proc/self/fd")
RESET = struct.pack("ii", 1, 0)


@dataclass
class Outcome:
    """What happened, and what was left.

    Attributes:
        requests: Made; the server hung up before it saw some of them, and saw pieces of others.
        answered: By a route; the others were no HTTP.
        connections: Opened.
        escaped: Exceptions that nobody caught, in words.
        left: What did not go away, in words.
    """

    seed: int
    requests: int = 0
    answered: int = 0
    connections: int = 0
    escaped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class CountingServer(TrickleServer):
    """Knows how many requests came far enough to be answered by a route."""

    answered = 0

    def answer(self, connection: Connection, head: RequestHead) -> bytes | Exchange:
        self.answered += 1
        return super().answer(connection, head)


class Client:
    """One connection that behaves badly."""

    def __init__(self, port: int) -> None:
        self.unsent = b""
        self.over = False
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex(("127.0.0.1", port))

    def send(self, size: int) -> None:
        try:
            sent = self._socket.send(self.unsent[:size])
        except BlockingIOError:
            return
        except OSError:
            self.over = True
            return
        self.unsent = self.unsent[sent:]

    def read(self) -> None:
        try:
            self.over = not self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            self.over = True

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool) -> None:
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()


def descriptors() -> Counter[str]:
    """What is open, by what it is."""
    found: Counter[str] = Counter()
    if FDS.exists():
        for fd in FDS.iterdir():
            with contextlib.suppress(OSError):
                found[str(fd.readlink()).partition("[")[0].partition("(")[0]] += 1
    return found


def objects() -> Counter[str]:
    """What a server makes for its clients, as far as it is still alive."""
    gc.collect()
    kinds = (Connection, Posting, Reading, Segment)
    return Counter(type(o).__name__ for o in gc.get_objects() if type(o) in kinds)


async def fuzz(seconds: float, seed: int) -> Outcome:
    """Does it for so long. The same seed sends the same, though not at the same moments."""
    outcome, dice, loop = Outcome(seed), random.Random(seed), asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: outcome.escaped.append(f"{context['message']}: {context!r}")
    )
    # A loop that has listened once keeps a descriptor for when there are none left.
    first = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    first.close()
    await first.wait_closed()
    objects_before = objects()
    tasks_before, descriptors_before = len(asyncio.all_tasks()), descriptors()
    server = CountingServer(limits=LIMITS, autocreate=True, changefeed=True)
    port = await loop.create_server(server.protocol, "127.0.0.1", 0, backlog=1000)
    number = port.sockets[0].getsockname()[1]
    running = asyncio.create_task(server.run())
    clients: list[Client] = []
    ends_at, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < ends_at and not outcome.escaped:
        for _ in range(TURNS_PER_ROUND):
            _turn(dice, number, clients, outcome, server.base.encode())
        await asyncio.sleep(0)
        rounds += 1
        if rounds % ROUNDS_PER_CANARY == 0:
            await _canary(number, rounds, outcome)
        if running.done():
            outcome.left.append(f"the sweeper ended: {running!r}")
            break
    for client in clients:
        client.close(reset=dice.random() < 0.5)
    clients.clear()
    await _look_behind(server, outcome)
    outcome.answered = server.answered
    port.close()
    running.cancel()
    await asyncio.wait([running])
    await port.wait_closed()
    del server, port, running
    await asyncio.sleep(0.05)
    if still_open := descriptors() - descriptors_before:
        outcome.left.append(f"descriptors {dict(still_open)}")
    if len(asyncio.all_tasks()) > tasks_before:
        outcome.left.append(f"tasks {asyncio.all_tasks()}")
    if alive := objects() - objects_before:
        outcome.left.append(f"objects {dict(alive)}")
    loop.set_exception_handler(None)
    return outcome


def _turn(
    dice: random.Random, port: int, clients: list[Client], outcome: Outcome, base: bytes
) -> None:
    if len(clients) < OPEN_AT_ONCE:
        clients.append(Client(port))
        outcome.connections += 1
    client = dice.choice(clients)
    if client.over:
        # The server has hung up on it, with good reason.
        clients.remove(client)
        client.close(reset=False)
        return
    if not client.unsent:
        count = dice.choice([1, 1, 2, 8])
        client.unsent = b"".join(request(dice, base) for _ in range(count))
        outcome.requests += count
    what = dice.random()
    if what < 0.75:
        client.send(dice.choice([1 << 20, 1 << 20, 1 << 20, 200, dice.randrange(1, 40)]))
    elif what < 0.9:
        client.read()
    elif what < 0.92:
        client.half_close()
    else:
        clients.remove(client)
        client.close(reset=what < 0.96)


async def _canary(port: int, turn: int, outcome: Outcome) -> None:
    """Publishes, reads, and leaves, as one should."""
    path, body = f"/ai/trickle/canary-{turn}", b"%d" % turn
    try:
        async with asyncio.timeout(CANARY_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            asked = [
                f"POST {path}/0 HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body,
                f"GET {path}/0 HTTP/1.0\r\nHost: t\r\n\r\n".encode(),
            ]
            writer.write(asked[0])
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(asked[1])
            answer += await reader.read()
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
        outcome.left.append(f"somebody with good manners was not served: {error!r}")
        return
    # 503 is an answer too: there are only so many channels, and nonsense may hold them all.
    if not (answer.endswith(b"\r\n\r\n" + body) or answer.startswith(b"HTTP/1.1 503")):
        outcome.left.append(f"somebody with good manners heard {answer!r}")


async def _look_behind(server: TrickleServer, outcome: Outcome) -> None:
    """Waits until everybody is gone, and says what is not."""
    with contextlib.suppress(AssertionError):
        await until(
            lambda: not (server._connections or server._timers or server.paces),
            within_s=SETTLE_S,
        )
    if server._connections:
        outcome.left.append(f"{len(server._connections)} connections")
    if server._timers or server.paces:
        outcome.left.append(f"{len(server._timers)} timers, {len(server.paces)} paces")
    for channel in server.channels:
        outcome.left += [
            f"{segment.writers} writers and {len(segment._watchers)} readers of "
            f"{channel.name!r}/{segment.seq}, {segment.size} bytes, ended: {segment.ended}"
            for segment in channel.segments
            if segment.writers or segment.watched
        ]
        server.close_channel(channel.name)
    if server.channels.budget.used:
        outcome.left.append(f"{server.channels.budget.used} bytes")
