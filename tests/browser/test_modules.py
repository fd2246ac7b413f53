"""The page's pure modules, one by one, in the browser that runs them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.fake_gateway import fake_gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Modules:
    """Imports the page's modules without the page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def run(self, body: str, value: Any = None) -> Any:
        """Runs a function body that sees every named module and `value`."""
        names = ["address", "backoff", "marker", "obs", "schema", "sdp", "sentence", "state"]
        imports = ", ".join(f"import('/src/{name}.js')" for name in [*names, "stats"])
        return await self._page.evaluate(
            f"""async (value) => {{
              const [{", ".join(names)}, stats] = await Promise.all([{imports}]);
              {body}
            }}""",
            value,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def js(browser: Browser) -> AsyncIterator[Modules]:
    """One for all tests here: pure functions leave nothing behind."""
    async with fake_gateway() as gateway:
        page = await browser.new_page()
        await page.goto(f"{gateway.url}/src/types.js")
        yield Modules(page)
        await page.close()


SAY = """
  const events = value;
  const now = 1000;
  let s = state.initial({ source: "test", watchOnly: false });
  s = state.reduce(s, { type: "server-up" });
  s = state.reduce(s, { type: "effect", title: "Toon" });
  for (const event of events) s = state.reduce(s, event);
  return sentence.describe(s, now);
"""

QUEUED = {"code": "no_runner_free", "message": "Busy.", "remedy": "Wait.", "retry": "same"}
LOADING = QUEUED | {"code": "runners_loading"}
BROKEN = {"code": "broken", "message": "It broke.", "remedy": "Mend it.", "retry": "never"}
SENDING = [{"type": "start"}, {"type": "opened"}, {"type": "sending"}]


def status(state: str, **more: Any) -> dict[str, Any]:
    said = {"state": state, "stream": "s", "message": "", "runner": None, "problem": None}
    return {"type": "status", "status": said | {"pipeline": "toon"} | more}


R1 = {"id": "r1", "state": "ONLINE", "restarts": 0}


@pytest.mark.parametrize(
    ("events", "tone", "words"),
    [
        ([], "calm", "Ready. Press Start to send the test picture through Toon."),
        ([{"type": "start"}], "busy", "Drawing the test picture…"),
        ([{"type": "source", "source": "camera"}, {"type": "start"}], "busy", "Opening the cam"),
        ([{"type": "start"}, {"type": "opened"}], "busy", "Connecting…"),
        (SENDING, "busy", "Connected; waiting for the first picture…"),
        ([*SENDING, status("starting")], "busy", "Starting Toon…"),
        ([*SENDING, status("starting", problem=QUEUED)], "busy", "Waiting for a free runner…"),
        ([*SENDING, status("live", runner=R1)], "busy", "Toon is live; waiting for its picture…"),
        (
            [*SENDING, status("live", runner=R1), {"type": "picture", "moving": True}],
            "live",
            "Live: Toon on runner r1.",
        ),
        ([*SENDING, status("restarting")], "warn", "The runner is restarting…"),
        ([*SENDING, status("failed", problem=BROKEN)], "bad", "The stream failed."),
        ([*SENDING, {"type": "lost", "retryAt": 3500}], "warn", "The connection was lost; trying"),
        (
            [{"type": "start"}, {"type": "refused", "problem": QUEUED, "retryAt": 3500}],
            "busy",
            "Waiting for a free runner…",
        ),
        (
            [{"type": "start"}, {"type": "refused", "problem": BROKEN, "retryAt": None}],
            "bad",
            "It did not start.",
        ),
        (
            [*SENDING, {"type": "server-gone", "retryAt": 3500}],
            "bad",
            "The server is gone; trying again in 3 s.",
        ),
        (
            [{"type": "start"}, {"type": "refused", "problem": LOADING, "retryAt": 1}],
            "busy",
            "The run",
        ),
        ([*SENDING, {"type": "stop"}], "calm", "Ready."),
        ([*SENDING, {"type": "source-ended", "problem": BROKEN}], "warn", "Stopped."),
        (
            [{"type": "source", "source": "obs"}, status("waiting")],
            "calm",
            "Waiting for OBS: press Start Streaming there.",
        ),
    ],
)
async def test_every_moment_has_its_sentence(
    js: Modules, events: list[dict[str, Any]], tone: str, words: str
) -> None:
    said = await js.run(SAY, events)

    assert said["tone"] == tone
    assert words in said["sentence"]


async def test_a_screen_reader_hears_no_countdown(js: Modules) -> None:
    said = await js.run(SAY, [{"type": "server-gone", "retryAt": 3500}])

    assert said["spoken"] == "The server is gone; trying again."


async def test_a_failure_stays_on_screen_until_it_is_dismissed(js: Modules) -> None:
    failed = [{"type": "start"}, {"type": "refused", "problem": BROKEN, "retryAt": None}]

    said = await js.run(SAY, [*failed, status("waiting")])
    dismissed = await js.run(SAY, [*failed, {"type": "dismissed"}])

    assert said["problem"] == BROKEN
    assert dismissed["problem"] is None
    assert dismissed["sentence"].startswith("Ready.")


async def test_waits_grow_to_eight_seconds_and_no_further(js: Modules) -> None:
    waits = await js.run("return [0, 1, 2, 3, 4, 5, 60].map((n) => backoff.backoff_ms(n, 1));")

    assert waits == [500, 1000, 2000, 4000, 8000, 8000, 8000]


async def test_a_counter_is_read_as_it_was_written(js: Modules) -> None:
    wrong = await js.run(
        """const wrong = [];
        for (let n = 0; n < marker.COUNTERS; n += 7) {
          const light = marker.writeMarker(n).map((white) => (white ? 210 : 40));
          if (marker.readMarker(light) !== n) wrong.push(n);
        }
        return wrong;"""
    )

    assert wrong == []


async def test_a_damaged_counter_is_not_read_as_another(js: Modules) -> None:
    read = await js.run(
        """const light = marker.writeMarker(1234).map((white) => (white ? 255 : 0));
        return light.map((_, i) => marker.readMarker(light.map((l, j) => i === j ? 255 - l : l)));
        """
    )

    assert read == [None] * 24


async def test_a_picture_without_marker_has_no_counter(js: Modules) -> None:
    read = await js.run(
        "return [0, 128, 255].map((l) => marker.readMarker(Array(marker.CELLS).fill(l)));"
    )

    assert read == [None] * 3


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        (
            {"type": "number", "minimum": 0, "maximum": 1},
            {"kind": "slider", "min": 0, "max": 1, "step": 0.01},
        ),
        (
            {"type": "number", "exclusiveMinimum": 0, "maximum": 5},
            {"kind": "slider", "min": 0.05, "max": 5, "step": 0.05},
        ),
        (
            {"type": "integer", "minimum": 1, "maximum": 31, "multipleOf": 2},
            {"kind": "slider", "min": 1, "max": 31, "step": 2},
        ),
        (
            {"type": "number", "minimum": 0, "maximum": 5, "x-step": 0.5, "x-unit": "s"},
            {"kind": "slider", "min": 0, "max": 5, "step": 0.5, "unit": "s"},
        ),
        ({"type": "integer", "minimum": 0}, {"kind": "number", "min": 0, "max": None, "step": 1}),
        ({"type": "number"}, {"kind": "number", "step": "any"}),
        ({"type": "boolean"}, {"kind": "switch"}),
        ({"const": "only"}, {"kind": "select"}),
        ({"$ref": "#/$defs/Mode"}, {"kind": "select"}),
        ({"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]}, {"kind": "select"}),
        ({"type": "string", "format": "color"}, {"kind": "colour", "bytes": False}),
        ({"type": "string"}, {"kind": "text"}),
        ({"$ref": "#/$defs/Self"}, {"kind": "json"}),
        ({"type": "object"}, {"kind": "json"}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"kind": "json"}),
    ],
)
async def test_a_parameter_of_this_shape_gets_this_control(
    js: Modules, schema: dict[str, Any], wanted: dict[str, Any]
) -> None:
    defs = {"Mode": {"enum": ["a", "b"]}, "Self": {"$ref": "#/$defs/Self"}}
    pipeline = {
        "schema": {"properties": {"x": schema}, "$defs": defs},
        "defaults": {},
        "name": "p",
    }

    [control] = await js.run("return schema.controlsOf(value);", pipeline)

    assert wanted.items() <= control.items()


