"""Counters that wrap, read as counters that do not.

MPEG-TS counts to 2**33, RTMP and RTP to 2**32. A `Packet` has no such edge, so whoever reads one
of these formats puts an `Unwrapper` between.
"""


class Unwrapper:
    """Turns stamps of `bits` bits into integers that go on past the edge.

    Every stamp is taken to be the nearest one to the last, in either direction: so one unwrapper
    serves audio and video that share a clock, and they stay together across the edge.
    """

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._last: int | None = None

    def unwrap(self, stamp: int) -> int:
        if self._last is None:
            self._last = stamp
        else:
            self._last = self.near(stamp, self._last)
        return self._last

    def near(self, stamp: int, reference: int) -> int:
        """The value nearest to `reference` that would be stamped so."""
        ahead = (stamp - reference) % self._span
        return reference + (ahead if ahead < self._span // 2 else ahead - self._span)
