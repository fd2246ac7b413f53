"""The encoding thread of a stream: results of the model and sound in, pieces of MPEG-TS out.

A piece is the bytes of one access unit, given on as soon as it is made; it says whether it begins
a segment. Every picture keeps the time of the input that it was made from.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from runners.codec import KEYFRAME_EVERY, Colour, Decoded, Encoder
from runners.errors import LinkError
from runners.live.pictures import stand_in
from runners.live.tally import Tally
from runners.live.turnstile import Flight
from runners.pacing import BUDGET_S, Drop, Evenly, SoundHold
from runners.ring import Ring
from runners.sdk import Picture
from trickle.media.mpegts import TsMuxer
from trickle.media.packets import CLOCK_HZ, Codec, Packet

# A picture that only says "restarting" needs to look alive, not smooth.
_STAND_INS_PER_S: Final = 10
# Of sound whose number of channels nobody has said.
_CHANNELS: Final = 2
# A jump back by more is a source that began anew; less is a frame out of order.
_ANEW_TICKS: Final = CLOCK_HZ


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole TS packets.

    Attributes:
        begins_segment: They begin with tables and a keyframe, a second or more after the last.
        made_at: On the monotonic clock.
    """

    data: bytes
    begins_segment: bool
    made_at: float


@dataclass(frozen=True, slots=True)
class _Result:
    flight: Flight
    effect_s: float


@dataclass(frozen=True, slots=True)
class _StandIn:
    pts: int
    captured_at: float
    colour: Colour
    width: int
    height: int
    words: str


@dataclass(frozen=True, slots=True)
class _Sound:
    packet: Packet
    channels: int


class Slots(Protocol):
    """Takes back a slot that was read."""

    def read(self, slot: int) -> None: ...


class Outlet:
    """Encodes what it is given, on a thread of its own."""

    def __init__(
        self,
        ring: Ring,
        tally: Tally,
        *,
        emit: Callable[[Piece], None],
        on_error: Callable[[str], None],
        on_crash: Callable[[BaseException], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describes the thread; `start` starts it.

        Args:
            ring: Where the model's results lie.
            tally: Counts.
            emit: Takes each piece. Called on the thread.
            on_error: Told what could not be encoded. Called on the thread.
            on_crash: Told what ended the thread, if anything did. Called on the thread.
            clock: The clock of `Piece.made_at` and of latencies.
        """
        self._ring = ring
        self._tally = tally
        self._emit = emit
        self._on_error = on_error
        self._on_crash = on_crash
        self._clock = clock
        self._given: queue.SimpleQueue[_Result | _StandIn | _Sound | None] = queue.SimpleQueue()
        self._evenly = Evenly(_STAND_INS_PER_S)
        self._slots: Slots | None = None
        self._encoder: Encoder | None = None
        self._muxer = TsMuxer(Codec.H264, None)
        self._hold = SoundHold()
        self._wants_keyframe = False
        self._shown_slot: int | None = None
        self._last_pts: int | None = None
        self._segment_began: int | None = None
        self._thread = threading.Thread(target=self._run, name="encode", daemon=True)

    def start(self, slots: Slots) -> None:
        """Starts the thread; slots that it has read go back to `slots`."""
        self._slots = slots
        self._thread.start()

    def show(self, flight: Flight, effect_s: float) -> None:
        """A result of the model lies in the ring."""
        self._given.put(_Result(flight, effect_s))

    def stand_in(self, decoded: Decoded, captured_at: float, words: str) -> None:
        """There is no result for this frame's time; a picture that says so is shown."""
        if self._evenly.admits(decoded.pts):
            size = decoded.width, decoded.height
            self._given.put(_StandIn(decoded.pts, captured_at, decoded.colour, *size, words))

    def sound(self, packet: Packet, *, channels: int) -> None:
        """Sound goes through as it is given. `channels` is 0 where nobody has said."""
        self._given.put(_Sound(packet, channels))

    def keyframe(self) -> None:
        """The next picture is to be one that a decoder can start with."""
        self._wants_keyframe = True

    def end(self) -> None:
        """No more will come. What was given is still encoded."""
        self._given.put(None)

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread and says whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._encode_all()
        except Exception as error:  # noqa: BLE001 - the outermost shell of the thread
            self._on_crash(error)

    def _encode_all(self) -> None:
        while (given := self._given.get()) is not None:
            match given:
                case _Result():
                    self._result(given)
                case _StandIn():
                    self._stand_in(given)
                case _Sound(packet=packet, channels=channels):
                    self._declare(packet.codec, channels or _CHANNELS)
                    self._send_sound(self._hold.put(packet, self._clock()))

    def _result(self, result: _Result) -> None:
        flight = result.flight
        try:
            _, picture = self._ring.read(flight.into)
        except LinkError as error:
            self._on_error(f"the model's result is unreadable: {error}")
            self._give_back(flight.into)
            return
        if self._clock() - flight.captured_at - result.effect_s > BUDGET_S:
            # It waited here, for an encoder that cannot keep up.
            self._tally.drop(Drop.LATE)
            self._give_back(flight.into)
            return
        sent = self._encode(picture, flight.pts, flight.colour)
        # The slot that is on the screen stays ours: it is shown again, dimmed, when the model dies.
        if self._shown_slot is not None:
            self._give_back(self._shown_slot)
        self._shown_slot = flight.into
        if sent:
            self._tally.output(
                captured_at=flight.captured_at,
                effect_s=result.effect_s,
                size=(picture.shape[1], picture.shape[0]),
            )

    def _stand_in(self, given: _StandIn) -> None:
        last = None
        width, height = given.width, given.height
        if self._shown_slot is not None:
            _, last = self._ring.read(self._shown_slot)
            height, width = last.shape[:2]
        picture = stand_in(given.words, width=width, height=height, last=last)
        if self._encode(picture, given.pts, given.colour):
            self._tally.output(captured_at=given.captured_at, effect_s=None, size=(width, height))

    def _encode(self, picture: Picture, pts: int, colour: Colour) -> bool:
        """Says whether the picture went out."""
        last = self._last_pts
        if last is not None and last - _ANEW_TICKS < pts <= last:
            self._tally.drop(Drop.OUT_OF_ORDER)
            return False
        is_new = self._encoder is None or not self._encoder.fits(picture, colour)
        if is_new or self._encoder is None:
            self._encoder = Encoder(picture.shape[1], picture.shape[0], colour)
        wanted, self._wants_keyframe = self._wants_keyframe, False
        for packet in self._encoder.encode(picture, pts, keyframe=wanted):
            self._send_picture(packet, is_cut=is_new)
        self._last_pts = pts
        self._send_sound(self._hold.shown(pts, self._clock()))
        return True

    def _send_picture(self, packet: Packet, *, is_cut: bool) -> None:
        began = self._segment_began
        is_due = began is None or not 0 <= packet.pts - began < KEYFRAME_EVERY
        begins = packet.keyframe and (is_due or is_cut)
        if begins:
            self._segment_began = packet.pts
        self._emit(Piece(self._muxer.mux(packet), begins, self._clock()))

    def _declare(self, codec: Codec, channels: int) -> None:
        """The tables say at once that there is sound, or another kind of it."""
        is_news = self._muxer.carry(Codec.H264, codec, opus_channels=channels)
        if is_news and self._segment_began is not None:
            self._emit(Piece(self._muxer.tables(), False, self._clock()))

    def _send_sound(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.codec is self._muxer.audio and self._segment_began is not None:
                self._emit(Piece(self._muxer.mux(packet), False, self._clock()))

    def _give_back(self, slot: int) -> None:
        assert self._slots is not None
        self._slots.read(slot)
