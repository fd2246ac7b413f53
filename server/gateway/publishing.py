"""One publisher's hold on a room: the `Publication` that an edge gets."""

from collections.abc import Callable
from typing import Protocol

from server.media.stream import LiveStream
from trickle.media.packets import Packet


class Held(Protocol):
    """What is held: a room."""

    source: LiveStream

    def leave(self, publisher: "Publishing", reason: str, *, goodbye: bool) -> None: ...


class Publishing:
    """Lets one publisher's packets into a room until either of them ends it."""

    def __init__(self, room: Held) -> None:
        self.on_closed: Callable[[str], None] | None = None
        self.on_keyframe_wanted: Callable[[], None] | None = None
        self._room: Held | None = room

    def packet(self, packet: Packet) -> None:
        """Takes a packet; those of a publisher that was replaced go nowhere."""
        if self._room is not None:
            self._room.source.publish(packet)

    def end(self, reason: str, *, goodbye: bool = False) -> None:
        """The publisher has gone. Ending twice is harmless."""
        room, self._room = self._room, None
        if room is not None:
            room.leave(self, reason, goodbye=goodbye)

    def close(self, reason: str) -> None:
        """The gateway ends it: the edge is told, and drops the connection."""
        self._room = None
        if self.on_closed is not None:
            self.on_closed(reason)

    def want_keyframe(self) -> None:
        if self.on_keyframe_wanted is not None:
            self.on_keyframe_wanted()
