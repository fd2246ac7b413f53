"""WHIP and WHEP as `/docs` and `/openapi.json` describe them."""

from typing import Final

from server.edge.http import JSON
from server.edge.openapi import Operation
from server.edge.webrtc_request import SDP, SDP_FRAGMENT

_STREAM_ERRORS: Final = {
    400: "bad_offer, bad_stream_name, bad_parameters",
    413: "too_large",
    415: "unsupported_media",
    503: "overloaded",
}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/{stream}/whip",
        summary="Publishes: WHIP (RFC 9725). `/live/video-to-video/{stream}/whip` is the same.",
        query={
            "pipeline": "What is to be done to the pictures.",
            "params": "The pipeline's parameters, a JSON object as text.",
            "token": "For clients that cannot send `Authorization: Bearer`.",
        },
        body={
            SDP: "v=0\r\n...",
            JSON: {"sdp": "v=0\r\n...", "pipeline": "toon", "params": {"levels": 5}},
        },
        answers={201: (SDP, "The SDP answer; JSON for JSON. `Location` is the session.")},
        errors={**_STREAM_ERRORS, 401: "not_allowed"},
    ),
    Operation(
        method="POST",
        path="/{stream}/whep",
        summary="Watches: WHEP. `/live/video-to-video/{stream}/whep` is the same.",
        query={
            "source": "1 for what was published, untouched.",
            "wait": "0 to be refused while nobody publishes.",
        },
        body={SDP: "v=0\r\n...", JSON: {"sdp": "v=0\r\n..."}},
        answers={201: (SDP, "The SDP answer; JSON for JSON. `Location` is the session.")},
        errors={**_STREAM_ERRORS, 404: "stream_not_found"},
    ),
    *(
        Operation(
            method=method,
            path=f"/{{stream}}/{kind}/{{session}}",
            summary=summary,
            body={SDP_FRAGMENT: "a=candidate:..."} if method == "PATCH" else {},
            answers=answers,
            errors={404: "session_not_found", **errors},
        )
        for kind in ("whip", "whep")
        for method, summary, answers, errors in (
            ("DELETE", "Ends the session.", {200: ("", "Ended.")}, {}),
            (
                "PATCH",
                "Adds candidates (trickle ICE); needs the answer's ETag as If-Match.",
                {204: ("", "Added.")},
                {
                    412: "etag_stale",
                    415: "unsupported_media",
                    422: "ice_restart_unsupported",
                    428: "etag_missing",
                },
            ),
        )
    ),
)
