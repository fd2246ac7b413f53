"""The seam between the edge and whoever runs streams: what a streamer or a viewer may ask for.

The protocols here are declared by the edge, which uses them, and are met by the gateway. A test's
fake of either is a dozen lines. Nothing here opens a socket.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from server.errors import BadRequest
from server.media.stream import LiveStream
from trickle.media.packets import Packet

# What fits a path, a log line, a file name and a trickle channel without escaping.
STREAM_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class BadStreamName(BadRequest):
    """A stream cannot be called that."""

    code = "bad_stream_name"
    remedy = "Use 1 to 128 letters, digits, '_', '.' or '-', and begin with a letter or digit."


def check_stream_name(name: str) -> str:
    """Returns the name, if a stream may have it.

    Raises:
        BadStreamName: It may not.
    """
    if STREAM_NAME.fullmatch(name) is None:
        shown = name if len(name) <= 140 else f"{name[:140]}..."
        raise BadStreamName(f"{shown!r} cannot be the name of a stream")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Someone wants to publish.

    Attributes:
        stream: A name that `check_stream_name` has passed.
        protocol: "whip" or "rtmp".
        peer: The address it comes from, for logs.
        pipeline: What is to be done to the pictures; None for the node's default.
        params: That pipeline's parameters; None for its defaults.
        token: What the streamer shows to be let in.
    """

    stream: str
    protocol: str
    peer: str
    pipeline: str | None = None
    params: dict[str, object] | None = None
    token: str | None = field(default=None, repr=False)


class Publication(Protocol):
    """One publisher's hold on a stream. The edge calls its methods, the gateway its callbacks.

    Attributes:
        on_closed: Set by the edge. Called with the reason when the gateway ends the publication
            (replaced, kicked, failed); the edge then drops the connection.
        on_keyframe_wanted: Set by the edge, where the protocol can ask the streamer for one.
    """

    on_closed: Callable[[str], None] | None
    on_keyframe_wanted: Callable[[], None] | None

    def packet(self, packet: Packet) -> None:
        """Takes a packet of the source, at once."""
        ...

    def end(self, reason: str, *, goodbye: bool = False) -> None:
        """The publisher has gone. Safe to call again; `on_closed` is not called for it.

        Args:
            reason: Why, for logs.
            goodbye: It said so, and was not merely cut off: it will hardly be back at once.
        """
        ...


class Ingest(Protocol):
    """Who takes streams in."""

    async def publish(self, request: PublishRequest) -> Publication:
        """Lets a publisher in.

        Raises:
            NodeError: It is refused; the message is for the streamer to read.
        """
        ...


class Viewing(Protocol):
    """Who gives streams out."""

    async def view(self, stream: str, *, source: bool, wait: bool) -> LiveStream:
        """Returns the stream to watch, for as long as the viewer has not `left`.

        Args:
            stream: Its name.
            source: The input, untouched, in place of the result.
            wait: Answer even when nobody publishes yet; media flows when there is some.

        Raises:
            NodeError: It is refused, or there is none and `wait` is false.
        """
        ...

    def left(self, stream: str) -> None:
        """One viewer of `view` has gone."""
        ...
