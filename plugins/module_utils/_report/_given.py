# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host answered, read with its types: a value of another type could not be seen."""

from __future__ import annotations

from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

# Characters of a text, and entries of a list, that are read.
MAX_TEXT = 4000
MAX_ENTRIES = 10_000
# Characters of what is told of a host at one place; the end of a journal is the longest.
MAX_TOLD = 20_000


class UnseenError(GizziError):
    """What was to be looked at could not be seen; the text says why."""


class Given:
    """A mapping that came from a host; one that was not given, or says that it is unseen, raises UnseenError."""

    def __init__(self, value: object, name: str) -> None:
        """Take a value of unknown type; name says in messages what it is."""
        self._name = name
        _check_seen(value)
        if not isinstance(value, dict):
            raise UnseenError(f"{name} is not there" if value is None else f"{name} is no mapping")
        self._value: dict[str, Any] = value

    def __contains__(self, key: str) -> bool:
        """Tell whether there is an entry, of whatever type."""
        return key in self._value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text of at most MAX_TEXT characters; without a default it must be there."""
        value = self._value.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value[:MAX_TEXT]

    def number(self, key: str) -> float:
        """Return a number, whole or not."""
        value = self._value.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(key, "number")
        return value

    def count(self, key: str) -> int:
        """Return a whole number of 0 or more, such as bytes."""
        value = self.number(key)
        if not isinstance(value, int) or value < 0:
            raise self._wrong(key, "whole number")
        return value

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self._value.get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "truth value")
        return value

    def is_none(self, key: str) -> bool:
        """Tell whether an entry is there and says that there is nothing."""
        return key in self._value and self._value[key] is None

    def mapping(self, key: str) -> Given:
        """Return a mapping within this one."""
        return Given(self._value.get(key), f"{self._name}, {key}")

    def rows(self, key: str) -> list[Given]:
        """Return a list of mappings."""
        return [Given(value, f"{self._name}, {key}") for value in self._list(key)]

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(key, "list of texts")
        return [value[:MAX_TEXT] for value in values]

    def _list(self, key: str) -> list[Any]:
        value = self._value.get(key)
        _check_seen(value)
        if not isinstance(value, list) or len(value) > MAX_ENTRIES:
            raise self._wrong(key, "list")
        return value

    def _wrong(self, key: str, form: str) -> UnseenError:
        there = "is no " + form if key in self._value else "is not there"
        return UnseenError(f"{self._name}: {key} {there}")


def _check_seen(value: object) -> None:
    """Raise UnseenError for what module host_state puts in the place of what it could not see."""
    if isinstance(value, dict) and set(value) == {"unseen"}:
        raise UnseenError(str(value["unseen"])[:MAX_TEXT])


def cut(text: str) -> str:
    """Return a text that is made of a host's answers with an end."""
    return text if len(text) <= MAX_TOLD else text[:MAX_TOLD] + "…"


def reason(result: object) -> str:
    """Return in one line why a task has no result: the last line of what it says."""
    if not isinstance(result, dict) or not result or result.get("skipped"):
        return "it was not looked at"
    for name in ("unseen", "stderr", "module_stderr", "msg"):
        value = result.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip().splitlines()[-1][:MAX_TEXT]
    return "no reason given"
