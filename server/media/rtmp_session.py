"""One RTMP connection of a publisher, from the handshake to the last message.

A machine without I/O: `feed` takes what came from the network and returns what happened, what is to
be sent collects until `take_output`, and `next_timer` says when to call `tick`. The shell around
it is `server.edge.rtmp`. Section numbers refer to Adobe's RTMP specification 1.0.
"""

import struct
from enum import StrEnum
from typing import Final

from server.media import amf
from server.media.errors import RtmpProtocolError
from server.media.rtmp_chunks import (
    ABORT,
    CHUNK_BYTES_OUT,
    SET_CHUNK_SIZE,
    ChunkReader,
    ChunkWriter,
    Message,
)
from server.media.rtmp_events import (
    AUDIO,
    VIDEO,
    Event,
    Metadata,
    PublishEnded,
    PublishRequested,
)

_ACKNOWLEDGEMENT: Final = 3
_USER_CONTROL: Final = 4
_WINDOW: Final = 5
_BANDWIDTH: Final = 6
_DATA_AMF3: Final = 15
_COMMAND_AMF3: Final = 17
_DATA: Final = 18
_COMMAND: Final = 20

_STREAM_BEGIN: Final = 0
_PING: Final = 6
_PONG: Final = 7

_CONTROL_CHUNKS: Final = 2
_COMMAND_CHUNKS: Final = 3
_STATUS_CHUNKS: Final = 5
_STREAM_ID: Final = 1

APP: Final = "live"
NONCE_BYTES: Final = 1528
_HANDSHAKE_BYTES: Final = 1536
_VERSION: Final = 3

# A client on a slow line needs three round trips to here; one that needs longer is no client.
HANDSHAKE_S: Final = 10.0
# From the first byte to the publish command.
PUBLISH_S: Final = 15.0
# A live source that says nothing for so long has gone, whatever its TCP connection thinks.
IDLE_S: Final = 10.0

_WINDOW_BYTES: Final = 2_500_000
_WINDOW_BYTES_MIN: Final = 4096  # so that a peer cannot make us acknowledge every packet
# Commands and metadata are short; only audio and video may be long.
COMMAND_BYTES_MAX: Final = 64 * 1024
_NAME_MAX: Final = 8192  # parameters of a pipeline may travel in the stream's name

# What we take by Enhanced RTMP. AV1 and VP9 are not here, so a client that looks does not try.
_FOURCCS: Final = ("avc1", "hvc1", "mp4a", "Opus")


class Phase(StrEnum):
    """Where a connection is."""

    HANDSHAKE = "handshake"
    COMMANDS = "commands"
    ASKING = "asking"
    PUBLISHING = "publishing"
    CLOSING = "closing"


