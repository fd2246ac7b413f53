"""Publishers come and go and change their clocks; the stream's time goes on."""

from hypothesis import given
from hypothesis import strategies as st

from server.media.timeline import START, Timeline
from tests.unit.trickle.media.samples import FRAME, aac, opus, picture
from trickle.media.packets import CLOCK_HZ, Packet


def dts_of(timeline: Timeline, packets: list[Packet], now: float = 0.0) -> list[int]:
    return [timeline.rebase(packet, now).dts for packet in packets]


def test_a_stream_begins_at_the_same_time_whatever_the_publisher_says() -> None:
    for first in (0, 12345, -900, 2**40):
        timeline = Timeline()
        assert dts_of(timeline, [picture(first), picture(first + FRAME)]) == [START, START + FRAME]


def test_audio_and_video_of_one_clock_keep_their_distance() -> None:
    timeline = Timeline()
    assert dts_of(timeline, [picture(1000), aac(1300), picture(1000 + FRAME)]) == [
        START,
        START + 300,
        START + FRAME,
    ]


def test_composition_time_is_kept() -> None:
    shown = Timeline().rebase(picture(0, shift=2 * FRAME), 0.0)
    assert shown.pts - shown.dts == 2 * FRAME


def test_the_next_publisher_goes_on_after_as_long_as_nobody_published() -> None:
    timeline = Timeline()
    timeline.rebase(picture(5_000_000), 100.0)
    timeline.begin()
    assert timeline.rebase(picture(77), 103.0).dts == START + 3 * CLOCK_HZ


def test_the_next_publisher_never_goes_back_even_if_it_comes_at_once() -> None:
    timeline = Timeline()
    timeline.rebase(picture(5_000_000), 100.0)
    timeline.begin()
    assert timeline.rebase(picture(77), 100.0).dts > START


def test_a_source_that_jumps_goes_on_where_it_was() -> None:
    timeline = Timeline()
    timeline.rebase(picture(1000), 0.0)
    for restarted_at in (10**9, 0):
        before = timeline.rebase(picture(restarted_at), 1.0).dts
        assert timeline.rebase(picture(restarted_at + FRAME), 1.0).dts == before + FRAME
        assert before < START + 2 * CLOCK_HZ


def test_audio_and_video_that_jump_a_few_packets_apart_stay_together() -> None:
    timeline = Timeline()
    dts_of(timeline, [picture(9000), aac(9000)], now=0.0)
    jump = 10**9
    shown = [
        timeline.rebase(packet, now)
        for packet, now in (
            (picture(jump + 9000 + FRAME), 0.033),
            (aac(9000 + 1920), 0.034),  # still of the old clock
            (aac(jump + 9000 + 3840), 0.043),
            (picture(jump + 9000 + 2 * FRAME), 0.066),
        )
    ]
    assert [packet.dts for packet in shown[1:]] == [
        START + 1920,
        shown[0].dts - FRAME + 3840,
        shown[0].dts + FRAME,
    ]
    assert abs(shown[0].dts - START - FRAME) < 100


def test_a_still_screen_that_sends_nothing_for_long_is_no_jump() -> None:
    timeline = Timeline()
    timeline.rebase(picture(0), 0.0)
    assert timeline.rebase(picture(30 * CLOCK_HZ), 30.0).dts == START + 30 * CLOCK_HZ


def test_a_publisher_faster_than_real_time_keeps_its_own_time() -> None:
    timeline = Timeline()
    shown = [timeline.rebase(picture(n * FRAME), 0.0).dts for n in range(900)]
    assert shown[-1] == START + 899 * FRAME


def test_audio_of_a_clock_of_its_own_starts_beside_the_video() -> None:
    timeline = Timeline()
    timeline.rebase(picture(0), 0.0)
    assert abs(timeline.rebase(opus(10**12), 0.02).dts - START) < CLOCK_HZ // 10


@given(
    steps=st.lists(
        st.tuples(st.integers(-(2**34), 2**34), st.floats(0, 20), st.booleans(), st.booleans()),
        max_size=40,
    )
)
def test_whatever_comes_each_kind_only_goes_forward(
    steps: list[tuple[int, float, bool, bool]],
) -> None:
    timeline = Timeline()
    now = 0.0
    last = {True: -1, False: -1}
    for stamp, pause, video, restart in steps:
        now += pause
        if restart:
            timeline.begin()
        shown = timeline.rebase(picture(stamp) if video else aac(stamp), now)
        assert shown.dts > last[video]
        assert shown.pts >= shown.dts
        last[video] = shown.dts