async def test_only_h264_that_can_split_pictures_is_offered(js: Modules) -> None:
    mode1 = {"mimeType": "video/H264", "sdpFmtpLine": "packetization-mode=1"}
    rtx = {"mimeType": "video/rtx"}
    codecs = [
        {"mimeType": "video/VP8"},
        rtx,
        {"mimeType": "video/H264", "sdpFmtpLine": "packetization-mode=0"},
        mode1,
    ]

    assert await js.run("return sdp.h264First(value);", codecs) == [mode1, rtx]
    assert await js.run("return sdp.h264First(value);", codecs[:2]) == codecs[:2]


async def test_the_start_bitrate_is_said_for_video_alone(js: Modules) -> None:
    answer = (
        "m=audio 9\r\na=fmtp:111 minptime=10\r\nm=video 9\r\n"
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1\r\na=fmtp:103 apt=102\r\n"
    )

    edited = await js.run("return sdp.withStartBitrate(value);", answer)

    hinted = [line for line in edited.split("\r\n") if "x-google-start-bitrate" in line]
    assert [line.split()[0] for line in hinted] == ["a=fmtp:102"]


async def test_obs_on_another_machine_is_not_sent_to_its_own_localhost(js: Modules) -> None:
    settings = await js.run(
        "return obs.obsSettings(value, 'a b', 'neon', new URL('http://10.0.0.7:8080/?x'));",
        {"rtmp_url": "rtmp://localhost:1935/live"},
    )

    assert settings == {
        "server": "rtmp://10.0.0.7:1935/live",
        "key": "a b?pipeline=neon",
        "whip": "http://10.0.0.7:8080/a%20b/whip?pipeline=neon",
    }


