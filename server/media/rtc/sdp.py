"""Session descriptions as text: reading an offer or a trickled fragment, writing an answer.

Only the grammar. What we accept and what we answer is `negotiation`'s to say. A description is
whatever a stranger sends, so nothing here trusts it: a line that makes no sense is an error that
names the line, and all counts are bounded.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from server.errors import BadOffer, TooLarge

# Chromium's largest offers are 12 kB; libwebrtc with every codec and simulcast stays under 20.
SDP_MAX_BYTES: Final = 64 * 1024

# A host has a handful of addresses. Every candidate costs us up to seven packets to an address
# that a stranger chose, so the rest are ignored.
CANDIDATES_MAX: Final = 24

SECTIONS_MAX: Final = 16

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")

_RTPMAP = re.compile(r"(\d{1,3}) ([^/ ]+)/(\d{1,6})(?:/(\d{1,2}))?$")
_NUMBER = re.compile(r"\d{1,3}$")


@dataclass(slots=True)
class Format:
    """One payload type of a media section.

    Attributes:
        name: Encoding name in lower case ("h264", "opus", "rtx").
        parameters: `a=fmtp`, keys in lower case.
        feedback: `a=rtcp-fb` values ("nack pli"), those of the wildcard included.
    """

    payload_type: int
    name: str = ""
    clock_hz: int = 0
    channels: int = 1
    parameters: dict[str, str] = field(default_factory=dict)
    feedback: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Section:
    """One `m=` section. What may stand at session level has been copied down."""

    kind: str
    port: int
    protocol: str
    mid: str | None = None
    direction: str = "sendrecv"
    formats: list[Format] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)
    ice_ufrag: str | None = None
    ice_pwd: str | None = None
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    setup: str | None = None
    candidates: list[str] = field(default_factory=list)
    candidates_complete: bool = False
    rtcp_mux: bool = False
    bundle_only: bool = False
    stream_ids: list[str] = field(default_factory=list)

    def format(self, payload_type: int) -> Format | None:
        return next((f for f in self.formats if f.payload_type == payload_type), None)


@dataclass(slots=True)
class Description:
    """An offer, read but not judged."""

    sections: list[Section] = field(default_factory=list)
    bundle: list[str] = field(default_factory=list)
    ice_lite: bool = False


@dataclass(slots=True)
class Fragment:
    """The body of a trickle PATCH (RFC 8840): candidates that the client found later."""

    ice_ufrag: str | None = None
    ice_pwd: str | None = None
    candidates: list[str] = field(default_factory=list)
    candidates_complete: bool = False


def parse(text: str) -> Description:
    """Reads a session description.

    Raises:
        TooLarge: It is over `SDP_MAX_BYTES`.
        BadOffer: It is no SDP; the message says what was expected.
    """
    if len(text) > SDP_MAX_BYTES:
        raise TooLarge(f"the offer has {len(text)} bytes; the limit is {SDP_MAX_BYTES}")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadOffer("the offer is empty")
    if lines[0] != "v=0":
        raise BadOffer(
            f"the offer is not SDP: its first line should be 'v=0', not {lines[0]!r:.40}"
        )
    description = Description()
    shared = Section("session", 0, "")
    section = shared
    for number, line in enumerate(lines, start=1):
        if line[1:2] != "=":
            raise BadOffer(f"line {number} of the offer is not SDP: {line!r:.60}")
        if line.startswith("m="):
            if len(description.sections) == SECTIONS_MAX:
                raise BadOffer(f"the offer has more than {SECTIONS_MAX} media sections")
            section = _media_line(line, shared)
            description.sections.append(section)
        elif line.startswith("a="):
            key, _, value = line[2:].partition(":")
            if section is shared and key == "group":
                semantics, *mids = value.split(" ")
                if semantics == "BUNDLE":
                    description.bundle = mids
            elif section is shared and key == "ice-lite":
                description.ice_lite = True
            else:
                _attribute(section, key, value, number)
    for section in description.sections:
        _spread_wildcard_feedback(section)
    return description


def parse_fragment(text: str) -> Fragment:
    """Reads `application/trickle-ice-sdpfrag`.

    Raises:
        TooLarge: It is over `SDP_MAX_BYTES`.
        BadOffer: It has neither a candidate nor ICE credentials, or is not SDP at all.
    """
    if len(text) > SDP_MAX_BYTES:
        raise TooLarge(f"the fragment has {len(text)} bytes; the limit is {SDP_MAX_BYTES}")
    fragment = Fragment()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if line[1:2] != "=":
            raise BadOffer(f"line {number} of the fragment is not SDP: {line!r:.60}")
        key, _, value = line.rstrip()[2:].partition(":")
        if not line.startswith("a="):
            continue
        if key == "ice-ufrag":
            fragment.ice_ufrag = value
        elif key == "ice-pwd":
            fragment.ice_pwd = value
        elif key == "candidate" and len(fragment.candidates) < CANDIDATES_MAX:
            fragment.candidates.append(value)
        elif key == "end-of-candidates":
            fragment.candidates_complete = True
    if not (fragment.candidates or fragment.candidates_complete or fragment.ice_ufrag):
        raise BadOffer("the fragment has no candidate, no end-of-candidates and no ice-ufrag")
    return fragment


def _media_line(line: str, shared: Section) -> Section:
    words = line[2:].split()
    if len(words) < 4 or not words[1].split("/")[0].isdigit():
        raise BadOffer(f"the media line {line!r:.60} is malformed")
    section = Section(
        kind=words[0],
        port=int(words[1].split("/")[0]),
        protocol=words[2],
        direction=shared.direction,
        ice_ufrag=shared.ice_ufrag,
        ice_pwd=shared.ice_pwd,
        fingerprints=list(shared.fingerprints),
        setup=shared.setup,
    )
    section.formats = [Format(int(word)) for word in words[3:] if _NUMBER.match(word)]
    return section


def _attribute(section: Section, key: str, value: str, number: int) -> None:
    match key:
        case "mid":
            section.mid = value
        case "ice-ufrag":
            section.ice_ufrag = value
        case "ice-pwd":
            section.ice_pwd = value
        case "setup":
            section.setup = value
        case "fingerprint":
            algorithm, _, digest = value.partition(" ")
            section.fingerprints.append((algorithm.lower(), digest.strip().upper()))
        case "candidate":
            if len(section.candidates) < CANDIDATES_MAX:
                section.candidates.append(value)
        case "end-of-candidates":
            section.candidates_complete = True
        case "rtcp-mux":
            section.rtcp_mux = True
        case "bundle-only":
            section.bundle_only = True
        case "msid":
            section.stream_ids.append(value.split(" ")[0])
        case "rtpmap":
            _rtpmap(section, value, number)
        case "fmtp":
            _fmtp(section, value)
        case "rtcp-fb":
            _feedback(section, value)
        case "extmap":
            _extmap(section, value)
        case _ if key in DIRECTIONS:
            section.direction = key
        case _:
            pass  # most attributes say nothing that we act on


def _rtpmap(section: Section, value: str, number: int) -> None:
    found = _RTPMAP.match(value)
    if found is None:
        raise BadOffer(f"line {number} of the offer has a malformed rtpmap: {value!r:.60}")
    wanted = section.format(int(found[1]))
    if wanted is not None:
        wanted.name, wanted.clock_hz = found[2].lower(), int(found[3])
        wanted.channels = int(found[4] or 1)


def _fmtp(section: Section, value: str) -> None:
    payload_type, _, parameters = value.partition(" ")
    wanted = section.format(int(payload_type)) if _NUMBER.match(payload_type) else None
    if wanted is not None:
        for parameter in parameters.split(";"):
            key, equals, setting = parameter.strip().partition("=")
            if key:
                wanted.parameters[key.lower()] = setting.strip() if equals else ""


def _feedback(section: Section, value: str) -> None:
    payload_type, _, kind = value.partition(" ")
    if payload_type == "*":
        # Kept on a format of its own until all formats are known.
        wildcard = section.format(-1)
        if wildcard is None:
            wildcard = Format(-1)
            section.formats.append(wildcard)
        wildcard.feedback.append(kind)
    elif _NUMBER.match(payload_type):
        wanted = section.format(int(payload_type))
        if wanted is not None:
            wanted.feedback.append(kind)


def _spread_wildcard_feedback(section: Section) -> None:
    wildcard = section.format(-1)
    if wildcard is None:
        return
    section.formats.remove(wildcard)
    for each in section.formats:
        each.feedback.extend(wildcard.feedback)


def _extmap(section: Section, value: str) -> None:
    identifier, _, rest = value.partition(" ")
    number = identifier.split("/")[0]
    uri = rest.split(" ")[0]
    # Ids from 15 up need the two-byte form, which nothing we answer uses.
    if uri and _NUMBER.match(number) and 1 <= int(number) <= 14:
        section.extensions[uri] = int(number)
