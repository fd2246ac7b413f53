"""The connections of one trickle client to its channel: opened, kept for the next request, closed.

What goes on over one of them is in `trickle.asking`. `trickle.publisher` and `trickle.subscriber`
use it.
"""

import asyncio
import ssl as ssl_module
from typing import Final

from trickle.address import Address
from trickle.asking import Answer, ClientConnection
from trickle.errors import ConnectionFailed

CONNECT_S: Final = 5.0


class Client:
    """The connections of one publisher or one subscriber to its channel.

    Attributes:
        address: Of the channel.
        headers: That every request carries.
    """

    def __init__(
        self, url: str, ssl: ssl_module.SSLContext | None = None, *, token: str | None = None
    ) -> None:
        self.address = Address.of(url, ssl)
        self.headers: dict[str, str] = {}
        if token := token or self.address.token:
            if not token.isascii() or not token.isprintable():
                raise ValueError("a token is made of printable ASCII characters")
            self.headers["Authorization"] = f"Bearer {token}"
        self._spare: list[ClientConnection] = []
        self._all: set[ClientConnection] = set()

    async def connect(self, *, fresh: bool = False) -> ClientConnection:
        """A connection ready for a request; with `fresh`, a new one.

        Raises:
            ConnectionFailed: The server cannot be reached.
        """
        while self._spare and not fresh:
            connection = self._spare.pop()
            if connection.alive:
                return connection
        address = self.address
        try:
            async with asyncio.timeout(CONNECT_S):
                _, protocol = await asyncio.get_running_loop().create_connection(
                    lambda: ClientConnection(address, self._spare),
                    address.host,
                    address.port,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls else None,
                )
        except (OSError, TimeoutError, ssl_module.SSLError) as error:
            reason = str(error) or "no answer"
            raise ConnectionFailed(f"cannot reach {address.authority}: {reason}") from error
        connection = protocol
        self._all = {c for c in self._all if c.alive} | {connection}
        return connection

    async def ask(self, method: str, path: str) -> Answer:
        """One small request and its whole answer.

        Raises:
            ConnectionFailed: No answer came.
        """
        while True:
            connection = await self.connect()
            reused = connection.served > 0
            try:
                answer = await connection.request(method, path, self.headers)
                while await answer.chunk():
                    pass
            except ConnectionFailed:
                # A connection that has served before may simply have been closed meanwhile.
                if not reused:
                    raise
            else:
                return answer

    async def close(self) -> None:
        """Closes every connection, at once."""
        for connection in self._all:
            await connection.closed()
        self._all.clear()
