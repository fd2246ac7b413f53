"""One stream through a live runner with a real model process, over real trickle channels."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from runners.errors import BadParams, UnknownModel
from runners.live.runner import LiveRunner
from runners.pacing import BUDGET_S
from tests.support.live_rig import (
    FIRST_PTS,
    Camera,
    Channels,
    channels,
    filming,
    trial,
)
from trickle.media.packets import CLOCK_HZ
from trickle.publisher import TricklePublisher

TICKS = CLOCK_HZ // 30


@asynccontextmanager
async def running(*pipelines: str) -> AsyncGenerator[LiveRunner, None]:
    runner = LiveRunner(pipelines)
    task = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(runner.model.ready(), 20)
        yield runner
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def stream() -> AsyncGenerator[Channels, None]:
    async with channels() as made:
        yield made


async def test_every_picture_comes_out_with_the_time_of_its_own_input(stream: Channels) -> None:
    async with running("passthrough") as runner:
        await runner.start(stream.job("passthrough"))
        async with TricklePublisher(stream.base) as publisher:
            camera = Camera(stream)
            await camera.run(publisher, frames=75)
            await camera.close()
        await stream.sees(lambda: stream.is_over)
        await stream.sees(lambda: runner.session is None)
    assert len(stream.seen) >= 60
    for seen in stream.seen:
        assert seen.pts == FIRST_PTS + seen.number * TICKS
    assert [seen.pts for seen in stream.seen] == sorted({seen.pts for seen in stream.seen})


async def test_segments_begin_at_keyframes_a_second_apart(stream: Channels) -> None:
    async with running("passthrough") as runner:
        await runner.start(stream.job("passthrough"))
        async with TricklePublisher(stream.base) as publisher:
            camera = Camera(stream)
            await camera.run(publisher, frames=100)
            await camera.close()
        await stream.sees(lambda: stream.is_over)
    keyframes = [seen.pts for seen in stream.seen if seen.keyframe]
    begins = [segment[0] for segment in stream.segments if segment]
    assert begins == keyframes
    assert len(begins) >= 3
    assert all(later - earlier >= CLOCK_HZ for earlier, later in itertools.pairwise(begins))
    assert all(later - earlier <= CLOCK_HZ * 1.2 for earlier, later in itertools.pairwise(begins))


async def test_sound_passes_through_untouched_and_beside_its_pictures(stream: Channels) -> None:
    async with running("passthrough") as runner:
        await runner.start(stream.job("passthrough"))
        async with TricklePublisher(stream.base) as publisher:
            camera = Camera(stream, sound=True)
            await camera.run(publisher, frames=60)
            await camera.close()
        await stream.sees(lambda: stream.is_over)
    assert len(stream.sound) > 80
    for packet in stream.sound:
        assert packet.data == b"\xfc" + packet.pts.to_bytes(8, "big")
    stamps = [packet.pts for packet in stream.sound]
    assert [b - a for a, b in itertools.pairwise(stamps)] == [CLOCK_HZ // 50] * (len(stamps) - 1)


async def test_a_slow_effect_drops_frames_and_never_shows_an_old_one(stream: Channels) -> None:
    effect_s = 0.2
    async with running(*trial("Slow")) as runner:
        await runner.start(stream.job("slow", effect_s=effect_s))
        async with filming(stream):
            await stream.sees(lambda: len(stream.seen) > 15)
            assert runner.session is not None
            counts = runner.session.tally.counts()
    ages = [seen.at - stream.sent_at[seen.pts] for seen in stream.seen if seen.pts > 0]
    assert max(ages) <= BUDGET_S + effect_s
    assert counts.dropped_by["superseded"] > 50
    assert counts.frames_in >= counts.frames_out + sum(counts.dropped_by.values()) - 3
    for seen in stream.seen:
        assert seen.pts == FIRST_PTS + seen.number * TICKS


async def test_parameters_change_between_two_frames_and_bad_ones_change_nothing(
    stream: Channels,
) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", shade=40))
        await stream.sees(lambda: any(abs(seen.shade - 40) < 6 for seen in stream.seen))
        await stream.control(shade=200)
        await stream.sees(lambda: abs(stream.seen[-1].shade - 200) < 6)
        await stream.control(shade=999)
        await stream.sees(lambda: bool(stream.of_type("error")))
        assert abs(stream.seen[-1].shade - 200) < 6
        assert runner.session is not None
        assert runner.session.settings.params == {"mood": "fine", "shade": 200}
    assert "shade" in stream.of_type("error")[0]["message"]
    shades = {seen.shade // 10 for seen in stream.seen if seen.pts}
    assert shades <= {3, 4, 19, 20}


async def test_model_id_switches_the_pipeline_while_the_picture_goes_on(stream: Channels) -> None:
    async with running("passthrough", *trial("Heavy")) as runner, filming(stream):
        await runner.start(stream.job("passthrough"))
        await stream.sees(lambda: any(abs(seen.shade - 90) < 6 for seen in stream.seen))
        await stream.control(model_id="heavy")
        await stream.sees(lambda: abs(stream.seen[-1].shade - 165) < 6)
        stamps = [seen.pts for seen in stream.seen if seen.number]
        assert max(b - a for a, b in itertools.pairwise(stamps)) < CLOCK_HZ / 2
        await stream.control(model_id="nonsense")
        await stream.sees(lambda: bool(stream.of_type("error")))
        assert abs(stream.seen[-1].shade - 165) < 6
    assert "nonsense" in stream.of_type("error")[0]["message"]


async def test_a_changed_resolution_goes_through(stream: Channels) -> None:
    async with running("passthrough") as runner:
        await runner.start(stream.job("passthrough"))
        async with TricklePublisher(stream.base) as publisher:
            camera = Camera(stream)
            await camera.run(publisher, frames=20)
            camera.resize(640, 358)
            await camera.run(publisher, frames=20)
            await camera.close()
        await stream.sees(lambda: stream.is_over)
    sizes = [(seen.width, seen.height) for seen in stream.seen]
    assert set(sizes) == {(320, 180), (640, 358)}
    first_large = stream.seen[sizes.index((640, 358))]
    assert first_large.keyframe
    assert [first_large.pts] == [segment[0] for segment in stream.segments if segment][1:2]


async def test_a_result_of_another_size_is_encoded_as_it_is(stream: Channels) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", mood="grow"))
        await stream.sees(lambda: any(seen.width == 640 for seen in stream.seen))


async def test_a_pipeline_that_raises_is_named_and_the_original_goes_on(stream: Channels) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", mood="raise"))
        await stream.sees(lambda: len([seen for seen in stream.seen if seen.number]) > 20)
        errors = stream.of_type("error")
    assert "RuntimeError: the lamp is broken" in errors[0]["message"]
    assert len(errors) <= 2
    assert runner.health.restarts == 0


async def test_a_pipeline_that_hides_something_never_shows_it_when_it_fails(
    stream: Channels,
) -> None:
    async with running(*trial("Veil")) as runner, filming(stream):
        await runner.start(stream.job("veil", mood="raise"))
        await stream.sees(lambda: bool(stream.of_type("error")))
        await stream.sees(lambda: _stats(stream, "dropped_by").get("failed", 0) > 20)
    assert not [seen for seen in stream.seen if abs(seen.shade - 90) < 6]


@pytest.mark.parametrize(
    ("mood", "says"),
    [("wrong", "uint8"), ("withhold", None)],
)
async def test_bad_results_do_not_end_the_stream(
    stream: Channels, mood: str, says: str | None
) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", mood=mood))
        if says:
            await stream.sees(lambda: bool(stream.of_type("error")))
            assert says in stream.of_type("error")[0]["message"]
        else:
            await stream.sees(lambda: _stats(stream, "dropped_by").get("withheld", 0) > 10)
        await stream.control(mood="fine", shade=200)
        await stream.sees(lambda: bool(stream.seen) and abs(stream.seen[-1].shade - 200) < 6)


async def test_a_pipeline_that_prints_a_lot_costs_nobody_anything(stream: Channels) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", mood="print"))
        await stream.sees(lambda: len(stream.seen) > 60)
        assert runner.health.restarts == 0


@pytest.mark.parametrize("how", ["kill", "die", "hang"])
async def test_a_lost_model_process_is_replaced_within_five_seconds(
    stream: Channels, how: str
) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", shade=40))
        await stream.sees(lambda: len(stream.seen) > 20)
        pid = runner.model.pid
        assert pid is not None
        lost_at = time.monotonic()
        if how == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            await stream.control(mood=how)
        await stream.sees(lambda: bool(stream.of_type("restart")))
        restarted_at = time.monotonic()
        # The stand-in is the last picture, dimmed: it cannot be mistaken for a result.
        await stream.sees(
            lambda: any(abs(seen.shade - 40) < 6 and seen.at > restarted_at for seen in stream.seen)
        )
        assert time.monotonic() - lost_at < 5
        assert runner.health.restarts == 1
        assert not stream.is_over
    restart = stream.of_type("restart")[0]
    assert restart["restart_count"] == 1
    stamps = [seen.pts for seen in stream.seen]
    assert stamps == sorted(set(stamps))


async def test_a_model_that_keeps_dying_is_given_up_and_the_stream_ends(stream: Channels) -> None:
    async with running(*trial("Moody")) as runner, filming(stream):
        await runner.start(stream.job("moody", mood="die"))
        await stream.sees(lambda: runner.status.value == "ERROR", within_s=25)
        await stream.sees(lambda: stream.is_over)
        assert runner.health.restarts == 3
        assert len(stream.of_type("restart")) == 3


async def test_damaged_video_costs_pictures_and_not_the_stream(stream: Channels) -> None:
    async with running("passthrough") as runner, filming(stream) as camera:
        await runner.start(stream.job("passthrough"))
        await stream.sees(lambda: len(stream.seen) > 10)
        camera.damaged = 5
        number = camera.number
        await stream.sees(lambda: stream.seen[-1].number > number + 45)
        assert runner.health.restarts == 0


async def test_a_new_job_takes_the_place_of_the_one_before(stream: Channels) -> None:
    async with (
        running("passthrough") as runner,
        channels() as other,
        filming(stream),
        filming(other),
    ):
        await runner.start(stream.job("passthrough"))
        await stream.sees(lambda: len(stream.seen) > 5)
        await runner.start(other.job("passthrough"))
        await stream.sees(lambda: stream.is_over)
        await other.sees(lambda: len(other.seen) > 5)


async def test_jobs_that_cannot_be_done_are_refused_before_anything_begins(
    stream: Channels,
) -> None:
    async with running(*trial("Moody")) as runner:
        with pytest.raises(UnknownModel, match="moody"):
            await runner.start(stream.job("neon"))
        with pytest.raises(BadParams, match="shade"):
            await runner.start(stream.job("moody", shade=300))
        assert runner.session is None


async def test_status_and_stats_have_the_fields_that_gateways_read(stream: Channels) -> None:
    async with running("passthrough") as runner, filming(stream):
        await runner.start(stream.job("passthrough"))
        await stream.sees(lambda: _stats(stream, "frames_out") > 30)
    status = stream.of_type("status")[0]
    assert {"pipeline", "start_time", "state", "input_status", "inference_status"} <= set(status)
    stats = stream.of_type("stats")[-1]
    assert stats["input_fps"] == pytest.approx(30, abs=6)
    assert stats["width"] == 320
    assert stats["latency_ms"]["p50"] > 0
    traces = {e["event"]["type"] for e in stream.events if e["queue_event_type"] == "stream_trace"}
    assert traces == {
        "runner_receive_stream_request",
        "runner_receive_first_ingest_segment",
        "runner_send_first_processed_segment",
    }


def _stats(stream: Channels, name: str) -> Any:
    found = stream.of_type("stats")
    empty: Any = {} if name == "dropped_by" else 0
    return found[-1][name] if found else empty
