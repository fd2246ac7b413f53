"""Cuts a stream into segments that stand alone, and writes them as MPEG-TS while they come.

Pure. The gateway feeds it packets and puts what it returns on a trickle channel. A segment begins
at a keyframe with its tables; its bytes leave with the packets they are made of, so how long a
segment is adds nothing to the delay.
"""

from dataclasses import dataclass
from typing import Final

from trickle.media.mpegts import TsMuxer
from trickle.media.packets import CLOCK_HZ, Codec, Packet

# go-livepeer's: shorter ones cost a request each, longer ones make a reader wait to join.
MIN_SEGMENT_S: Final = 1.0
# A source that sends no keyframes must not make one endless segment.
MAX_SEGMENT_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class SegmentPiece:
    """Some bytes of a segment.

    Attributes:
        new_segment: They are the first of one; the segment before is complete.
        data: Whole TS packets.
        keyframe: A decoder can start at these bytes. Always so where a segment begins, but for a
            cut that was forced by length.
    """

    new_segment: bool
    data: bytes
    keyframe: bool = False


class Segmenter:
    """Feed it a stream's packets in order.

    Nothing comes out before the first video keyframe. Audio may appear late, and its codec may
    change: new tables say so at once. Another video codec begins at its first keyframe.

    Attributes:
        segments: How many have begun.
        dropped: Packets that came before a keyframe of their codec.
    """

    def __init__(
        self, min_segment_s: float = MIN_SEGMENT_S, max_segment_s: float = MAX_SEGMENT_S
    ) -> None:
        self.segments = 0
        self.dropped = 0
        self._min = round(min_segment_s * CLOCK_HZ)
        self._max = max(round(max_segment_s * CLOCK_HZ), self._min)
        self._muxer: TsMuxer | None = None
        self._audio: Codec | None = None
        self._began_at = 0
        self._overdue = False

    @property
    def keyframe_due(self) -> bool:
        """The segment is long enough: a keyframe would be welcome, where one can be asked for."""
        return self._overdue

    def feed(self, packet: Packet) -> list[SegmentPiece]:
        """Takes a packet, and returns what of it goes out."""
        if not packet.codec.is_video:
            self._audio = packet.codec
        elif packet.keyframe:
            return [self._keyframe(packet)]
        muxer = self._muxer
        if muxer is None or (packet.codec.is_video and packet.codec is not muxer.video):
            self.dropped += 1
            return []
        age = packet.dts - self._began_at
        self._overdue = age >= self._min
        if packet.codec.is_video and age >= self._max:
            self._cut(packet)
            return [SegmentPiece(new_segment=True, data=muxer.tables() + muxer.mux(packet))]
        if muxer.carry(muxer.video, self._audio):
            return [SegmentPiece(new_segment=False, data=muxer.tables() + muxer.mux(packet))]
        return [SegmentPiece(new_segment=False, data=muxer.mux(packet))]

    def _keyframe(self, packet: Packet) -> SegmentPiece:
        age = packet.dts - self._began_at
        muxer = self._muxer
        if muxer is None:
            muxer = self._muxer = TsMuxer(packet.codec, self._audio)
        elif 0 <= age < self._min and packet.codec is muxer.video:
            return SegmentPiece(new_segment=False, data=muxer.mux(packet), keyframe=True)
        else:
            muxer.carry(packet.codec, self._audio)
        self._cut(packet)
        return SegmentPiece(new_segment=True, data=muxer.mux(packet), keyframe=True)

    def _cut(self, packet: Packet) -> None:
        self.segments += 1
        self._began_at = packet.dts
        self._overdue = False
