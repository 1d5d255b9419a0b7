# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command prints, and how it ends."""

from __future__ import annotations

import functools
import io
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TextIO

import typer

from ollama_client.errors import GizziError
from ollama_client.shown import shown, shown_json, shown_lines, shown_pieces

if TYPE_CHECKING:
    from ollama_client.cli.setup import Asking

FAILED = 1
INTERRUPTED = 130
P = ParamSpec("P")


class _Beside(logging.Handler):
    """Tells on standard error, also while a wheel turns there. A message may have text from outside in it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(shown_lines(self.format(record)), file=sys.stderr)


def begin() -> None:
    """Set up what is told beside the answer, and how."""
    logging.basicConfig(format="gizzi: %(message)s", handlers=[_Beside()], level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that does not know a character is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def command(run: Callable[P, None]) -> Callable[P, None]:
    """Make what goes wrong in a command a message and an exit status. The command has an argument `as_json`."""

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        begin()
        try:
            run(*args, **kwargs)
            flush()
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
        warn(str(error))
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


def flush() -> None:
    """Let go of what was printed."""
    sys.stdout.flush()


def leave(status: int) -> NoReturn:
    """End without a word, whatever standard output has become."""
    # Or the interpreter complains about the closed pipe when it flushes.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(status)


def show_json(value: Any, indent: int | None = 2) -> None:
    """Print one JSON object."""
    print(shown_json(value, indent))


def say(text: str) -> None:
    """Print a line, whatever text it is."""
    print(_folded(shown(text), sys.stdout))


def warn(text: str) -> None:
    """Print a line beside the answer: on standard error."""
    print(_folded(f"gizzi: {shown(text)}", sys.stderr), file=sys.stderr)


def _folded(line: str, stream: TextIO) -> str:
    """Break a line between words where it is for a terminal, which would break it anywhere."""
    if not stream.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def show_asking(asking: Asking, *, verbose: bool, as_json: bool) -> None:
    """Ask, and print the answer."""
    if as_json:
        show_json(asking.whole().model_dump())
    else:
        show_answer(asking, verbose=verbose)


def show_answer(asking: Asking, *, verbose: bool) -> None:
    """Print an answer while it comes; until then turn a wheel."""
    stream = shown_pieces(asking.pieces())
    with waiting(f"thinking, at most {asking.seconds:.0f} s"):
        first = next(stream, "")
    try:
        print(first, end="", flush=True)
        for piece in stream:
            print(piece, end="", flush=True)
    finally:
        print(flush=True)
    if (answer := asking.answer) is None:
        return
    if not answer.complete:
        warn("the answer is longer than prompt.answer_tokens, and ends there")
    if answer.cached:
        kept = asking.client.settings.cache.seconds
        warn(f"this answer is from the cache, which keeps it for {kept:g} s; --no-cache asks again")
    if verbose:
        took = f"{answer.seconds:.1f} s, {answer.tokens_in} tokens in, {answer.tokens_out} out"
        cached = ", cached: the figures are of the first time" if answer.cached else ""
        warn(f"{answer.endpoint}, {answer.model}, {took}{cached}")


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
