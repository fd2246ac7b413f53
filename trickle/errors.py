"""What can go wrong on a trickle channel, and what the other side should be told.

`code` is for counting, `status` is what the server answers over HTTP; nobody matches texts.

* TrickleError
    * ChannelError
        * ChannelNotFound
        * ChannelClosed
        * EndOfStream
    * SegmentError
        * SegmentNotReady
        * SegmentGone
    * BadIndex
    * BadParameter
    * SegmentTooLarge
    * NotAllowed
    * TooMany
    * Refused
    * DocumentTooLarge
    * ConnectionFailed
    * UnexpectedAnswer
"""

from typing import ClassVar


class TrickleError(Exception):
    """Base of every error this package raises on purpose."""

    code: ClassVar[str] = "trickle"
    status: ClassVar[int] = 500


class ChannelError(TrickleError):
    """The channel as a whole cannot be used."""

    reason: ClassVar[str] = "cannot be used"

    def __init__(self, name: str) -> None:
        super().__init__(f"channel {name!r} {self.reason}")
        self.name = name


class ChannelNotFound(ChannelError):
    """No channel has this name, or it was swept after standing idle."""

    code = "channel_not_found"
    status = 404
    reason = "does not exist"


class ChannelClosed(ChannelError):
    """The channel was closed under a publisher; nothing more can be written."""

    code = "channel_closed"
    status = 404
    reason = "is closed"


class EndOfStream(ChannelError):
    """The publisher closed the channel and everything in it has been read: a good end."""

    code = "end_of_stream"
    status = 404
    reason = "has ended"


class SegmentError(TrickleError):
    """One segment cannot be had, though its channel lives."""

    status = 470
    reason: ClassVar[str] = "cannot be had"

    def __init__(self, seq: int, *, latest: int) -> None:
        super().__init__(f"segment {seq} {self.reason} (latest is {latest})")
        self.seq = seq
        self.latest = latest


class SegmentNotReady(SegmentError):
    """The reader asked too far ahead of the write head."""

    code = "segment_not_ready"
    reason = "is not written yet"


class SegmentGone(SegmentError):
    """The reader fell behind and the ring has moved on, or nobody ever wrote that segment."""

    code = "segment_gone"
    reason = "is not in the ring"


class BadIndex(TrickleError):
    """A sequence number that means nothing."""

    code = "bad_index"
    status = 400

    def __init__(self, given: int | str) -> None:
        super().__init__(f"{given} is no sequence number (expected 0 and up, or -1, or -2 to read)")


class BadParameter(TrickleError):
    """Something in the query of a request that cannot be understood."""

    code = "bad_parameter"
    status = 400

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")


class NotAllowed(TrickleError):
    """The server wants a token, and this one, or none, will not do."""

    code = "not_allowed"
    status = 401

    def __init__(self, name: str) -> None:
        super().__init__(f"channel {name!r} wants another token than the one given, if any was")
        self.name = name


class SegmentTooLarge(TrickleError):
    """One segment is over its limit. What came before the limit was delivered."""

    code = "segment_too_large"
    status = 413


class TooMany(TrickleError):
    """The server holds as many channels, connections or bytes as it may."""

    code = "too_many"
    status = 503


class Refused(TrickleError):
    """A hook said no; raised by the hook. `answer` is the status to give, 4xx."""

    code = "refused"

    def __init__(self, answer: int, message: str) -> None:
        super().__init__(message)
        self.answer = answer if 400 <= answer < 500 else 400


class DocumentTooLarge(TrickleError):
    """A JSON document that other implementations could not read in one go."""

    code = "document_too_large"


class ConnectionFailed(TrickleError):
    """The server could not be reached, or stopped taking or sending bytes, for too long."""

    code = "connection_failed"
    status = 502


class UnexpectedAnswer(TrickleError):
    """The server answered with a status that the protocol has no meaning for."""

    code = "unexpected_answer"
    status = 502

    def __init__(self, what: str, answer: int) -> None:
        super().__init__(f"{what} was answered with status {answer}")
        self.answer = answer
