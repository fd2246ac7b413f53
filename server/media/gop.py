"""What a stream remembers so that a new reader sees a picture at once: everything since a keyframe.

Pure, and bounded: a group of pictures that grows too large is forgotten, and the reader waits for
the next keyframe instead. `server.media.stream` keeps one per stream.
"""

from typing import Final

from trickle.media.packets import Packet

# Ten seconds of 6 Mb/s: OBS sends a keyframe every eight or so unless told otherwise.
GOP_BYTES_MAX: Final = 8 * 1024 * 1024
# Packets, audio included, for the same ten seconds at 60 pictures per second, and to spare.
GOP_PACKETS_MAX: Final = 1200


class GopMemory:
    """The packets since the last keyframe.

    Attributes:
        began_at: When that keyframe came; None when there is nothing to replay.
    """

    def __init__(
        self, *, bytes_max: int = GOP_BYTES_MAX, packets_max: int = GOP_PACKETS_MAX
    ) -> None:
        self.began_at: float | None = None
        self._bytes_max = bytes_max
        self._packets_max = packets_max
        self._packets: list[Packet] = []
        self._bytes = 0

    def add(self, packet: Packet, now: float) -> None:
        """Remembers a packet; a video keyframe makes it forget what was before."""
        if packet.keyframe and packet.codec.is_video:
            self._packets = []
            self._bytes = 0
            self.began_at = now
        elif self.began_at is None:
            return
        self._packets.append(packet)
        self._bytes += len(packet.data)
        if self._bytes > self._bytes_max or len(self._packets) > self._packets_max:
            self.clear()

    def clear(self) -> None:
        self._packets = []
        self._bytes = 0
        self.began_at = None

    def packets(self) -> list[Packet]:
        """A copy: the stream goes on while a reader replays it."""
        return list(self._packets)
