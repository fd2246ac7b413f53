"""What we make of an offer: which media we take, and the answer that says so.

Pure policy between `sdp` (the text) and the sessions (the media). A publisher's answer receives,
a viewer's sends, both over one bundled, RTCP-multiplexed transport. There are no partial answers:
an offer of which we cannot take every section is refused with the reason, since a client that is
half answered shows a black picture and no message.
"""

import re
from dataclasses import dataclass
from typing import Final

from server.errors import BadOffer
from server.media.rtc.sdp import Description, Format, Section, parse

TRANSPORT_CC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

# Browsers begin at 300 kb/s, where they scale the picture down to a stamp, and take a quarter of a
# minute to scale it up again, however fast they learn that the network has room. From here they
# begin with 720p; where the network has less, transport-wide feedback tells them within a second.
START_KBPS: Final = 2500

_PROTOCOLS: Final = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP")
_DIGESTS: Final = ("sha-256", "sha-384", "sha-512")
_UFRAG = re.compile(r"[A-Za-z0-9+/=_-]{4,256}$")
_PWD = re.compile(r"[A-Za-z0-9+/=_-]{22,256}$")
_MID = re.compile(r"[\x21\x23-\x7e]{1,32}$")

# Baseline, main, high. Nothing is decoded here, so any level passes.
_H264_PROFILES: Final = ("42", "4d", "64")

