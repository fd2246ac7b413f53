"""The API as a document: what each role answers, as OpenAPI 3.1 and as a page to read.

A role describes its operations beside its routes, as values; nothing is inferred from code, and a
test compares what is described with what is routed.
"""

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = dict[str, Any]

PROBLEM_SCHEMA: Json = {
    "type": "object",
    "required": ["status", "detail", "code", "retry", "remedy"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was expected and what came."},
        "code": {"type": "string", "description": "What to match on."},
        "retry": {"type": "string", "enum": ["never", "same", "elsewhere"]},
        "remedy": {"type": "string", "description": "What to do about it."},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, as a caller sees it.

    Attributes:
        body: Content type to example of what may be sent.
        answers: Status to (content type, meaning).
        errors: Status to the codes that may come with it.
    """

    method: str
    path: str
    summary: str
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    answers: dict[int, tuple[str, str]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)


def document(title: str, version: str, operations: Iterable[Operation]) -> Json:
    """The OpenAPI document."""
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": {"Problem": PROBLEM_SCHEMA}},
    }


def routes(title: str, version: str, operations: Iterable[Operation]) -> list[web.RouteDef]:
    """`/openapi.json` and `/docs`."""
    spec = document(title, version, list(operations))
    page = _page(spec)

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(spec)

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    return [web.get("/openapi.json", openapi), web.get("/docs", docs)]


def _operation(operation: Operation) -> Json:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    described: Json = {
        "summary": operation.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
        + [
            {"name": name, "in": "query", "description": doc, "schema": {"type": "string"}}
            for name, doc in operation.query.items()
        ],
        "responses": {
            str(status): {"description": meaning, "content": {kind: {}} if kind else {}}
            for status, (kind, meaning) in operation.answers.items()
        },
    }
    for status, codes in operation.errors.items():
        described["responses"][str(status)] = {
            "description": codes,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
    if operation.body:
        described["requestBody"] = {
            "content": {kind: {"example": example} for kind, example in operation.body.items()}
        }
    return described


def _page(spec: Json) -> str:
    sections = []
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            rows = "".join(
                f"<tr><td>{p['in']}</td><td><code>{html.escape(p['name'])}</code></td>"
                f"<td>{html.escape(p.get('description', ''))}</td></tr>"
                for p in operation["parameters"]
            )
            rows += "".join(
                f"<tr><td>body</td><td><code>{html.escape(kind)}</code></td><td><pre>"
                f"{html.escape(_example(content['example']))}</pre></td></tr>"
                for kind, content in operation.get("requestBody", {}).get("content", {}).items()
            )
            rows += "".join(
                f"<tr><td>{status}</td><td>{', '.join(map(html.escape, answer['content']))}</td>"
                f"<td>{html.escape(answer['description'])}</td></tr>"
                for status, answer in operation["responses"].items()
            )
            sections.append(
                f"<section><h2><b>{method.upper()}</b> <code>{html.escape(path)}</code></h2>"
                f"<p>{html.escape(operation['summary'])}</p><table>{rows}</table></section>"
            )
    info = spec["info"]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{info['title']}</title><style>{_STYLE}</style>"
        f"<main><h1>{info['title']} <small>{info['version']}</small></h1>"
        "<p>The same as a document: <a href=/openapi.json>/openapi.json</a>.</p>"
        f"{''.join(sections)}</main></html>"
    )


def _example(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, indent=2)


_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0}
main{max-width:60rem;margin:auto;padding:1.5rem}
h2{font-size:1.05rem;margin:2rem 0 .25rem}
h2 b{font-size:.8rem;border:1px solid;border-radius:.3rem;padding:.05rem .4rem}
table{border-collapse:collapse;width:100%}
td{border-top:1px solid #8884;padding:.3rem .6rem .3rem 0;vertical-align:top}
pre{margin:0;white-space:pre-wrap}
"""
