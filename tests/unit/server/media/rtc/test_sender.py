import struct
from collections.abc import Callable

import pytest

from server.media.rtc import rtcp, rtp
from server.media.rtc.negotiation import Sources, Track, read_play
from server.media.rtc.sender import HISTORY, RETRANSMIT_FLOOR, OutgoingTrack
from tests.unit.server.media.rtc.offers import play_offer, without

SOURCES = Sources(media=11, retransmission=12)


class Wire:
    """What leaves."""

    def __init__(self) -> None:
        self.sent: list[tuple[rtp.Header, bytes]] = []

    def __call__(self, header: bytes, payload: bytes) -> None:
        parsed = rtp.parse(header + payload)
        assert parsed is not None
        self.sent.append((parsed, payload))


def track(kind: str, *, offer: str | None = None) -> Track:
    negotiated = read_play(offer or play_offer()).track(kind)
    assert negotiated is not None
    return negotiated


def outgoing(wire: Callable[[bytes, bytes], None], kind: str = "video") -> OutgoingTrack:
    return OutgoingTrack(track(kind), SOURCES, sequence=65_534, timestamp=1000, transmit=wire)


def send(to: OutgoingTrack, payloads: list[bytes], pts: int, *, keyframe: bool = False) -> None:
    for each in to.number(payloads, pts):
        to.send(each, keyframe=keyframe)


def test_a_picture_is_numbered_through_and_marked_at_its_end() -> None:
    wire = Wire()
    send(outgoing(wire), [b"a", b"b", b"c"], 9000)
    headers = [header for header, _ in wire.sent]
    assert [h.sequence for h in headers] == [65_534, 65_535, 0]
    assert [h.marker for h in headers] == [False, False, True]
    assert {(h.ssrc, h.timestamp, h.payload_type) for h in headers} == {(11, 10_000, 102)}


def test_sound_counts_on_its_own_clock() -> None:
    wire = Wire()
    sound = outgoing(wire, "audio")
    send(sound, [b"a"], 0)
    send(sound, [b"a"], 90_000)
    assert [h.timestamp for h, _ in wire.sent] == [1000, 49_000]


def test_a_keyframe_asks_the_player_to_show_pictures_at_once() -> None:
    sent: list[bytes] = []
    video = outgoing(lambda header, _payload: sent.append(header))
    send(video, [b"key"], 0, keyframe=True)
    send(video, [b"delta"], 3000)
    assert sent[0][12:] == struct.pack("!HHB", 0xBEDE, 1, 5 << 4 | 2) + bytes(3)
    assert len(sent[1]) == 12


def test_a_lost_packet_is_sent_again_on_the_retransmission_source() -> None:
    wire = Wire()
    video = outgoing(wire)
    send(video, [b"a", b"b"], 0)
    video.resend((65_535, 7), now=1.0)
    header, payload = wire.sent[-1]
    assert (header.ssrc, header.payload_type) == (12, 103)
    assert payload == struct.pack("!H", 65_535) + b"b"
    assert video.retransmitted == 1


def test_without_a_retransmission_format_the_packet_itself_is_sent_again() -> None:
    wire = Wire()
    bare = track("video", offer=without(play_offer(), "a=fmtp:103"))
    video = OutgoingTrack(bare, SOURCES, sequence=1, timestamp=0, transmit=wire)
    send(video, [b"a"], 0)
    video.resend((1,), now=1.0)
    assert wire.sent[0] == wire.sent[1]


def test_a_request_that_is_repeated_at_once_is_answered_once() -> None:
    video = outgoing(Wire())
    send(video, [b"a"], 0)
    video.resend((65_534,), now=1.0)
    video.resend((65_534,), now=1.001)
    video.resend((65_534,), now=1.1)
    assert video.retransmitted == 2


def test_a_viewer_cannot_have_everything_again_and_again() -> None:
    video = outgoing(Wire())
    for n in range(HISTORY):
        send(video, [b"a"], n * 3000)
    held = tuple((65_534 + n) & 0xFFFF for n in range(HISTORY))
    for round_ in range(20):
        video.resend(held, now=float(round_))
    assert video.retransmitted == pytest.approx(RETRANSMIT_FLOOR + HISTORY / 4, abs=2)


def test_both_media_report_the_same_moment() -> None:
    wire = Wire()
    reports = []
    for kind in ("video", "audio"):
        medium = outgoing(wire, kind)
        assert medium.report(ntp=5, pts=0, cname="c") is None
        send(medium, [b"a"], 0)
        data = medium.report(ntp=5, pts=90_000, cname="c")
        assert data is not None
        reports += [m for m in rtcp.parse(data) if isinstance(m, rtcp.SenderReport)]
    assert [(r.ntp, r.timestamp) for r in reports] == [(5, 91_000), (5, 49_000)]
