"""What a process and its own children say to each other over a link.

A message is a frozen dataclass; on the wire it is a map of its fields with its name under "t".
Two conversations use them: the *life* of a child (`runners.host` and `runners.child`) and the
*work* of a model process (`runners.live.model` and `runners.live.process`). Raw pictures never
travel here: `Take` and `Given` only name slots of the shared rings.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

from runners.errors import LinkError

# ---- life: child to parent


@dataclass(frozen=True, slots=True)
class Ready:
    """The child can be used.

    Attributes:
        details: What the parent needs to use it; a runner names its port and its pipelines.
    """

    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to `Ping`."""

    number: int


@dataclass(frozen=True, slots=True)
class Report:
    """Something about the child changed that its parent should act on.

    Attributes:
        status: A word of `runners.health.RunnerStatus`.
        message: Why, for people.
    """

    status: str
    message: str


# ---- life: parent to child


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""

    number: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End in good order; you will be killed after `grace_s`."""

    grace_s: float


# ---- work: runner to model process


@dataclass(frozen=True, slots=True)
class Open:
    """A stream begins: make an instance of `pipeline` with `params`.

    Attributes:
        epoch: Counts the settings of this stream. Answered with `Opened` or `Refused`.
    """

    pipeline: str
    params: dict[str, Any]
    epoch: int


@dataclass(frozen=True, slots=True)
class Update:
    """Change parameters between two frames.

    Attributes:
        pipeline: Another pipeline to go on with, or None to keep this one.
        params: Merged onto the current ones; onto the defaults where the pipeline changes.
        epoch: As for `Open`.
    """

    pipeline: str | None
    params: dict[str, Any]
    epoch: int


@dataclass(frozen=True, slots=True)
class Take:
    """A frame to process: read it from `slot`, write the result to `into`."""

    seq: int
    slot: int
    into: int


@dataclass(frozen=True, slots=True)
class Close:
    """The stream has ended."""


# ---- work: model process to runner


@dataclass(frozen=True, slots=True)
class Opened:
    """The settings of `epoch` hold from the next frame on. `params` are all of them."""

    epoch: int
    pipeline: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """The settings of `epoch` cannot be had; those before it stay."""

    epoch: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Given:
    """A frame is done.

    Attributes:
        seq: Of the `Take`.
        shown: False when there is no picture: the pipeline withheld it, or failed.
        epoch: Which settings it was made with.
        effect_s: How long the pipeline took.
        error: What the pipeline raised, if it did. With `shown`, the slot then holds the input.
    """

    seq: int
    shown: bool
    epoch: int
    effect_s: float
    error: str | None


Message = (
    Ready | Pong | Report | Ping | Stop | Open | Update | Take | Close | Opened | Refused | Given
)

_TAG: Final = "t"
_TYPES: Final[dict[str, type[Message]]] = {
    kind.__name__.lower(): kind
    for kind in (
        Ready,
        Pong,
        Report,
        Ping,
        Stop,
        Open,
        Update,
        Take,
        Close,
        Opened,
        Refused,
        Given,
    )
}
_NAMES: Final = {kind: name for name, kind in _TYPES.items()}
_FIELDS: Final = {kind: tuple(field.name for field in fields(kind)) for kind in _NAMES}


def to_map(message: Message) -> dict[str, Any]:
    """Returns the wire form of a message."""
    kind = type(message)
    body: dict[str, Any] = {name: getattr(message, name) for name in _FIELDS[kind]}
    body[_TAG] = _NAMES[kind]
    return body


def from_map(body: object) -> Message:
    """Returns the message that `to_map` made.

    Raises:
        LinkError: It made no such thing. Types of fields are not checked: both ends are ours.
    """
    if not isinstance(body, dict):
        raise LinkError(f"a link message is a map, not {type(body).__name__}")
    kind = _TYPES.get(body.pop(_TAG, ""))
    if kind is None or set(body) != set(_FIELDS[kind]):
        raise LinkError(f"no link message has the fields {sorted(map(str, body))}")
    return kind(**body)
