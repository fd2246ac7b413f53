"""RTMP: takes streams from OBS, ffmpeg and everything else that speaks it.

Here is the port. `server.edge.rtmp_connection` has one publisher's connection on it.
"""

import asyncio
import ssl
from typing import Final

from server.edge.ingest import Ingest
from server.edge.listen import opening
from server.edge.rtmp_connection import RtmpConnection
from server.media.rtmp_events import PublishRequested

# A file descriptor, a read buffer and a session each; a node carries fewer publishers than that.
CONNECTIONS_MAX: Final = 512
_BACKLOG: Final = 128


class RtmpServer:
    """Listens for publishers and brings each to `ingest`.

    Attributes:
        port: Where it listens, once it does.
    """

    def __init__(self, ingest: Ingest, *, connections_max: int = CONNECTIONS_MAX) -> None:
        self.ingest = ingest
        self.port = 0
        self._connections_max = connections_max
        self._connections: set[RtmpConnection] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._emptied = asyncio.Event()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def listen(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        setting: str = "gateway.rtmp.port",
    ) -> None:
        """Opens the port; with `tls` it speaks RTMPS.

        Raises:
            AddressInUse: Another program has it.
        """
        loop = asyncio.get_running_loop()
        with opening(host, port, setting=setting):
            self._server = await loop.create_server(
                self.protocol_factory, host, port, ssl=tls, backlog=_BACKLOG
            )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Closes the port and every connection; publications end."""
        if self._server is not None:
            self._server.close()
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for connection in list(self._connections):
            connection.drop("the node is shutting down")
        if self._connections:
            self._emptied.clear()
            await self._emptied.wait()
        if self._server is not None:
            await self._server.wait_closed()

    def protocol_factory(self) -> asyncio.BaseProtocol:
        return RtmpConnection(self)

    def joined(self, connection: RtmpConnection) -> bool:
        """Whether there is room for one more."""
        if len(self._connections) >= self._connections_max:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: RtmpConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def ask(self, connection: RtmpConnection, event: PublishRequested) -> None:
        """Asks the gateway, outside of the call that the network made."""
        name = f"rtmp.ask {connection.peer}"
        task = asyncio.get_running_loop().create_task(connection.ask(event), name=name)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
