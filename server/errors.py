"""What can go wrong in a node.

Every error answers four questions without anyone matching its message: what to count it as
(`code`), what to tell an HTTP client (`status`), whether trying again could help (`retry`), and
what the person in front of it should do (`remedy`).

* NodeError
    * BadRequest
        * BadParameters
        * BadOffer
        * UnsupportedMedia
        * TooLarge
    * NotAllowed
    * NotFound
        * StreamNotFound
        * SessionNotFound
    * Conflict
        * StreamReplaced
    * Overloaded
        * NoRunnerFree
            * RunnersLoading
        * TooManyViewers
    * OrchestratorFailed
        * OrchestratorUnreachable
        * NoOrchestrator
    * AddressInUse
    * ConfigError
"""

from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """Where a failed piece of work might still succeed."""

    NEVER = "never"
    SAME = "same"
    ELSEWHERE = "elsewhere"


class NodeError(Exception):
    """Base of every error the node raises on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retry: ClassVar[Retry] = Retry.NEVER
    remedy: ClassVar[str] = "Look at the node's log."

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = remedy if remedy is not None else self.remedy


class BadRequest(NodeError):
    """The request cannot be understood as it stands."""

    code, status = "bad_request", 400
    remedy = "Compare the request with /docs."


class BadParameters(BadRequest):
    """The pipeline does not take these parameters."""

    code = "bad_parameters"
    remedy = "GET /pipelines lists every pipeline with the schema of its parameters."


class BadOffer(BadRequest):
    """The SDP offer is malformed or asks for what we cannot do."""

    code = "bad_offer"
    remedy = "Send an SDP offer as a WHIP or WHEP client makes it: H.264 video, Opus audio."


class UnsupportedMedia(BadRequest):
    """The body is of a type, or the media of a codec, that is not taken here."""

    code, status = "unsupported_media", 415
    remedy = "Send the content type that /docs names for this route."


class TooLarge(BadRequest):
    """The body is over the limit."""

    code, status = "too_large", 413
    remedy = "Send less."


class NotAllowed(NodeError):
    """The caller has not shown that it may do this."""

    code, status = "not_allowed", 401
    remedy = "Send the token this node was configured with."


class NotFound(NodeError):
    """Nothing of that name."""

    code, status = "not_found", 404
    remedy = "Check the address against /docs."


class StreamNotFound(NotFound):
    """Nobody publishes that stream."""

    code, retry = "stream_not_found", Retry.SAME
    remedy = "Start publishing first, or check the stream's name."


class SessionNotFound(NotFound):
    """The WHIP or WHEP session is over, or never was."""

    code = "session_not_found"
    remedy = "Connect again with a new offer."


class Conflict(NodeError):
    """It clashes with what is going on."""

    code, status = "conflict", 409
    remedy = "Wait for the other to end, or choose another name."


class StreamReplaced(Conflict):
    """Another publisher took the stream's name; the newest wins."""

    code = "stream_replaced"
    remedy = "Only one publisher per stream name: choose another name."


class Overloaded(NodeError):
    """Not now."""

    code, status, retry = "overloaded", 503, Retry.SAME
    remedy = "Try again in a moment."


class NoRunnerFree(Overloaded):
    """Every runner that could do this is busy."""

    code = "no_runner_free"
    retry = Retry.ELSEWHERE
    remedy = "Wait for a stream to end, or raise orchestrator.runners."


class RunnersLoading(NoRunnerFree):
    """The runners that could do this are still loading."""

    code = "runners_loading"
    retry = Retry.SAME
    remedy = "Wait: nothing needs doing, and it takes seconds with the effects that come along."


class TooManyViewers(Overloaded):
    """The limit on viewers is reached."""

    code = "too_many_viewers"
    remedy = "Raise gateway.viewers_max, or come back later."


class OrchestratorFailed(NodeError):
    """An orchestrator failed us. Another may not."""

    code, status, retry = "orchestrator_failed", 502, Retry.ELSEWHERE
    remedy = "Look at the orchestrator's log."


class OrchestratorUnreachable(OrchestratorFailed):
    """No answer from it."""

    code = "orchestrator_unreachable"
    remedy = "Is it running? Check gateway.orchestrators."


class NoOrchestrator(OrchestratorFailed):
    """None is left to try."""

    code, status = "no_orchestrator", 503
    retry = Retry.SAME
    remedy = "Start one with `penstock orchestrator`, and name it in gateway.orchestrators."


class AddressInUse(NodeError):
    """Another program holds the port."""

    code = "address_in_use"
    remedy = "Stop the other program or choose another port."


class ConfigError(NodeError):
    """A setting is unknown or has a bad value. The message names it and where it came from."""

    code = "config"
    remedy = "`penstock config sample` prints every setting with its meaning."
