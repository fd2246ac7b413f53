"""How well one source is received, counted as RFC 3550 appendix A has it."""

from server.media.rtc.rtcp import ReportBlock, ntp_middle


class Reception:
    """Counts the packets of one source; `block` turns that into a report.

    Attributes:
        received: Packets that came, retransmissions not counted.
    """

    def __init__(self, ssrc: int, clock_hz: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self._clock_hz = clock_hz
        self._first: int | None = None
        self._highest = 0  # with the wraps counted above 16 bits
        self._jitter = 0.0
        self._last: tuple[int, float] | None = None
        self._before = (0, 0)  # expected and received at the last report
        self._report_ntp = 0
        self._report_at = 0.0

    @property
    def expected(self) -> int:
        return 0 if self._first is None else self._highest - self._first + 1

    @property
    def lost(self) -> int:
        return max(0, self.expected - self.received)

    @property
    def jitter_ms(self) -> float:
        return self._jitter * 1000 / self._clock_hz

    def count(self, sequence: int, timestamp: int, now: float) -> None:
        self.received += 1
        if self._first is None:
            self._first = self._highest = sequence
        else:
            ahead = (sequence - self._highest) & 0xFFFF
            if ahead < 0x8000:
                self._highest += ahead
        last = self._last
        if last is None:
            self._last = (timestamp, now)
        elif timestamp != last[0]:
            # One sample per picture: its packets share a timestamp but not an arrival.
            moved = (timestamp - last[0]) & 0xFFFFFFFF
            if moved < 0x80000000:
                transit = abs((now - last[1]) * self._clock_hz - moved)
                # A pause or a new clock is no jitter.
                if transit < self._clock_hz:
                    self._jitter += (transit - self._jitter) / 16
                self._last = (timestamp, now)

    def restart(self) -> None:
        """The source counts anew."""
        self._first = None
        self.received = 0
        self._before = (0, 0)
        self._last = None

    def sender_report(self, ntp: int, now: float) -> None:
        self._report_ntp, self._report_at = ntp_middle(ntp), now

    def block(self, now: float) -> ReportBlock:
        """The report since the last call."""
        expected, received = self.expected, self.received
        due, came = expected - self._before[0], received - self._before[1]
        self._before = (expected, received)
        fraction = min(255, max(0, due - came) * 256 // due) if due > 0 else 0
        delay = int((now - self._report_at) * 65536) if self._report_ntp else 0
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            lost=min(self.lost, 0x7FFFFF),
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self._jitter),
            last_report=self._report_ntp,
            delay=min(delay, 0xFFFFFFFF),
        )
