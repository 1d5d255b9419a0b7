# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document as a plain page: nothing is loaded from elsewhere, nothing runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gizzi_api.page import frame, text

Json = Mapping[str, Any]


def render(document: Json) -> str:
    info = document["info"]
    schemas: Json = document["components"]["schemas"]
    routes = "".join(
        _route(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    paragraphs = "".join(f"<p>{_inline(part)}</p>" for part in info["description"].strip().split("\n\n"))
    body = f"""<header><h1>{text(info["title"])} {text(info["version"])}</h1></header>
<main>
{paragraphs}
<p>For programs: <a href="/openapi.json">the OpenAPI document</a>. For people: <a href="/">the network</a>.</p>
{routes}
</main>"""
    return frame(f"{info['title']}: documentation", body)


def _inline(words: str) -> str:
    """Escape, with `code` as such."""
    parts = text(words).split("`")
    return "".join(f"<code>{part}</code>" if position % 2 else part for position, part in enumerate(parts))


def _route(path: str, method: str, operation: Json, schemas: Json) -> str:
    parameters = "".join(
        f"<li><code>{text(one['name'])}</code> ({text(one['in'])}): {_inline(one.get('description', ''))}</li>"
        for one in operation.get("parameters", ())
    )
    answers = "".join(
        f'<tr><th scope="row">{text(status)}</th><td>{_inline(answer["description"])}</td></tr>'
        for status, answer in sorted(operation["responses"].items())
    )
    content: Json = operation["responses"]["200"].get("content", {})
    sample = _example(content.get("application/json", {}).get("schema", {}), schemas)
    shown = (
        ""
        if sample is None
        else f"<p>An answer:</p><pre>{text(json.dumps(sample, indent=1, ensure_ascii=False))}</pre>"
    )
    token = "<p>Needs the header <code>Authorization: Bearer …</code>.</p>" if operation.get("security") else ""
    description = "".join(f"<p>{_inline(part)}</p>" for part in operation.get("description", "").split("\n\n"))
    return f"""<section>
<h2><code>{text(method.upper())} {text(path)}</code> {text(operation["summary"])}</h2>
{description}{token}
{f"<ul>{parameters}</ul>" if parameters else ""}
<table class="answers"><caption>Answers</caption><tbody>{answers}</tbody></table>
{shown}
</section>
"""


def _example(schema: Json, schemas: Json) -> Any:
    """Put an example together from those of the fields."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _example(choice, schemas)
    kind = schema.get("type")
    if kind == "object":
        return {name: _example(part, schemas) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_example(schema.get("items", {}), schemas)]
    if kind == "boolean":
        return True
    if schema.get("format") == "date-time":
        return "2026-11-22T10:00:00Z"
    return None
