"""One medium to one viewer: numbering, retransmission, reports.

Pure: the payloads are made once for all viewers by `feed`; here each viewer's header goes in
front, and what must leave goes to a function.
"""

import struct
from collections.abc import Callable
from typing import Final

from server.media.rtc import rtcp
from server.media.rtc.negotiation import Sources, Track
from trickle.media.packets import CLOCK_HZ

# Packets kept for retransmission: a second and a half of 6 Mb/s.
HISTORY: Final = 1024

# A viewer may have this share of what it is sent again; beyond it a keyframe serves it better, and
# a hostile one cannot make us an amplifier.
RETRANSMIT_SHARE: Final = 0.25
RETRANSMIT_FLOOR: Final = 64

# An answer to the same request is on its way for at least this long.
RETRANSMIT_AGAIN_S: Final = 0.01

# A browser then shows a picture when it has it, in place of smoothing over time: what is watched
# is live. In units of 10 ms, twelve bits each: least 0, most 0.
_PLAYOUT_NOW: Final = bytes(3)

_plain = struct.Struct("!BBHLL").pack
_extended = struct.Struct("!BBHLLHHB").pack

Transmit = Callable[[bytes, bytes], None]
Outgoing = tuple[int, int, bool, bytes]  # sequence, timestamp, marker, payload


class OutgoingTrack:
    """One negotiated medium on its way to one viewer.

    Attributes:
        packets: Sent so far, retransmissions not counted.
        retransmitted: Sent again.
        lost_share: What the viewer last reported lost, 0 to 1.
    """

    def __init__(
        self, track: Track, sources: Sources, *, sequence: int, timestamp: int, transmit: Transmit
    ) -> None:
        self.track = track
        self.sources = sources
        self.packets = 0
        self.retransmitted = 0
        self.lost_share = 0.0
        self._octets = 0
        self._type = track.payload_type
        self._clock_hz = track.format.clock_hz or CLOCK_HZ
        self._sequence = sequence
        self._rtx_sequence = sequence ^ 0x5555
        self._origin = timestamp
        self._transmit = transmit
        self._history: list[tuple[Outgoing, float] | None] = [None] * HISTORY
        self._allowance = float(RETRANSMIT_FLOOR)

    def number(self, payloads: list[bytes], pts: int) -> list[Outgoing]:
        """Gives the payloads of one picture or sound their places in the count."""
        timestamp = self._timestamp(pts)
        last = len(payloads) - 1
        sequence = self._sequence
        self._sequence = (sequence + len(payloads)) & 0xFFFF
        return [
            ((sequence + place) & 0xFFFF, timestamp, place == last, payload)
            for place, payload in enumerate(payloads)
        ]

    def send(self, outgoing: Outgoing, *, keyframe: bool = False) -> None:
        sequence, timestamp, marker, payload = outgoing
        self._history[sequence % HISTORY] = (outgoing, 0.0)
        self.packets += 1
        self._octets += len(payload)
        if self._allowance < HISTORY:
            self._allowance += RETRANSMIT_SHARE
        kind = self._type | 0x80 if marker else self._type
        ssrc = self.sources.media
        if keyframe and self.track.playout_delay is not None:
            header = _extended(
                0x90, kind, sequence, timestamp, ssrc, 0xBEDE, 1, self.track.playout_delay << 4 | 2
            )
            self._transmit(header + _PLAYOUT_NOW, payload)
        else:
            self._transmit(_plain(0x80, kind, sequence, timestamp, ssrc), payload)

    def resend(self, lost: tuple[int, ...], now: float) -> None:
        """Answers a request for lost packets, as far as they are still there."""
        for wanted in lost:
            kept = self._history[wanted % HISTORY]
            if kept is None or kept[0][0] != wanted or now - kept[1] < RETRANSMIT_AGAIN_S:
                continue
            if self._allowance < 1:
                return
            self._allowance -= 1
            self._history[wanted % HISTORY] = (kept[0], now)
            self.retransmitted += 1
            self._resend(*kept[0])

    def report(self, *, ntp: int, pts: int, cname: str) -> bytes | None:
        """What ties this medium's timestamps to the wall clock; None before anything was sent."""
        if not self.packets:
            return None
        return rtcp.sender_report(
            self.sources.media,
            ntp=ntp,
            timestamp=self._timestamp(pts),
            packets=self.packets,
            octets=self._octets,
            cname=cname,
        )

    def received(self, block: rtcp.ReportBlock) -> None:
        self.lost_share = block.fraction_lost / 256

    def _timestamp(self, pts: int) -> int:
        if self._clock_hz != CLOCK_HZ:
            pts = pts * self._clock_hz // CLOCK_HZ
        return (self._origin + pts) & 0xFFFFFFFF

    def _resend(self, sequence: int, timestamp: int, marker: bool, payload: bytes) -> None:
        top = 0x80 if marker else 0
        if self.track.rtx is None:
            header = _plain(0x80, self._type | top, sequence, timestamp, self.sources.media)
            self._transmit(header, payload)
            return
        header = _plain(
            0x80, self.track.rtx | top, self._rtx_sequence, timestamp, self.sources.retransmission
        )
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        self._transmit(header, struct.pack("!H", sequence) + payload)
