"""The HTTP of WHIP and WHEP, row by row of RFC 9725 and the WHEP draft."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest

from server.edge.webrtc import IceServer
from server.errors import NoRunnerFree, NotAllowed
from server.media.rtc.endpoint import RtcEndpoint
from tests.support.waiting import until
from tests.support.webrtc import Node, post, running_node
from tests.unit.server.media.rtc.offers import play_offer, publish_offer, without

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
TRICKLED = "a=ice-ufrag:9xKp\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"


@pytest.fixture
async def node() -> AsyncGenerator[Node, None]:
    async with running_node() as node:
        yield node


@pytest.fixture
async def http(node: Node) -> AsyncGenerator[aiohttp.ClientSession, None]:
    async with aiohttp.ClientSession(node.url) as session:
        yield session


async def publish(http: aiohttp.ClientSession, path: str = "/cam/whip") -> Any:
    async with http.post(path, data=publish_offer(), headers=SDP) as answer:
        assert answer.status == 201, await answer.text()
        return answer.headers


@pytest.mark.parametrize("path", ["/cam/whip", "/live/video-to-video/cam/whip"])
async def test_an_offer_is_answered_with_a_session(http: aiohttp.ClientSession, path: str) -> None:
    async with http.post(path, data=publish_offer(), headers=SDP) as answer:
        body = await answer.text()
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/sdp"
    assert body.startswith("v=0\r\n")
    assert "a=setup:passive" in body
    assert answer.headers["Location"].startswith(f"{path}/")
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    for name in ("Location", "ETag", "Link"):
        assert name in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Livepeer-Playback-URL"] == f"{str(answer.url)[: -len(path)]}/cam/whep"


@pytest.mark.parametrize("kind", ["application/sdp; charset=utf-8", "Application/SDP"])
async def test_the_content_type_may_be_spelled_as_http_allows(
    http: aiohttp.ClientSession, kind: str
) -> None:
    async with http.post(
        "/cam/whip", data=publish_offer(), headers={"Content-Type": kind}
    ) as answer:
        assert answer.status == 201


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (publish_offer(), "text/plain", 415, "unsupported_media"),
        ("hello", "application/sdp", 400, "bad_offer"),
        ("", "application/sdp", 400, "bad_offer"),
        ("v=0\r\n", "application/sdp", 400, "bad_offer"),
        (without(publish_offer(), "a=ice-ufrag"), "application/sdp", 400, "bad_offer"),
        (play_offer(), "application/sdp", 400, "bad_offer"),
        ("v=0\r\n" + "a=x\r\n" * 200_000, "application/sdp", 413, "too_large"),
        ("[]", "application/json", 400, "bad_request"),
        ("{}", "application/json", 400, "bad_offer"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_code_and_a_remedy(
    node: Node, http: aiohttp.ClientSession, body: str, kind: str, status: int, code: str
) -> None:
    async with http.post("/cam/whip", data=body, headers={"Content-Type": kind}) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["code"]) == (status, code)
    assert problem["remedy"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert node.endpoint.sessions == 0
    assert not node.room("cam").requests


async def test_bytes_that_are_no_text_are_refused(http: aiohttp.ClientSession) -> None:
    async with http.post("/cam/whip", data=b"v=0\r\n\xff\xfe", headers=SDP) as answer:
        assert answer.status == 400


async def test_a_stream_name_that_cannot_be_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.post("/-cam/whip", data=publish_offer(), headers=SDP) as answer:
        assert (await answer.json(content_type=None))["code"] == "bad_stream_name"


async def test_pipeline_params_and_token_reach_the_gateway(
    node: Node, http: aiohttp.ClientSession
) -> None:
    query = {"pipeline": "toon", "params": '{"levels": 5}'}
    headers = {**SDP, "Authorization": "Bearer s3cret"}
    async with http.post("/cam/whip", data=publish_offer(), headers=headers, params=query):
        pass
    request = node.room("cam").requests[0]
    assert (request.pipeline, request.params, request.token) == ("toon", {"levels": 5}, "s3cret")
    assert (request.protocol, request.peer) == ("whip", "127.0.0.1")


async def test_the_json_form_takes_and_gives_the_same(
    node: Node, http: aiohttp.ClientSession
) -> None:
    body = {"sdp": publish_offer(), "pipeline": "neon", "params": {"hue": 3}}
    async with http.post("/cam/whip", json=body) as answer:
        document = await answer.json()
    assert answer.status == 201
    assert document["sdp"].startswith("v=0")
    assert document["session"] == answer.headers["Location"]
    request = node.room("cam").requests[0]
    assert (request.pipeline, request.params) == ("neon", {"hue": 3})


@pytest.mark.parametrize("params", ["nonsense", "[1]", '"text"'])
async def test_params_that_are_no_object_are_bad_parameters(
    http: aiohttp.ClientSession, params: str
) -> None:
    async with http.post(
        "/cam/whip", data=publish_offer(), headers=SDP, params={"params": params}
    ) as answer:
        assert answer.status == 400
        assert (await answer.json(content_type=None))["code"] == "bad_parameters"


async def test_a_refusal_of_the_gateway_reaches_the_client(
    node: Node, http: aiohttp.ClientSession
) -> None:
    node.gateway.refusal = NoRunnerFree("both runners are busy")
    async with http.post("/cam/whip", data=publish_offer(), headers=SDP) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers
    node.gateway.refusal = NotAllowed("no token")
    async with http.post("/cam/whip", data=publish_offer(), headers=SDP) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert node.endpoint.sessions == 0


async def test_delete_ends_the_session_once_whatever_its_etag(
    node: Node, http: aiohttp.ClientSession
) -> None:
    session = (await publish(http))["Location"]
    async with http.delete(session, headers={"If-Match": '"other"'}) as first:
        assert first.status == 200
    async with http.delete(session) as second:
        assert second.status == 404
        assert (await second.json(content_type=None))["code"] == "session_not_found"
    await until(lambda: node.endpoint.sessions == 0, within_s=5)
    assert node.room("cam").ends == ["client_left"]


async def test_a_session_is_found_under_its_own_stream_only(http: aiohttp.ClientSession) -> None:
    session = (await publish(http))["Location"]
    async with http.delete(session.replace("/cam/", "/other/")) as answer:
        assert answer.status == 404
    async with http.delete(session.replace("/whip/", "/whep/")) as answer:
        assert answer.status == 404


async def test_trickled_candidates_are_added_without_content(http: aiohttp.ClientSession) -> None:
    created = await publish(http)
    headers = {**FRAGMENT, "If-Match": created["ETag"]}
    async with http.patch(created["Location"], data=TRICKLED, headers=headers) as answer:
        assert answer.status == 204
        assert "ETag" not in answer.headers


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 tcp 1 127.0.0.1 9 typ host tcptype active",
        "1 1 udp 1 7b4a1f2e.local 5000 typ host",
        "1 1 udp 1 fe80::1 5000 typ host",
        "nonsense",
        "1 1 udp 1 127.0.0.1 99999 typ host",
    ],
)
async def test_candidates_of_no_use_are_ignored(
    http: aiohttp.ClientSession, candidate: str
) -> None:
    created = await publish(http)
    headers = {**FRAGMENT, "If-Match": created["ETag"]}
    body = f"a=candidate:{candidate}\r\na=end-of-candidates\r\n"
    async with http.patch(created["Location"], data=body, headers=headers) as answer:
        assert answer.status == 204


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (TRICKLED, {"Content-Type": "application/sdp", "If-Match": "ETAG"}, 415),
        ("nonsense", {**FRAGMENT, "If-Match": "ETAG"}, 400),
        (TRICKLED, FRAGMENT, 428),
        (TRICKLED, {**FRAGMENT, "If-Match": '"stale"'}, 412),
        (TRICKLED, {**FRAGMENT, "If-Match": "*"}, 422),
        (TRICKLED.replace("9xKp", "anew"), {**FRAGMENT, "If-Match": "ETAG"}, 422),
    ],
)
async def test_a_patch_that_cannot_be_says_why_and_leaves_the_session(
    node: Node, http: aiohttp.ClientSession, body: str, headers: dict[str, str], status: int
) -> None:
    created = await publish(http)
    headers = {k: created["ETag"] if v == "ETAG" else v for k, v in headers.items()}
    async with http.patch(created["Location"], data=body, headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json(content_type=None))["remedy"]
    assert node.endpoint.sessions == 1


@pytest.mark.parametrize("path", ["/cam/whip", "/cam/whep", "/cam/whip/session"])
async def test_a_browser_elsewhere_may_do_all_this(http: aiohttp.ClientSession, path: str) -> None:
    async with http.options(path, headers={"Origin": "https://example.org"}) as answer:
        assert answer.status == 204
    for method in ("POST", "PATCH", "DELETE"):
        assert method in answer.headers["Access-Control-Allow-Methods"]
    for name in ("Authorization", "Content-Type", "If-Match"):
        assert name in answer.headers["Access-Control-Allow-Headers"]
    assert "application/sdp" in answer.headers["Accept-Post"]
    assert "Link" not in answer.headers


async def test_looking_at_an_endpoint_or_a_session_shows_that_it_is_there(
    http: aiohttp.ClientSession,
) -> None:
    session = (await publish(http))["Location"]
    for path in ("/cam/whip", "/cam/whep", session):
        async with http.get(path) as answer:
            assert answer.status == 204
    async with http.head("/cam/whep") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/sdp"
    async with http.put("/cam/whip", data="x") as answer:
        assert answer.status == 405


async def test_ice_servers_are_told_one_link_each() -> None:
    turn = IceServer(
        url="turn:turn.example.org:3478?transport=udp", username='a"b', credential="c\\d"
    )
    stun = IceServer(url="stun:stun.example.org:3478")
    async with (
        running_node(ice_servers=(stun, turn)) as node,
        aiohttp.ClientSession(node.url) as http,
        http.post("/cam/whip", data=publish_offer(), headers=SDP) as answer,
    ):
        links = answer.headers.getall("Link")
    assert links == [
        '<stun:stun.example.org:3478>; rel="ice-server"',
        '<turn:turn.example.org:3478?transport=udp>; rel="ice-server"; '
        'username="a\\"b"; credential="c\\\\d"; credential-type="password"',
    ]


async def test_a_viewer_may_come_first_unless_he_does_not_want_to_wait(
    node: Node, http: aiohttp.ClientSession
) -> None:
    async with http.post("/cam/whep?source=1", data=play_offer(), headers=SDP) as answer:
        assert answer.status == 201
        assert "a=sendonly" in await answer.text()
    assert node.gateway.viewers == [("cam", True)]
    async with http.post("/cam/whep?wait=0", data=play_offer(), headers=SDP) as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["code"] == "stream_not_found"
        assert "Retry-After" in answer.headers
    async with http.post("/cam/whep?wait=maybe", data=play_offer(), headers=SDP) as answer:
        assert answer.status == 400


async def test_a_viewer_that_leaves_is_no_longer_counted(
    node: Node, http: aiohttp.ClientSession
) -> None:
    async with http.post("/cam/whep", data=play_offer(), headers=SDP) as answer:
        session = answer.headers["Location"]
    async with http.delete(session):
        pass
    await until(lambda: node.gateway.left_count == 1, within_s=5)


async def test_a_flood_of_offers_is_shed_before_a_runner_is_woken() -> None:
    endpoint = RtcEndpoint("127.0.0.1", 0, connecting_max=5)
    async with running_node(endpoint=endpoint) as node:
        answers = await asyncio.gather(
            *(post(f"{node.url}/s{n}/whip", publish_offer()) for n in range(12))
        )
        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [201] * 5 + [503] * 7
        assert all("Retry-After" in headers for s, _, headers in answers if s == 503)
        assert len(node.gateway.rooms) == 5
