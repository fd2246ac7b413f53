"""What can go wrong around a runner.

Like the node's own errors they carry a `code` and an HTTP `status`, so that nobody matches text.

* RunnerError
    * NoRunner
    * RunnerRefused
        * RunnerUnreachable
    * ChildFailed
    * BadJob
        * UnknownModel
        * BadParams
    * Busy
    * NotReady
    * LinkError
    * PictureTooLarge
    * Undecodable
"""

from typing import ClassVar


class RunnerError(Exception):
    """Base of every error that a runner, or whoever starts one, raises on purpose."""

    code: ClassVar[str] = "runner_failed"
    status: int = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NoRunner(RunnerError):
    """No runner that could do this is free."""

    code, status = "no_runner_free", 503


class RunnerRefused(RunnerError):
    """The runner answered with an error of its own.

    Attributes:
        reason: The runner's code for it, such as "bad_parameters".
        status: The HTTP status that it gave.
    """

    code = "runner_refused"

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class RunnerUnreachable(RunnerRefused):
    """The runner's HTTP port gave no answer."""

    code = "runner_unreachable"

    def __init__(self, message: str) -> None:
        super().__init__(502, self.code, message)


class ChildFailed(RunnerError):
    """A child process did not get as far as it should have."""

    code = "child_failed"


class BadJob(RunnerError):
    """The job cannot be done as it stands."""

    code, status = "bad_request", 400


class UnknownModel(BadJob):
    """This runner does not serve that pipeline."""

    code = "unknown_model"


class BadParams(BadJob):
    """The pipeline does not take these parameters."""

    code = "bad_parameters"


class Busy(RunnerError):
    """Another job is being started at this moment."""

    code, status = "busy", 409


class NotReady(RunnerError):
    """The model is still loading, or has failed for good."""

    code, status = "not_ready", 503


class LinkError(RunnerError):
    """What came over the link is not what our own other half would send."""

    code = "link_broken"


class PictureTooLarge(RunnerError):
    """The picture is larger than a slot of the ring."""

    code, status = "picture_too_large", 413


class Undecodable(RunnerError):
    """The video cannot be decoded."""

    code, status = "undecodable", 422
