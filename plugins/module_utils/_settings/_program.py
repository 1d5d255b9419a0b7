# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared by the roles that install a Python program: its Python, its wheels and its TOML file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[a-z_]+")
OLDEST_PYTHON = (3, 11)


def python_problems(prefix: str, python: str, host: Mapping[str, Any]) -> list[str]:
    """Return the reasons why a host's Python cannot run the program.

    :param prefix: the prefix of the role's variables.
    :param python: the value of its variable ``<prefix>_python``.
    :param host: the result of host_state with section pythons.
    """
    name = f"{prefix}_python"
    seen = host["pythons"][python]
    if not seen or "unseen" in seen:
        why = f" ({seen['unseen']})" if seen else ""
        return [
            f'{name} is "{python}", and no Python runs there{why}. Install one of version 3.11 or newer, or name its '
            "path."
        ]
    if old := too_old(prefix, python, seen):
        return [old]
    if not seen["venv"] and not seen["of_distribution"]:
        return [
            f"{name} {python} cannot make virtual environments, as it has no module ensurepip. Install that, or use "
            'the distribution\'s "/usr/bin/python3", for which the role does it.'
        ]
    return []


def too_old(prefix: str, python: str, seen: Mapping[str, Any] | None) -> str:
    """Return that a Python is too old for the program, with the remedy; "" where it is not, or cannot be seen.

    :param seen: what section pythons of host_state has of it; ValueError where its version is none.
    """
    if not seen or "unseen" in seen or tuple(map(int, seen["minor_version"].split("."))) >= OLDEST_PYTHON:
        return ""
    return (
        f"{prefix}_python {python} is {seen['minor_version']}, and 3.11 or newer is needed. Install a newer Python "
        'beside it and name its path, for instance "/usr/bin/python3.12".'
    )


def wheelhouse_problems(prefix: str, wheelhouse: str) -> list[str]:
    """Return the reasons why the control host's folder of wheels cannot be used. It reads this folder."""
    folder = Path(wheelhouse)
    if not wheelhouse or (folder.is_absolute() and any(folder.glob("*.whl"))):
        return []
    return [
        f'{prefix}_wheelhouse is "{wheelhouse}", and the control host has no folder with wheels there. Name its '
        "absolute path, and fill it with pip download, as the role's README says."
    ]


def merged(own: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, where further settings replace single settings of each table."""
    result = dict(own)
    for name, value in further.items():
        before = result.get(name)
        result[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def toml_of(settings: Mapping[str, Any]) -> str:
    """Return settings as a TOML document: values, tables and lists of tables, without empty tables."""
    values, tables, lists = [], [], []
    for name, value in settings.items():
        if isinstance(value, dict):
            tables += ["", f"[{name}]", *_lines(value)] if value else []
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            lists += [line for one in value for line in ("", f"[[{name}]]", *_lines(one))]
        else:
            values += _lines({name: value})
    return "".join(f"{line}\n" for line in [*values, *lists, *tables])


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in table.items()]


def _value(value: Any) -> str:
    """Return a value in TOML: the same as in JSON, but DEL must be escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def further_problems(variable: str, further: Mapping[str, Any], reserved: Mapping[str, str], example: str) -> list[str]:
    """Return the problems of a program's further settings.

    :param reserved: what the role sets from its own variables, as C(table.setting), C(setting) or a whole table,
        and these variables.
    :param example: correct settings for the message.
    """
    found = []
    if not all(_is_sound(name, value) for name, value in further.items()):
        found.append(
            f"{variable} must have the form {{table: {{setting: a text, number, truth value or list of them}}}}, for "
            f"instance {example}."
        )
    refused = [name for name in _names(further) if name in reserved]
    if refused:
        instead = dict.fromkeys(reserved[name] for name in refused)
        found.append(f"{variable} sets {' and '.join(refused)}. Set {' and '.join(instead)} instead.")
    return found


def _names(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        yield name
        for inner in value if isinstance(value, dict) else ():
            yield f"{name}.{inner}"


def _is_sound(name: str, value: Any) -> bool:
    if isinstance(value, dict):
        return bool(_NAME.fullmatch(name)) and all(
            _NAME.fullmatch(str(inner)) and _is_plain(one) for inner, one in value.items()
        )
    return bool(_NAME.fullmatch(name)) and _is_plain(value)


def _is_plain(value: Any) -> bool:
    return all(_is_plain(one) for one in value) if isinstance(value, list) else isinstance(value, (str, int, float))
