"""One request for a live stream, as ai-runner's peers make it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Job(BaseModel):
    """Where a stream comes from and goes to, and what happens to it in between.

    Fields that we do not know are passed over: peers add their own.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    subscribe_url: str = Field(min_length=1)
    publish_url: str = Field(min_length=1)
    control_url: str = ""
    events_url: str = ""
    model_id: str = ""
    params: dict[str, Any] = {}
    gateway_request_id: str = ""
    manifest_id: str = ""
    stream_id: str = ""
