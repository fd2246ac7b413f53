"""A WHEP session: one viewer of one stream.

Packets leave within the call that brought them. Only the bursts of large pictures are spread out,
since a burst that overflows a queue on the way is lost whole.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from server.media.rtc import rtcp, rtp
from server.media.rtc.feed import Feed
from server.media.rtc.negotiation import Offer, Sources
from server.media.rtc.sender import Outgoing, OutgoingTrack
from server.media.rtc.session import Session
from server.media.rtc.transport import SecureTransport
from trickle.media.packets import CLOCK_HZ

# Packets that leave together, and how long until the next: 16 per ms are 150 Mb/s, so even a large
# keyframe is out within a frame's time, while a home router's queue holds.
BURST: Final = 16
BURST_INTERVAL_S: Final = 0.001

# Packets held back for one viewer. Reached only if the machine stands still; the picture then
# begins anew at a keyframe.
BACKLOG_MAX: Final = 4096

# The stream's time and ours part ways when the stream stalls; reports follow it then.
ANCHOR_DRIFT: Final = CLOCK_HZ // 2

CNAME: Final = "penstock"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayStats:
    """What has gone out so far."""

    packets: int
    retransmitted: int
    lost_share: float
    bytes_out: int


class PlaySession(Session):
    """Sends one stream to one viewer.

    Attributes:
        watching: A keyframe has been sent.
    """

    def __init__(
        self,
        transport: SecureTransport,
        offer: Offer,
        *,
        feed: Callable[[], Feed],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__(transport, offer, on_end)
        self.watching = False
        self._find_feed = feed
        self._feed: Feed | None = None
        self._tracks = {
            track.kind: OutgoingTrack(
                track,
                Sources(media=secrets.randbits(31) + 1, retransmission=secrets.randbits(31) + 1),
                # In the lower half, so that no wrap comes before the first packets have.
                sequence=secrets.randbits(15),
                timestamp=secrets.randbits(32),
                transmit=transport.send_rtp,
            )
            for track in offer.tracks
        }
        self._video = self._tracks.get("video")
        self._audio = self._tracks.get("audio")
        self._by_ssrc = {each.sources.media: each for each in self._tracks.values()}
        self._backlog: deque[tuple[Outgoing, bool]] = deque()
        self._pacer: asyncio.TimerHandle | None = None
        self._anchor: tuple[int, float] | None = None  # a pts, and when it was sent

    @property
    def sources(self) -> dict[str, Sources]:
        return {kind: track.sources for kind, track in self._tracks.items()}

    def stats(self) -> PlayStats:
        tracks = self._tracks.values()
        return PlayStats(
            packets=sum(track.packets for track in tracks),
            retransmitted=sum(track.retransmitted for track in tracks),
            lost_share=max((track.lost_share for track in tracks), default=0.0),
            bytes_out=self._transport.bytes_out,
        )

    def video(self, payloads: list[bytes], pts: int, *, keyframe: bool) -> None:
        """Sends a picture, unless there is nothing yet that it could build on."""
        track = self._video
        if track is None:
            self.watching = True
            return
        if not self.watching:
            if not keyframe:
                return
            self.watching = True
        if len(self._backlog) + len(payloads) > BACKLOG_MAX:
            self.watching = False
            return
        self._note_time(pts)
        outgoing = track.number(payloads, pts)
        if not self._backlog and len(outgoing) <= BURST:
            for each in outgoing:
                track.send(each, keyframe=keyframe)
            return
        self._backlog.extend((each, keyframe) for each in outgoing)
        if self._pacer is None:
            self._send_burst()

    def audio(self, payload: bytes, pts: int) -> None:
        track = self._audio
        if track is None:
            return
        self._note_time(pts)
        track.send(track.number([payload], pts)[0])

    def ended(self, reason: str) -> None:
        self.end(reason)

    def _started(self) -> None:
        self._feed = self._find_feed()
        self._feed.join(self)

    def _rtp(self, packet: bytes, header: rtp.Header, now: float) -> None:
        """A viewer sends no media; what comes anyway is ignored."""

    def _rtcp(self, messages: list[rtcp.Message], now: float) -> None:
        for message in messages:
            if isinstance(message, rtcp.Nack):
                track = self._by_ssrc.get(message.media_ssrc)
                if track is not None:
                    track.resend(message.lost, now)
            elif isinstance(message, rtcp.KeyframeRequest):
                if self._feed is not None and message.media_ssrc in self._by_ssrc:
                    self._feed.stream.request_keyframe()
            elif isinstance(message, rtcp.ReportBlock):
                track = self._by_ssrc.get(message.ssrc)
                if track is not None:
                    track.received(message)

    def _upkeep(self) -> None:
        if self._anchor is None:
            return
        # Both media report the same pair of clocks, so the viewer's lips match.
        ntp = rtcp.ntp_time(time.time())
        pts = self._pts_at(time.monotonic())
        for track in self._tracks.values():
            report = track.report(ntp=ntp, pts=pts, cname=CNAME)
            if report is not None:
                self._transport.send_rtcp(report)

    def _stopping(self) -> None:
        if self._feed is not None:
            self._feed.leave(self)
        if self._pacer is not None:
            self._pacer.cancel()
        self._backlog.clear()
        for track in self._tracks.values():
            self._transport.send_rtcp(rtcp.goodbye(track.sources.media))

    def _note_time(self, pts: int) -> None:
        now = time.monotonic()
        if self._anchor is None or abs(self._pts_at(now) - pts) > ANCHOR_DRIFT:
            self._anchor = (pts, now)

    def _pts_at(self, now: float) -> int:
        assert self._anchor is not None
        return self._anchor[0] + round((now - self._anchor[1]) * CLOCK_HZ)

    def _send_burst(self) -> None:
        self._pacer = None
        track = self._video
        assert track is not None
        for _ in range(min(BURST, len(self._backlog))):
            outgoing, keyframe = self._backlog.popleft()
            track.send(outgoing, keyframe=keyframe)
        if self._backlog:
            loop = asyncio.get_running_loop()
            self._pacer = loop.call_later(BURST_INTERVAL_S, self._send_burst)
