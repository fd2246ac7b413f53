"""A WHIP session: a client's media, received and handed on as packets.

The work is in `receiver`; here are its timers and its way back to the client.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from server.media.rtc import rtcp, rtp
from server.media.rtc.clock import CommonClock
from server.media.rtc.estimate import LossEstimate
from server.media.rtc.negotiation import Offer
from server.media.rtc.receiver import TrackReceiver
from server.media.rtc.session import Session
from server.media.rtc.transport import SecureTransport
from server.media.rtc.twcc import INTERVAL_S as FEEDBACK_INTERVAL_S
from server.media.rtc.twcc import ArrivalLog
from trickle.media.packets import CLOCK_HZ, Packet

# Connected, but no media: a client whose encoder never starts is told to go.
FIRST_MEDIA_S: Final = 10.0

# A shared screen that does not change sends next to nothing; this long is more than that.
SILENCE_S: Final = 30.0

# How often lost packets are looked after.
REPAIR_INTERVAL_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishStats:
    """What has come in so far."""

    packets: int
    lost: int
    recovered: int
    given_up: int
    jitter_ms: float
    bytes_in: int


class PublishSession(Session):
    """Receives one publisher."""

    def __init__(
        self,
        transport: SecureTransport,
        offer: Offer,
        *,
        on_packet: Callable[[Packet], None],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__(transport, offer, on_end)
        self._ssrc = secrets.randbits(31) + 1
        self._receivers: list[TrackReceiver] = []
        self._by_type: dict[int, tuple[TrackReceiver, bool]] = {}
        self._transport_cc: int | None = None
        self._arrivals = ArrivalLog()
        self._estimate = LossEstimate()
        self._feedback_timer: asyncio.TimerHandle | None = None
        self._repair_timer: asyncio.TimerHandle | None = None
        self._started_at = 0.0
        self._bytes_before = 0
        clock = CommonClock()
        # The picture first: it leads the common clock.
        for track in sorted(offer.tracks, key=lambda track: track.kind, reverse=True):
            source = clock.source(track.format.clock_hz or CLOCK_HZ)
            receiver = TrackReceiver(track, source, self, on_packet)
            self._receivers.append(receiver)
            self._by_type[track.payload_type] = (receiver, False)
            if track.rtx is not None:
                self._by_type[track.rtx] = (receiver, True)
            if track.transport_cc is not None:
                self._transport_cc = track.transport_cc

    def ask_for_keyframe(self) -> None:
        """Asks the client for a keyframe; requests close together become one."""
        now = time.monotonic()
        for receiver in self._receivers:
            receiver.ask_for_keyframe(now)

    def stats(self) -> PublishStats:
        heard = [r.reception for r in self._receivers if r.reception is not None]
        return PublishStats(
            packets=sum(each.received for each in heard),
            lost=sum(each.lost for each in heard),
            recovered=sum(receiver.recovered for receiver in self._receivers),
            given_up=sum(receiver.given_up for receiver in self._receivers),
            jitter_ms=max((each.jitter_ms for each in heard), default=0.0),
            bytes_in=self._transport.bytes_in,
        )

    def request_packets(self, media_ssrc: int, lost: list[int]) -> None:
        self._transport.send_rtcp(rtcp.nack(self._ssrc, media_ssrc, lost))

    def request_keyframe(self, media_ssrc: int) -> None:
        self._transport.send_rtcp(rtcp.keyframe_request(self._ssrc, media_ssrc))

    def _started(self) -> None:
        self._started_at = time.monotonic()

    def _rtp(self, packet: bytes, header: rtp.Header, now: float) -> None:
        payload_type, marker, sequence, timestamp, ssrc, _, start, end = header
        target = self._by_type.get(payload_type)
        if target is None:
            return
        if self._transport_cc is not None:
            number = rtp.transport_sequence(packet, header, self._transport_cc)
            if number is not None:
                self._arrivals.arrived(number, now)
                if self._feedback_timer is None:
                    self._feedback_timer = asyncio.get_running_loop().call_later(
                        FEEDBACK_INTERVAL_S, self._report_arrivals
                    )
        receiver, again = target
        if again:
            # RFC 4588: the original sequence number, then the original payload.
            if end - start < 2 or receiver.reception is None:
                return
            sequence = packet[start] << 8 | packet[start + 1]
            start += 2
            ssrc = receiver.reception.ssrc
        receiver.feed(ssrc, sequence, timestamp, packet[start:end], now, marker=marker, again=again)
        if receiver.troubled and self._repair_timer is None:
            self._watch_repairs()

    def _rtcp(self, messages: list[rtcp.Message], now: float) -> None:
        for message in messages:
            if isinstance(message, rtcp.SenderReport):
                for receiver in self._receivers:
                    receiver.sender_report(message, now)

    def _upkeep(self) -> None:
        now = time.monotonic()
        last_at = max((r.last_at for r in self._receivers if r.last_at is not None), default=None)
        if last_at is None:
            if now - self._started_at > FIRST_MEDIA_S:
                self.end("no_media")
        elif now - last_at > SILENCE_S:
            self.end("no_media")
        blocks = [block for r in self._receivers if (block := r.report(now)) is not None]
        if blocks:
            self._transport.send_rtcp(rtcp.receiver_report(self._ssrc, blocks))
            self._limit_bitrate(max(block.fraction_lost for block in blocks) / 256)

    def _limit_bitrate(self, lost_share: float) -> None:
        arrived_bps = (self._transport.bytes_in - self._bytes_before) * 8.0
        self._bytes_before = self._transport.bytes_in
        if self._transport_cc is not None:
            return
        for receiver in self._receivers:
            if receiver.reception is not None and "goog-remb" in receiver.track.feedback:
                limit = self._estimate.update(lost_share=lost_share, arrived_bps=arrived_bps)
                ssrcs = [receiver.reception.ssrc]
                self._transport.send_rtcp(rtcp.bitrate_limit(self._ssrc, limit, ssrcs))

    def _report_arrivals(self) -> None:
        self._feedback_timer = None
        content = self._arrivals.report()
        if content is not None:
            media = next((r.reception.ssrc for r in self._receivers if r.reception is not None), 0)
            self._transport.send_rtcp(rtcp.transport_feedback(self._ssrc, media, content))

    def _watch_repairs(self) -> None:
        self._repair_timer = asyncio.get_running_loop().call_later(REPAIR_INTERVAL_S, self._repair)

    def _repair(self) -> None:
        self._repair_timer = None
        now = time.monotonic()
        for receiver in self._receivers:
            receiver.tick(now)
        if any(receiver.troubled for receiver in self._receivers):
            self._watch_repairs()

    def _stopping(self) -> None:
        for timer in (self._feedback_timer, self._repair_timer):
            if timer is not None:
                timer.cancel()
        self._transport.on_rtp = None
        self._transport.send_rtcp(rtcp.goodbye(self._ssrc))
