"""How much a trickle server keeps: values only."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What one channel keeps for readers who come late or fall behind.

    Attributes:
        min_segments: Kept whatever their age; go-livepeer keeps exactly these.
        max_segments: Enough for a burst of small documents that one reader takes one by one.
        max_age_s: A live reader further behind than this should jump to the edge instead.
        spare_bytes: More than `min_segments` are kept only within this: half a minute of video.
            Bytes that are soon let go of are also still in the processor's cache.
        max_bytes: Of one channel; the oldest go first. Five segments of 16 MiB and one more.
        max_segment_bytes: Of one segment; its publisher is told 413.
        resume_s: A publisher who vanished inside a segment may come back and resume it this long.
        gap_s: A segment that others have overtaken may still come this long.
    """

    min_segments: int = 5
    max_segments: int = 64
    max_age_s: float = 30.0
    max_bytes: int = 96 * MIB
    spare_bytes: int = 16 * MIB
    max_segment_bytes: int = 64 * MIB
    resume_s: float = 3.0
    gap_s: float = 1.0


@dataclass(slots=True)
class Budget:
    """Bytes held by all channels of one server together."""

    limit: int
    used: int = 0

    @property
    def spent(self) -> bool:
        return self.used >= self.limit
