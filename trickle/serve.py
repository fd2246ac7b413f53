"""A trickle server: its channels, and the HTTP routes to them.

It opens no port. Whoever does (`python -m trickle`, the orchestrator) makes a `protocol()` per
connection, so that one port can be shared with any other HTTP application, and awaits `run()` for
as long as the server shall live.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from trickle.access import OPEN, Access, Keys
from trickle.channel import CURRENT, Channel
from trickle.connection import Connection, Exchange
from trickle.credit import Credit
from trickle.errors import ChannelNotFound
from trickle.http1 import RequestHead
from trickle.local import LocalPublisher, LocalSubscriber
from trickle.metrics import FIRST_BYTE_S, Counters, Histogram
from trickle.origins import Origins
from trickle.pace import Pace
from trickle.routes import Routes, allow_create, allow_delete
from trickle.table import Channels, Limits

# What a publisher sends when it says nothing else, and what media subscribers insist on.
DEFAULT_MIME: Final = "video/MP2T"


class TrickleServer:
    """Serves channels over HTTP and to its own process.

    Attributes:
        base: The path all channels lie under; begins and ends with a slash.
        channels: The channels themselves.
        counters: What has happened.
        first_byte: From a GET of a segment to its first byte, in seconds.
        paces: Of channels that have readers, or a publisher that waits for one.
        access: What tokens are asked for.
        origins: Which web pages may use it.
        listing: Whether its status names its channels.
        metrics: Whether it answers `GET /metrics`.
        strict_go: Behave as go-livepeer where it loses data; for comparison runs.
    """

    def __init__(
        self,
        base: str = "/ai/trickle/",
        *,
        autocreate: bool = False,
        changefeed: bool = False,
        strict_go: bool = False,
        limits: Limits | None = None,
        access: Access = OPEN,
        origins: Iterable[str] = (),
        listing: bool = False,
        metrics: bool = False,
        lossless: int | None = None,
        before_create: Callable[[str, str], None] = allow_create,
        before_delete: Callable[[str], None] = allow_delete,
    ) -> None:
        """Makes a server without a port.

        Args:
            base: The path to serve.
            autocreate: Whether a POST makes the channel it names.
            changefeed: Whether `_changes` announces channels that come and go.
            strict_go: See the class.
            limits: What it puts up with.
            access: What tokens are asked for, besides those of single channels.
            origins: Of web pages that may use it, as `https://example.org`, or `*`.
            listing: Whether its status names its channels. A name may be all the secret there is.
            metrics: Whether it answers `GET /metrics`, outside its base.
            lossless: Makes every channel lossless, with this window; see `create`.
            before_create: Asked before a channel is made over HTTP, with its name and MIME type.
                Raises `Refused` to refuse.
            before_delete: Asked before one is closed over HTTP.
        """
        if not (base.startswith("/") and base.endswith("/")):
            raise ValueError(f"base must begin and end with a slash, not {base!r}")
        self.base = base
        self.limits = limits or Limits()
        self.strict_go = strict_go
        self.access = access
        self.origins = Origins(origins)
        self.listing = listing
        self.metrics = metrics
        self.counters = Counters()
        self.first_byte = Histogram(FIRST_BYTE_S)
        self.channels = Channels(
            self.limits,
            now=self.now(),
            autocreate=autocreate,
            changefeed=changefeed,
            strict_go=strict_go,
            lossless=lossless,
        )
        self._routes = Routes(self, before_create=before_create, before_delete=before_delete)
        self._base = base.encode("ascii")
        self._connections: set[Connection] = set()
        self._timers: dict[Channel, asyncio.TimerHandle] = {}
        self.paces: dict[Channel, Pace] = {}
        self._credits: dict[Channel, Credit] = {}

    # ------------------------------------------------------------------ for this process

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def create(
        self,
        name: str,
        *,
        mime_type: str = DEFAULT_MIME,
        keys: Keys | None = None,
        lossless: int | None = None,
    ) -> None:
        """Makes a channel; one of that name that exists keeps what it has.

        Args:
            name: Of the channel.
            mime_type: Of its segments.
            keys: Tokens that it asks its publishers and readers for.
            lossless: Publishers wait while a registered reader is more segments behind than this.

        Raises:
            TooMany: There are as many channels as there may be.
        """
        self.channels.create(
            name, mime_type=mime_type, now=self.now(), keys=keys, lossless=lossless
        )

    def close_channel(self, name: str) -> None:
        """Ends a channel for everybody. One that does not exist is no error."""
        channel = self.channels.get(name)
        if channel is not None:
            self.channels.close(name, now=self.now())
            self._settle_credits()
            timer = self._timers.pop(channel, None)
            if timer is not None:
                timer.cancel()

    def exists(self, name: str) -> bool:
        return name in self.channels

    def local_publisher(self, name: str, *, mime_type: str = DEFAULT_MIME) -> LocalPublisher:
        """A publisher inside this process. Like one over HTTP it makes no channel by itself."""
        return LocalPublisher(self, name, mime_type=mime_type)

    def local_subscriber(self, name: str, start: int = CURRENT) -> LocalSubscriber:
        """A subscriber inside this process."""
        return LocalSubscriber(self, name, start=start)

    # ------------------------------------------------------------------ life

    def protocol(self, fallback: Callable[[], asyncio.Protocol] | None = None) -> asyncio.Protocol:
        """The protocol for one new connection.

        Args:
            fallback: Makes the protocol for requests that are not under `base`; for aiohttp that
                is a runner's `server`. Without it they are answered 404.
        """
        return Connection(self, fallback)

    async def run(self) -> None:
        """Sweeps idle channels and connections until cancelled; then ends all of them."""
        try:
            while True:
                await asyncio.sleep(self.limits.sweep_s)
                now = self.now()
                self.counters.swept += len(self.channels.sweep(now))
                self._settle_credits()
                for connection in tuple(self._connections):
                    idle_since = connection.idle_since
                    if idle_since is not None and now - idle_since > self.limits.connection_idle_s:
                        connection.close()
        finally:
            self.close()

    def close(self) -> None:
        """Ends every channel and every connection. Answers already begun are still sent."""
        self.channels.close_all(self.now())
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for connection in tuple(self._connections):
            connection.close()

    # ------------------------------------------------------------------ for connections

    def joined(self, connection: Connection) -> bool:
        """A connection is there; False when it is one too many."""
        self.counters.connections += 1
        if len(self._connections) >= self.limits.max_connections:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def claims(self, data: bytes) -> bool | None:
        """Whether a request that begins so is under our base; None when that cannot be told yet."""
        start = data.find(b" ") + 1
        if not start:
            return None if len(data) < len(b"DELETE ") else False
        if data.startswith(b"http", start):
            # A whole URL, as one sends to a proxy.
            host = data.find(b"://", start) + 3
            start = data.find(b"/", host)
            if host < 3 or start < 0:
                return None if b"\r\n" not in data else False
        target = data[start : start + len(self._base)]
        if len(target) < len(self._base) and b" " not in target:
            return None if self._base.startswith(target) else False
        return target == self._base

    def answer(self, connection: Connection, head: RequestHead) -> bytes | Exchange:
        """What a request gets: an answer, or an exchange that takes its time."""
        return self._routes.answer(connection, head)

    def watch_timers(self, channel: Channel) -> None:
        """Sees to it that what is in doubt on a channel is decided in time."""
        due = channel.next_timer()
        if due is not None and channel not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[channel] = loop.call_at(due, self._tick, channel)

    def pace(self, channel: Channel) -> Pace:
        """What the readers of a channel tell its publishers."""
        found = self.paces.get(channel)
        if found is None:
            found = self.paces[channel] = Pace(lambda: self._forget_pace(channel))
        return found

    def _forget_pace(self, channel: Channel) -> None:
        self.paces.pop(channel, None)

    def credit(self, channel: Channel) -> Credit:
        """Where publishers of a lossless channel wait."""
        found = self._credits.get(channel)
        if found is None:
            assert channel.ledger is not None
            found = self._credits[channel] = Credit(channel, channel.ledger)
        return found

    def find(self, name: str, *, mime_type: str = DEFAULT_MIME) -> Channel:
        """The channel of that name, made if this server makes them.

        Raises:
            ChannelNotFound: There is none, and it does not.
            TooMany: It would be one too many.
        """
        channel = self.channels.get(name)
        if channel is None:
            if not self.channels.autocreate:
                raise ChannelNotFound(name)
            channel = self.channels.create(name, mime_type=mime_type, now=self.now())
        return channel

    # ------------------------------------------------------------------ inside

    def _settle_credits(self) -> None:
        """Nobody waits on a channel that has ended."""
        for channel, credit in tuple(self._credits.items()):
            if channel.closed:
                credit.moved()
                del self._credits[channel]

    def _tick(self, channel: Channel) -> None:
        self._timers.pop(channel, None)
        channel.tick(self.now())
        self.watch_timers(channel)

    def now(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            # Made before its loop runs. Every loop we use counts on the same clock.
            return time.monotonic()
