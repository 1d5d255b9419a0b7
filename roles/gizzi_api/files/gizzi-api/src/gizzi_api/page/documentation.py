# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document as a plain page: nothing is loaded from elsewhere, nothing runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gizzi_api.page import template

Json = Mapping[str, Any]

# What the document leaves out where there is none.
OPTIONAL: dict[str, Any] = {"description": "", "parameters": (), "security": ()}


def render(document: Json) -> str:
    """Return the page for the OpenAPI ``document``."""
    schemas: Json = document["components"]["schemas"]
    routes = [
        {
            "path": path,
            "method": method.upper(),
            "operation": OPTIONAL | operation,
            "sample": _sample(operation, schemas),
        }
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return template("documentation.html").render(info=document["info"], routes=routes)


def _sample(operation: Json, schemas: Json) -> list[str]:
    """An answer in lines, where there is one."""
    content: Json = operation["responses"]["200"].get("content", {})
    sample = _example(content.get("application/json", {}).get("schema", {}), schemas)
    return [] if sample is None else json.dumps(sample, indent=1, ensure_ascii=False).splitlines()


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
