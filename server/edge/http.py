"""The HTTP shell every role shares: errors as problem+json, JSON bodies, what all roles answer.

Routes belong to whoever does the work; here is only what would otherwise stand in each of them.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from server.edge.openapi import Operation
from server.errors import BadRequest, NodeError, NotFound, Retry, TooLarge, UnsupportedMedia
from server.obs.metrics import Metrics

log = structlog.get_logger(__name__)

PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"

# What a client that was told to come back should wait.
RETRY_AFTER_S: Final = 1

# Parameters nest little; a deeper document is an attack on the parser's stack.
JSON_DEPTH_MAX: Final = 32


# What every role answers beside its own routes.
OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/healthz",
        summary="Whether the process answers.",
        answers={200: (JSON, "It does.")},
    ),
    Operation(
        method="GET",
        path="/metrics",
        summary="Counters, for Prometheus.",
        answers={200: ("text/plain", "Prometheus' text form.")},
    ),
)


def application(
    metrics: Metrics, *, body_max_bytes: int, routes: Iterable[web.RouteDef]
) -> web.Application:
    """An aiohttp application with the routes of one role and what every role answers."""
    app = web.Application(client_max_size=body_max_bytes, middlewares=[_problems(metrics)])
    metrics.tasks.set_function(lambda: len(asyncio.all_tasks()))

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def scrape(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", scrape)
    app.add_routes(routes)
    return app


def problem(error: NodeError) -> web.Response:
    """An error as RFC 9457 says it, with our code, and what to do about it."""
    body = {
        "type": "about:blank",
        "title": (type(error).__doc__ or "").split("\n", maxsplit=1)[0],
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "retry": error.retry,
        "remedy": error.advice,
    }
    headers = {"Access-Control-Allow-Origin": "*"}
    if error.retry is not Retry.NEVER:
        headers["Retry-After"] = str(RETRY_AFTER_S)
        headers["Access-Control-Expose-Headers"] = "Retry-After"
    if error.status == web.HTTPUnauthorized.status_code:
        headers["WWW-Authenticate"] = 'Bearer realm="penstock"'
    return web.json_response(body, status=error.status, headers=headers, content_type=PROBLEM)


async def read_json(request: web.Request) -> dict[str, Any]:
    """The body, which must be one JSON object.

    Raises:
        UnsupportedMedia: It is not announced as JSON.
        BadRequest: It is something else.
    """
    if request.content_type != JSON:  # a page of another origin cannot send it unasked
        raise UnsupportedMedia(f"expected {JSON}, got {request.content_type}")
    return parse_object(await request.text(), what="the body")


def parse_object(text: str, *, what: str) -> dict[str, Any]:
    """JSON text that must be an object.

    Raises:
        BadRequest: It is something else; the message says what and where.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object, not {type(value).__name__}")
    if _depth(value) > JSON_DEPTH_MAX:
        raise BadRequest(f"{what} nests deeper than {JSON_DEPTH_MAX}")
    return value


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return deepest


def _problems(metrics: Metrics) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NodeError as error:
            answer = error
        except web.HTTPRequestEntityTooLarge as error:
            answer = TooLarge(str(error.text))
        except web.HTTPNotFound:
            answer = NotFound(f"nothing answers {request.method} {request.path}")
        except web.HTTPException as error:
            if error.status < 400:
                raise
            answer = _other(error)
        except UnicodeDecodeError as error:
            answer = BadRequest(f"the body is not UTF-8: {error.reason}")
        except ConnectionError:
            raise  # the client has left; there is nobody to answer
        except Exception:
            # The outermost shell of a request: log it whole, say nothing of the inside.
            log.exception("request failed", method=request.method, path=request.path)
            answer = NodeError("something broke while answering this request")
        metrics.refusals.labels(answer.code).inc()
        return problem(answer)

    return middleware


def _other(error: web.HTTPException) -> NodeError:
    """An answer of aiohttp's own (405, say), under its own number."""

    class Refused(BadRequest):
        """The request is not one that this route takes."""

        status = error.status

    return Refused(error.reason or "refused")


class EventStream:
    """Server-sent events to one client, until it leaves."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "Access-Control-Allow-Origin": "*",
            }
        )

    async def start(self) -> web.StreamResponse:
        await self._response.prepare(self._request)
        return self._response

    async def send(self, event: str, document: Any) -> bool:
        """Sends one event; False when the client has gone."""
        text = json.dumps(document, separators=(",", ":"))
        try:
            await self._response.write(f"event: {event}\ndata: {text}\n\n".encode())
        except ConnectionError:
            return False
        return True