_VIDEO_FEEDBACK_IN: Final[tuple[str, ...]] = (
    "nack",
    "nack pli",
    "ccm fir",
    "goog-remb",
    "transport-cc",
)
_VIDEO_FEEDBACK_OUT: Final[tuple[str, ...]] = ("nack", "nack pli", "ccm fir")
_AUDIO_FEEDBACK_IN: Final[tuple[str, ...]] = ("nack", "transport-cc")
_AUDIO_FEEDBACK_OUT: Final[tuple[str, ...]] = ("nack",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One negotiated medium.

    Attributes:
        kind: "video" or "audio".
        format: The one payload type that we answer.
        rtx: Payload type of its retransmissions, if there is one.
        feedback: The `a=rtcp-fb` values both sides know.
        transport_cc: Id of the transport-wide sequence number's header extension.
        playout_delay: Id of the playout delay's header extension.
    """

    kind: str
    mid: str
    format: Format
    rtx: int | None
    feedback: tuple[str, ...]
    transport_cc: int | None = None
    playout_delay: int | None = None

    @property
    def payload_type(self) -> int:
        return self.format.payload_type

    @property
    def nack(self) -> bool:
        return "nack" in self.feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offer that we can take as it stands.

    Attributes:
        dtls_role: Ours: "server" unless the client insists on being it.
        candidates: As in the offer; the client may trickle more.
    """

    publishes: bool
    tracks: tuple[Track, ...]
    ice_ufrag: str
    ice_pwd: str
    ice_lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    dtls_role: str
    candidates: tuple[str, ...]
    candidates_complete: bool

    def track(self, kind: str) -> Track | None:
        return next((track for track in self.tracks if track.kind == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What the answer says of this side."""

    session_id: int
    ice_ufrag: str
    ice_pwd: str
    fingerprint: str
    candidates: tuple[str, ...]
    port: int
    cname: str = "penstock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The SSRCs of one track that we send."""

    media: int
    retransmission: int


def read_publish(text: str) -> Offer:
    """Judges a WHIP client's offer: it sends one H.264 video, and Opus audio or none.

    Raises:
        BadOffer: We cannot take it; the message says why.
        TooLarge: It is over the limit.
    """
    return _read(parse(text), publishes=True)


def read_play(text: str) -> Offer:
    """Judges a WHEP player's offer: it receives H.264, Opus, or both.

    Raises:
        BadOffer: We cannot serve it; the message says why.
        TooLarge: It is over the limit.
    """
    return _read(parse(text), publishes=False)


def write_answer(offer: Offer, local: Local, sources: dict[str, Sources]) -> str:
    """The answer to `offer`. `sources` names what we send, by kind; empty for a publisher."""
    lines = [
        "v=0",
        f"o=- {local.session_id} 2 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(track.mid for track in offer.tracks),
        "a=msid-semantic: WMS *",
        "a=ice-options:trickle",
    ]
    for index, track in enumerate(offer.tracks):
        lines += _section(offer, local, track, first=index == 0)
        if track.kind in sources:
            lines += _sources(local, track, sources[track.kind])
    return "\r\n".join(lines) + "\r\n"


def _read(description: Description, *, publishes: bool) -> Offer:
    sections = description.sections
    if not sections:
        raise BadOffer("the offer has no media section (m= line)")
    _one_of_each(sections)
    if publishes and not any(section.kind == "video" for section in sections):
        raise BadOffer("the offer has no video; a published stream needs one H.264 video")
    if len({stream for section in sections for stream in section.stream_ids} - {"-"}) > 1:
        raise BadOffer("the offer has more than one MediaStream; send one")
    mids = [
        section.mid if section.mid is not None else str(i) for i, section in enumerate(sections)
    ]
    if len(set(mids)) != len(mids) or not all(_MID.match(mid) for mid in mids):
        raise BadOffer("every media section needs a mid of its own")
    if len(sections) > 1 and not set(mids) <= set(description.bundle):
        raise BadOffer("all media sections must be in one BUNDLE group (use max-bundle)")
    tracks = tuple(
        _track(section, mid, publishes=publishes)
        for section, mid in zip(sections, mids, strict=True)
    )
    # With one bundle, its first section speaks for the transport.
    lead = sections[mids.index(description.bundle[0])] if description.bundle else sections[0]
    ufrag, pwd = _ice(lead)
    return Offer(
        publishes=publishes,
        tracks=tracks,
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        ice_lite=description.ice_lite,
        fingerprints=_fingerprints(lead),
        dtls_role=_dtls_role(lead),
        candidates=tuple(c for section in sections for c in section.candidates),
        candidates_complete=lead.candidates_complete,
    )


def _one_of_each(sections: list[Section]) -> None:
    kinds = [section.kind for section in sections]
    for kind in kinds:
        if kind not in ("audio", "video"):
            raise BadOffer(f"the offer has a section of kind {kind!r:.20}; only audio and video go")
        if kinds.count(kind) > 1:
            raise BadOffer(f"the offer has {kinds.count(kind)} {kind} sections; send one")
    for section in sections:
        if section.protocol not in _PROTOCOLS:
            raise BadOffer(f"{section.kind} uses {section.protocol!r:.40}, not {_PROTOCOLS[0]}")
        if section.port == 0 and not section.bundle_only:
            raise BadOffer(f"the {section.kind} section is switched off (port 0)")
        if not (section.rtcp_mux or section.bundle_only):
            raise BadOffer(f"the {section.kind} section lacks a=rtcp-mux")


def _track(section: Section, mid: str, *, publishes: bool) -> Track:
    _direction(section, publishes=publishes)
    chosen = _video(section) if section.kind == "video" else _opus(section)
    rtx = next(
        (
            f.payload_type
            for f in section.formats
            if f.name == "rtx" and f.parameters.get("apt") == str(chosen.payload_type)
        ),
        None,
    )
    if section.kind == "video":
        known = _VIDEO_FEEDBACK_IN if publishes else _VIDEO_FEEDBACK_OUT
    else:
        known = _AUDIO_FEEDBACK_IN if publishes else _AUDIO_FEEDBACK_OUT
    feedback = tuple(kind for kind in known if kind in chosen.feedback)
    return Track(
        kind=section.kind,
        mid=mid,
        format=chosen,
        rtx=rtx,
        feedback=feedback,
        transport_cc=(section.extensions.get(TRANSPORT_CC) if "transport-cc" in feedback else None),
        playout_delay=(
            section.extensions.get(PLAYOUT_DELAY)
            if section.kind == "video" and not publishes
            else None
        ),
    )


def _direction(section: Section, *, publishes: bool) -> None:
    wanted = ("sendonly", "sendrecv") if publishes else ("recvonly", "sendrecv")
    if section.direction not in wanted:
        raise BadOffer(
            f"the {section.kind} section is {section.direction}; "
            f"{'a publisher' if publishes else 'a player'} offers {wanted[0]}"
        )


def _video(section: Section) -> Format:
    h264 = [
        f
        for f in section.formats
        if f.name == "h264"
        and f.parameters.get("profile-level-id", "42e01f")[:2].lower() in _H264_PROFILES
    ]
    if not h264:
        raise BadOffer(f"the video section offers {_names(section)}; only H.264 is taken")
    # Mode 0 forbids fragments, but every depacketizer in use takes them all the same.
    return next((f for f in h264 if f.parameters.get("packetization-mode") == "1"), h264[0])


def _opus(section: Section) -> Format:
    for each in section.formats:
        if each.name == "opus" and each.clock_hz == 48_000:
            return each
    raise BadOffer(f"the audio section offers {_names(section)}; only Opus is taken")


def _names(section: Section) -> str:
    names = sorted({f.name for f in section.formats if f.name} - {"rtx", "red", "ulpfec"})
    return ", ".join(names)[:80] or "no codec"


def _ice(section: Section) -> tuple[str, str]:
    ufrag, pwd = section.ice_ufrag or "", section.ice_pwd or ""
    if not _UFRAG.match(ufrag) or not _PWD.match(pwd):
        raise BadOffer("the offer lacks usable a=ice-ufrag and a=ice-pwd lines")
    return ufrag, pwd


def _fingerprints(section: Section) -> tuple[tuple[str, str], ...]:
    usable = tuple((a, digest) for a, digest in section.fingerprints if a in _DIGESTS and digest)
    if not usable:
        raise BadOffer(f"the offer lacks an a=fingerprint line of {', '.join(_DIGESTS)}")
    return usable


def _dtls_role(section: Section) -> str:
    match section.setup:
        case "actpass" | "active" | None:
            return "server"
        case "passive":
            return "client"
        case other:
            raise BadOffer(f"the offer has a=setup:{other:.20}; use actpass")


def _section(offer: Offer, local: Local, track: Track, *, first: bool) -> list[str]:
    chosen = track.format
    types = [chosen.payload_type] + ([track.rtx] if track.rtx is not None else [])
    channels = f"/{chosen.channels}" if track.kind == "audio" else ""
    encoding = "opus" if track.kind == "audio" else "H264"
    lines = [
        f"m={track.kind} {local.port if first else 9} UDP/TLS/RTP/SAVPF "
        + " ".join(str(payload_type) for payload_type in types),
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{local.ice_ufrag}",
        f"a=ice-pwd:{local.ice_pwd}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{'passive' if offer.dtls_role == 'server' else 'active'}",
        f"a=mid:{track.mid}",
        "a=recvonly" if offer.publishes else "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=rtcp-rsize",
        f"a=rtpmap:{chosen.payload_type} {encoding}/{chosen.clock_hz}{channels}",
    ]
    parameters = dict(chosen.parameters)
    if offer.publishes and track.kind == "video" and track.transport_cc is not None:
        parameters["x-google-start-bitrate"] = str(START_KBPS)
    if parameters:
        settings = ";".join(f"{k}={v}" if v else k for k, v in parameters.items())
        lines.append(f"a=fmtp:{chosen.payload_type} {settings}")
    lines += [f"a=rtcp-fb:{chosen.payload_type} {kind}" for kind in track.feedback]
    if track.rtx is not None:
        lines.append(f"a=rtpmap:{track.rtx} rtx/{chosen.clock_hz}")
        lines.append(f"a=fmtp:{track.rtx} apt={chosen.payload_type}")
    if track.transport_cc is not None:
        lines.append(f"a=extmap:{track.transport_cc} {TRANSPORT_CC}")
    if track.playout_delay is not None:
        lines.append(f"a=extmap:{track.playout_delay} {PLAYOUT_DELAY}")
    if first:
        lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
        lines.append("a=end-of-candidates")
    return lines


def _sources(local: Local, track: Track, sources: Sources) -> list[str]:
    lines = [f"a=msid:{local.cname} {track.kind}"]
    ssrcs = [sources.media]
    if track.rtx is not None:
        ssrcs.append(sources.retransmission)
        lines.append(f"a=ssrc-group:FID {sources.media} {sources.retransmission}")
    return lines + [f"a=ssrc:{ssrc} cname:{local.cname}" for ssrc in ssrcs]
