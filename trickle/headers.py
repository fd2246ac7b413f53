"""The names that trickle adds to HTTP, and how their values are read.

Spelled as go-livepeer spells them; HTTP does not care, but people who read captures do.
"""

import re
from typing import Final

SEQ: Final = "Lp-Trickle-Seq"
LATEST: Final = "Lp-Trickle-Latest"
CLOSED: Final = "Lp-Trickle-Closed"
RESET: Final = "Lp-Trickle-Reset"
SIZE: Final = "Lp-Trickle-Size"
OLDEST: Final = "Lp-Trickle-Oldest"
DROPPED: Final = "Lp-Trickle-Dropped"
TRUNCATED: Final = "Lp-Trickle-Truncated"
OFFSET: Final = "Lp-Trickle-Offset"
GAPS: Final = "Lp-Trickle-Gaps"
READER: Final = "Lp-Trickle-Reader"
EXPECT_CONTENT: Final = "Expect-Content"

# Those of answers, which a web page may only see when told their names.
ALL: Final = (SEQ, LATEST, CLOSED, SIZE, OLDEST, DROPPED, TRUNCATED, OFFSET, GAPS)

# Clients test for its presence only.
CLOSED_VALUE: Final = "terminated"

# "Entry not found": the channel is there, the segment is not. Outside the registered range on
# purpose, so that no proxy takes it for something it knows.
NO_SEGMENT: Final = 470

_INDEX: Final = re.compile(r"[+-]?[0-9]{1,32}", re.ASCII)
_INT64: Final = 1 << 63


def parse_index(text: str) -> int | None:
    """Reads a sequence number as Go's Atoi does; None when it is none."""
    if _INDEX.fullmatch(text) is None:
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None
