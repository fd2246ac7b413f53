"""A request to a trickle server: what it names, and what every answer to it has in common.

`trickle.routes` reads one per message. The query is looked at only where there is one: no older
client sends any, and the hot path is theirs.
"""

import math
from typing import Final
from urllib.parse import parse_qsl

from trickle import answers
from trickle.access import token_of
from trickle.errors import BadIndex, BadParameter
from trickle.headers import parse_index
from trickle.http1 import RequestHead
from trickle.reading import Wish

# A wait longer than this is no wait but forever, which is what a GET does without the parameter.
MAX_WAIT_S: Final = 300.0

# What a reader calls itself is a key in a table of ours.
MAX_READER_NAME: Final = 64

_MAX_PARAMETERS: Final = 16

# What readers want that say nothing about it, which is nearly all of them: made once.
_USUAL: Final = {
    (keep, chunked, to_head): Wish(keep=keep, chunked=chunked, to_head=to_head)
    for keep in (False, True)
    for chunked in (False, True)
    for to_head in (False, True)
}


class Request:
    """One request.

    Attributes:
        head: As it came.
        method: Of it.
        path: Without the query.
        keep: The connection may be used again.
        to_head: Only the head of the answer is wanted.
    """

    __slots__ = ("_parameters", "_query", "head", "keep", "method", "path", "to_head")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.method = head.method
        self.path, _, self._query = head.target.partition(b"?")
        self.keep = head.keep_alive and head.http_1_1
        self.to_head = head.method == b"HEAD"
        self._parameters: dict[str, str] | None = None

    def header(self, name: bytes) -> str:
        return self.head.headers.get(name, b"").decode("latin-1")

    def parameter(self, name: str) -> str | None:
        """A value of the query.

        Raises:
            BadParameter: The query cannot be read.
        """
        if not self._query:
            return None
        if self._parameters is None:
            try:
                pairs = parse_qsl(
                    self._query.decode("latin-1"),
                    keep_blank_values=True,
                    max_num_fields=_MAX_PARAMETERS,
                )
            except ValueError:
                raise BadParameter("query", "too many parameters") from None
            self._parameters = dict(pairs)
        return self._parameters.get(name)

    @property
    def token(self) -> str | None:
        """What it shows to be let in."""
        return token_of(self.header(b"authorization"), self._query)

    @property
    def trailers(self) -> bool:
        """Whether this client reads what follows a body."""
        return b"trailers" in self.head.headers.get(b"te", b"")

    def number(self, name: str, *, most: float = math.inf) -> float | None:
        """A value that is a number from 0.

        Raises:
            BadParameter: It is none.
        """
        text = self.parameter(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:
            raise BadParameter(name, f"{text[:40]!r} is no number from 0 to {most:g}")
        return value

    def index(self, name: str) -> int | None:
        """A value that is a sequence number, or stands for one.

        Raises:
            BadIndex: It is none.
        """
        text = self.parameter(name)
        return None if text is None else read_index(text)

    def wish(self, *, strict_go: bool) -> Wish:
        """How this reader wants its segment.

        Raises:
            BadParameter: It does not say so in a way that can be understood.
        """
        chunked, lines = self.head.http_1_1, self.head.headers
        if strict_go or not (self._query or b"te" in lines or b"lp-trickle-reader" in lines):
            return _USUAL[self.keep, chunked, self.to_head]
        offset = self.number("offset", most=1 << 62) if self._query else None
        return Wish(
            keep=self.keep,
            chunked=chunked,
            to_head=self.to_head,
            trailers=chunked and self.trailers,
            offset=int(offset or 0),
            wait_s=self.number("wait", most=MAX_WAIT_S) if self._query else None,
            reader=self.header(b"lp-trickle-reader")[:MAX_READER_NAME],
        )

    def error(self, status: int, body: bytes, *, lines: bytes = b"", keep: bool = True) -> bytes:
        return answers.error(
            status, body, lines=lines, keep=self.keep and keep, to_head=self.to_head
        )

    def json(self, value: object) -> bytes:
        return answers.document(
            200, value, mime_type="application/json", keep=self.keep, to_head=self.to_head
        )

    def next(self, edge: int) -> bytes:
        return answers.text(
            b"%d" % edge, lines=answers.latest(edge), keep=self.keep, to_head=self.to_head
        )


def read_index(text: str, *, lowest: int = -(1 << 63)) -> int:
    """A sequence number, as it stands in a path.

    Raises:
        BadIndex: It is none, or below what it may be.
    """
    seq = parse_index(text)
    if seq is None or seq < lowest:
        raise BadIndex(text)
    return seq
