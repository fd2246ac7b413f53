"""One segment: bytes that can be read while they are still arriving.

Nothing here waits or knows of HTTP. `trickle.channel` decides who may write, the shells around it
(`trickle.connection`, `trickle.local`) watch.
"""

from typing import Protocol


class Watcher(Protocol):
    """Whoever wants to know that a segment changed. Must return at once and never raise."""

    def changed(self) -> None: ...


class Segment:
    """An append-only run of bytes with any number of readers.

    Every piece is stored once, as it came, and never changed: a reader keeps its own index into
    `chunks`, so a slow reader costs nothing and two readers can never disturb each other.

    Attributes:
        seq: Its number in the channel.
        chunks: The pieces so far. Only ever appended to.
        size: Bytes in `chunks`.
        ended: The tail is final for whoever reads now.
        truncated: It ended because its writer vanished or was overtaken.
        void: It ended without anybody ever having written it: readers are told it does not exist.
        writers: How many publishers are connected for it.
        ended_at: When, on the caller's clock; meaningless before.
        began_at: When its first byte came, on the caller's clock; meaningless before.
        memos: What shells worked out for all readers at the live edge, each under a name of its
            own. Emptied at every change.
    """

    __slots__ = (
        "_watchers",
        "began_at",
        "chunks",
        "ended",
        "ended_at",
        "memos",
        "seq",
        "size",
        "truncated",
        "void",
        "writers",
    )

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.chunks: list[bytes] = []
        self.size = 0
        self.ended = False
        self.truncated = False
        self.void = False
        self.writers = 0
        self.ended_at = 0.0
        self.began_at = 0.0
        self.memos: dict[str, list[bytes]] = {}
        self._watchers: dict[Watcher, None] = {}

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    def append(self, data: bytes, *, end: bool = False, now: float = 0.0) -> None:
        """Adds bytes at the tail, and perhaps ends it in the same breath: watchers hear once.

        A segment that has ended still takes the bytes of a writer who was connected before:
        readers who come later see them, as they do with go-livepeer.
        """
        if data:
            self.chunks.append(data)
            self.size += len(data)
        if end and not self.ended:
            self.ended, self.ended_at = True, now
        self._changed()

    def end(self, now: float, *, truncated: bool = False, void: bool = False) -> None:
        """Marks the tail as final. Ending twice is harmless."""
        if not self.ended:
            self.ended, self.ended_at = True, now
            self.truncated, self.void = truncated, void
            self._changed()

    def read(self, position: int = 0) -> bytes:
        """Returns everything after the first `position` chunks, joined."""
        return b"".join(self.chunks[position:])

    def watch(self, watcher: Watcher) -> None:
        """Tells `watcher` of every change from now on, until `unwatch`."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)

    def _changed(self) -> None:
        self.memos.clear()
        if self._watchers:
            # A copy, because watchers leave when they hear the end.
            for watcher in tuple(self._watchers):
                watcher.changed()
