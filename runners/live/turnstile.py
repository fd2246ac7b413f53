"""Between the decoder and the model: one frame goes through at a time, and it is the newest.

Three threads meet here. The decoding thread brings frames, the thread that reads the model's
link brings results, and the encoding thread brings back the slots that it has read. Whoever comes
when the model is free and a frame waits sends it through: converts it to RGB straight into a slot
of the ring, and names the slot to the model. A frame that is skipped was never converted.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from runners.codec import Colour, Decoded, ToRgb
from runners.errors import PictureTooLarge
from runners.live.tally import Tally
from runners.messages import Given, Message, Take
from runners.pacing import Drop, Pacer
from runners.ring import Header, Ring

# The screen keeps what it shows for this long before it says that something is the matter. A
# stream's beginning and most restarts of a light effect fit in it.
_QUIET_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Flight:
    """A frame on its way through the model: what its result must be paired with."""

    seq: int
    pts: int
    captured_at: float
    colour: Colour
    into: int


class Desk(Protocol):
    """The model process, as this sees it."""

    inward: Ring
    outward: Ring

    def send(self, message: Message) -> bool: ...


class Results(Protocol):
    """Where results go."""

    def show(self, flight: Flight, effect_s: float) -> None:
        """The result lies in the outward ring; `Turnstile.read` is owed for its slot."""

    def stand_in(self, decoded: Decoded, captured_at: float, words: str) -> None:
        """There is no result for this frame's time; something else may be shown."""


class Turnstile:
    """Gives the model one frame at a time."""

    def __init__(
        self,
        desk: Desk,
        results: Results,
        tally: Tally,
        *,
        on_error: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._results = results
        self._tally = tally
        self._on_error = on_error
        self._clock = clock
        self._lock = threading.Condition()
        self._pacer: Pacer[tuple[Decoded, float]] = Pacer()
        self._to_rgb = ToRgb()
        self._free = list(range(desk.outward.slots))
        self._flight: Flight | None = None
        self._seq = 0
        self._epoch = 0
        self._words = "loading"
        self._open = False
        self._closed_at = clock()

    def opened(self, epoch: int) -> None:
        """The model takes frames of this stream, with the settings of `epoch`."""
        with self._lock:
            self._open = True
            self._epoch = epoch
            self._pump()

    def closed(self, words: str) -> None:
        """The model is gone, and with it the frame that it had.

        Args:
            words: What viewers are told meanwhile.
        """
        with self._lock:
            if self._open:
                self._closed_at = self._clock()
            self._open = False
            self._words = words
            self._pacer.clear(Drop.MODEL_DOWN)
            if self._flight is not None:
                self._free.append(self._flight.into)
                self._flight = None
                self._tally.drop(Drop.MODEL_DOWN)
            self._count_skips()
            self._lock.notify_all()

    def drain(self, timeout_s: float) -> None:
        """Waits until the model has done what waits for it, if it can."""
        with self._lock:
            self._lock.wait_for(
                lambda: not self._open or (self._flight is None and not self._pacer.has_waiting),
                timeout_s,
            )

    def arrive(self, decoded: Decoded, captured_at: float) -> None:
        """A frame has been decoded."""
        with self._lock:
            if self._open or self._clock() - self._closed_at < _QUIET_S:
                self._pacer.arrive((decoded, captured_at), captured_at)
                self._pump()
                return
            self._pacer.clear(Drop.MODEL_DOWN)
            self._count_skips()
            words = self._words
        self._tally.drop(Drop.MODEL_DOWN)
        self._results.stand_in(decoded, captured_at, words)

    def given(self, result: Given) -> None:
        """The model is done with a frame."""
        with self._lock:
            flight = self._flight
            if flight is None or flight.seq != result.seq:
                return  # of a stream that has ended
            self._flight = None
            self._pacer.done(self._clock())
        if result.shown:
            self._results.show(flight, result.effect_s)
        else:
            self._tally.drop(Drop.FAILED if result.error else Drop.WITHHELD)
        with self._lock:
            if not result.shown:
                self._free.append(flight.into)
            self._pump()
            self._lock.notify_all()

    def read(self, slot: int) -> None:
        """A slot of the outward ring may be written again."""
        with self._lock:
            self._free.append(slot)
            self._pump()

    def _pump(self) -> None:
        if not self._open or self._flight is not None or not self._free:
            return
        taken = self._pacer.take(self._clock())
        self._count_skips()
        if taken is not None:
            self._send(*taken)

    def _send(self, decoded: Decoded, captured_at: float) -> None:
        slot = self._seq % self._desk.inward.slots
        header = Header(
            self._seq, decoded.pts, self._epoch, decoded.width, decoded.height, captured_at
        )
        try:
            picture = self._desk.inward.stamp(slot, header)
        except PictureTooLarge as error:
            self._tally.drop(Drop.TOO_LARGE)
            self._on_error(str(error))
            return
        self._to_rgb.convert(decoded, picture)
        into = self._free.pop(0)
        self._flight = Flight(self._seq, decoded.pts, captured_at, decoded.colour, into)
        self._seq += 1
        # Where the model has just died, `closed` comes next and takes the flight back.
        self._desk.send(Take(self._flight.seq, slot, into))

    def _count_skips(self) -> None:
        for reason, count in self._pacer.drops.items():
            self._tally.drop(reason, count)
        self._pacer.drops.clear()
