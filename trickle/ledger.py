"""What a channel's registered readers are still owed, where nothing may be lost. No I/O.

An ordinary reader who is slow loses its own data. On a lossless channel a reader that gave its
name, or that reads one long response, is written down here: what it was not given stays in the
ring, and publishers wait once it is further behind than the channel's window. A reader that gets
nothing for too long is struck off, so that a dead one holds nobody up for ever.
`trickle.channel` asks what may go, `trickle.credit` makes publishers wait.
"""


class _Account:
    __slots__ = ("done", "moved_at")

    def __init__(self, done: int, now: float) -> None:
        self.done = done
        self.moved_at = now


class Ledger:
    """The registered readers of one channel.

    Attributes:
        window: Segments the slowest of them may be behind, the one being written included.
        patience_s: How long publishers wait for a reader that gets nothing.
        struck: Readers that were struck off.
    """

    def __init__(self, window: int, *, patience_s: float) -> None:
        if window < 1:
            raise ValueError(f"a window of {window} segments would let nobody write")
        self.window = window
        self.patience_s = patience_s
        self.struck = 0
        self._accounts: dict[str, _Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    @property
    def floor(self) -> int | None:
        """The lowest segment that somebody is still owed; None when nobody is registered."""
        if not self._accounts:
            return None
        return min(account.done for account in self._accounts.values()) + 1

    def owes(self, seq: int) -> bool:
        """Whether somebody is still owed this segment."""
        return any(account.done < seq for account in self._accounts.values())

    def asked(self, reader: str, seq: int, *, now: float) -> None:
        """A reader asks for a segment. From its first request on, it is owed all that follows.

        Asking for the next one says nothing of the present one: readers connect ahead.
        """
        if reader not in self._accounts:
            self._accounts[reader] = _Account(seq - 1, now)

    def moved(self, reader: str, *, now: float) -> None:
        """A reader took bytes."""
        account = self._accounts.get(reader)
        if account is not None:
            account.moved_at = now

    def finished(self, reader: str, seq: int, *, now: float) -> None:
        """A reader was given all of a segment; what lies below it does not want any more."""
        account = self._accounts.get(reader)
        if account is not None:
            account.done, account.moved_at = max(account.done, seq), now

    def left(self, reader: str) -> None:
        self._accounts.pop(reader, None)

    def rewound(self, seq: int) -> None:
        """The publisher started over at a lower number."""
        for account in self._accounts.values():
            account.done = min(account.done, seq - 1)

    def strike_off(self, head: int, *, held_since: float, now: float) -> None:
        """Forgets who holds publishers up, and got nothing for too long."""
        for reader, account in tuple(self._accounts.items()):
            behind = head - 1 - account.done
            if behind and now - max(account.moved_at, held_since) >= self.patience_s:
                del self._accounts[reader]
                self.struck += 1
