"""One publisher's RTMP connection: the shell around the session and the media it brings.

`server.media.rtmp_session` knows the protocol and `server.media.flv` the media; here are the
transport, the timer and whom to ask. Nothing is decoded, and packets go to the publication within
the call that brought their last byte. `server.edge.rtmp` makes one for every connection.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Protocol, cast

import structlog

from server.edge.ingest import Ingest, Publication, PublishRequest
from server.edge.rtmp_request import publish_request, status_code
from server.errors import NodeError
from server.media.errors import CodecNotTaken, MediaError
from server.media.flv import FlvReader
from server.media.rtmp_chunks import Message
from server.media.rtmp_events import VIDEO, Event, Metadata, PublishEnded, PublishRequested
from server.media.rtmp_session import NONCE_BYTES, RtmpSession

# What is read at once: at 6 Mb/s, a picture and more.
READ_BYTES: Final = 64 * 1024
# We send acknowledgements and little else; a peer that does not read even those is not well.
UNSENT_BYTES_MAX: Final = 64 * 1024
# How long the peer may take to read why we hang up, while what it still sends is thrown away:
# closing on unread bytes would reset the connection and take our last words with it.
LINGER_S: Final = 1.0
# Finding and starting a runner is not part of this: a stream is let in before it has one.
ANSWER_S: Final = 15.0

_log = structlog.get_logger(__name__)


class Host(Protocol):
    """What a connection needs of the server it belongs to."""

    ingest: Ingest

    def joined(self, connection: "RtmpConnection") -> bool: ...

    def left(self, connection: "RtmpConnection") -> None: ...

    def ask(self, connection: "RtmpConnection", event: PublishRequested) -> None: ...


class RtmpConnection(asyncio.BufferedProtocol):
    """One publisher's connection."""

    def __init__(self, server: Host) -> None:
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
            request = publish_request(event, self.peer)
            async with asyncio.timeout(ANSWER_S):
                publication = await self._server.ingest.publish(request)
        except NodeError as error:
            self._log.info("rtmp publish refused", code=error.code, reason=error.message)
            self._refuse(status_code(error), f"{error.message}. {error.advice}")
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
                self._end("the publisher stopped", goodbye=True)
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

    def _end(self, reason: str, *, goodbye: bool = False) -> None:
        publication, self._publication = self._publication, None
        self._held = []
        if publication is not None:
            publication.on_closed = None
            publication.end(reason, goodbye=goodbye)

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
