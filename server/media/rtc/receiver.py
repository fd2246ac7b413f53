"""One medium of a publisher: RTP in, whole packets out, and what to tell the sender about it.

Pure: `feed` is called with each packet as it comes, and what must be sent back goes to a
`Feedback`. Nothing is decoded and nothing is delayed: a picture leaves with the packet that
completes it. What stays back are pictures after a loss, until a keyframe mends it.
"""

from collections.abc import Callable
from typing import Final, Protocol

from server.media.rtc.clock import SourceClock
from server.media.rtc.h264 import AccessUnits
from server.media.rtc.negotiation import Track
from server.media.rtc.order import ArrivalOrder, Released
from server.media.rtc.reception import Reception
from server.media.rtc.rtcp import ReportBlock, SenderReport
from trickle.media.packets import Codec, Packet

# How long a lost packet of video may hold up the picture: a few round trips of asking again, less
# than what a new keyframe takes to come.
VIDEO_PATIENCE_S: Final = 0.3

# Sound is worth more in time than whole; Opus bridges a gap.
AUDIO_PATIENCE_S: Final = 0.06

# A keyframe is several pictures' worth of bits; asking again sooner makes congestion worse.
KEYFRAME_INTERVAL_S: Final = 0.3

# A second source with the same payload type is another simulcast layer, unless the first is gone.
SOURCE_SILENT_S: Final = 1.0


class Feedback(Protocol):
    """Where a receiver's requests go."""

    def request_packets(self, media_ssrc: int, lost: list[int]) -> None: ...

    def request_keyframe(self, media_ssrc: int) -> None: ...


class TrackReceiver:
    """One negotiated medium.

    Attributes:
        reception: Counts of the source in use; None before its first packet.
        last_at: When the last packet came.
    """

    def __init__(
        self,
        track: Track,
        clock: SourceClock,
        feedback: Feedback,
        on_packet: Callable[[Packet], None],
    ) -> None:
        self.track = track
        self.reception: Reception | None = None
        self.last_at: float | None = None
        self._is_video = track.kind == "video"
        self._clock = clock
        self._feedback = feedback
        self._on_packet = on_packet
        self._order = self._new_order()
        self._units = AccessUnits()
        self._needs_keyframe = self._is_video
        self._asked_at: float | None = None
        self._last_dts: int | None = None

    @property
    def troubled(self) -> bool:
        """Whether `tick` has something to do before long."""
        return self._order.troubled

    @property
    def given_up(self) -> int:
        return self._order.given_up

    @property
    def recovered(self) -> int:
        return self._order.recovered

    def feed(
        self,
        ssrc: int,
        sequence: int,
        timestamp: int,
        payload: bytes,
        now: float,
        *,
        marker: bool,
        again: bool,
    ) -> None:
        """Takes a packet. `again`: it is a retransmission, unwrapped."""
        reception = self.reception
        if reception is None or reception.ssrc != ssrc:
            if not self._switch(ssrc, now) or again:
                return
            reception = self.reception
            assert reception is not None
        self.last_at = now
        if not again:
            reception.count(sequence, timestamp, now)
        was_troubled = self._order.troubled
        self._release(self._order.push(sequence, (timestamp, marker, payload), now), now)
        if not was_troubled and self._order.troubled:
            self._ask_for_packets(now)

    def sender_report(self, report: SenderReport, now: float) -> None:
        if self.reception is not None and self.reception.ssrc == report.ssrc:
            self.reception.sender_report(report.ntp, now)
            self._clock.sender_report(report.ntp, report.timestamp)

    def tick(self, now: float) -> None:
        """Asks again for what is missing, or goes on without it."""
        self._release(self._order.give_up(now), now)
        self._ask_for_packets(now)

    def report(self, now: float) -> ReportBlock | None:
        return None if self.reception is None else self.reception.block(now)

    def ask_for_keyframe(self, now: float) -> None:
        """Asks the sender, unless it was asked just now."""
        if self.reception is None or not self._is_video:
            return
        if self._asked_at is not None and now - self._asked_at < KEYFRAME_INTERVAL_S:
            return
        self._asked_at = now
        self._feedback.request_keyframe(self.reception.ssrc)

    def _new_order(self) -> ArrivalOrder[tuple[int, bool, bytes]]:
        patience_s = VIDEO_PATIENCE_S if self._is_video else AUDIO_PATIENCE_S
        return ArrivalOrder(patience_s=patience_s, asks=self.track.nack)

    def _switch(self, ssrc: int, now: float) -> bool:
        """Takes a new source, if the one before has gone."""
        if self.reception is not None:
            if self.last_at is not None and now - self.last_at < SOURCE_SILENT_S:
                return False
            self._order = self._new_order()
            self._units = AccessUnits()
            self._needs_keyframe = self._is_video
        self.reception = Reception(ssrc, self.track.format.clock_hz)
        return True

    def _ask_for_packets(self, now: float) -> None:
        if self.reception is not None:
            lost = self._order.requests(now)
            if lost:
                self._feedback.request_packets(self.reception.ssrc, lost)

    def _release(self, released: Released[tuple[int, bool, bytes]], now: float) -> None:
        for item in released:
            if item is None:
                if self._is_video:
                    self._units.lose()
                    self._needs_keyframe = True
                    self.ask_for_keyframe(now)
                continue
            timestamp, marker, payload = item
            if self._is_video:
                self._picture(payload, timestamp, now, marker=marker)
            elif payload:
                pts = self._clock.ticks(timestamp, now)
                self._on_packet(Packet(Codec.OPUS, payload, pts, pts, keyframe=True))

    def _picture(self, payload: bytes, timestamp: int, now: float, *, marker: bool) -> None:
        broken = self._units.broken
        unit = self._units.feed(payload, timestamp, marker=marker)
        if self._units.broken != broken:
            self._needs_keyframe = True
        if unit is None:
            if self._needs_keyframe and marker:
                self.ask_for_keyframe(now)
            return
        if self._needs_keyframe:
            if not unit.keyframe:
                self.ask_for_keyframe(now)
                return
            self._needs_keyframe = False
        pts = self._clock.ticks(unit.timestamp, now)
        # Without B-frames, which browsers do not send, pictures come in the order they are shown.
        dts = pts if self._last_dts is None or pts > self._last_dts else self._last_dts + 1
        self._last_dts = dts
        self._on_packet(Packet(Codec.H264, unit.data, pts, dts, unit.keyframe))
