"""How much a publisher may send, for those that do not work it out themselves.

A sender with transport-wide feedback (`twcc`) needs none of this. The others obey a limit that we
name (REMB): it climbs while little is lost and falls when much is, by the rules that browsers use
for loss. It knows nothing of queues filling up, so it is a second best.
"""

from typing import Final

# Where it starts: enough for 720p30, so that nobody begins with mud.
START_BPS: Final = 2_500_000
FLOOR_BPS: Final = 150_000
CEILING_BPS: Final = 12_000_000

_GROWTH: Final = 1.25  # per report, once a second
_HEADROOM: Final = 2.0  # never promise more than this times what was seen to arrive, plus a start
_LOSS_LOW: Final = 0.02
_LOSS_HIGH: Final = 0.10


class LossEstimate:
    """The limit, from what one report period saw."""

    def __init__(self) -> None:
        self.limit_bps = START_BPS

    def update(self, *, lost_share: float, arrived_bps: float) -> int:
        """Takes a period's loss and rate; returns the limit to announce."""
        if lost_share > _LOSS_HIGH:
            fallen = max(arrived_bps, FLOOR_BPS) * (1 - 0.5 * lost_share)
            self.limit_bps = int(min(self.limit_bps, fallen))
        elif lost_share < _LOSS_LOW:
            reach = arrived_bps * _HEADROOM + START_BPS
            grown = min(self.limit_bps * _GROWTH, reach)
            self.limit_bps = int(max(self.limit_bps, grown))
        self.limit_bps = min(CEILING_BPS, max(FLOOR_BPS, self.limit_bps))
        return self.limit_bps
