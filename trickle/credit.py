"""Makes the publishers of a lossless channel wait while its registered readers are too far behind.

The bytes that have come stay; what waits is the publisher's socket, and the answer to a POST that
is complete, which a publisher counts before it sends many more. `trickle.ledger` knows how far the
readers are, `trickle.posting` and `trickle.local` wait here.
"""

import asyncio
from typing import Final, Protocol

from trickle.channel import Channel
from trickle.ledger import Ledger

# A reader may come a little later than its deadline; a timer that fires too early fires again.
SLACK_S: Final = 0.01


class Waiting(Protocol):
    """Who goes on when there is room again."""

    def released(self) -> None: ...


class Credit:
    """The publishers that wait on one channel."""

    def __init__(self, channel: Channel, ledger: Ledger) -> None:
        self._channel = channel
        self._ledger = ledger
        self._waiting: dict[Waiting, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def refuses(self, publisher: Waiting) -> bool:
        """Whether this publisher has to wait. If so it is told when it may go on."""
        if self._channel.closed or not self._channel.holds_publishers():
            return False
        if not self._waiting:
            self._since = asyncio.get_running_loop().time()
            self._arm()
        self._waiting[publisher] = None
        return True

    def moved(self) -> None:
        """A reader got something, or left."""
        if self._waiting and (self._channel.closed or not self._channel.holds_publishers()):
            waiting, self._waiting = self._waiting, {}
            self._disarm()
            for publisher in waiting:
                publisher.released()

    def gone(self, publisher: Waiting) -> None:
        """A publisher does not wait any more."""
        self._waiting.pop(publisher, None)
        if not self._waiting:
            self._disarm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._ledger.patience_s + SLACK_S, self._lose_patience)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose_patience(self) -> None:
        now = asyncio.get_running_loop().time()
        self._ledger.strike_off(self._channel.next_seq, held_since=self._since, now=now)
        self._timer = None
        self.moved()
        if self._waiting:
            self._arm()
