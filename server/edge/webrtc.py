"""WHIP and WHEP: how browsers and OBS publish and watch over HTTP and WebRTC.

Routes only. What an offer may contain is `server.media.rtc.negotiation`'s to say, the media is the
endpoint's, and who may publish or watch what is decided behind `Ingest` and `Viewing`. Errors leave
as `NodeError`s; the HTTP shell writes them out. (RFC 9725; draft-ietf-wish-whep)
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from server.edge.http import JSON
from server.edge.ingest import Ingest, Publication, PublishRequest, Viewing, check_stream_name
from server.edge.webrtc_docs import OPERATIONS
from server.edge.webrtc_request import (
    SDP,
    SDP_FRAGMENT,
    Body,
    EtagMissing,
    EtagStale,
    RestartUnsupported,
    flag,
    is_local,
    read_body,
    read_text,
    token,
)
from server.errors import Overloaded, SessionNotFound, UnsupportedMedia
from server.media.rtc.endpoint import RtcEndpoint
from server.media.rtc.negotiation import Offer, read_play, read_publish
from server.media.rtc.sdp import parse_fragment
from server.media.rtc.session import Session

__all__ = ["OPERATIONS", "IceServer", "WebRtcRoutes"]

# The long form is go-livepeer's, the short one is for people.
PREFIXES: Final = ("/live/video-to-video/{stream}", "/{stream}")

_METHODS: Final = "OPTIONS, GET, HEAD, POST, PATCH, DELETE"
_EXPOSED: Final = "Location, ETag, Link, Retry-After, Livepeer-Playback-URL"
_CORS: Final = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
_PREFLIGHT: Final = {
    **_CORS,
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "86400",
    "Accept-Post": f"{SDP}, {JSON}",
    "Accept-Patch": SDP_FRAGMENT,
    "Allow": _METHODS,
}

# A viewer costs about half a percent of a core and 0.3 MB, a publisher twice that.
SESSIONS_MAX: Final = 600

# Why a session ends when its client says DELETE.
_CLIENT_LEFT: Final = "client_left"

_log = structlog.get_logger(__name__)

Routed = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """A STUN or TURN server that clients are told to use.

    Attributes:
        url: "stun:host:port" or "turn:host:port?transport=udp".
    """

    url: str
    username: str | None = None
    credential: str | None = None

    @property
    def link(self) -> str:
        link = f'<{self.url}>; rel="ice-server"'
        if self.username is not None and self.credential is not None:
            link += f"; username={_quoted(self.username)}; credential={_quoted(self.credential)}"
            link += '; credential-type="password"'
        return link


@dataclass(slots=True)
class _Resource:
    """A session under its URL."""

    path: str
    session: Session


class WebRtcRoutes:
    """WHIP and WHEP on one endpoint."""

    def __init__(
        self,
        endpoint: RtcEndpoint,
        ingest: Ingest,
        viewing: Viewing,
        *,
        sessions_max: int = SESSIONS_MAX,
        ice_servers: Iterable[IceServer | str] = (),
    ) -> None:
        """Lays the routes out; nothing is opened.

        Args:
            endpoint: Where media flows; started, and closed, by whoever made it.
            ingest: Who takes publishers in.
            viewing: Who gives streams out.
            sessions_max: Publishers and viewers together.
            ice_servers: What clients are told to use; a bare URL for one without credentials.
        """
        self._endpoint = endpoint
        self._ingest = ingest
        self._viewing = viewing
        self._sessions_max = sessions_max
        self._links = [
            (IceServer(url=server) if isinstance(server, str) else server).link
            for server in ice_servers
        ]
        self._resources: dict[str, _Resource] = {}

    def routes(self) -> list[web.RouteDef]:
        """All routes, for `Application.add_routes`."""
        routes: list[web.RouteDef] = []
        for prefix in PREFIXES:
            for kind, post in (("whip", self._whip), ("whep", self._whep)):
                path = f"{prefix}/{kind}"
                routes += [
                    web.post(path, post),
                    web.get(path, _nothing),
                    web.options(path, _preflight),
                    web.get(path + "/{session}", self._look),
                    web.patch(path + "/{session}", self._patch),
                    web.delete(path + "/{session}", self._delete),
                    web.options(path + "/{session}", _preflight),
                ]
        return routes

    async def close(self) -> None:
        """Ends every session, which frees its stream, and waits for that."""
        await self._endpoint.end_sessions()

    async def _whip(self, request: web.Request) -> web.Response:
        stream = check_stream_name(request.match_info["stream"])
        body = await read_body(request)
        offer = read_publish(body.sdp)
        self._check_room()
        publication = await self._ingest.publish(
            PublishRequest(
                stream=stream,
                protocol="whip",
                peer=request.remote or "",
                pipeline=body.pipeline,
                params=body.params,
                token=token(request),
            )
        )
        try:
            session = await self._receive(request, stream, offer, publication)
        except BaseException:
            publication.end("not_connected")
            raise
        playback = request.url.with_path(f"/{stream}/whep").with_query(None)
        return self._created(
            request, session, body, {"Livepeer-Playback-URL": str(_public(request, playback))}
        )

    async def _receive(
        self, request: web.Request, stream: str, offer: Offer, publication: Publication
    ) -> Session:
        session = await self._endpoint.answer_publish(
            offer,
            on_packet=publication.packet,
            on_end=lambda reason: self._over(
                session,
                reason,
                partial(publication.end, reason, goodbye=reason == _CLIENT_LEFT),
            ),
            loopback=is_local(request),
        )
        publication.on_closed = session.end
        publication.on_keyframe_wanted = session.ask_for_keyframe
        _log.info("whip.session", stream=stream, session=session.id, peer=request.remote)
        return session

    async def _whep(self, request: web.Request) -> web.Response:
        stream = check_stream_name(request.match_info["stream"])
        source = flag(request, "source", default=False)
        wait = flag(request, "wait", default=True)
        body = await read_body(request)
        offer = read_play(body.sdp)
        self._check_room()
        live = await self._viewing.view(stream, source=source, wait=wait)
        left = partial(self._viewing.left, stream)
        try:
            session = await self._endpoint.answer_play(
                offer,
                live,
                on_end=lambda reason: self._over(session, reason, left),
                loopback=is_local(request),
            )
        except BaseException:
            left()
            raise
        _log.info("whep.session", stream=stream, session=session.id, peer=request.remote)
        return self._created(request, session, body, {})

    def _check_room(self) -> None:
        """Refuses early, before a runner is woken for a session that cannot be."""
        if self._endpoint.sessions >= self._sessions_max:
            raise Overloaded(f"{self._sessions_max} WebRTC sessions are open already")
        self._endpoint.check_room()

    def _created(
        self, request: web.Request, session: Session, body: Body, extra: dict[str, str]
    ) -> web.Response:
        path = request.path.rstrip("/")
        location = f"{path}/{session.id}"
        if not session.over:
            self._resources[session.id] = _Resource(path, session)
        headers = CIMultiDict({**_CORS, **extra, "Location": location, "ETag": session.etag})
        headers["Accept-Patch"] = SDP_FRAGMENT
        for link in self._links:
            headers.add("Link", link)
        if body.as_json:
            document = {"sdp": session.answer, "type": "answer", "session": location}
            return web.json_response(document, status=201, headers=headers)
        headers["Content-Type"] = SDP
        return web.Response(body=session.answer.encode(), status=201, headers=headers)

    def _over(self, session: Session, reason: str, tell: Callable[[], None]) -> None:
        self._resources.pop(session.id, None)
        _log.info("webrtc.session_ended", session=session.id, reason=reason)
        tell()

    async def _look(self, request: web.Request) -> web.Response:
        self._find(request)
        return web.Response(status=204, headers=_CORS)

    async def _patch(self, request: web.Request) -> web.Response:
        session = self._find(request)
        if request.content_type != SDP_FRAGMENT:
            raise UnsupportedMedia(f"expected {SDP_FRAGMENT}, got {request.content_type}")
        fragment = parse_fragment(await read_text(request))
        wanted = request.headers.get("If-Match", "").strip()
        if wanted in ("*", '"*"'):
            raise RestartUnsupported("the request restarts ICE")
        if not wanted:
            raise EtagMissing("the request has no If-Match")
        if wanted != session.etag:
            raise EtagStale(f"If-Match is {wanted!r:.60}, the session's ETag is {session.etag}")
        if fragment.ice_ufrag not in (None, session.offer.ice_ufrag):
            raise RestartUnsupported("the fragment has another ice-ufrag than the offer")
        await session.trickle(fragment)
        return web.Response(status=204, headers=_CORS)

    async def _delete(self, request: web.Request) -> web.Response:
        session = self._find(request)
        # At once: a second DELETE finds nothing, though the session still says goodbye.
        self._resources.pop(session.id, None)
        session.end(_CLIENT_LEFT)
        return web.Response(status=200, headers=_CORS)

    def _find(self, request: web.Request) -> Session:
        path, _, session_id = request.path.rpartition("/")
        resource = self._resources.get(session_id)
        if resource is None or resource.path != path:
            raise SessionNotFound(f"there is no session {session_id!r:.60} here")
        return resource.session


async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=204, headers=_PREFLIGHT)


async def _nothing(request: web.Request) -> web.Response:
    """GET and HEAD of an endpoint: it is there, and takes POST."""
    check_stream_name(request.match_info["stream"])
    if request.method == "HEAD":
        return web.Response(headers={**_CORS, "Accept-Post": SDP, "Content-Type": SDP})
    return web.Response(status=204, headers={**_CORS, "Accept-Post": SDP})


def _public(request: web.Request, url: URL) -> URL:
    """`url` as the client sees it, which a proxy in front may have come to over TLS."""
    forwarded = request.headers.get("X-Forwarded-Proto", "")
    return url.with_scheme(forwarded) if forwarded in ("http", "https") else url


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
