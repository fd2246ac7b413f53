"""Which web pages may use a trickle server: CORS, as lines of an answer. Values only.

A browser asks on behalf of a page and tells its origin; who is no browser tells none, and nothing
here concerns him. A WebSocket is not covered by CORS, so its origin is checked when it opens.
`trickle.routes` asks for each request.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from trickle import headers

ANY: Final = "*"

# How long a browser may remember our answer to its question. Chromium goes no further than 2 h.
PREFLIGHT_S: Final = 600

_EXPOSED: Final = ", ".join(headers.ALL).encode()
_ASKED: Final = (
    f"Authorization, Content-Type, {headers.RESET}, {headers.READER}, {headers.EXPECT_CONTENT}, "
    "Last-Event-ID, Cache-Control"
).encode()


class Origins:
    """The pages that may.

    An origin is written as browsers do: `https://example.org`, with a port where it is unusual;
    `*` stands for all of them.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        given = [origin.rstrip("/").lower() for origin in allowed]
        self._any = ANY in given
        self._allowed = {origin.encode("ascii") for origin in given}

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def lines(self, request: Mapping[bytes, bytes]) -> bytes:
        """What every answer to this request says about origins; nothing, mostly."""
        origin = request.get(b"origin")
        if origin is None or not self._allowed:
            return b""
        expose = b"Access-Control-Expose-Headers: %b\r\n" % _EXPOSED
        if self._any:
            return b"Access-Control-Allow-Origin: *\r\n" + expose
        if origin.lower() not in self._allowed:
            return b"Vary: Origin\r\n"
        return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n%b" % (origin, expose)

    def preflight(self) -> bytes:
        """What the answer to OPTIONS says besides."""
        return (
            b"Access-Control-Allow-Methods: GET, HEAD, POST, DELETE\r\n"
            b"Access-Control-Allow-Headers: %b\r\n"
            b"Access-Control-Max-Age: %d\r\n" % (_ASKED, PREFLIGHT_S)
        )

    def admits(self, request: Mapping[bytes, bytes]) -> bool:
        """Whether a WebSocket may be opened: by no page, by a page of ours, or by one allowed."""
        origin = request.get(b"origin")
        if origin is None or self._any or origin.lower() in self._allowed:
            return True
        return origin.partition(b"://")[2].lower() == request.get(b"host", b"").lower()
