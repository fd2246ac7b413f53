"""The gateway, put together: edges in front, rooms behind, one HTTP port for all that is HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

import aiohttp
import structlog
from aiohttp import web

from server.config import GatewayConfig
from server.edge import http, openapi
from server.edge.listen import opening
from server.edge.rtmp import RtmpServer
from server.edge.webrtc import OPERATIONS as WEBRTC_OPERATIONS
from server.edge.webrtc import IceServer, WebRtcRoutes
from server.errors import ConfigError
from server.gateway.api import OPERATIONS, GatewayApi
from server.gateway.orchestrators import Orchestrators
from server.gateway.rooms import Rooms
from server.media.rtc.endpoint import RtcEndpoint
from server.obs.metrics import Metrics

log = structlog.get_logger(__name__)

# How long requests in progress may take to end when the node stops; streams of events end at once.
SHUTDOWN_S = 1.0


class Gateway:
    """A running gateway.

    Attributes:
        url: Where its page is.
        rtmp_url: Where OBS publishes, or None when RTMP is off.
    """

    def __init__(self, url: str, rtmp_url: str | None, rooms: Rooms) -> None:
        self.url = url
        self.rtmp_url = rtmp_url
        self.rooms = rooms


@asynccontextmanager
async def gateway(config: GatewayConfig, metrics: Metrics) -> AsyncGenerator[Gateway, None]:
    """Serves for as long as the body runs; when it returns nothing is left open.

    Raises:
        AddressInUse: A port is taken; the message names it and its setting.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        orchestrators = Orchestrators(config.orchestrators, session)
        rooms = Rooms(config, orchestrators, metrics, token=_token(config))

        endpoint = RtcEndpoint(
            config.webrtc.host,
            config.webrtc.port,
            public_ips=list(config.webrtc.public_ips),
        )
        with opening(config.webrtc.host, config.webrtc.port, setting="gateway.webrtc.port"):
            await endpoint.start()
        stack.push_async_callback(endpoint.close)

        rtmp_url = None
        if config.rtmp.enabled:
            rtmp = RtmpServer(rooms)
            await rtmp.listen(config.rtmp.host, config.rtmp.port, setting="gateway.rtmp.port")
            stack.push_async_callback(rtmp.close)
            rtmp_url = f"rtmp://{_reachable(config.rtmp.host)}:{rtmp.port}/live"

        webrtc = WebRtcRoutes(
            endpoint,
            rooms,
            rooms,
            ice_servers=[IceServer(url=url) for url in config.webrtc.ice_servers],
        )
        about: dict[str, object] = {
            "version": version("penstock"),
            "rtmp_url": rtmp_url,
            "orchestrators": list(config.orchestrators),
            "default_pipeline": config.default_pipeline,
        }
        api = GatewayApi(rooms, orchestrators, about)
        app = http.application(
            metrics,
            body_max_bytes=config.http.body_max_bytes,
            routes=[
                *api.routes(),
                *openapi.routes(
                    "Penstock gateway",
                    str(about["version"]),
                    (*WEBRTC_OPERATIONS, *OPERATIONS, *http.OPERATIONS),
                ),
                *webrtc.routes(),
            ],
        )
        port = await _serve(app, config, stack)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(rooms.run(), name="rooms")
            try:
                yield Gateway(f"http://{_reachable(config.http.host)}:{port}", rtmp_url, rooms)
            finally:
                running.cancel()


async def _serve(app: web.Application, config: GatewayConfig, stack: AsyncExitStack) -> int:
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, config.http.host, config.http.port)
    with opening(config.http.host, config.http.port, setting="gateway.http.port"):
        await site.start()
    return int(runner.addresses[0][1])


def _token(config: GatewayConfig) -> str | None:
    if config.publish_token_file is None:
        return None
    try:
        token = config.publish_token_file.read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"gateway.publish_token_file: cannot read {config.publish_token_file}: {error.strerror}"
        ) from None
    if not token:
        raise ConfigError(f"gateway.publish_token_file: {config.publish_token_file} is empty")
    return token


def _reachable(host: str) -> str:
    """The name a person on this machine can use for an address we listen on."""
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host
