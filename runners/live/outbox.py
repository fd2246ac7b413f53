"""What is ready to go out and waits for the network: bounded in time, not in bytes.

Pure but for the one event that wakes the sender. A network that falls behind costs whole pictures
up to the next keyframe, and never a growing delay.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from runners.live.outlet import Piece

# Older than this and the pieces are not worth sending: whoever watches live wants what is now.
_MAX_AGE_S: Final = 1.0
# And never more than this, whatever the clock says.
_MAX_PIECES: Final = 500


class Outbox:
    """A queue between the encoding thread (by way of the event loop) and the publisher."""

    def __init__(self, *, on_behind: Callable[[int], None]) -> None:
        """Makes an outbox.

        Args:
            on_behind: Told how many pieces were thrown away; a keyframe is wanted then.
        """
        self._pieces: deque[Piece] = deque()
        self._filled = asyncio.Event()
        self._on_behind = on_behind
        self._skips = False
        self._ended = False

    def put(self, piece: Piece, now: float) -> None:
        """Takes a piece, or throws it away with what waits if that is too old by now."""
        if self._skips and not piece.begins_segment:
            self._on_behind(1)
            return
        self._skips = False
        if self._pieces:
            is_old = now - self._pieces[0].made_at > _MAX_AGE_S
            if is_old or len(self._pieces) >= _MAX_PIECES:
                self._on_behind(len(self._pieces))
                self._pieces.clear()
                self._skips = not piece.begins_segment
        if not self._skips:
            self._pieces.append(piece)
            self._filled.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._filled.set()

    async def get(self) -> Piece | None:
        """Waits for the next piece; None when there will be none."""
        while not self._pieces:
            if self._ended:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self._pieces.popleft()
