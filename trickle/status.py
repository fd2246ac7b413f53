"""What a server and its channels are doing, as JSON values for people and programs that ask.

Worked out when asked for: the hot path keeps no statistics for it but a few sums. A reader's
address is nobody's business, and the names of channels are only told where listing is on, because
a name is often all the secret there is.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from trickle.channel import Channel
from trickle.metrics import lags

if TYPE_CHECKING:
    from trickle.serve import TrickleServer

# More of either makes no page that anybody reads, and holds the loop up.
MAX_READERS: Final = 100
MAX_CHANNELS: Final = 1000


def channel_status(server: "TrickleServer", channel: Channel) -> dict[str, Any]:
    """One channel: its ring, its publishers, its readers."""
    now = server.now()
    pace = server.paces.get(channel)
    places = [reader.place() for reader in pace.readers] if pace is not None else []
    live = channel.next_seq - 1
    ledger = channel.ledger
    return {
        "channel": channel.name,
        "mime_type": channel.mime_type,
        "latest": channel.next_seq,
        "oldest": channel.oldest,
        "idle_s": round(now - channel.active_at, 3),
        "writers": sum(segment.writers for segment in channel.segments),
        "readers": len(places),
        "readers_stuck": pace.stuck if pace is not None else 0,
        "memory_bytes": channel.size,
        "bytes_in": channel.bytes_in,
        "bytes_out": channel.bytes_out,
        "rate": _rate(channel, now),
        "lossless": None
        if ledger is None
        else {"window": ledger.window, "readers": len(ledger), "struck_off": ledger.struck},
        "segments": [
            {
                "seq": segment.seq,
                "bytes": segment.size,
                "ended": segment.ended,
                "truncated": segment.truncated,
                "writers": segment.writers,
            }
            for segment in channel.segments
        ],
        "places": [
            {**asdict(place), "behind_segments": max(0, live - place.seq)}
            for place in places[:MAX_READERS]
        ],
    }


def server_status(server: "TrickleServer", *, listing: bool) -> dict[str, Any]:
    """All of it in sums, and with `listing` the channels by name."""
    lag = lags(server)
    status: dict[str, Any] = {
        "channels": len(server.channels),
        "connections": server.connections,
        "readers": sum(len(pace.readers) for pace in server.paces.values()),
        "writers": sum(s.writers for channel in server.channels for s in channel.segments),
        "memory_bytes": server.channels.budget.used,
        "memory_limit_bytes": server.channels.budget.limit,
        "counters": asdict(server.counters),
        "reader_lag_segments": dict(
            zip([f"<={bound}" for bound in lag.bounds] + ["more"], lag.counts, strict=True)
        ),
    }
    if listing:
        status["list"] = [
            {
                "channel": channel.name,
                "mime_type": channel.mime_type,
                "latest": channel.next_seq,
                "memory_bytes": channel.size,
                "readers": len(server.paces[channel].readers) if channel in server.paces else 0,
            }
            for channel in list(server.channels)[:MAX_CHANNELS]
        ]
    return status


def _rate(channel: Channel, now: float) -> dict[str, float]:
    """Over what the ring holds: that is the recent past, and costs nothing to keep."""
    begun = [segment for segment in channel.segments if segment.chunks]
    if not begun:
        return {"bytes_per_s": 0.0, "segments_per_s": 0.0, "over_s": 0.0}
    over_s = max(now - min(segment.began_at for segment in begun), 1e-3)
    return {
        "bytes_per_s": round(sum(segment.size for segment in begun) / over_s, 1),
        "segments_per_s": round(len(begun) / over_s, 3),
        "over_s": round(over_s, 3),
    }
