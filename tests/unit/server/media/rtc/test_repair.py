"""Our sender and our receiver with a bad network in between, in simulated time."""

import heapq
import random
from collections.abc import Callable
from itertools import count

import pytest

from server.media.rtc import h264, rtp
from server.media.rtc.clock import CommonClock
from server.media.rtc.negotiation import Sources, read_play, read_publish
from server.media.rtc.publishing import REPAIR_INTERVAL_S
from server.media.rtc.receiver import TrackReceiver
from server.media.rtc.sender import OutgoingTrack
from tests.unit.server.media.rtc.offers import play_offer, publish_offer
from trickle.media.annexb import START_CODE
from trickle.media.packets import Packet

KEY = START_CODE + b"\x67sps" + START_CODE + b"\x68pps" + START_CODE + b"\x65" + b"i" * 30_000
DELTA = START_CODE + b"\x41" + b"d" * 9_000  # 720p30 at 2.5 Mb/s, eight packets


class Network:
    """Both ends, and a link that loses packets alike in both directions."""

    def __init__(self, *, loss: float, one_way_s: float) -> None:
        self.now = 0.0
        self.loss = loss
        self.one_way_s = one_way_s
        self.delays_ms: list[float] = []
        self._random = random.Random(5)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._wants_keyframe = True
        self._repairing = False
        sent = read_play(play_offer()).track("video")
        received = read_publish(publish_offer()).track("video")
        assert sent is not None
        assert received is not None
        self.sender = OutgoingTrack(
            sent, Sources(media=11, retransmission=12), sequence=65_000, timestamp=0,
            transmit=self._carry,
        )  # fmt: skip
        self.receiver = TrackReceiver(received, CommonClock().source(90_000), self, self._shown)

    def run(self, pictures: int) -> None:
        for n in range(pictures):
            self.later(n / 30, lambda n=n: self._picture(n))  # type: ignore[misc]
        while self._events:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def later(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), act))

    def request_packets(self, media_ssrc: int, lost: list[int]) -> None:
        self._cross(lambda: self.sender.resend(tuple(lost), self.now))

    def request_keyframe(self, media_ssrc: int) -> None:
        self._cross(lambda: setattr(self, "_wants_keyframe", True))

    def _picture(self, n: int) -> None:
        data = KEY if self._wants_keyframe else DELTA
        self._wants_keyframe = False
        for each in self.sender.number(h264.payloads(data), n * 3000):
            self.sender.send(each)

    def _carry(self, header: bytes, payload: bytes) -> None:
        self._cross(lambda: self._arrive(header + payload))

    def _cross(self, act: Callable[[], None]) -> None:
        if self._random.random() >= self.loss:
            self.later(self.now + self.one_way_s, act)

    def _arrive(self, packet: bytes) -> None:
        header = rtp.parse(packet)
        assert header is not None
        again = header.payload_type == 103
        start = header.start + 2 if again else header.start
        sequence = int.from_bytes(packet[12:14]) if again else header.sequence
        self.receiver.feed(
            11, sequence, header.timestamp, packet[start:], self.now,
            marker=header.marker, again=again,
        )  # fmt: skip
        self._watch()

    def _watch(self) -> None:
        if self.receiver.troubled and not self._repairing:
            self._repairing = True
            self.later(self.now + REPAIR_INTERVAL_S, self._repair)

    def _repair(self) -> None:
        self._repairing = False
        self.receiver.tick(self.now)
        self._watch()

    def _shown(self, packet: Packet) -> None:
        self.delays_ms.append(1000 * (self.now - round(packet.pts / 3000) / 30))


@pytest.mark.parametrize(
    ("loss", "one_way_ms", "delivered", "p50_ms", "p95_ms"),
    [
        (0.00, 0, 1.0, 0.1, 0.1),
        (0.01, 20, 0.99, 25, 70),
        (0.05, 20, 0.97, 65, 130),
    ],
)
def test_a_bad_network_costs_little(
    loss: float, one_way_ms: float, delivered: float, p50_ms: float, p95_ms: float
) -> None:
    network = Network(loss=loss, one_way_s=one_way_ms / 1000)
    network.run(3000)
    delays = sorted(network.delays_ms)
    assert len(delays) >= 3000 * delivered
    assert delays[len(delays) // 2] <= p50_ms
    assert delays[int(len(delays) * 0.95)] <= p95_ms
