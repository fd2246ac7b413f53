"""The channels of a server come, go, and are announced."""

import pytest

from trickle.channel import NEXT
from trickle.errors import ChannelNotFound, TooMany
from trickle.table import Channels, Limits


def test_channel_is_found_by_its_name_until_it_is_closed() -> None:
    channels = Channels(now=0.0)
    made = channels.create("a", mime_type="x/y", now=0.0)
    assert channels.find("a") is made
    assert channels.close("a", now=0.0)
    assert made.closed
    with pytest.raises(ChannelNotFound):
        channels.find("a")
    assert not channels.close("a", now=0.0)


def test_creating_again_keeps_what_is_there() -> None:
    channels = Channels(now=0.0)
    made = channels.create("a", mime_type="x/y", now=0.0)
    assert channels.create("a", mime_type="other", now=9.0) is made
    assert (made.mime_type, made.active_at) == ("x/y", 9.0)


def test_channel_too_many_is_refused() -> None:
    channels = Channels(Limits(max_channels=1), now=0.0)
    channels.create("a", mime_type="", now=0.0)
    with pytest.raises(TooMany):
        channels.create("b", mime_type="", now=0.0)


def test_idle_channels_go_reserved_and_busy_ones_stay() -> None:
    channels = Channels(Limits(idle_s=10.0, unused_s=20.0), now=0.0)
    for name in ("used", "unused", "_reserved", "busy"):
        channels.create(name, mime_type="", now=0.0)
    for name, now in (("used", 1.0), ("busy", 15.0)):
        channel = channels.find(name)
        channel.write(channel.open_write(NEXT, now=now), b"x", now=now)
    assert channels.sweep(12.0) == ["used"]
    assert channels.sweep(21.0) == ["unused"]
    assert sorted(c.name for c in channels) == ["_reserved", "busy"]


def test_feed_announces_itself_and_then_everybody_else() -> None:
    channels = Channels(now=0.0, changefeed=True)
    channels.create("a", mime_type="", now=0.0)
    channels.close("a", now=0.0)
    feed = channels.find("_changes")
    assert [feed.open_read(seq, now=0.0).read() for seq in range(3)] == [
        b'{"added":["_changes"]}',
        b'{"added":["a"]}',
        b'{"removed":["a"]}',
    ]


def test_server_that_stops_ends_everything_in_silence() -> None:
    channels = Channels(now=0.0, changefeed=True)
    feed, made = channels.find("_changes"), channels.create("a", mime_type="", now=0.0)
    channels.close_all(1.0)
    assert (feed.closed, made.closed, len(channels), feed.next_seq) == (True, True, 0, 2)
