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
        between: It has got whole messages, and the next bytes begin another.
    """

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self.protocol = protocol
        self.between = True
        self._lent = Lent(transport)
        self._body: Body | ChunkedBody = Body(0)
        # An upgrade, or bytes that are no HTTP/1.1: from here on all of it is the guest's.
        self._for_good = False
        protocol.connection_made(cast("asyncio.Transport", self._lent))

    def feed(self, data: bytes) -> None:
        """Passes on bytes. A message begins with its whole head: until then the caller holds it.

        A client that sends its next request before this answer is complete, which none does, stays
        with this guest: there is no telling when the connection could be taken back.
        """
        if not self._for_good and not self._ends_with(data):
            self._for_good, self.between = True, False
        self.protocol.data_received(data)

    def leave(self) -> None:
        """Takes the connection back. The guest is told that it was lost."""
        self._lent.taken_back = True
        self.protocol.connection_lost(None)

    def _ends_with(self, data: bytes) -> bool:
        """Follows the present message; False when we cannot, or need not any more."""
        try:
            if self.between:
                end = data.find(END_OF_HEAD) + len(END_OF_HEAD)
                if end < len(END_OF_HEAD):
                    return False
                head = parse_request(data[:end])
                if head.upgrade or head.method == b"CONNECT":
                    return False
                self._body = request_body(head)
                data = data[end:]
            if data and not self._body.done:
                self._body.feed(data)
                data = self._body.rest
        except BadMessage:
            # Let the guest say what it thinks of it.
            return False
        self.between = self._body.done
        return not (self.between and data)
