"""The decoding thread of a stream: bytes of MPEG-TS in, decoded frames to the turnstile.

Sound takes no part in this; it goes straight to the outlet, as Opus.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from runners.codec import Decoded, Decoder
from runners.errors import Undecodable
from runners.live.outlet import Outlet
from runners.live.tally import Tally
from runners.live.turnstile import Turnstile
from runners.pacing import Backlog, Drop
from runners.sound import CHANNELS, OpusMaker
from trickle.media.mpegts import TsDemuxer
from trickle.media.packets import CLOCK_HZ, Codec, Packet

# Half a second of the densest stream that anybody sends; beyond it the reader of the network
# pauses, and the trickle server moves us to its newest segment.
MAX_WAITING_BYTES: Final = 4 << 20

# Time that jumps back further than this is a publisher that began anew, not a frame out of order.
_ANEW_TICKS: Final = CLOCK_HZ


class Inlet:
    """Decodes what it is fed, on a thread of its own."""

    def __init__(
        self,
        turnstile: Turnstile,
        outlet: Outlet,
        tally: Tally,
        *,
        on_error: Callable[[str], None],
        on_room: Callable[[], None],
        on_crash: Callable[[BaseException], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describes the thread; `start` starts it.

        Args:
            turnstile: Takes the pictures.
            outlet: Takes the sound.
            tally: Counts.
            on_error: Told of damage. Called on the thread.
            on_room: Told that it may be fed again after `is_full`. Called on the thread.
            on_crash: Told what ended the thread, if anything did. Called on the thread.
            clock: The clock by which the age of frames is judged.
        """
        self._turnstile = turnstile
        self._outlet = outlet
        self._tally = tally
        self._on_error = on_error
        self._on_room = on_room
        self._on_crash = on_crash
        self._clock = clock
        self._fed: queue.SimpleQueue[tuple[bytes, float] | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._demuxer = TsDemuxer()
        self._decoder: Decoder | None = None
        self._opus = OpusMaker()
        self._backlog = Backlog()
        self._last_pts: int | None = None
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)

    @property
    def is_full(self) -> bool:
        return self._waiting_bytes > MAX_WAITING_BYTES

    def start(self) -> None:
        self._thread.start()

    def feed(self, data: bytes) -> None:
        """Takes bytes as they come from the network. Empty ones say that a segment is over."""
        with self._lock:
            self._waiting_bytes += len(data)
        self._fed.put((data, self._clock()))

    def end(self) -> None:
        """No more will come. What was fed is still decoded."""
        self._fed.put(None)

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread and says whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._decode_all()
        except Exception as error:  # noqa: BLE001 - the outermost shell of the thread
            self._on_crash(error)

    def _decode_all(self) -> None:
        while (fed := self._fed.get()) is not None:
            data, captured_at = fed
            packets = self._demuxer.feed(data) if data else self._demuxer.flush()
            for packet in packets:
                self._take(packet, captured_at)
            with self._lock:
                was_full = self.is_full
                self._waiting_bytes -= len(data)
                has_room = was_full and not self.is_full
            if has_room:
                self._on_room()

    def _take(self, packet: Packet, captured_at: float) -> None:
        if not packet.codec.is_video:
            self._take_sound(packet)
            return
        self._tally.input()
        now = self._clock()
        if not self._backlog.decodes(captured_at=captured_at, keyframe=packet.keyframe, now=now):
            self._tally.drop(Drop.DECODE_BEHIND)
            return
        if self._decoder is None or self._decoder.codec is not packet.codec:
            self._decoder = Decoder(packet.codec)
        try:
            frames = self._decoder.decode(packet)
        except Undecodable as error:
            self._tally.drop(Drop.UNDECODABLE)
            self._backlog.broken()
            self._on_error(str(error))
            return
        for decoded in frames:
            if self._is_in_order(decoded):
                self._turnstile.arrive(decoded, captured_at)
            else:
                self._tally.drop(Drop.OUT_OF_ORDER)

    def _take_sound(self, packet: Packet) -> None:
        """Browsers play Opus and nothing else that comes here, so AAC is made into it."""
        if packet.codec is not Codec.AAC:
            self._outlet.sound(packet, channels=self._demuxer.audio_channels)
            return
        try:
            for made in self._opus.convert(packet):
                self._outlet.sound(made, channels=CHANNELS)
        except Undecodable as error:
            self._on_error(str(error))

    def _is_in_order(self, decoded: Decoded) -> bool:
        last = self._last_pts
        if last is not None and last - _ANEW_TICKS < decoded.pts <= last:
            return False
        self._last_pts = decoded.pts
        return True
