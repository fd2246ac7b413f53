"""What a WHIP or WHEP request says: its body in either form, its flags, its token.

Read and checked here, acted on in `server.edge.webrtc`.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web

from server.edge.http import JSON, parse_object
from server.errors import BadOffer, BadParameters, BadRequest, TooLarge, UnsupportedMedia
from server.media.rtc.sdp import SDP_MAX_BYTES

SDP: Final = "application/sdp"
SDP_FRAGMENT: Final = "application/trickle-ice-sdpfrag"


class EtagMissing(BadRequest):
    """A change to a session must say which state of it is meant."""

    code, status = "etag_missing", 428
    remedy = "Send the ETag of the 201 answer as If-Match."


class EtagStale(BadRequest):
    """The session is not in the state that the change was made for."""

    code, status = "etag_stale", 412
    remedy = "Send the ETag of the 201 answer as If-Match."


class RestartUnsupported(BadRequest):
    """ICE cannot be restarted here; the session goes on as it was."""

    code, status = "ice_restart_unsupported", 422
    remedy = "End the session and connect again with a new offer."


@dataclass(frozen=True, slots=True)
class Body:
    """What a POST brought, in either of its two forms."""

    sdp: str
    as_json: bool
    pipeline: str | None
    params: dict[str, object] | None


async def read_body(request: web.Request) -> Body:
    """Reads the offer and what goes with it.

    Raises:
        BadRequest: It is malformed, of another type, or too large.
    """
    if request.content_type not in (SDP, JSON):
        raise UnsupportedMedia(f"expected {SDP} or {JSON}, got {request.content_type}")
    text = await read_text(request)
    pipeline = request.query.get("pipeline") or None
    params = _query_params(request)
    if request.content_type == SDP:
        return Body(text, as_json=False, pipeline=pipeline, params=params)
    document = parse_object(text, what="the body")
    sdp = document.get("sdp")
    if not isinstance(sdp, str):
        raise BadOffer('the JSON body needs "sdp", the offer as a string')
    named = document.get("pipeline", pipeline)
    if named is not None and not isinstance(named, str):
        raise BadRequest('"pipeline" must be a string')
    given = document.get("params", params)
    if given is not None and not isinstance(given, dict):
        raise BadParameters('"params" must be a JSON object')
    return Body(sdp, as_json=True, pipeline=named, params=given)


async def read_text(request: web.Request) -> str:
    """The body, which must be small and UTF-8."""
    if (request.content_length or 0) > SDP_MAX_BYTES:
        raise TooLarge(f"the body has {request.content_length} bytes; the limit is {SDP_MAX_BYTES}")
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > SDP_MAX_BYTES:
            raise TooLarge(f"the body is over the limit of {SDP_MAX_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadOffer("the body is not UTF-8 text") from None


def _query_params(request: web.Request) -> dict[str, Any] | None:
    text = request.query.get("params")
    if not text:
        return None
    try:
        return parse_object(text, what="params")
    except BadRequest as error:
        raise BadParameters(error.message) from None


def flag(request: web.Request, name: str, *, default: bool) -> bool:
    """A yes or no of the query."""
    value = request.query.get(name)
    if value is None:
        return default
    if value not in ("0", "1", "true", "false"):
        raise BadRequest(f"{name} must be 0 or 1, not {value!r:.20}")
    return value in ("1", "true")


def token(request: web.Request) -> str | None:
    """What the client shows to be let in: the bearer token, or `?token=`."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return request.query.get("token") or None


def is_local(request: web.Request) -> bool:
    """Whether the client is on this machine."""
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
