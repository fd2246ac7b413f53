from server.media.rtc.feed import Feed
from server.media.stream import LiveStream
from trickle.media.annexb import START_CODE
from trickle.media.packets import Codec, Packet

KEY = START_CODE + b"\x67sps" + START_CODE + b"\x68pps" + START_CODE + b"\x65" + b"i" * 30
DELTA = START_CODE + b"\x41" + b"d" * 20


class Viewer:
    def __init__(self) -> None:
        self.watching = False
        self.pictures: list[tuple[int, bool]] = []
        self.payloads: list[list[bytes]] = []
        self.sounds: list[int] = []
        self.end = ""

    def video(self, payloads: list[bytes], pts: int, *, keyframe: bool) -> None:
        self.watching = self.watching or keyframe
        self.payloads.append(payloads)
        self.pictures.append((pts, keyframe))

    def audio(self, payload: bytes, pts: int) -> None:
        self.sounds.append(pts)

    def ended(self, reason: str) -> None:
        self.end = reason


class Rig:
    """A stream with a clock of its own, and a feed of it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.emptied = 0
        self.stream = LiveStream("cam", clock=lambda: self.now)
        self.feed = Feed(self.stream, self.empty)

    def empty(self) -> None:
        self.emptied += 1

    def ask(self) -> None:
        self.asked += 1

    def publish(self, data: bytes, n: int, codec: Codec = Codec.H264) -> None:
        self.now = 100.0 + n / 30
        keyframe = data is KEY or not codec.is_video
        self.stream.publish(Packet(codec, data, n * 3000, n * 3000, keyframe))


def test_payloads_are_made_once_for_all_viewers() -> None:
    rig = Rig()
    rig.stream.begin(rig.ask)
    viewers = [Viewer(), Viewer()]
    for viewer in viewers:
        rig.feed.join(viewer)
    rig.publish(KEY, 0)
    assert viewers[0].payloads[0] is viewers[1].payloads[0]
    assert rig.stream.readers == 1


def test_sound_reaches_every_viewer() -> None:
    rig = Rig()
    rig.stream.begin(rig.ask)
    viewer = Viewer()
    rig.feed.join(viewer)
    rig.publish(KEY, 0)
    rig.publish(b"opus", 1, Codec.OPUS)
    assert len(viewer.sounds) == 1


def test_a_late_viewer_sees_the_last_keyframe_and_what_followed_but_not_in_slow_motion() -> None:
    rig = Rig()
    rig.stream.begin(None)  # a publisher that cannot be asked
    early, late = Viewer(), Viewer()
    rig.feed.join(early)
    for n in range(60):
        rig.publish(KEY if n == 0 else DELTA, n)
    rig.feed.join(late)
    assert len(late.pictures) == 60
    assert late.pictures[0][1]
    assert late.pictures[-1][0] == early.pictures[-1][0]
    assert late.pictures[-1][0] - late.pictures[0][0] < 9000
    assert len(early.pictures) == 60
    rig.publish(DELTA, 60)
    assert late.pictures[-1] == early.pictures[-1]


def test_a_viewer_that_still_has_no_keyframe_has_it_asked_for_again() -> None:
    rig = Rig()
    rig.stream.begin(rig.ask)
    rig.publish(KEY, 0)
    rig.now += 60
    rig.feed.join(Viewer())
    early, late = Viewer(), Viewer()
    rig.feed.join(early)
    rig.feed.join(late)
    asked = rig.asked
    for n in range(1800, 1900):
        rig.publish(DELTA, n)
    assert rig.asked >= asked + 2


def test_the_last_viewer_to_leave_frees_the_stream() -> None:
    rig = Rig()
    rig.stream.begin(rig.ask)
    one, two = Viewer(), Viewer()
    rig.feed.join(one)
    rig.feed.join(two)
    rig.feed.leave(one)
    assert (rig.stream.readers, rig.emptied) == (1, 0)
    rig.feed.leave(two)
    rig.feed.leave(two)
    assert (rig.stream.readers, rig.emptied) == (0, 1)


def test_every_viewer_hears_of_the_end() -> None:
    rig = Rig()
    rig.stream.begin(rig.ask)
    viewers = [Viewer(), Viewer()]
    for viewer in viewers:
        rig.feed.join(viewer)
    rig.stream.end("over")
    assert [viewer.end for viewer in viewers] == ["over", "over"]


def test_what_webrtc_does_not_carry_is_counted_and_left_out() -> None:
    rig = Rig()
    rig.stream.begin(rig.ask)
    viewer = Viewer()
    rig.feed.join(viewer)
    rig.publish(KEY, 0)
    rig.publish(b"adts", 1, Codec.AAC)
    assert viewer.sounds == []
    assert rig.feed.unplayable == 1
