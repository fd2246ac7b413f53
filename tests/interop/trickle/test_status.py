"""What a server says of itself: status as JSON, metrics as text."""

import json
import re

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import Serving
from trickle.access import Access
from trickle.serve import TrickleServer


async def test_status_of_a_channel_tells_its_ring_its_writers_and_its_readers(
    serving: Serving,
) -> None:
    await serving.publish(0, b"abc")
    posting = await serving.post(1)
    posting.chunk(b"defgh")
    reading = await serving.get(1)
    waiting = await serving.get(2)
    reply = await serving.ask("GET ch")
    assert (reply.status, reply["content-type"]) == (200, "application/json")
    assert reply["cache-control"] == "no-store"
    status = json.loads(reply.body)
    assert (status["channel"], status["mime_type"]) == ("ch", "video/MP2T")
    assert (status["latest"], status["oldest"]) == (2, 0)
    assert (status["writers"], status["readers"]) == (1, 2)
    assert (status["memory_bytes"], status["bytes_in"], status["lossless"]) == (8, 8, None)
    assert status["bytes_out"] > 5
    assert status["rate"]["bytes_per_s"] > 0
    ring = [(s["seq"], s["bytes"], s["ended"], s["writers"]) for s in status["segments"]]
    assert ring == [(0, 3, True, 0), (1, 5, False, 1), (2, 0, False, 0)]
    places = {(p["kind"], p["seq"], p["offset_bytes"]) for p in status["places"]}
    assert places == {("segment", 1, 5), ("segment", 2, 0)}
    await reading.hang_up()
    await waiting.hang_up()
    await posting.hang_up()


async def test_status_of_no_channel_is_404(serving: Serving) -> None:
    assert (await serving.ask("GET no")).status == 404


async def test_head_of_a_status_has_its_length_and_no_body(serving: Serving) -> None:
    wire = await serving.connect()
    reply = await wire.ask("HEAD ch")
    assert (reply.status, int(reply["content-length"] or 0) > 100) == (200, True)
    assert (await wire.ask("GET ch/next")).body == b"0"


async def test_status_of_the_server_has_sums_and_no_names(serving: Serving) -> None:
    await serving.publish(0, b"abc")
    reply = await serving.ask("GET /ai/trickle/")
    status = json.loads(reply.body)
    assert (status["channels"], status["memory_bytes"]) == (1, 3)
    assert (status["counters"]["segments_in"], status["connections"]) == (1, 2)
    assert "list" not in status
    assert (await serving.ask("HEAD /ai/trickle/")).status == 200


async def test_names_are_listed_where_that_is_wanted() -> None:
    server = TrickleServer(limits=QUICK, listing=True)
    server.create("b")
    async with listening(server) as serving:
        status = json.loads((await serving.ask("GET /ai/trickle/")).body)
    assert [(c["channel"], c["latest"]) for c in status["list"]] == [("b", 0)]


async def test_operator_alone_sees_the_server_where_there_is_one() -> None:
    server = TrickleServer(limits=QUICK, access=Access(operator="op"), metrics=True)
    server.create("b")
    async with listening(server) as serving:
        for path in ("/ai/trickle/", "/metrics"):
            assert (await serving.ask(f"GET {path}")).status == 401
            reply = await serving.ask(f"GET {path}", "Authorization: Bearer op")
            assert reply.status == 200
        assert json.loads((await serving.ask("GET b")).body)["latest"] == 0


async def test_status_is_404_where_go_is_followed(like_go: Serving) -> None:
    assert (await like_go.ask("GET /ai/trickle/")).status == 404


SAMPLE = re.compile(r'[a-z_]+(\{le="[^"]+"\})? [0-9.e+-]+')


async def test_metrics_are_prometheus_text_and_count() -> None:
    server = TrickleServer(limits=QUICK, metrics=True)
    server.create("ch")
    async with listening(server) as serving:
        waiting = await serving.get(0)
        await serving.publish(0, b"abc")
        assert (await waiting.reply()).body == b"abc"
        assert (await serving.ask("GET ch/9")).status == 470
        behind = await serving.get(1)
        text = (await serving.ask("GET /metrics")).body.decode()
        await behind.hang_up()
    lines = text.splitlines()
    assert all(line.startswith("# ") or SAMPLE.fullmatch(line) for line in lines)
    for line in (
        "trickle_bytes_in_total 3",
        "trickle_segments_out_total 1",
        "trickle_no_segment_total 1",
        "trickle_memory_bytes 3",
        "trickle_readers 1",
        "trickle_first_byte_seconds_count 1",
        'trickle_reader_lag_segments_bucket{le="0"} 1',
        'trickle_reader_lag_segments_bucket{le="+Inf"} 1',
    ):
        assert line in lines
    assert "ch" not in {label for line in lines for label in re.findall(r'"([^"]*)"', line)}


async def test_metrics_are_only_where_they_were_asked_for(serving: Serving) -> None:
    assert (await serving.ask("GET /metrics")).status == 404
