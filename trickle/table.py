"""The channels of one server: made, found, closed, swept, and announced. No I/O.

`trickle.serve` owns one; whatever runs in the same process uses it through the server.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from trickle.access import Keys
from trickle.channel import NEXT, Channel
from trickle.errors import ChannelNotFound, TooMany
from trickle.ledger import Ledger
from trickle.window import MIB, Budget, Window

# The change feed. Names that begin like it are never swept.
FEED: Final = "_changes"
RESERVED: Final = "_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server puts up with. Everything that could grow is here, with its reason.

    Attributes:
        window: What each channel keeps.
        max_channels: An idle one costs some 2 KB; this many are a lot of live sessions.
        max_bytes: All channels together; publishers are told 503 beyond it.
        max_connections: Above the usual limit on descriptors nothing works any more anyway.
        idle_s: A channel without a byte for so long is closed.
        unused_s: One that nobody ever published on gets as long: runners load models meanwhile.
        sweep_s: How often that is looked at.
        head_s: A request's head must come within this; a connection that drips is cut.
        connection_idle_s: A connection without a request is closed, as by go-livepeer.
        reader_stall_s: A reader whose socket takes nothing for so long is cut.
        patience_s: On a lossless channel, publishers wait so long for a reader that gets nothing.
        continue_s: A publisher that waits gets `100 Continue` this often; more often breaks old Go.
    """

    window: Window = field(default_factory=Window)
    max_channels: int = 20_000
    max_bytes: int = 1024 * MIB
    max_connections: int = 20_000
    idle_s: float = 300.0
    unused_s: float = 300.0
    sweep_s: float = 15.0
    head_s: float = 10.0
    connection_idle_s: float = 600.0
    reader_stall_s: float = 20.0
    patience_s: float = 5.0
    continue_s: float = 10.0


class Channels:
    """Every channel of a server by its name.

    Attributes:
        limits: What they may hold.
        budget: What they do hold.
        autocreate: A POST to a channel that does not exist makes it.
        lossless: What a channel's window is that is made without saying; None for no promise.
        strict_go: They behave as go-livepeer's in what it does badly; for comparisons.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        now: float,
        autocreate: bool = False,
        changefeed: bool = False,
        strict_go: bool = False,
        lossless: int | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.budget = Budget(self.limits.max_bytes)
        self.autocreate = autocreate
        self.strict_go = strict_go
        self.lossless = lossless
        self._by_name: dict[str, Channel] = {}
        self._feed: Channel | None = None
        if changefeed:
            self._feed = self._make(FEED, "application/json", now)
            self._announce("added", FEED, now)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Channel]:
        return iter(tuple(self._by_name.values()))

    def get(self, name: str) -> Channel | None:
        return self._by_name.get(name)

    def find(self, name: str) -> Channel:
        """Returns the channel of that name.

        Raises:
            ChannelNotFound: There is none.
        """
        channel = self._by_name.get(name)
        if channel is None:
            raise ChannelNotFound(name)
        return channel

    def create(
        self,
        name: str,
        *,
        mime_type: str,
        now: float,
        keys: Keys | None = None,
        lossless: int | None = None,
    ) -> Channel:
        """Returns the channel of that name, made now if need be; an old one keeps what it has.

        Args:
            name: Of the channel.
            mime_type: Of its segments.
            now: The present.
            keys: Tokens that it asks for.
            lossless: How far its registered readers may be behind before its publishers wait.

        Raises:
            TooMany: There are as many channels as there may be.
        """
        channel = self._by_name.get(name)
        if channel is not None:
            channel.active_at = now
            return channel
        if len(self._by_name) >= self.limits.max_channels:
            raise TooMany(f"{len(self._by_name)} channels are open, and no more may be")
        channel = self._make(name, mime_type, now)
        channel.keys = keys
        window = self.lossless if lossless is None else lossless
        if window is not None and not self.strict_go:
            channel.ledger = Ledger(window, patience_s=self.limits.patience_s)
        self._announce("added", name, now)
        return channel

    def close(self, name: str, *, now: float) -> bool:
        """Closes and removes a channel; False when there was none."""
        channel = self._by_name.pop(name, None)
        if channel is None:
            return False
        channel.close(now=now)
        self._announce("removed", name, now)
        return True

    def sweep(self, now: float) -> list[str]:
        """Closes channels that stand idle and trims the rest. Returns the names that went."""
        limits, gone = self.limits, []
        for name, channel in tuple(self._by_name.items()):
            idle_s = now - channel.active_at
            limit_s = limits.idle_s if channel.used else limits.unused_s
            if idle_s > limit_s and not name.startswith(RESERVED):
                self.close(name, now=now)
                gone.append(name)
            elif channel.size:
                channel.tick(now)
        return gone

    def close_all(self, now: float) -> None:
        """Ends everything, for a server that stops. Nothing is announced."""
        self._feed = None
        while self._by_name:
            self._by_name.popitem()[1].close(now=now)

    def _make(self, name: str, mime_type: str, now: float) -> Channel:
        channel = self._by_name[name] = Channel(
            name,
            mime_type=mime_type,
            now=now,
            window=self.limits.window,
            budget=self.budget,
            strict_go=self.strict_go,
        )
        return channel

    def _announce(self, what: str, name: str, now: float) -> None:
        if self._feed is None or self._feed.closed:
            return
        document = json.dumps({what: [name]}, separators=(",", ":")).encode()
        writing = self._feed.open_write(NEXT, now=now)
        self._feed.write(writing, document, now=now, end=True)
