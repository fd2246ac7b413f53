"""Counters that wrap, read as counters that do not.

MPEG-TS counts to 2**33, RTMP and RTP to 2**32. A `Packet` has no such edge, so whoever reads one
of these formats puts an `Unwrapper` between.
"""


class Unwrapper:
    """Turns stamps of `bits` bits into integers that go on past the edge.

    Every stamp is taken to be the nearest one to the last, in either direction: so one unwrapper
    serves audio and video that share a clock, and they stay together across the edge. A stamp far
    from the last may be damaged, so others are measured against it only once a second one agrees.
    """

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._far = self._span // 8
        self._last: int | None = None
        self._doubted: int | None = None
        self._trusted = False  # a second stamp has agreed with the first

    def unwrap(self, stamp: int) -> int:
        if self._last is None:
            self._last = stamp
            return stamp
        value = self.near(stamp, self._last)
        if abs(value - self._last) >= self._far:
            if not self._trusted:
                self._last = stamp  # one of the first two is damaged, and nobody can say which
                return stamp
            doubted, self._doubted = self._doubted, value
            if doubted is None:
                return value
            value = self.near(stamp, doubted)
            if abs(value - doubted) >= self._far:
                return value
        self._doubted = None
        self._trusted = True
        self._last = value
        return value

    def near(self, stamp: int, reference: int) -> int:
        """The value nearest to `reference` that would be stamped so."""
        ahead = (stamp - reference) % self._span
        return reference + (ahead if ahead < self._span // 2 else ahead - self._span)
