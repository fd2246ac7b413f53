"""The gateway's view of orchestrators: what they offer, and asking one to take a live job."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import structlog

from server.errors import (
    BadParameters,
    NodeError,
    NoOrchestrator,
    NoRunnerFree,
    OrchestratorFailed,
    OrchestratorUnreachable,
    RunnersLoading,
)
from server.gateway.catalogue import Catalogue, Offer

log = structlog.get_logger(__name__)

# go-livepeer's gateway waits as long for the same answer.
START_TIMEOUT_S: Final = 5.0
ASK_TIMEOUT_S: Final = 3.0

# A publisher who comes before the runners have loaded is kept waiting rather than sent away: OBS
# takes a refusal for final. Less than the RTMP edge's patience with us.
LOADING_PATIENCE_S: Final = 10.0
LOADING_LOOK_S: Final = 0.25

# How long an offer is believed. Runners come and go rarely; a page may ask at every visit.
CATALOGUE_AGE_MAX_S: Final = 5.0

# An answer of an orchestrator is some URLs, or some schemas. More than this is not an answer.
ANSWER_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class JobUrls:
    """Where an orchestrator wants a live job's media and messages.

    Attributes:
        runner: What our own orchestrators call the runner that took it; others say nothing.
    """

    orchestrator: str
    manifest_id: str
    publish: str
    subscribe: str
    control: str
    events: str
    runner: str | None = None


class Orchestrators:
    """Asks them in the order of the settings, and remembers what they offered last.

    Attributes:
        loading: One said, when last asked for its offers, that its runners are still loading.
    """

    def __init__(self, urls: tuple[str, ...], http: aiohttp.ClientSession) -> None:
        self.urls = urls
        self.loading = False
        self._http = http
        self._catalogue = Catalogue()
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def catalogue(self) -> Catalogue:
        """What is offered now; the last known if nobody answers."""
        async with self._asking:
            loop = asyncio.get_running_loop()
            if loop.time() - self._asked_at > CATALOGUE_AGE_MAX_S or not len(self._catalogue):
                self.loading = False
                answers = await asyncio.gather(*(self._offers(url) for url in self.urls))
                found = Catalogue(offer for offers in answers for offer in offers)
                if len(found):
                    self._catalogue, self._asked_at = found, loop.time()
            return self._catalogue

    async def start(
        self, *, pipeline: str, params: Mapping[str, Any], stream: str, request_id: str
    ) -> JobUrls:
        """Finds an orchestrator that takes the job.

        Raises:
            BadParameters: One says the request itself is wrong; no other is asked.
            NoRunnerFree: Those who answered are all busy.
            RunnersLoading: One is loading its runners, for longer than anybody should wait.
            NoOrchestrator: Nobody answered.
        """
        body = {
            "model_id": pipeline,
            "params": dict(params),
            "stream_id": stream,
            "gateway_request_id": request_id,
        }
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + LOADING_PATIENCE_S
        while True:
            try:
                return await self._start_somewhere(body)
            except RunnersLoading:
                if loop.time() > patient_until:
                    raise
            await asyncio.sleep(LOADING_LOOK_S)

    async def _start_somewhere(self, body: Mapping[str, Any]) -> JobUrls:
        failures: list[NodeError] = []
        for url in self.urls:
            try:
                return await self._start(url, body)
            except (OrchestratorFailed, NoRunnerFree) as error:
                log.info("orchestrator passed over", orchestrator=url, reason=error.message)
                failures.append(error)
        for hopeful in (RunnersLoading, NoRunnerFree):
            for failure in failures:
                if isinstance(failure, hopeful):
                    raise failure
        told = "; ".join(failure.message for failure in failures) or "none is configured"
        raise NoOrchestrator(f"no orchestrator took the job: {told}")

    async def _start(self, url: str, body: Mapping[str, Any]) -> JobUrls:
        status, answer = await self._ask("POST", f"{url}/live-video-to-video", body)
        told = str(answer.get("detail") or answer.get("message") or f"status {status}")
        match status:
            case 200:
                return _job_urls(url, answer)
            case 400:
                raise BadParameters(told)
            case 503 if answer.get("code") == RunnersLoading.code:
                raise RunnersLoading(f"{url}: {told}")
            case 503:
                raise NoRunnerFree(f"{url}: {told}")
            case _:
                raise OrchestratorFailed(f"{url}: {told}")

    async def _offers(self, url: str) -> list[Offer]:
        try:
            status, answer = await self._ask("GET", f"{url}/pipelines", None)
            if status != 200:
                self.loading |= answer.get("code") == RunnersLoading.code
                return []
            return [Offer.from_json(item) for item in answer["pipelines"]]
        except (OrchestratorFailed, KeyError, TypeError, ValueError) as error:
            log.info("orchestrator offers nothing", orchestrator=url, reason=str(error))
            return []

    async def _ask(
        self, method: str, url: str, body: Mapping[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        timeout = aiohttp.ClientTimeout(total=START_TIMEOUT_S if body else ASK_TIMEOUT_S)
        try:
            async with self._http.request(
                method, url, json=body, timeout=timeout, allow_redirects=False
            ) as response:
                text = await response.content.read(ANSWER_MAX_BYTES)
                if response.content_type.endswith("json"):
                    answer = await _decode(response, text)
                else:
                    answer = {"detail": text.decode(errors="replace").strip()}
                return response.status, answer
        except TimeoutError:
            raise OrchestratorUnreachable(f"{url} did not answer in {timeout.total:g} s") from None
        except aiohttp.ClientError as error:
            raise OrchestratorUnreachable(f"{url}: {error}") from None


async def _decode(response: aiohttp.ClientResponse, text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        raise OrchestratorFailed(f"{response.url} answered with broken JSON") from None
    if not isinstance(answer, dict):
        raise OrchestratorFailed(f"{response.url} answered with {type(answer).__name__}")
    return answer


def _job_urls(orchestrator: str, answer: Mapping[str, Any]) -> JobUrls:
    def url(name: str) -> str:
        # A bare path means "on this host". An absolute one must be on it too: an orchestrator
        # may not send us to call somebody else.
        given = answer.get(f"{name}_url")
        if not isinstance(given, str) or not given:
            raise OrchestratorFailed(f"{orchestrator} answered without {name}_url")
        absolute = urljoin(orchestrator + "/", given)
        if urlsplit(absolute).hostname != urlsplit(orchestrator).hostname:
            raise OrchestratorFailed(f"{orchestrator} sent us to another host: {given}")
        return absolute

    return JobUrls(
        orchestrator=orchestrator,
        manifest_id=str(answer.get("manifest_id", "")),
        publish=url("publish"),
        subscribe=url("subscribe"),
        control=url("control"),
        events=url("events"),
        runner=str(answer["runner"]) if answer.get("runner") else None,
    )
