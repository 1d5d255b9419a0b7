# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role's variables, converted to the types in its argument specification.

This folder has a module for each role with rules between its values. The module may have

- ``problems(values) -> list[str]``: problems of typed values, each with the value and the solution;
- ``derived(values) -> dict[str, Any]``: further values, computed from values without a problem;
- ``look(values) -> dict[str, Any]``: the options of ``host_state`` for the host; empty where the host is not needed;
- ``left_out(values, host) -> str``: why a run over the whole fleet goes on without the role on this host, which is
  then as with state absent; empty where it does not;
- ``host_problems(values, host) -> list[str]``: what the host, as seen by ``host_state``, lacks for these values;
- ``host_derived(values, host) -> dict[str, Any]``: further values, computed from both, where there is no problem;
- ``host_notes(values, host) -> list[str]``: what the operator is to know before anything changes;
- ``SAME_AS``: options that another role specifies, by name, each with that role and its option;
- ``OPTIONS``: Ansible's own variables that the rules need, specified as options.

``values`` has the names without the role's prefix. The functions are pure: they use only their arguments.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

# The names of the types in messages.
_NAMES = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "text",
    "str": "text",
}
_SHOWN = 120


@dataclass(frozen=True)
class Typed:
    """Values by the names of the specification, and the problems of the given values.

    A value with a problem is replaced by its default, so that the rules can check the other values. ``wrong`` has the
    names of these values; ``complete`` is false where a required value is missing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    wrong: frozenset[str] = frozenset()
    complete: bool = True


class _Wrong(Exception):  # noqa: N818  # Says where a value ends, and is no error of the program.
    """A value that cannot be used; its problem is noted already."""


def typed(options: Mapping[str, Any], given: Mapping[str, Any]) -> Typed:
    """Return the given values with the types and defaults of a specification's options.

    :param options: the options, by name, as in ``argument_specs.<entry>.options``.
    :param given: values by name. Names that the specification does not have are left out.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    complete = True
    for name, option in options.items():
        hidden = bool(option.get("no_log"))
        value = given.get(name, _default(option))
        if name not in given and option.get("required"):
            choices = f" to {_either(option['choices'])}," if option.get("choices") else ""
            problems.append(f"{name} is not set. Set it{choices} in the inventory or with -e.")
            complete = False
            continue
        if value is None and option.get("default") is None and not option.get("required"):
            values[name] = None
            continue
        try:
            values[name] = _convert(_Place(name, option, hidden, problems), value)
        except _Wrong:
            complete = complete and not option.get("required")
            wrong.add(name)
            values[name] = _default(option)
    return Typed(values, problems, frozenset(wrong), complete)


def without_prefix(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by their names without a role's prefix (``ollama_listen`` of role ollama is ``listen``)."""
    start = f"{prefix}_"
    return {name[len(start) :] if name.startswith(start) else name: value for name, value in values.items()}


def plain(value: Any) -> Any:
    """Return the value in Python's own types, without Ansible's tags about its source."""
    if isinstance(value, (bool, type(None))):
        return value
    if isinstance(value, str):
        return "".join([value[:0], *value])
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value)


