"""What an RTMP session tells the shell around it: the vocabulary between the two. Pure values."""

from dataclasses import dataclass
from typing import Final

from server.media.rtmp_chunks import Message

# Kinds of messages that are events as they are.
AUDIO: Final = 8
VIDEO: Final = 9


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """The peer wants to publish: answer with `accept` or `refuse`.

    Attributes:
        app: As the peer connected, without its query.
        name: The stream's name, without its query.
        query: The queries of the name, the app and the URL, in this order, without "?".
    """

    app: str
    name: str
    query: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the peer says of its stream (onMetaData)."""

    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class PublishEnded:
    """The peer stopped publishing, and said so."""


Event = Message | PublishRequested | Metadata | PublishEnded