class RtmpSession:
    """The server's side of one connection.

    Audio and video messages are events as they are, and only while publishing.

    Attributes:
        phase: Where it is.
        refusal: What the peer was told when it was sent away.
    """

    def __init__(self, *, nonce: bytes, now: float) -> None:
        assert len(nonce) == NONCE_BYTES
        self.phase = Phase.HANDSHAKE
        self.refusal = ""
        self._nonce = nonce
        self._began_at = now
        self._heard_at = now
        self._greeted = False
        self._early = b""
        self._reader = ChunkReader()
        self._writer = ChunkWriter()
        self._output: list[bytes] = []
        self._events: list[Event] = []
        self._app = ""
        self._app_query: tuple[str, ...] = ()
        self._stream_id = _STREAM_ID
        self._window = _WINDOW_BYTES
        self._received = 0
        self._acknowledged = 0

    @property
    def closing(self) -> bool:
        """The peer has been told no: send the output, then hang up."""
        return self.phase is Phase.CLOSING

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Takes bytes from the network, and returns what they tell.

        Raises:
            RtmpProtocolError: The peer broke the protocol: call `refuse`, or just hang up.
        """
        self._heard_at = now
        self._received += len(data)
        if self.closing:
            return []
        if self.phase is Phase.HANDSHAKE:
            data = self._handshake(data)
            if not data:
                return []
        for message in self._reader.feed(data):
            if message.kind in (AUDIO, VIDEO):
                if self.phase in (Phase.PUBLISHING, Phase.ASKING):
                    self._events.append(message)
            else:
                self._control(message)
                if self.closing:
                    break
        if self._received - self._acknowledged >= self._window // 2:
            self._acknowledged = self._received
            body = struct.pack(">I", self._received & 0xFFFF_FFFF)
            self._send(_CONTROL_CHUNKS, _ACKNOWLEDGEMENT, body)
        events = self._events
        if events:
            self._events = []
            return events
        return []

    def take_output(self) -> bytes:
        """Returns what is to be sent, and forgets it."""
        if not self._output:
            return b""
        output, self._output = self._output, []
        return b"".join(output)

    def accept(self, now: float) -> None:
        """The stream may be published."""
        if self.phase is not Phase.ASKING:  # it changed its mind before we answered
            return
        self.phase = Phase.PUBLISHING
        self._heard_at = now
        begin = struct.pack(">HI", _STREAM_BEGIN, self._stream_id)
        self._send(_CONTROL_CHUNKS, _USER_CONTROL, begin)
        self._status("status", "NetStream.Publish.Start", "The stream is published.")

    def refuse(self, code: str, description: str) -> None:
        """Tells the peer why it cannot publish, or no longer. Send the output, then hang up."""
        if self.phase not in (Phase.CLOSING, Phase.HANDSHAKE):
            self._status("error", code, description)
        self.refusal = self.refusal or description
        self.phase = Phase.CLOSING

    def next_timer(self) -> float | None:
        """When to call `tick`, if nothing comes before."""
        match self.phase:
            case Phase.HANDSHAKE:
                return self._began_at + HANDSHAKE_S
            case Phase.COMMANDS:
                return self._began_at + PUBLISH_S
            case Phase.PUBLISHING:
                return self._heard_at + IDLE_S
            case Phase.ASKING | Phase.CLOSING:
                return None

    def tick(self, now: float) -> str | None:
        """Returns why the connection must end by now, or None if it may go on."""
        timer = self.next_timer()
        if timer is None or now < timer:
            return None
        match self.phase:
            case Phase.HANDSHAKE:
                return f"no handshake within {HANDSHAKE_S:g} s"
            case Phase.COMMANDS:
                return f"nothing published within {PUBLISH_S:g} s"
            case _:
                return f"no data for {IDLE_S:g} s"

    def _handshake(self, data: bytes) -> bytes:
        """Answers the plain handshake (5.2); returns what came after it."""
        data = self._early + data
        if data[0] != _VERSION:
            raise RtmpProtocolError("the first byte is not RTMP's version 3")
        wanted = 1 + _HANDSHAKE_BYTES
        if not self._greeted and len(data) >= wanted:
            self._greeted = True
            hello = bytes((_VERSION,)) + bytes(8) + self._nonce
            self._output.append(hello + data[1:wanted])
        if len(data) < wanted + _HANDSHAKE_BYTES:
            self._early = data
            return b""
        self._early = b""
        self.phase = Phase.COMMANDS
        return data[wanted + _HANDSHAKE_BYTES :]

    def _control(self, message: Message) -> None:
        body = message.body
        if message.kind in (SET_CHUNK_SIZE, ABORT, _ACKNOWLEDGEMENT, _BANDWIDTH):
            return  # the reader followed the first two; the others are about what we send
        if len(body) > COMMAND_BYTES_MAX:
            raise RtmpProtocolError(f"a command of {len(body)} bytes")
        match message.kind:
            case int() as kind if kind == _WINDOW and len(body) >= 4:
                self._window = max(int.from_bytes(body[:4], "big"), _WINDOW_BYTES_MIN)
            case int() as kind if kind == _USER_CONTROL:
                if body[:2] == struct.pack(">H", _PING):
                    pong = struct.pack(">H", _PONG) + body[2:6]
                    self._send(_CONTROL_CHUNKS, _USER_CONTROL, pong)
            case int() as kind if kind in (_DATA, _DATA_AMF3):
                self._data(amf.decode(body[kind == _DATA_AMF3 :]))
            case int() as kind if kind in (_COMMAND, _COMMAND_AMF3):
                # In an AMF3 command a zero byte comes first, and then AMF0 all the same.
                self._command(amf.decode(body[kind == _COMMAND_AMF3 :]), message.stream)
            case _:
                pass

    def _data(self, values: list[object]) -> None:
        if values and values[0] == "@setDataFrame":
            values = values[1:]
        if len(values) > 1 and values[0] == "onMetaData" and isinstance(values[1], dict):
            self._events.append(Metadata(values[1]))

    def _command(self, values: list[object], stream_id: int) -> None:
        if not values or not isinstance(values[0], str):
            raise RtmpProtocolError("a command without a name")
        name = values[0]
        number = values[1] if len(values) > 1 and isinstance(values[1], float) else 0.0
        if name == "connect":
            self._connect(number, values[2] if len(values) > 2 else None)
            return
        if not self._app:
            raise RtmpProtocolError(f"the command {name:.40} before connect")
        match name:
            case "createStream":
                self._reply(amf.encode("_result", number, None, _STREAM_ID))
            case "releaseStream" | "FCPublish" | "_checkbw" | "getStreamLength":
                self._reply(amf.encode("_result", number, None, None))
            case "publish":
                self._publish(values[3] if len(values) > 3 else "", stream_id)
            case "FCUnpublish" | "deleteStream" | "closeStream":
                if self.phase in (Phase.ASKING, Phase.PUBLISHING):
                    self._events.append(PublishEnded())
                    self.phase = Phase.COMMANDS
                    self._began_at = self._heard_at
            case "play":
                self.refuse("NetStream.Play.Failed", "Streams are watched by WHEP, not by RTMP.")
            case "_result" | "_error" | "onStatus":
                pass
            case _ if number:
                reason = {"level": "error", "code": "NetConnection.Call.Failed"}
                self._reply(amf.encode("_error", number, None, reason))
            case _:
                pass

    def _connect(self, number: float, properties: object) -> None:
        if self._app:
            raise RtmpProtocolError("connect came twice")
        known = properties if isinstance(properties, dict) else {}
        app, _, app_query = str(known.get("app") or "").partition("?")
        _, _, url_query = str(known.get("tcUrl") or "").partition("?")
        app = app.strip("/")
        if app.partition("/")[0] != APP:
            self.refusal = (
                f"There is no application {app!r:.80}: publish to rtmp://host/{APP}/name-of-stream."
            )
            reason = {
                "level": "error",
                "code": "NetConnection.Connect.Rejected",
                "description": self.refusal,
            }
            self._reply(amf.encode("_error", number, None, reason))
            self.phase = Phase.CLOSING
            return
        self._app = app
        self._app_query = (app_query, url_query)
        self._send(_CONTROL_CHUNKS, _WINDOW, struct.pack(">I", _WINDOW_BYTES))
        self._send(_CONTROL_CHUNKS, _BANDWIDTH, struct.pack(">IB", _WINDOW_BYTES, 2))
        self._send(_CONTROL_CHUNKS, SET_CHUNK_SIZE, struct.pack(">I", CHUNK_BYTES_OUT))
        self._writer.chunk_bytes = CHUNK_BYTES_OUT
        server: dict[str, object] = {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31, "mode": 1}
        if "fourCcList" in known or "videoFourCcInfoMap" in known:
            server["fourCcList"] = list(_FOURCCS)
        status = {
            "level": "status",
            "code": "NetConnection.Connect.Success",
            "description": "Connection succeeded.",
            "objectEncoding": 0,
        }
        self._reply(amf.encode("_result", number, server, status))

    def _publish(self, name: object, stream_id: int) -> None:
        if self.phase is not Phase.COMMANDS:
            raise RtmpProtocolError("publish came twice")
        path, _, query = str(name or "").partition("?")
        queries = (query, *self._app_query)
        if len(path) + sum(map(len, queries)) > _NAME_MAX:
            raise RtmpProtocolError("the name of the stream is too long")
        self._stream_id = stream_id or _STREAM_ID
        self.phase = Phase.ASKING
        self._events.append(PublishRequested(self._app, path, queries))

    def _status(self, level: str, code: str, description: str) -> None:
        told = {"level": level, "code": code, "description": description}
        body = amf.encode("onStatus", 0, None, told)
        self._send(_STATUS_CHUNKS, _COMMAND, body, stream=self._stream_id)

    def _reply(self, body: bytes) -> None:
        self._send(_COMMAND_CHUNKS, _COMMAND, body)

    def _send(self, chunk_stream: int, kind: int, body: bytes, *, stream: int = 0) -> None:
        message = Message(kind, stream, 0, body)
        self._output.append(self._writer.write(chunk_stream, message))