def shown(value: Any) -> str:
    """Return a value for a message: on one line, and with a limited length."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


@dataclass(frozen=True)
class _Place:
    """The path of a value, its option, and the list for its problems."""

    path: str
    option: Mapping[str, Any]
    hidden: bool
    problems: list[str]

    @property
    def kind(self) -> str:
        return str(self.option.get("type", "str"))

    def below(self, path: str, option: Mapping[str, Any]) -> _Place:
        return _Place(path, option, self.hidden or bool(option.get("no_log")), self.problems)

    def wrong(self, value: Any, remedy: str) -> _Wrong:
        """Note that the value is wrong."""
        secret = self.hidden or is_secret(self.option)
        problem = f"{self.path} has a wrong value, which is secret" if secret else f"{self.path} is {shown(value)}"
        return self.says(f"{problem}. {remedy}")

    def empty(self) -> _Wrong:
        return self.says(f"{self.path} has no value. Give it one or leave it out.")

    def says(self, problem: str) -> _Wrong:
        self.problems.append(problem)
        return _Wrong(problem)


def is_secret(option: Mapping[str, Any]) -> bool:
    """Whether an option or a part of it is secret."""
    return bool(option.get("no_log")) or any(is_secret(one) for one in (option.get("options") or {}).values())


def _default(option: Mapping[str, Any]) -> Any:
    return plain(option.get("default"))


def _convert(place: _Place, value: Any) -> Any:
    """Return the converted value; note its problems, and raise _Wrong where it cannot be used."""
    if value is None:
        raise place.empty()
    value = _turn(place, _read_text(place, value))
    if place.kind == "list":
        return _elements(place, value)
    if place.kind == "dict":
        return _mapping(place, value)
    return value


def _read_text(place: _Place, value: Any) -> Any:
    """Parse a list or a mapping from the command line: JSON, or items separated by commas."""
    if not isinstance(value, str) or place.kind not in ("list", "dict"):
        return value
    text = value.strip()
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            raise place.wrong(value, "It looks like JSON and is none: names and texts need double quotes.") from None
    if place.kind == "list":
        return [one.strip() for one in text.split(",") if one.strip()]
    return value if text else {}


def _either(choices: Iterable[Any]) -> str:
    *first, last = map(str, choices)
    return f"{', '.join(first)} or {last}" if first else last


def _fits(kind: str, value: Any) -> bool:
    """Whether ansible-core may convert the value: it also makes 1 of true, text of a mapping, a list of an item."""
    if kind == "dict":
        return isinstance(value, (dict, str))
    if kind == "list":
        return isinstance(value, list)
    return kind == "raw" or (not isinstance(value, (dict, list)) and (kind == "bool" or not isinstance(value, bool)))


def _turn(place: _Place, value: Any) -> Any:
    """Convert the value with ansible-core."""
    kind = place.kind
    choices = place.option.get("choices")
    remedy = f"It must be {_either(choices) if choices else _NAMES.get(kind, kind)}."
    if not _fits(kind, value):
        raise place.wrong(value, remedy)
    # A path is on the host: as type path, ansible-core would insert the home folder of the control host's user.
    spec: dict[str, Any] = {"type": "str" if kind == "path" else kind}
    if choices:
        spec["choices"] = choices
    result = ArgumentSpecValidator({"value": spec}).validate({"value": value})
    if result.error_messages:
        raise place.wrong(value, remedy)
    found = plain(result.validated_parameters["value"])
    # ansible-vault encrypts the end of a line too when it reads a secret from a pipe. A PEM has more of them.
    return found[:-1] if place.hidden and isinstance(found, str) and found.find("\n") == len(found) - 1 else found


def _elements(place: _Place, values: list[Any]) -> list[Any]:
    """Return the items that can be used."""
    option = {key: place.option[key] for key in ("options", "no_log") if key in place.option}
    option["type"] = place.option.get("elements", "raw")
    sound = []
    for index, value in enumerate(values):
        with suppress(_Wrong):
            sound.append(_convert(place.below(f"{place.path}[{index}]", option), value))
    return sound


def _mapping(place: _Place, value: dict[str, Any]) -> dict[str, Any]:
    options = place.option.get("options")
    if options is None:
        _refuse_nulls(place, value)
        return value
    for key in [key for key in value if key not in options]:
        place.says(f"{place.path} has the key '{key}', which is unknown. Its keys are {', '.join(options)}.")
    result: dict[str, Any] = {}
    for name, option in options.items():
        inner = place.below(f"{place.path}.{name}", option)
        given = value.get(name)
        if given is None and option.get("required"):
            raise inner.says(f"{inner.path} is not set. Set it.")
        if given is None:
            # Without a default, null is the same as a missing value.
            if name in value and option.get("default") is not None:
                inner.empty()
            result[name] = _default(option)
            continue
        try:
            result[name] = _convert(inner, given)
        except _Wrong:
            if option.get("required"):
                raise
            result[name] = _default(option)
    return result


def _refuse_nulls(place: _Place, value: Any) -> None:
    """Note nulls in a mapping with free names: they would become the text None."""
    if value is None:
        place.empty()
    elif isinstance(value, dict):
        for key, one in value.items():
            _refuse_nulls(place.below(f"{place.path}.{key}", {}), one)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _refuse_nulls(place.below(f"{place.path}[{index}]", {}), one)
