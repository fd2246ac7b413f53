"""One stream's packets, packed for RTP once and handed to all its WebRTC viewers.

A feed is a `Sink` of the stream while it has viewers. A viewer that comes gets what the stream
replays for him alone; from then on he shares what is packed for everyone.
"""

from collections.abc import Callable
from typing import Final, Protocol

from server.media.rtc import h264
from server.media.stream import LiveStream
from trickle.media.packets import CLOCK_HZ, Codec, Packet

# A viewer whose keyframe is late asks again this often; the request may have been lost.
KEYFRAME_RETRY: Final = CLOCK_HZ

# Replayed pictures are old: given this little time each, the viewer's player does not wait
# between them and is at once where the stream is.
REPLAY_STEP: Final = CLOCK_HZ // 1000


class Viewer(Protocol):
    """Someone who watches."""

    watching: bool  # has had a keyframe

    def video(self, payloads: list[bytes], pts: int, *, keyframe: bool) -> None: ...

    def audio(self, payload: bytes, pts: int) -> None: ...

    def ended(self, reason: str) -> None: ...


class Feed:
    """What flows from one stream to its viewers.

    Attributes:
        unplayable: Packets of codecs that WebRTC does not carry.
    """

    def __init__(self, stream: LiveStream, on_empty: Callable[[], None]) -> None:
        self.stream = stream
        self.unplayable = 0
        self._on_empty = on_empty
        self._viewers: tuple[Viewer, ...] = ()
        self._replay: list[Packet] | None = None
        self._asked_at_pts = 0

    def join(self, viewer: Viewer) -> None:
        """Lets `viewer` watch, from a keyframe on."""
        first = not self._viewers
        self._viewers = (*self._viewers, viewer)
        if first:
            self._replay = []
            self.stream.attach(self)
            replay, self._replay = self._replay, None
        else:
            catcher = _Catcher()
            self.stream.attach(catcher)
            self.stream.detach(catcher)
            replay = catcher.packets
        _catch_up(viewer, replay)

    def leave(self, viewer: Viewer) -> None:
        """Forgets `viewer`. Safe to call again."""
        if viewer not in self._viewers:
            return
        self._viewers = tuple(each for each in self._viewers if each is not viewer)
        if not self._viewers:
            self.stream.detach(self)
            self._on_empty()

    def packet(self, packet: Packet) -> None:
        if self._replay is not None:
            self._replay.append(packet)
        elif packet.codec is Codec.H264:
            self._video(packet)
        elif packet.codec is Codec.OPUS:
            for viewer in self._viewers:
                viewer.audio(packet.data, packet.pts)
        else:
            self.unplayable += 1

    def ended(self, reason: str) -> None:
        for viewer in self._viewers:
            viewer.ended(reason)

    def _video(self, packet: Packet) -> None:
        payloads = h264.payloads(packet.data)
        if not payloads:
            return
        late = False
        for viewer in self._viewers:
            viewer.video(payloads, packet.pts, keyframe=packet.keyframe)
            late = late or not viewer.watching
        if late and packet.pts - self._asked_at_pts > KEYFRAME_RETRY:
            self._asked_at_pts = packet.pts
            self.stream.request_keyframe()


class _Catcher:
    """Takes what a stream replays to someone who comes late."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def packet(self, packet: Packet) -> None:
        self.packets.append(packet)

    def ended(self, reason: str) -> None:
        """The feed hears the same."""


def _catch_up(viewer: Viewer, replay: list[Packet]) -> None:
    pictures = [packet for packet in replay if packet.codec is Codec.H264]
    for place, picture in enumerate(pictures):
        pts = pictures[-1].pts - (len(pictures) - 1 - place) * REPLAY_STEP
        viewer.video(h264.payloads(picture.data), pts, keyframe=picture.keyframe)
