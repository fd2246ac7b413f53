import pytest

from server.errors import BadOffer
from server.media.rtc.negotiation import (
    Local,
    Offer,
    Sources,
    read_play,
    read_publish,
    write_answer,
)
from server.media.rtc.sdp import Section, parse
from tests.unit.server.media.rtc.offers import (
    AUDIO,
    FINGERPRINT,
    HEAD,
    VIDEO,
    crlf,
    play_offer,
    publish_offer,
    without,
)

LOCAL = Local(
    session_id=7,
    ice_ufrag="ours",
    ice_pwd="x" * 22,
    fingerprint=FINGERPRINT,
    candidates=("1 1 udp 2130706431 203.0.113.5 7290 typ host",),
    port=7290,
)
SOURCES = {
    "video": Sources(media=11, retransmission=12),
    "audio": Sources(media=21, retransmission=22),
}


def answered(offer: Offer, sources: dict[str, Sources] | None = None) -> list[Section]:
    return parse(write_answer(offer, LOCAL, sources or {})).sections


def test_the_first_h264_with_fragments_is_chosen_and_its_retransmissions_with_it() -> None:
    offer = read_publish(publish_offer())
    video = offer.track("video")
    assert video is not None
    assert (video.payload_type, video.rtx, video.transport_cc) == (102, 103, 3)
    assert (offer.ice_ufrag, offer.dtls_role) == ("9xKp", "server")


def test_a_publisher_is_answered_with_one_receiving_bundled_transport() -> None:
    text = write_answer(read_publish(publish_offer()), LOCAL, {})
    audio, video = parse(text).sections
    assert parse(text).bundle == ["0", "1"]
    for section in (audio, video):
        assert section.direction == "recvonly"
        assert section.setup == "passive"
        assert section.rtcp_mux
    assert text.count("a=rtcp-mux-only\r\n") == 2
    assert [f.payload_type for f in video.formats] == [102, 103]
    assert [f.payload_type for f in audio.formats] == [111]
    assert audio.candidates == list(LOCAL.candidates)
    assert audio.candidates_complete


def test_a_player_is_answered_with_the_sources_that_it_will_get() -> None:
    text = write_answer(read_play(play_offer()), LOCAL, SOURCES)
    assert "a=ssrc-group:FID 11 12\r\n" in text
    assert "a=ssrc:21 cname:penstock\r\n" in text
    assert [section.direction for section in parse(text).sections] == ["sendonly", "sendonly"]
    # Feedback on arrival times would be for a sender that can slow down; a relay cannot.
    assert "transport-cc" not in text


def test_a_browser_is_told_to_begin_with_a_whole_picture() -> None:
    _, video = answered(read_publish(publish_offer()))
    assert video.formats[0].parameters["x-google-start-bitrate"] == "2500"
    _, played = answered(read_play(play_offer()), SOURCES)
    assert "x-google-start-bitrate" not in played.formats[0].parameters


@pytest.mark.parametrize(
    ("setup", "role", "answer"),
    [("actpass", "server", "passive"), ("active", "server", "passive"),
     ("passive", "client", "active")],
)  # fmt: skip
def test_we_are_the_dtls_server_unless_the_client_insists(
    setup: str, role: str, answer: str
) -> None:
    offer = read_publish(publish_offer().replace("a=setup:actpass", f"a=setup:{setup}"))
    assert offer.dtls_role == role
    assert {section.setup for section in answered(offer)} == {answer}


@pytest.mark.parametrize("profile", ["42001f", "42e01f", "4d001f", "640c1f", "64001F"])
def test_every_common_h264_profile_is_taken(profile: str) -> None:
    offer = read_publish(publish_offer().replace("42001f", profile))
    video = offer.track("video")
    assert video is not None
    assert video.format.parameters["profile-level-id"] == profile


def test_h264_without_fragments_is_taken_where_there_is_no_other() -> None:
    text = publish_offer().replace("packetization-mode=1", "packetization-mode=0")
    video = read_publish(text).track("video")
    assert video is not None
    assert video.payload_type == 102


def test_an_offer_without_candidates_is_taken() -> None:
    assert read_publish(without(publish_offer(), "a=candidate")).candidates == ()


def test_video_alone_is_taken() -> None:
    offer = read_publish(crlf(HEAD.replace("0 1", "1") + VIDEO.replace("DIRECTION", "sendonly")))
    assert [track.kind for track in offer.tracks] == ["video"]


def test_a_bundled_section_may_leave_the_transport_to_the_first() -> None:
    text = publish_offer()
    first, second = text.split("m=video 9")
    second = "m=video 0" + second + "a=bundle-only\r\n"
    for line in ("a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux"):
        second = without(second, line)
    assert read_publish(first + second).ice_ufrag == "9xKp"


def refused() -> dict[str, tuple[str, str]]:
    good = publish_offer()
    h264 = ("a=rtpmap:102 H264", "a=rtpmap:104 H264")
    vp9 = good.replace(h264[0], "a=rtpmap:102 VP9").replace(h264[1], "a=rtpmap:104 AV1")
    one_video = VIDEO.replace("DIRECTION", "sendonly")
    return {
        "no media": ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n", "no media section"),
        "no credentials": (without(good, "a=ice-ufrag"), "ice-ufrag"),
        "short password": (good.replace("7Rq9s0M2bVtY4wZ1xC3vB5nM", "short"), "ice-pwd"),
        "no fingerprint": (without(good, "a=fingerprint"), "fingerprint"),
        "weak fingerprint": (good.replace("sha-256", "md5"), "fingerprint"),
        "two videos": (crlf(HEAD + one_video + one_video.replace("mid:1", "mid:0")), "2 video"),
        "two streams": (good.replace("a=msid:s0 v0", "a=msid:s1 v0"), "MediaStream"),
        "other codecs only": (vp9, "av1, vp8, vp9; only H.264"),
        "no opus": (good.replace("opus/48000/2", "PCMU/8000"), "only Opus"),
        "receives": (good.replace("sendonly", "recvonly"), "a publisher offers sendonly"),
        "inactive": (good.replace("sendonly", "inactive"), "inactive"),
        "no bundle": (without(good, "a=group"), "BUNDLE"),
        "no multiplexing": (without(good, "a=rtcp-mux"), "rtcp-mux"),
        "no encryption": (good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "RTP/AVP"),
        "audio alone": (
            crlf(HEAD.replace("0 1", "0") + AUDIO.replace("DIRECTION", "sendonly")),
            "no video",
        ),
        "a data channel": (good.replace("m=audio", "m=application"), "application"),
        "switched off": (good.replace("m=video 9", "m=video 0"), "port 0"),
        "held": (good.replace("setup:actpass", "setup:holdconn"), "holdconn"),
        "the same mid twice": (good.replace("a=mid:1", "a=mid:0"), "mid"),
    }


@pytest.mark.parametrize("name", refused())
def test_an_offer_that_we_cannot_take_whole_is_refused_with_the_reason(name: str) -> None:
    text, complaint = refused()[name]
    with pytest.raises(BadOffer, match=complaint):
        read_publish(text)


def test_a_player_that_only_sends_is_refused() -> None:
    with pytest.raises(BadOffer, match="a player offers recvonly"):
        read_play(publish_offer())


def test_a_player_may_want_sound_only() -> None:
    text = crlf(HEAD.replace("0 1", "0") + AUDIO.replace("DIRECTION", "recvonly"))
    assert [track.kind for track in read_play(text).tracks] == ["audio"]
