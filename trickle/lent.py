"""A connection lent to another protocol for as long as it gets requests.

aiohttp's request handler, or any other HTTP/1.1 protocol, sees a connection of its own. We follow
the messages it gets, only to know where each ends: there the next request may be ours, and the
connection is taken back. Used by `trickle.connection`.
"""

import asyncio
from typing import Any, cast

from trickle.http1 import (
    END_OF_HEAD,
    BadMessage,
    Body,
    ChunkedBody,
    parse_request,
    request_body,
)


class Lent:
    """A transport that its borrower cannot close any more once it was taken back."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.taken_back = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.taken_back:
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self.taken_back or self._transport.is_closing()

    def close(self) -> None:
        if not self.taken_back:
            self._transport.close()

    def abort(self) -> None:
        if not self.taken_back:
            self._transport.abort()


class Guest:
    """The other protocol, and where it is in its messages.

    Attributes:
        protocol: Who gets the bytes.
        between: It has got whole messages: the next bytes begin another.
    """

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self.protocol = protocol
        self.between = True
        self._lent = Lent(transport)
        self._body: Body | ChunkedBody | None = None
        # An upgrade, or bytes that are no HTTP/1.1: from here on all of it is the guest's.
        self._for_good = False
        protocol.connection_made(cast("asyncio.Transport", self._lent))

    def feed(self, data: bytes) -> bytes:
        """Passes on the bytes of the present message, and returns those behind it.

        A message begins with its whole head: what is held until then is the caller's.
        """
        if self._for_good:
            self.protocol.data_received(data)
            return b""
        at = 0
        if self.between:
            at = self._begin(data)
            if self._for_good:
                self.protocol.data_received(data)
                return b""
        assert self._body is not None
        rest = b""
        if not self._body.done:
            try:
                self._body.feed(data[at:])
            except BadMessage:
                # Let the guest say what it thinks of it.
                self._for_good, self.between = True, False
                self.protocol.data_received(data)
                return b""
            rest = self._body.rest
        else:
            rest = data[at:]
        self.between = self._body.done
        self.protocol.data_received(data[: len(data) - len(rest)] if rest else data)
        return rest

    def leave(self) -> None:
        """Takes the connection back. The guest is told that it was lost."""
        self._lent.taken_back = True
        self.protocol.connection_lost(None)

    def _begin(self, data: bytes) -> int:
        """Reads a head, and returns where its body starts."""
        self.between = False
        end = data.find(END_OF_HEAD)
        if end < 0:
            self._for_good = True
            return 0
        try:
            head = parse_request(data[: end + 4])
            self._body = request_body(head)
        except BadMessage:
            self._for_good = True
            return 0
        self._for_good = head.upgrade or head.method == b"CONNECT"
        return end + 4