@pytest.mark.parametrize(
    ("href", "stream", "watch"),
    [
        ("http://h/?stream=abc", "abc", False),
        ("http://h/#kept-name", "kept-name", False),
        ("http://h/?watch=abc", "abc", True),
        ("http://h/?stream=../etc", None, False),
        ("http://h/?watch=", None, False),
        ("http://h/", None, False),
    ],
)
async def test_an_address_says_which_stream(
    js: Modules, href: str, stream: str | None, watch: bool
) -> None:
    wish = await js.run("return address.readAddress(value);", href)

    assert (wish["stream"], wish["watch"]) == (stream, watch)


async def test_an_invented_name_is_one_the_node_takes(js: Modules) -> None:
    name = await js.run(
        """const name = address.inventName(new Uint32Array([4294967295, 7, 4294967295]));
        return address.streamName(name);"""
    )

    assert name is not None


async def test_the_delay_is_the_sum_of_its_parts(js: Modules) -> None:
    before = {
        "at_ms": 0,
        "frames": 0,
        "coding_s": 0,
        "buffered_s": 0,
        "buffered": 0,
        "rtt_s": 0,
    }
    after = {
        "at_ms": 1000,
        "frames": 30,
        "coding_s": 0.15,
        "buffered_s": 0.3,
        "buffered": 30,
        "rtt_s": 0.02,
    }

    total = await js.run(
        """const [before, after] = value;
        const both = { before, after };
        const status = { latency_ms: { p50: 40 } };
        const here = stats.delayParts(both, both, status);
        const there = stats.delayParts(null, both, status);
        return [stats.total(here), stats.total(there), stats.delayParts(both, both, null)];""",
        [before, after],
    )

    assert total == [
        pytest.approx(5 + 10 + 40 + 10 + 10 + 5),
        pytest.approx(40 + 10 + 10 + 5),
        None,
    ]
