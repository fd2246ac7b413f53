"""What a publisher and a subscriber do next, given what the server just said. Decisions only.

`trickle.publisher` and `trickle.subscriber` put connections around them, `trickle.local` puts
function calls around them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from trickle.channel import NEXT
from trickle.headers import NO_SEGMENT

# The server is behind us: either it lost its place, or its answer was made before the bytes that
# moved it. The second passes by itself.
BEHIND_RETRY_S: Final = 0.25

# If it has not passed by then, the publisher really started over.
REWIND_AFTER_S: Final = 2.0

# Asking for the very segment that is due and being refused is a race; once more is enough.
EDGE_RETRY_S: Final = 0.05


class Backoff:
    """How long to wait after a failure, and when to stop trying.

    The budget is time, not tries: a server that restarts takes seconds, however often it is asked.
    """

    def __init__(self, *, first_s: float, most_s: float, budget_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._budget_s = budget_s
        self._delay_s = first_s
        self._since: float | None = None

    def failed(self, now: float) -> float | None:
        """Returns the pause before the next try; None when it is time to give up."""
        if self._since is None:
            self._since = now
        elif now - self._since >= self._budget_s:
            return None
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, self._most_s)
        return delay_s

    def succeeded(self) -> None:
        self._delay_s = self._first_s
        self._since = None


class Verdict(StrEnum):
    """What became of one POST of a segment."""

    PUBLISHED = "published"
    DROPPED = "dropped"  # the segment was closed under us: go on with the next
    ENDED = "ended"  # the channel was closed: nothing more will be taken
    GONE = "gone"  # there is no such channel
    REFUSED = "refused"  # we may not publish here
    RETRY = "retry"  # nothing was sent yet: the same segment again, after a pause
    BROKEN = "broken"  # part of it was sent: release its readers and go on with the next


def judge_post(status: int | None, *, closed: bool, whole: bool, sent: bool) -> Verdict:
    """Reads the answer to a POST.

    Args:
        status: Of the answer; None when the connection broke instead.
        closed: The answer says that the channel has ended.
        whole: The body had been sent to its end before the answer came.
        sent: At least one byte of the body had been sent.
    """
    if status == 404:
        return Verdict.GONE
    if status == 401:
        return Verdict.REFUSED
    if closed:
        return Verdict.ENDED
    if status == 200:
        return Verdict.PUBLISHED if whole else Verdict.DROPPED
    return Verdict.BROKEN if sent else Verdict.RETRY


class PublisherCursor:
    """Which segment comes next.

    Numbers are given out here and nowhere else, at the moment the caller asks: clients that number
    in a background task have sent six messages to segment 0.
    """

    def __init__(self, start: int) -> None:
        self.next_seq = start
        self._first = True

    def take(self) -> tuple[int, bool]:
        """Returns the next number, and whether it is this publisher's first."""
        seq, first = self.next_seq, self._first
        self.next_seq, self._first = seq + 1, False
        return seq, first


@dataclass(frozen=True, slots=True)
class Deliver:
    """The answer is a segment for the caller."""

    seq: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for `position`, after a pause."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class End:
    """There is nothing more. `clean` when the channel said so, rather than being gone."""

    clean: bool


class SubscriberCursor:
    """Which segment to ask for.

    Attributes:
        position: The number to ask for: may be symbolic until the first answer.
        skipped: Segments that were gone before we came to them.
        rewinds: How often the publisher started over.
    """

    def __init__(
        self, start: int, *, complete: bool = False, max_behind: int | None = None
    ) -> None:
        """Starts somewhere.

        Args:
            start: A number, NEXT or CURRENT.
            complete: After falling out of the ring, take up the oldest segment that is left,
                rather than the one that is due: right for events, wrong for live pictures.
            max_behind: Jump to the edge when more segments than this lie between it and us.
        """
        self.position = start
        self._complete = complete
        self._max_behind = max_behind
        self.skipped = 0
        self.rewinds = 0
        self._served = False
        self._behind_since: float | None = None

    def seek(self, seq: int) -> None:
        """Goes elsewhere."""
        self.position = seq
        self._behind_since = None

    def answered(
        self,
        status: int,
        *,
        seq: int | None,
        latest: int | None,
        closed: bool,
        now: float,
        oldest: int | None = None,
    ) -> Deliver | Ask | End | None:
        """Reads an answer; None when it has no meaning in the protocol.

        Args:
            status: Its status.
            seq: Which segment it is about.
            latest: The write head, where the server told.
            closed: The channel has ended.
            now: The present.
            oldest: The lowest segment still to be had, where the server told; go-livepeer does not.
        """
        if closed:
            return End(clean=True)
        if status == 404:
            # A reader that was still busy with a segment when the channel closed learns it so.
            return End(clean=self._served)
        if status == 200:
            self._behind_since = None
            self._served = True
            if seq is not None and seq >= 0:
                behind = 0 if latest is None else latest - seq
                if self._max_behind is not None and behind > max(self._max_behind, 1):
                    self.skipped += behind - 1
                    self.position = seq + behind - 1
                    return Ask(0.0)
                self.position = seq + 1
                return Deliver(seq)
            return Deliver(max(self.position, 0))
        if status == NO_SEGMENT:
            return self._missed(latest, oldest, now)
        return None

    def _missed(self, latest: int | None, oldest: int | None, now: float) -> Ask:
        if latest is None:
            self.position = NEXT
            return Ask(EDGE_RETRY_S)
        if self.position < 0 or latest == self.position:
            return Ask(EDGE_RETRY_S)
        if latest > self.position:
            target = latest
            if self._complete and oldest is not None:
                target = min(max(oldest, self.position + 1), latest)
            self.skipped += target - self.position
            self.position = target
            self._behind_since = None
            return Ask(0.0)
        if self._behind_since is None:
            self._behind_since = now
        if now - self._behind_since < REWIND_AFTER_S:
            return Ask(BEHIND_RETRY_S)
        self.rewinds += 1
        self.position = latest
        self._behind_since = None
        return Ask(0.0)
