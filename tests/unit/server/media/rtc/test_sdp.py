from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import BadOffer, TooLarge
from server.media.rtc.sdp import CANDIDATES_MAX, SDP_MAX_BYTES, parse, parse_fragment
from tests.unit.server.media.rtc.offers import VIDEO, crlf, publish_offer


def test_a_chromium_offer_is_read_whole() -> None:
    description = parse(publish_offer())
    audio, video = description.sections
    assert description.bundle == ["0", "1"]
    assert (audio.kind, audio.mid, audio.direction) == ("audio", "0", "sendonly")
    assert [f.name for f in video.formats] == ["vp8", "rtx", "h264", "rtx", "h264", "rtx"]
    opus = audio.format(111)
    assert opus is not None
    assert (opus.clock_hz, opus.channels, opus.parameters["useinbandfec"]) == (48_000, 2, "1")
    h264 = video.format(102)
    assert h264 is not None
    assert h264.feedback == ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]
    assert video.candidates == ["1 1 udp 2113937151 192.168.1.7 50123 typ host generation 0"]


def test_what_stands_at_session_level_holds_for_every_section() -> None:
    text = crlf(
        "v=0\na=ice-ufrag:abcd\na=setup:active\na=fingerprint:sha-256 AA:BB\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 102\na=setup:passive\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\n"
    )
    video, audio = parse(text).sections
    assert (video.ice_ufrag, video.setup) == ("abcd", "passive")
    assert (audio.setup, audio.fingerprints) == ("active", [("sha-256", "AA:BB")])


def test_feedback_for_all_formats_reaches_each() -> None:
    section = "m=video 9 UDP/TLS/RTP/SAVPF 96 98\na=rtcp-fb:* nack pli\n"
    (video,) = parse("v=0\n" + section).sections
    assert [f.feedback for f in video.formats] == [["nack pli"], ["nack pli"]]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("\r\n\r\n", "empty"),
        ("hello", "first line"),
        ("v=0\r\nhello\r\n", "line 2"),
        ("v=0\r\nm=video\r\n", "malformed"),
        ("v=0\r\nm=video x UDP/TLS/RTP/SAVPF 96\r\n", "malformed"),
        ("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8\r\n", "rtpmap"),
        ("v=0\r\n" + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 17, "more than 16"),
    ],
)
def test_what_is_no_sdp_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(BadOffer, match=complaint):
        parse(text)


def test_an_offer_over_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge, match="65536"):
        parse("v=0\r\n" + "a=x\r\n" * (SDP_MAX_BYTES // 5))


def test_candidates_beyond_the_limit_are_left_out() -> None:
    line = "a=candidate:1 1 udp 1 10.0.0.1 5000 typ host\n"
    (video,) = parse("v=0\n" + VIDEO + line * 200).sections
    assert len(video.candidates) == CANDIDATES_MAX


def test_a_trickled_fragment_gives_its_candidates() -> None:
    fragment = parse_fragment(
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\n"
        "a=mid:0\r\na=candidate:1 1 udp 1 198.51.100.1 3478 typ host\r\na=end-of-candidates\r\n"
    )
    assert fragment.ice_ufrag == "EsAw"
    assert fragment.candidates == ["1 1 udp 1 198.51.100.1 3478 typ host"]
    assert fragment.candidates_complete


@pytest.mark.parametrize("text", ["", "nonsense", "a=mid:0\r\n"])
def test_a_fragment_without_anything_to_add_is_refused(text: str) -> None:
    with pytest.raises(BadOffer):
        parse_fragment(text)


@given(text=st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, "v=0\r\n" + text, "v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96\na=" + text):
        with suppress(BadOffer):
            parse(candidate)


@given(data=st.data())
def test_a_spoiled_offer_is_read_or_refused(data: st.DataObject) -> None:
    lines = publish_offer().splitlines()
    at = data.draw(st.integers(1, len(lines) - 1))
    lines[at] = lines[at][: data.draw(st.integers(0, 30))] + data.draw(st.text(max_size=20))
    with suppress(BadOffer):
        parse("\r\n".join(lines))
