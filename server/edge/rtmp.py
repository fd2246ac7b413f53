"""RTMP: takes streams from OBS, ffmpeg and everything else that speaks it.

The shell around `server.media.rtmp_session`, which knows the protocol, and `server.media.flv`,
which knows the media. Here are sockets, timers and whom to ask. Nothing is decoded, and packets go
to the publication within the call that brought their last byte.
"""

import asyncio
import json
import secrets
import ssl
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import parse_qs

import structlog

from server.edge.ingest import Ingest, Publication, PublishRequest, check_stream_name
from server.edge.listen import opening
from server.errors import BadParameters, BadRequest, Conflict, NodeError
from server.media.errors import CodecNotTaken, MediaError
from server.media.flv import FlvReader
from server.media.rtmp_chunks import Message
from server.media.rtmp_session import (
    NONCE_BYTES,
    VIDEO,
    Event,
    Metadata,
    PublishEnded,
    PublishRequested,
    RtmpSession,
)

# A file descriptor, a read buffer and a session each; a node carries fewer publishers than that.
CONNECTIONS_MAX: Final = 512
# What is read at once: at 6 Mb/s, a picture and more.
READ_BYTES: Final = 64 * 1024
# We send acknowledgements and little else; a peer that does not read even those is not well.
UNSENT_BYTES_MAX: Final = 64 * 1024
# How long the peer may take to read why we hang up, while what it still sends is thrown away:
# closing on unread bytes would reset the connection and take our last words with it.
LINGER_S: Final = 1.0
# Finding and starting a runner is not part of this: a stream is let in before it has one.
ANSWER_S: Final = 15.0

_BACKLOG: Final = 128

_log = structlog.get_logger(__name__)


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
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, setting: str = "rtmp-port"
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

    def joined(self, connection: "RtmpConnection") -> bool:
        """Whether there is room for one more."""
        if len(self._connections) >= self._connections_max:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: "RtmpConnection") -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def ask(self, connection: "RtmpConnection", event: PublishRequested) -> None:
        """Asks the gateway, outside of the call that the network made."""
        name = f"rtmp.ask {connection.peer}"
        task = asyncio.get_running_loop().create_task(connection.ask(event), name=name)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)


