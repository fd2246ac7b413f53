"""What an RTMP publisher asks for: read from the address it publishes to.

    rtmp://host/live/{stream}?pipeline=toon&params={"levels":5}&token=...

Pure. The name may stand in the stream key or in the path, and the queries behind either: encoders
split the address each in their own way. `server.edge.rtmp_connection` calls it.
"""

import json
from urllib.parse import parse_qs

from server.edge.ingest import PublishRequest, check_stream_name
from server.errors import BadParameters, BadRequest, Conflict, NodeError
from server.media.rtmp_events import PublishRequested


def publish_request(event: PublishRequested, peer: str) -> PublishRequest:
    """Reads the stream's name, from the key or the path, and what its queries ask for.

    Raises:
        BadRequest: Something in it cannot be.
    """
    _, _, path = event.app.partition("/")
    name = "/".join(part.strip("/") for part in (path, event.name) if part.strip("/"))
    if not name:
        raise BadRequest(
            "no stream key",
            remedy="In OBS, enter a name of your choice as the stream key.",
        )
    asked: dict[str, str] = {}
    for query in event.query:
        for key, values in parse_qs(query, keep_blank_values=False).items():
            asked.setdefault(key, values[0])
    return PublishRequest(
        stream=check_stream_name(name),
        protocol="rtmp",
        peer=peer,
        pipeline=asked.get("pipeline"),
        params=_params(asked.get("params")),
        token=asked.get("token") or asked.get("pass"),
    )


def status_code(error: NodeError) -> str:
    """What RTMP calls a refusal."""
    taken_or_impossible = isinstance(error, Conflict) or error.code == "bad_stream_name"
    return f"NetStream.Publish.{'BadName' if taken_or_impossible else 'Rejected'}"


def _params(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        params = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadParameters(f"params is not JSON: {error}") from None
    if not isinstance(params, dict):
        raise BadParameters("params is not a JSON object")
    return params
