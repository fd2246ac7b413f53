"""One line of time for a stream whose publishers come and go.

Every publisher has a clock of its own, and some clocks jump. `Timeline` moves their stamps so that
what leaves always goes on from what left before, at the pace of real time. Pure: `now` is an
argument. `server.media.stream` puts every packet through it.
"""

from dataclasses import replace
from typing import Final

from trickle.media.packets import CLOCK_HZ, Packet

# Where a stream begins. Not at zero, so that neither the clock reference, which runs behind the
# stamps, nor audio that starts before the first picture would have to be negative.
START: Final = 10 * CLOCK_HZ

# A source whose stamps and arrivals part by more than this between two packets changed its clock.
JUMP_S: Final = 5.0
# Going back by more than this is a new clock; by less, a source that is a little out of order.
BACKWARD_S: Final = 0.5
# How far audio and video of one source may begin apart and still be said to share a clock.
SAME_CLOCK_S: Final = 3.0
# The least time between the last packet of one publisher and the first of the next.
GAP_S: Final = 1 / 30


class _Kind:
    """Where video stands, or audio: they may change clocks a few packets apart."""

    __slots__ = ("arrived_at", "offset", "source_dts", "stream_dts")

    def __init__(self) -> None:
        self.offset: int | None = None
        self.source_dts = 0
        self.stream_dts: int | None = None
        self.arrived_at = 0.0


class Timeline:
    """Rebases packets. `begin` at each new publisher."""

    def __init__(self) -> None:
        self._video = _Kind()
        self._audio = _Kind()
        self._offset: int | None = None

    def begin(self) -> None:
        """Another publisher, another clock."""
        self._offset = None
        self._video.offset = None
        self._audio.offset = None

    def rebase(self, packet: Packet, now: float) -> Packet:
        """Returns the packet as the stream shows it: `dts` of a kind only ever grows."""
        kind = self._video if packet.codec.is_video else self._audio
        offset = kind.offset
        if offset is None or self._jumped(kind, packet.dts, now):
            offset = self._align(kind, packet.dts, now)
        dts = packet.dts + offset
        pts = packet.pts + offset
        if kind.stream_dts is not None and dts <= kind.stream_dts:
            dts = kind.stream_dts + 1
            pts = max(pts, dts)
        kind.source_dts = packet.dts
        kind.stream_dts = dts
        kind.arrived_at = now
        if dts == packet.dts and pts == packet.pts:
            return packet
        return replace(packet, pts=pts, dts=dts)

    @staticmethod
    def _jumped(kind: _Kind, dts: int, now: float) -> bool:
        step_s = (dts - kind.source_dts) / CLOCK_HZ
        if step_s < -BACKWARD_S:
            return True
        return step_s > JUMP_S and step_s - (now - kind.arrived_at) > JUMP_S

    def _align(self, kind: _Kind, dts: int, now: float) -> int:
        """Finds the offset that lets a new clock go on where the stream is."""
        expected = self._expected(kind, now)
        shared = self._offset
        if (
            shared is None
            or shared == kind.offset
            or abs(dts + shared - expected) > SAME_CLOCK_S * CLOCK_HZ
        ):
            shared = self._offset = expected - dts
        kind.offset = shared
        return shared

    def _expected(self, kind: _Kind, now: float) -> int:
        """Where the stream should be by now, going by what has left it."""
        ends = [
            each.stream_dts + round(max(now - each.arrived_at, GAP_S) * CLOCK_HZ)
            for each in ((self._video, self._audio) if kind.offset is None else (kind,))
            if each.stream_dts is not None
        ]
        return max(ends, default=START)
