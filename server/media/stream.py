"""One live stream: a publisher's packets, handed to every reader at once.

A reader is a `Sink`: it is called with each packet, at once, on the loop, and must not block.
A reader that waits for something (a socket, a process) puts a `StreamReader` in between, which
keeps a bounded number of packets and loses its own, never another's, when it falls behind.

The stream outlives its publisher: when one leaves and another comes, `begin` makes the timestamps
of the second continue those of the first, and nobody who watches has to reconnect.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from server.media.gop import GopMemory
from server.media.reader import StreamReader
from server.media.stream_stats import StreamMeter, StreamStats
from server.media.timeline import Timeline
from trickle.media.packets import Packet

__all__ = ["LiveStream", "Sink", "StreamReader", "StreamStats"]

# A keyframe costs a streamer several pictures' worth of bits: viewers that come together share one.
KEYFRAME_INTERVAL_S: Final = 0.3
# A request may be lost on the way: with someone waiting, it is made again after this.
KEYFRAME_RETRY_S: Final = 1.0
# Where a keyframe can be had for the asking, it is better than replaying more than this.
REPLAY_MAX_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Someone who reads a stream. Called on the loop's thread; must neither block nor raise."""

    def packet(self, packet: Packet) -> None:
        """The next packet. The first of video is a keyframe."""
        ...

    def ended(self, reason: str) -> None:
        """The stream is over; nothing follows."""
        ...


class LiveStream:
    """A publisher's packets and who reads them.

    Attributes:
        name: As people ask for it.
        live: Someone publishes now.
        ended: The stream is over for good.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.live = False
        self.ended = False
        self.end_reason = ""
        self._clock = clock
        self._timeline = Timeline()
        self._gop = GopMemory()
        self._meter = StreamMeter()
        self._sinks: tuple[Sink, ...] = ()
        self._waiting: set[int] = set()  # ids of sinks that have had no keyframe yet
        self._on_keyframe_wanted: Callable[[], None] | None = None
        self._asked_at: float | None = None
        self._owed = False

    @property
    def readers(self) -> int:
        return len(self._sinks)

    def begin(self, on_keyframe_wanted: Callable[[], None] | None = None) -> None:
        """A publisher comes, perhaps in another's place. Readers go on at its first keyframe.

        Args:
            on_keyframe_wanted: Asks this publisher for a keyframe, where its protocol can.
        """
        assert not self.ended, "a stream that ended does not begin again"
        self.live = True
        self._on_keyframe_wanted = on_keyframe_wanted
        self._asked_at = None
        self._owed = False
        self._timeline.begin()
        self._meter.begin()
        self._gop.clear()
        self._waiting = {id(sink) for sink in self._sinks}

    def publish(self, packet: Packet) -> None:
        """Hands a packet of the publisher to every reader."""
        now = self._clock()
        packet = self._timeline.rebase(packet, now)
        self._meter.count(packet, now)
        self._gop.add(packet, now)
        if self._waiting:
            self._publish_to_some(packet, now)
        else:
            for sink in self._sinks:
                self._give(sink, packet)
        if packet.keyframe and packet.codec.is_video:
            self._owed = False
        elif self._owed:
            self.request_keyframe()

    def pause(self) -> None:
        """The publisher left; another may come."""
        self.live = False
        self._on_keyframe_wanted = None
        self._owed = False
        self._gop.clear()

    def end(self, reason: str) -> None:
        """The stream is over. Every reader is told, once."""
        if self.ended:
            return
        self.pause()
        self.ended = True
        self.end_reason = reason
        sinks, self._sinks = self._sinks, ()
        self._waiting.clear()
        for sink in sinks:
            self._tell_end(sink)

    def attach(self, sink: Sink, *, catch_up: bool = True) -> None:
        """Lets `sink` read, from a keyframe on.

        Args:
            sink: Told at once that it is over, if it is.
            catch_up: Replay what came since the last keyframe, within this call, where that
                gives a picture sooner than asking for a keyframe would.
        """
        if self.ended:
            self._tell_end(sink)
            return
        if any(sink is each for each in self._sinks):
            return
        self._sinks = (*self._sinks, sink)
        if catch_up and self._replay_is_best():
            for packet in self._gop.packets():
                self._give(sink, packet)
        else:
            self._waiting.add(id(sink))
            self.request_keyframe()

    def detach(self, sink: Sink) -> None:
        """Forgets a reader. Safe to call again, and from within its own `packet`."""
        self._sinks = tuple(each for each in self._sinks if each is not sink)
        self._waiting.discard(id(sink))

    def request_keyframe(self) -> None:
        """Asks the publisher for a keyframe; requests close together become one."""
        if self._on_keyframe_wanted is None:
            return
        now = self._clock()
        if self._asked_at is not None and now - self._asked_at < KEYFRAME_INTERVAL_S:
            self._owed = True
            return
        self._asked_at = now
        self._owed = False
        try:
            self._on_keyframe_wanted()
        except Exception:  # noqa: BLE001 - the edge's failure must not reach the readers
            _log.exception("keyframe request failed", stream=self.name)

    def stats(self) -> StreamStats:
        return self._meter.stats(self._clock())

    def _publish_to_some(self, packet: Packet, now: float) -> None:
        """As `publish`, while some readers still wait for their first keyframe."""
        if packet.codec.is_video and not packet.keyframe:
            for sink in self._sinks:
                if id(sink) not in self._waiting:
                    self._give(sink, packet)
            if self._asked_at is None or now - self._asked_at >= KEYFRAME_RETRY_S:
                self.request_keyframe()
            return
        if packet.codec.is_video:
            self._waiting.clear()
        for sink in self._sinks:
            self._give(sink, packet)

    def _replay_is_best(self) -> bool:
        began_at = self._gop.began_at
        if began_at is None:
            return False
        return self._on_keyframe_wanted is None or self._clock() - began_at <= REPLAY_MAX_S

    def _give(self, sink: Sink, packet: Packet) -> None:
        try:
            sink.packet(packet)
        except Exception:  # noqa: BLE001 - one reader's failure is its own; the others go on
            _log.exception("reader failed", stream=self.name, reader=type(sink).__name__)
            self.detach(sink)
            self._tell_end(sink, "the reader failed")

    def _tell_end(self, sink: Sink, reason: str | None = None) -> None:
        try:
            sink.ended(reason if reason is not None else self.end_reason)
        except Exception:  # noqa: BLE001 - likewise
            _log.exception("reader failed", stream=self.name, reader=type(sink).__name__)
