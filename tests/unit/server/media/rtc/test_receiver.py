import pytest

from server.media.rtc import h264
from server.media.rtc.clock import CommonClock
from server.media.rtc.negotiation import Track, read_publish
from server.media.rtc.receiver import (
    KEYFRAME_INTERVAL_S,
    SOURCE_SILENT_S,
    VIDEO_PATIENCE_S,
    TrackReceiver,
)
from server.media.rtc.rtcp import SenderReport, ntp_time
from tests.unit.server.media.rtc.offers import publish_offer
from trickle.media.annexb import START_CODE
from trickle.media.packets import Codec, Packet

KEY = START_CODE + b"\x67sps" + START_CODE + b"\x68pps" + START_CODE + b"\x65" + b"i" * 3000
DELTA = START_CODE + b"\x41" + b"d" * 2000


class Back:
    """What goes back to the sender."""

    def __init__(self) -> None:
        self.lost: list[list[int]] = []
        self.keyframes: list[int] = []

    def request_packets(self, media_ssrc: int, lost: list[int]) -> None:
        self.lost.append(lost)

    def request_keyframe(self, media_ssrc: int) -> None:
        self.keyframes.append(media_ssrc)


class Rig:
    """A receiver, and a sender that feeds it."""

    def __init__(self, kind: str = "video") -> None:
        self.back = Back()
        self.packets: list[Packet] = []
        track = read_publish(publish_offer()).track(kind)
        assert isinstance(track, Track)
        clock = CommonClock().source(track.format.clock_hz)
        self.receiver = TrackReceiver(track, clock, self.back, self.packets.append)
        self.sequence = 65_530
        self.ssrc = 7

    def send(self, picture: bytes, n: int, *, drop: frozenset[int] = frozenset()) -> list[bytes]:
        """Sends the n-th picture of 30 a second; returns its payloads."""
        payloads = h264.payloads(picture)
        for place, payload in enumerate(payloads):
            if place not in drop:
                self.one(payload, n, marker=place == len(payloads) - 1)
            self.sequence = (self.sequence + 1) & 0xFFFF
        return payloads

    def one(
        self, payload: bytes, n: int, *, marker: bool, at: int | None = None, again: bool = False
    ) -> None:
        sequence = self.sequence if at is None else at & 0xFFFF
        self.receiver.feed(
            self.ssrc, sequence, n * 3000, payload, n / 30, marker=marker, again=again
        )


def test_pictures_begin_with_a_keyframe_and_are_asked_for_until_then() -> None:
    rig = Rig()
    rig.send(DELTA, 0)
    rig.send(DELTA, 1)
    rig.send(KEY, 2)
    rig.send(DELTA, 3)
    assert rig.back.keyframes == [7]
    assert [(p.codec, p.keyframe, p.pts) for p in rig.packets] == [
        (Codec.H264, True, 0),
        (Codec.H264, False, 3000),
    ]
    assert rig.packets[0].data == KEY


def test_a_lost_packet_is_asked_for_and_the_picture_waits_for_it() -> None:
    rig = Rig()
    rig.send(KEY, 0)
    first = rig.sequence
    payloads = rig.send(DELTA, 1, drop=frozenset({1}))
    rig.send(DELTA, 2)
    assert len(rig.packets) == 1
    assert rig.back.lost == [[first + 1 & 0xFFFF]]
    rig.one(payloads[1], 1, marker=True, at=first + 1, again=True)
    assert [p.pts for p in rig.packets] == [0, 3000, 6000]
    assert rig.receiver.recovered == 1


def test_after_a_loss_for_good_pictures_wait_for_a_keyframe() -> None:
    rig = Rig()
    rig.send(KEY, 0)
    rig.send(DELTA, 1, drop=frozenset({0}))
    rig.send(DELTA, 2)
    rig.receiver.tick(1 / 30 + VIDEO_PATIENCE_S * 1.1)
    assert rig.back.keyframes == [7]
    assert len(rig.packets) == 1
    rig.send(DELTA, 12)
    rig.send(KEY, 13)
    assert [p.keyframe for p in rig.packets] == [True, True]


def test_keyframes_are_not_asked_for_in_a_storm() -> None:
    rig = Rig()
    rig.send(KEY, 0)
    for _ in range(50):
        rig.receiver.ask_for_keyframe(1.0)
    rig.receiver.ask_for_keyframe(1.0 + KEYFRAME_INTERVAL_S)
    assert len(rig.back.keyframes) == 2


def test_another_source_of_the_same_kind_waits_until_the_first_is_silent() -> None:
    rig = Rig()
    rig.send(KEY, 0)
    rig.ssrc = 8
    rig.send(KEY, 1)
    assert len(rig.packets) == 1
    silent = int(30 * SOURCE_SILENT_S) + 2
    rig.send(KEY, silent)
    assert len(rig.packets) == 2
    report = rig.receiver.report(2.0)
    assert report is not None
    assert report.ssrc == 8


def test_retransmissions_are_not_counted_as_received() -> None:
    rig = Rig()
    rig.send(KEY, 0)
    first = rig.sequence
    payloads = rig.send(DELTA, 1, drop=frozenset({0}))
    rig.one(payloads[0], 1, marker=False, at=first, again=True)
    report = rig.receiver.report(1.0)
    assert report is not None
    assert report.lost == 1


def test_sound_goes_on_over_a_gap() -> None:
    rig = Rig("audio")
    for n in (0, 1, 3, 4):
        rig.receiver.feed(7, n, n * 960, b"opus", n * 0.02, marker=False, again=False)
    rig.receiver.tick(0.2)
    assert [p.pts for p in rig.packets] == pytest.approx([0, 1800, 5400, 7200])
    assert {(p.codec, p.keyframe) for p in rig.packets} == {(Codec.OPUS, True)}
    assert rig.back.lost == []  # the offer has no NACK for sound
    assert rig.back.keyframes == []


def test_decoding_times_never_go_back() -> None:
    rig = Rig()
    for n, shown in enumerate([0, 3, 1, 2, 6, 4, 5]):
        rig.send(KEY if n == 0 else DELTA, shown)
    assert [p.pts for p in rig.packets] == [0, 9000, 3000, 6000, 18_000, 12_000, 15_000]
    decoded = [p.dts for p in rig.packets]
    assert decoded == sorted(set(decoded))


def test_reports_of_other_sources_are_not_taken() -> None:
    rig = Rig()
    rig.send(KEY, 0)
    rig.receiver.sender_report(SenderReport(99, ntp_time(5.0), 0), 1.0)
    report = rig.receiver.report(2.0)
    assert report is not None
    assert report.last_report == 0