class RtmpConnection(asyncio.BufferedProtocol):
    """One publisher's connection."""

    def __init__(self, server: RtmpServer) -> None:
        self.peer = "?"
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._session = RtmpSession(nonce=secrets.token_bytes(NONCE_BYTES), now=self._loop.time())
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._publication: Publication | None = None
        self._flv = FlvReader()
        self._held: list[Event] = []
        self._asking = False
        self._closing = False
        self._log = _log

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self.peer = f"{peername[0]}:{peername[1]}" if peername else "?"
        self._log = _log.bind(peer=self.peer)
        if not self._server.joined(self):
            self._log.warning("rtmp connection refused: too many")
            self._transport.abort()
            return
        self._set_timer()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's interface
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing:
            return
        try:
            events = self._session.feed(bytes(self._buffer[:nbytes]), self._loop.time())
        except MediaError as error:
            self._refuse("NetConnection.Call.Failed", str(error))
            return
        self._flush()
        self._take_all(events)
        if self._session.closing and not self._closing:
            self._log.info("rtmp connection ends", reason=self._session.refusal)
            self._closing = True
            self._end(self._session.refusal)
            self._hang_up()

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._server.left(self)
        self._end("the publisher's connection broke" if exc else "the publisher disconnected")

    # Called by the server.

    async def ask(self, event: PublishRequested) -> None:
        """Asks to be let in, and tells the peer the answer."""
        try:
            request = _request(event, self.peer)
            async with asyncio.timeout(ANSWER_S):
                publication = await self._server.ingest.publish(request)
        except NodeError as error:
            self._log.info("rtmp publish refused", code=error.code, reason=error.message)
            self._refuse(_status_code(error), f"{error.message}. {error.advice}")
        except TimeoutError:
            self._log.warning("rtmp publish not answered", after_s=ANSWER_S)
            self._refuse("NetStream.Publish.Rejected", "The node is too busy. Try again.")
        except Exception:  # noqa: BLE001 - the shell of the task: the peer must hear something
            self._log.exception("rtmp publish failed")
            self._refuse("NetStream.Publish.Rejected", "The node failed; its log says why.")
        else:
            self._accept(request, publication)

    def drop(self, reason: str) -> None:
        """Ends the connection at once."""
        self._closing = True
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    # The rest is private.

    def _accept(self, request: PublishRequest, publication: Publication) -> None:
        if self._closing:
            publication.end("the publisher left before it was let in")
            return
        self._asking = False
        self._publication = publication
        self._flv = FlvReader()
        publication.on_closed = self._on_closed
        self._log.info("rtmp publishing", stream=request.stream)
        self._session.accept(self._loop.time())
        self._flush()
        self._set_timer()
        held, self._held = self._held, []
        self._take_all(held)
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def _take_all(self, events: list[Event]) -> None:
        for index, event in enumerate(events):
            if self._asking:  # what follows waits for the answer
                self._held += events[index:]
                return
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Message():
                self._media(event)
            case PublishRequested():
                self._asking = True
                assert self._transport is not None
                self._transport.pause_reading()  # so what it sends meanwhile waits at the peer
                self._server.ask(self, event)
            case PublishEnded():
                self._end("the publisher stopped")
                self._set_timer()
            case Metadata():
                self._log.debug("rtmp metadata", encoder=str(event.values.get("encoder", ""))[:80])

    def _media(self, message: Message) -> None:
        publication = self._publication
        if publication is None:
            return
        try:
            if message.kind == VIDEO:
                packets = self._flv.video(message.timestamp_ms, message.body)
            else:
                packets = self._flv.audio(message.timestamp_ms, message.body)
        except CodecNotTaken as error:
            self._refuse("NetStream.Publish.Rejected", str(error))
            return
        except MediaError as error:
            self._refuse("NetStream.Publish.Rejected", f"The media is malformed: {error}.")
            return
        for packet in packets:
            publication.packet(packet)

    def _on_closed(self, reason: str) -> None:
        """The gateway ended the publication."""
        self._publication = None
        self._refuse("NetStream.Publish.BadName", reason)

    def _refuse(self, code: str, description: str) -> None:
        """Says why, and hangs up when the peer has had time to read it."""
        if self._closing:
            return
        self._log.info("rtmp connection ends", code=code, reason=description)
        self._closing = True
        self._asking = False
        self._end(description)
        self._session.refuse(code, description)
        self._hang_up()

    def _hang_up(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._flush()
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self._set_alarm(self._loop.time() + LINGER_S, transport.abort)

    def _end(self, reason: str) -> None:
        publication, self._publication = self._publication, None
        self._held = []
        if publication is not None:
            publication.on_closed = None
            publication.end(reason)

    def _flush(self) -> None:
        output = self._session.take_output()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if output:
            transport.write(output)
            if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
                self.drop("the publisher does not read")

    def _set_timer(self) -> None:
        due = self._session.next_timer()
        if due is not None:
            self._set_alarm(due, self._tick)

    def _set_alarm(self, due: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, call)

    def _tick(self) -> None:
        """Ends the connection if it is late; else looks again when it could be."""
        reason = self._session.tick(self._loop.time())
        if reason is None:
            self._timer = None
            self._set_timer()
        else:
            self._refuse("NetConnection.Connect.IdleTimeOut", reason)


def _request(event: PublishRequested, peer: str) -> PublishRequest:
    """Reads the stream's name, from the key or the path, and what its queries ask for.

    Raises:
        BadRequest: Something in it cannot be.
    """
    _, _, path = event.app.partition("/")
    name = "/".join(part.strip("/") for part in (path, event.name) if part.strip("/"))
    if not name:
        raise BadRequest(
            "no stream key",
            remedy="In OBS, enter a name of your choice as the stream key.",
        )
    asked: dict[str, str] = {}
    for query in event.query:
        for key, values in parse_qs(query, keep_blank_values=False).items():
            asked.setdefault(key, values[0])
    return PublishRequest(
        stream=check_stream_name(name),
        protocol="rtmp",
        peer=peer,
        pipeline=asked.get("pipeline"),
        params=_params(asked.get("params")),
        token=asked.get("token") or asked.get("pass"),
    )


def _params(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        params = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadParameters(f"params is not JSON: {error}") from None
    if not isinstance(params, dict):
        raise BadParameters("params is not a JSON object")
    return params


def _status_code(error: NodeError) -> str:
    taken_or_impossible = isinstance(error, Conflict) or error.code == "bad_stream_name"
    return f"NetStream.Publish.{'BadName' if taken_or_impossible else 'Rejected'}"
