"""Which frames are worth the work: take or skip, the newest wins, and none is shown late.

Pure: frames are whatever the caller says they are, and time comes in as an argument. The bound
that this keeps: what is shown is never older than `BUDGET_S` plus the effect's own time, however
slow the effect and however bursty the network.

* `Backlog` stands before the decoder, which must see every frame or start again at a keyframe.
* `Pacer` stands before the model, which may skip any.
* `SoundHold` lets sound out together with the pictures that it belongs to.
"""

from collections import Counter, deque
from enum import StrEnum
from typing import Final, Generic, TypeVar

from trickle.media.packets import CLOCK_HZ, Packet

# A picture may be this old when it is shown, apart from the time that the effect itself takes.
BUDGET_S: Final = 0.25

# What of the budget is kept back for what comes after the effect: waiting for the encoder to
# finish the picture before, and encoding.
_AFTER_S: Final = 0.05

# So many frames may wait for an effect that is fast enough to catch up: a tenth of a second.
_CATCH_UP_FRAMES: Final = 3
# It is, when its turns take no more than this share of the time between frames.
_CATCH_UP_SHARE: Final = 0.7
# How much the newest interval and turn count against those before.
_SMOOTHING: Final = 0.2

# Coded frames older than this are not decoded. Beyond the budget for pictures, so that a hiccup
# costs single frames and not everything up to the next keyframe.
_DECODE_BUDGET_S: Final = 0.5

# Sound waits no longer than this for its pictures: an effect that is stuck must not silence it.
_SOUND_HOLD_S: Final = 0.5
# A second of Opus in its shortest frames.
_SOUND_HOLD_PACKETS: Final = 400


class Drop(StrEnum):
    """Why a frame was not shown."""

    SUPERSEDED = "superseded"  # a newer one came while the model was busy
    LATE = "late"  # it would have been shown too late
    DECODE_BEHIND = "decode_behind"  # the decoder could not keep up
    UNDECODABLE = "undecodable"
    OUT_OF_ORDER = "out_of_order"  # its time is not after that of the one before
    TOO_LARGE = "too_large"
    MODEL_DOWN = "model_down"  # the model process was loading, or died with it
    FAILED = "failed"  # the pipeline raised
    WITHHELD = "withheld"  # the pipeline gave no picture
    SEND_BEHIND = "send_behind"  # the network did not take it in time


T = TypeVar("T")


class Pacer(Generic[T]):
    """The waiting places in front of the model.

    An effect slower than its input gets the newest frame and no other. One that is faster may
    find a few waiting after a hiccup, and does them all, in order: dropping them would be seen.
    """

    def __init__(self, *, budget_s: float = BUDGET_S) -> None:
        self.drops: Counter[Drop] = Counter()
        self._takes_within_s = budget_s - _AFTER_S
        self._waiting: deque[tuple[T, float]] = deque()
        self._last_arrival: float | None = None
        self._interval_s = 0.0
        self._turn_s = 0.0
        self._taken_at: float | None = None

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def arrive(self, frame: T, captured_at: float) -> None:
        """A decoded frame is there."""
        if self._last_arrival is not None:
            self._interval_s += (captured_at - self._last_arrival - self._interval_s) * _SMOOTHING
        self._last_arrival = captured_at
        self._waiting.append((frame, captured_at))
        self._keep_newest(_CATCH_UP_FRAMES if self._catches_up() else 1)

    def take(self, now: float) -> T | None:
        """The model is free: returns the frame for it, if there is one worth showing."""
        if not self._catches_up():
            self._keep_newest(1)
        while self._waiting:
            frame, captured_at = self._waiting.popleft()
            if now - captured_at <= self._takes_within_s:
                self._taken_at = now
                return frame
            self.drops[Drop.LATE] += 1
        return None

    def done(self, now: float) -> None:
        """The model is through with the frame that was taken."""
        if self._taken_at is not None:
            self._turn_s += (now - self._taken_at - self._turn_s) * _SMOOTHING
            self._taken_at = None

    def clear(self, reason: Drop) -> None:
        """Nobody will take what waits, nor finish what was taken."""
        self.drops[reason] += len(self._waiting)
        self._waiting.clear()
        self._taken_at = None

    def _catches_up(self) -> bool:
        return self._turn_s < self._interval_s * _CATCH_UP_SHARE

    def _keep_newest(self, count: int) -> None:
        while len(self._waiting) > count:
            self._waiting.popleft()
            self.drops[Drop.SUPERSEDED] += 1


class Backlog:
    """Whether coded frames are still worth decoding."""

    def __init__(self) -> None:
        self._skipping = False

    def decodes(self, *, captured_at: float, keyframe: bool, now: float) -> bool:
        """Says whether to decode a frame, or to skip from here to the next timely keyframe."""
        late = now - captured_at > _DECODE_BUDGET_S
        if late:
            self._skipping = True
        elif keyframe:
            self._skipping = False
        return not self._skipping

    def broken(self) -> None:
        """The decoder cannot go on before the next keyframe."""
        self._skipping = True


class SoundHold:
    """Sound waits until the pictures of its time have gone out, so that they stay together."""

    def __init__(self) -> None:
        self._held: deque[tuple[Packet, float]] = deque()
        self._shown_pts: int | None = None

    def put(self, packet: Packet, now: float) -> list[Packet]:
        """Takes a packet and returns those that may go."""
        self._held.append((packet, now))
        return self.release(now)

    def shown(self, pts: int, now: float) -> list[Packet]:
        """A picture goes out; returns the sound that goes with it."""
        self._shown_pts = pts
        return self.release(now)

    def release(self, now: float) -> list[Packet]:
        """Returns the sound that has waited for its picture, or for long enough."""
        packets = []
        while self._held and self._may_go(*self._held[0], now):
            packets.append(self._held.popleft()[0])
        return packets

    def _may_go(self, packet: Packet, since: float, now: float) -> bool:
        if len(self._held) > _SOUND_HOLD_PACKETS or now - since > _SOUND_HOLD_S:
            return True
        return self._shown_pts is not None and packet.pts <= self._shown_pts


class Evenly:
    """Lets through at most so many per second of stream time."""

    def __init__(self, per_s: float) -> None:
        self._ticks = round(CLOCK_HZ / per_s)
        self._last_pts: int | None = None

    def admits(self, pts: int) -> bool:
        if self._last_pts is not None and 0 <= pts - self._last_pts < self._ticks:
            return False
        self._last_pts = pts
        return True
