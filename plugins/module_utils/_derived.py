# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Derived models: what one consists of by /api/show, and what it should consist of."""

from __future__ import annotations

import re
from ast import literal_eval
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._parameters import name_problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    Parameters = Mapping[str, tuple[Any, ...]]

# A command of a Modelfile as Ollama writes it: what has several lines is quoted, three times where it holds a quote.
_COMMAND = re.compile(
    r'^(?P<name>[A-Z]+) (?:"""(?P<long>.*?)"""$|"(?P<quoted>[^"]*)"$|(?P<plain>[^\n]*)$)', re.DOTALL | re.MULTILINE
)
_BLOB = re.compile(r"sha256[-:]([0-9a-f]{64})$")
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Content:
    """All that decides how a model answers. Layers are told by their digests, texts are as they are."""

    weights: tuple[str, ...] = ()
    adapter: tuple[str, ...] = ()
    template: str = ""
    system: str = ""
    parameters: Parameters = field(default_factory=dict)
    messages: tuple[tuple[str, str], ...] = ()
    license: str = ""
    renderer: str = ""
    parser: str = ""


_PARTS = tuple(part.name for part in fields(Content))


@dataclass(frozen=True)
class Definition:
    """What is laid over the base. What is empty stays the base's."""

    template: str
    system: str
    parameters: Parameters
    adapter: str

    def over(self, base: Content) -> Content:
        """What the model consists of once Ollama has made it."""
        return replace(
            base,
            adapter=(*base.adapter, self.adapter) if self.adapter else base.adapter,
            template=self.template or base.template,
            system=self.system or base.system,
            parameters={**base.parameters, **self.parameters},
        )

    def payload(self) -> dict[str, Any]:
        """The definition as /api/create wants it."""
        parameters = {key: list(value) if key == "stop" else value[0] for key, value in self.parameters.items()}
        adapters = {"adapter.gguf": f"sha256:{self.adapter}"} if self.adapter else {}
        parts = {"template": self.template, "system": self.system, "parameters": parameters, "adapters": adapters}
        return {name: part for name, part in parts.items() if part}


def differing(wanted: Content, there: Content) -> list[str]:
    return [part for part in _PARTS if getattr(wanted, part) != getattr(there, part)]


def content_of(shown: Mapping[str, Any]) -> Content:
    """Read an answer of /api/show.

    Its field "template" may be one that the weights carry, so the template is taken from the Modelfile, as is what
    stands nowhere else.
    """
    commands = parse_modelfile(_text(shown, "modelfile"))
    messages = shown.get("messages") or []
    return Content(
        weights=tuple(_blob(value) for name, value in commands if name in ("FROM", "DRAFT") and _blob(value)),
        adapter=tuple(_blob(value) for name, value in commands if name == "ADAPTER"),
        template=_first(commands, "TEMPLATE"),
        system=_text(shown, "system"),
        parameters=parse_parameters(_text(shown, "parameters")),
        messages=tuple((_text(message, "role"), _text(message, "content")) for message in messages),
        license=_text(shown, "license"),
        renderer=_first(commands, "RENDERER"),
        parser=_first(commands, "PARSER"),
    )


def parse_modelfile(text: str) -> list[tuple[str, str]]:
    return [
        (match["name"], next(value for value in match.group("long", "quoted", "plain") if value is not None))
        for match in _COMMAND.finditer(text)
    ]


def parse_parameters(text: str) -> dict[str, tuple[Any, ...]]:
    """Read a line for each value, a name and the value as Go writes it; a list repeats its name."""
    parameters: dict[str, tuple[Any, ...]] = {}
    for line in filter(None, text.split("\n")):
        name, _space, value = line.partition(" ")
        parameters[name] = (*parameters.get(name, ()), _go_value(value.strip()))
    return parameters


def wanted_parameters(given: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The values as numbers, truths and lists of text: Ollama takes others, and fails when it loads the model.

    Raises GizziError for a value of another kind, and for a name that Ollama does not know.
    """
    unknown = name_problems(given)
    if unknown:
        raise GizziError(f"parameters: {' '.join(unknown)}")
    wanted = {}
    for name, value in given.items():
        values = _stops(value) if name == "stop" else _scalars(name, value)
        if values:
            wanted[name] = values
    return wanted


def _stops(value: Any) -> tuple[str, ...]:
    values = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(stop, str) for stop in values):
        raise GizziError(f"parameters: stop is {value!r}. Write a text or a list of texts.")
    return tuple(values)


def _scalars(name: str, value: Any) -> tuple[Any, ...]:
    # Templates give text where a number is meant.
    if isinstance(value, str):
        value = _TRUTH.get(value.strip().lower(), _as_number(value))
    if value is None:
        return ()
    if not isinstance(value, (int, float)):
        raise GizziError(f"parameters: {name} is {value!r}. Write a number, true or false.")
    return (value,)


def _as_number(text: str) -> Any:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if isfinite(number):
            return number
    return text


def _go_value(text: str) -> Any:
    if text in _TRUTH:
        return _TRUTH[text]
    # Go's numbers and quoted strings are Python's too.
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _blob(path: str) -> str:
    match = _BLOB.search(path)
    return match[1] if match else ""


def _first(commands: list[tuple[str, str]], name: str) -> str:
    return next((value for command, value in commands if command == name), "")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
