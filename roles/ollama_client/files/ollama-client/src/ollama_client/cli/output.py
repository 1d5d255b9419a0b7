# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command prints, and how it ends."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import typer

from ollama_client.errors import GizziError
from ollama_client.masking import plain

if TYPE_CHECKING:
    from ollama_client.cli.setup import Asking

FAILED = 1
INTERRUPTED = 130
P = ParamSpec("P")


def command(run: Callable[P, None]) -> Callable[P, None]:
    """Make what goes wrong in a command a message and an exit status. The command has an argument `as_json`."""

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.basicConfig(format="gizzi: %(message)s", level=logging.WARNING)
        try:
            run(*args, **kwargs)
            sys.stdout.flush()
        except GizziError as error:
            fail(error, bool(kwargs.get("as_json")), FAILED)
        except KeyboardInterrupt:
            leave(INTERRUPTED)
        except BrokenPipeError:
            leave(FAILED)

    return wrapped


def fail(error: GizziError, as_json: bool, status: int) -> NoReturn:
    """Say what went wrong, and end."""
    if as_json:
        show_json({"error": error_json(error)})
    else:
        print(f"gizzi: {plain(str(error))}", file=sys.stderr)
    raise typer.Exit(status) from error


def error_json(error: GizziError) -> dict[str, Any]:
    """Return an error as the object that --json shows."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "endpoint": error.endpoint,
        "elapsed": error.elapsed,
        "hint": error.hint,
    }


def leave(status: int) -> NoReturn:
    """End without a word, whatever standard output has become."""
    # Or the interpreter complains about the closed pipe when it flushes.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(status)


def show_json(value: Any) -> None:
    """Print one JSON object."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Print a line without anything that a terminal would obey."""
    print(plain(text))


def show_answer(asking: Asking) -> None:
    """Print an answer while it comes; until then turn a wheel."""
    stream = asking.pieces()
    with waiting(f"thinking, at most {asking.seconds:.0f} s"):
        first = next(stream, "")
    try:
        # A terminal's control characters may come from the data by way of the model.
        print(plain(first), end="", flush=True)
        for piece in stream:
            print(plain(piece), end="", flush=True)
    finally:
        print(flush=True)
    if asking.answer and not asking.answer.complete:
        print("gizzi: the answer is longer than prompt.answer_tokens, and ends there", file=sys.stderr)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Turn a wheel with the time on a terminal; do nothing in a pipe."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(text, total=None)
        yield
