"""Every setting of a node, in one frozen tree.

A section is handed, whole, to the component it describes; no component sees the rest of the tree.
Two sections compare equal when nothing in them changed. Where the values come from is the business
of `server.config_load`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """How serious a line must be to be written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Port = Annotated[int, Field(ge=0, le=65_535)]


class LogConfig(Section):
    """Logs, written to standard error."""

    level: LogLevel = Field(LogLevel.INFO, description="Least serious level that is written.")
    format: LogFormat = Field(LogFormat.TEXT, description="text for people, json for machines.")


class GatewayHttpConfig(Section):
    """The page, WHIP, WHEP and the API."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 opens it to others.")
    port: Port = Field(8080, description="TCP port; 0 picks a free one.")
    body_max_bytes: int = Field(
        1 << 20, ge=1 << 16, description="Largest request body; an offer or parameters need little."
    )


class RtmpConfig(Section):
    """RTMP ingest, for OBS and ffmpeg."""

    enabled: bool = Field(True, description="Whether to listen for RTMP at all.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 opens it to others.")
    port: Port = Field(1935, description="TCP port; 0 picks a free one.")


class WebRtcConfig(Section):
    """WebRTC media: one UDP port for every session."""

    host: str = Field("127.0.0.1", description="Address to bind; 0.0.0.0 opens it to others.")
    port: Port = Field(7290, description="UDP port; 0 picks a free one.")
    public_ips: tuple[str, ...] = Field(
        (), description="Addresses to announce beside the local ones, when behind NAT."
    )
    ice_servers: tuple[str, ...] = Field(
        (), description="STUN or TURN addresses told to clients, e.g. stun:stun.example.org:3478."
    )


class GatewayConfig(Section):
    """Takes streams in, has them worked on, gives them out."""

    http: GatewayHttpConfig = GatewayHttpConfig()
    rtmp: RtmpConfig = RtmpConfig()
    webrtc: WebRtcConfig = WebRtcConfig()
    orchestrators: tuple[str, ...] = Field(
        ("http://127.0.0.1:8935",), description="Orchestrators to try, in this order."
    )
    default_pipeline: str = Field(
        "toon", description="What a stream gets when its publisher asks for nothing."
    )
    publish_token_file: Path | None = Field(
        None, description="File holding the token that publishers must send; none lets all publish."
    )
    streams_max: int = Field(64, ge=1, description="Streams at once.")
    viewers_max: int = Field(500, ge=1, description="Viewers at once, over all streams.")
    reconnect_grace_s: float = Field(
        5.0, ge=0, le=60, description="How long viewers are kept after their publisher vanished."
    )
    viewer_wait_s: float = Field(
        120.0, ge=0, description="How long a viewer may wait for a publisher to come."
    )
    segment_min_s: float = Field(
        1.0, ge=0.5, le=4.0, description="Shortest trickle segment; a keyframe after it cuts."
    )
    result_timeout_s: float = Field(
        10.0, ge=2.0, description="No result for so long, while input flows, fails the job."
    )

    @field_validator("orchestrators")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} is not an http:// or https:// address")
        return tuple(url.rstrip("/") for url in urls)


class RunnersConfig(Section):
    """The live runners that an orchestrator keeps."""

    pipelines: tuple[str, ...] = Field(
        ("effects",), description="What each runner serves: names, or effects for all built in."
    )
    count: int = Field(2, ge=0, le=64, description="Runner processes kept ready, one stream each.")


class OrchestratorConfig(Section):
    """Sells work: takes live jobs, keeps the trickle channels and the runners."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 opens it to others.")
    port: Port = Field(8935, description="TCP port for API and trickle; 0 picks a free one.")
    service_uri: str = Field(
        "", description="How gateways reach this node; empty means the address it listens on."
    )
    runners: RunnersConfig = RunnersConfig()
    idle_s: float = Field(
        60.0, ge=5, description="A job whose gateway sends nothing for so long is ended."
    )


class RunnerConfig(Section):
    """`penstock runner`: one runner by itself, with the HTTP contract of an ai-runner."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 opens it to others.")
    port: Port = Field(8000, description="TCP port; 0 picks a free one.")


class NodeConfig(Section):
    """A node."""

    log: LogConfig = LogConfig()
    gateway: GatewayConfig = GatewayConfig()
    orchestrator: OrchestratorConfig = OrchestratorConfig()
    runner: RunnerConfig = RunnerConfig()
