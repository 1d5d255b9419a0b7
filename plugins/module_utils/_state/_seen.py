# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared parts of module host_state: the value for an unseen answer, limits, and running programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._programs import LateError, NotRunError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# Limits for data from a host: characters of a text, and bytes of a file or of a program's output.
MAX_TEXT = 1000
MAX_OUTPUT = 1_000_000
# Timeout of a program, in seconds.
PATIENCE = 30
# PATH of a normal user has no sbin.
SEARCH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class UnseenError(GizziError):
    """Something could not be read; the message has the reason."""


def unseen(reason: object) -> dict[str, str]:
    """Return the value for something that could not be read."""
    return {"unseen": short(str(reason)) or "no reason given"}


def seen_or_why(look: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of ``look``, or unseen with the reason where it fails."""
    try:
        return look(*arguments)
    except (GizziError, OSError) as error:
        return unseen(error)


def short(text: str) -> str:
    """Return a text from a host without blanks at both ends, and with at most MAX_TEXT characters."""
    return text.strip()[:MAX_TEXT]


def read_text(path: Path) -> str:
    """Return the text of a small system file; raise UnseenError where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_OUTPUT + 1)
    except OSError as error:
        raise UnseenError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_OUTPUT:
        raise UnseenError(f"{path} has more than {MAX_OUTPUT} bytes")
    return data.decode("utf-8", "replace")


def ask(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a program in locale C; return its exit code, output and errors. Raise UnseenError where it cannot run.

    One that takes longer than PATIENCE is killed, with all that it has started.

    argv: the program, which is searched in SEARCH, and its arguments. No shell is used.
    """
    variables = {"PATH": ":".join(SEARCH), "LC_ALL": "C", "SYSTEMD_COLORS": "0", **(environment or {})}
    try:
        code, output, errors = run(argv, PATIENCE, "Look what it waits for.", environment=variables)
    except (NotRunError, LateError) as error:
        raise UnseenError(str(error)) from error
    return code, output[:MAX_OUTPUT], errors[:MAX_OUTPUT]


def answer_of(argv: Sequence[str]) -> str:
    """Return a program's output; raise UnseenError with its error message where it fails."""
    code, output, errors = ask(argv)
    if code != 0:
        lines = (errors.strip() or output.strip() or f"it ended with {code}").splitlines()
        raise UnseenError(f"{argv[0]}: {short(lines[-1])}")
    return output
