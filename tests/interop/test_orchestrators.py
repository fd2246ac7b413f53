"""The gateway asks orchestrators, some of whom are busy, broken, hostile or gone."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.errors import BadParameters, NoOrchestrator, NoRunnerFree, RunnersLoading
from server.gateway.orchestrators import JobUrls, Orchestrators

TOON: dict[str, object] = {"name": "toon", "title": "Toon", "schema": {"type": "object"}}


class FakeOrchestrator:
    """Answers as it is told, and notes what it was asked."""

    def __init__(
        self, answer: Callable[[str], web.Response], offers: list[dict[str, object]]
    ) -> None:
        self.asked: list[dict[str, object]] = []
        self._answer = answer
        self._offers = offers
        app = web.Application()
        app.router.add_post("/live-video-to-video", self._start)
        app.router.add_get("/pipelines", self._pipelines)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def _start(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return self._answer(self.url)

    async def _pipelines(self, _request: web.Request) -> web.Response:
        return web.json_response({"pipelines": self._offers})


def takes_it(url: str) -> web.Response:
    own = f"{url}/ai/trickle/m1"
    return web.json_response(
        {
            "manifest_id": "m1",
            "publish_url": own,
            "subscribe_url": "/ai/trickle/m1-out",  # a bare path means "on this host"
            "control_url": f"{own}-control",
            "events_url": f"{own}-events",
        }
    )


def sends_elsewhere(_url: str) -> web.Response:
    return takes_it("http://192.0.2.7:8935")


def is_busy(_url: str) -> web.Response:
    return web.Response(status=503, text="insufficient capacity\n")


def dislikes_it(_url: str) -> web.Response:
    return web.json_response({"detail": "levels: 1 is less than 2"}, status=400)


def is_loading(_url: str) -> web.Response:
    return web.json_response({"detail": "2 loading", "code": "runners_loading"}, status=503)


def is_broken(_url: str) -> web.Response:
    return web.Response(text="{", content_type="application/json")


class Make(Protocol):
    """Starts fakes that answer so, and a gateway's view of them."""

    def __call__(
        self, *answers: Callable[[str], web.Response], dead: bool = False
    ) -> Awaitable[tuple[list[FakeOrchestrator], Orchestrators]]: ...


@pytest.fixture
async def make() -> AsyncGenerator[Make, None]:
    running: list[FakeOrchestrator] = []
    async with aiohttp.ClientSession() as http:

        async def build(
            *answers: Callable[[str], web.Response], dead: bool = False
        ) -> tuple[list[FakeOrchestrator], Orchestrators]:
            for answer in answers:
                fake = FakeOrchestrator(answer, [TOON])
                await fake.server.start_server()
                running.append(fake)
            urls = [fake.url for fake in running]
            if dead:
                gone = FakeOrchestrator(takes_it, [])
                await gone.server.start_server()
                urls.insert(0, gone.url)
                await gone.server.close()
            return running, Orchestrators(tuple(urls), http)

        yield build
    for fake in running:
        await fake.server.close()


async def start(orchestrators: Orchestrators) -> JobUrls:
    return await orchestrators.start(
        pipeline="toon", params={"levels": 5}, stream="kitchen", request_id="r1"
    )


async def test_the_job_is_asked_for_in_the_networks_words(make: Make) -> None:
    fakes, orchestrators = await make(takes_it)
    urls = await start(orchestrators)
    assert fakes[0].asked == [
        {
            "model_id": "toon",
            "params": {"levels": 5},
            "stream_id": "kitchen",
            "gateway_request_id": "r1",
        }
    ]
    assert urls.subscribe == f"{fakes[0].url}/ai/trickle/m1-out"


async def test_busy_broken_hostile_and_dead_ones_are_passed_over(
    make: Make,
) -> None:
    fakes, orchestrators = await make(is_busy, is_broken, sends_elsewhere, takes_it, dead=True)
    urls = await start(orchestrators)
    assert urls.orchestrator == fakes[3].url


async def test_a_wrong_request_is_not_tried_elsewhere(make: Make) -> None:
    fakes, orchestrators = await make(dislikes_it, takes_it)
    with pytest.raises(BadParameters, match="levels: 1 is less than 2"):
        await start(orchestrators)
    assert not fakes[1].asked


async def test_busy_is_told_apart_from_gone(make: Make) -> None:
    _, orchestrators = await make(is_busy, dead=True)
    with pytest.raises(NoRunnerFree, match="insufficient capacity"):
        await start(orchestrators)


async def test_runners_that_load_are_waited_for(make: Make) -> None:
    answers = iter([is_loading, takes_it])
    fakes, orchestrators = await make(lambda url: next(answers)(url), is_busy)
    urls = await start(orchestrators)
    assert urls.orchestrator == fakes[0].url


async def test_runners_that_load_for_ever_are_not(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.gateway.orchestrators.LOADING_PATIENCE_S", 0.0)
    _, orchestrators = await make(is_busy, is_loading)
    with pytest.raises(RunnersLoading, match="2 loading"):
        await start(orchestrators)


async def test_nobody_there_says_so(make: Make) -> None:
    _, orchestrators = await make(dead=True)
    with pytest.raises(NoOrchestrator, match="no orchestrator took the job"):
        await start(orchestrators)
    assert len(await orchestrators.catalogue()) == 0


async def test_what_was_offered_is_remembered(make: Make) -> None:
    fakes, orchestrators = await make(takes_it)
    assert [offer.name for offer in await orchestrators.catalogue()] == ["toon"]
    await fakes[0].server.close()
    orchestrators._asked_at = float("-inf")
    assert [offer.name for offer in await orchestrators.catalogue()] == ["toon"]
