# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of the host: each has an end, whatever it waits for."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

# A relative import: the guard's program on the hosts has both files without the collection around them.
from ._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class NotRunError(GizziError):
    """A program that cannot be started."""


class LateError(GizziError):
    """A program that had not ended in its time, and was ended."""

    def __init__(self, argv: Sequence[str], seconds: float, remedy: str) -> None:
        super().__init__(f"{shlex.join(argv)} had not ended after {seconds:g} s, and was ended. {remedy}")


def run(
    argv: Sequence[str], seconds: float, remedy: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a program without a shell; return its exit code, output and errors. Raise NotRunError or LateError.

    seconds: how long it may take. Then it is killed, with all that it has started, so that nothing goes on writing.
    remedy: what to do then, as a sentence.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise NotRunError(f"{argv[0]} does not run: {error}") from error
    with process:
        try:
            output, errors = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise LateError(argv, seconds, remedy) from None
        finally:
            if process.returncode is None:
                kill(process)
    return process.returncode, output, errors


@contextmanager
def ended_after(process: subprocess.Popen[Any], argv: Sequence[str], seconds: float, remedy: str) -> Iterator[None]:
    """Kill a program with a session of its own when the block takes longer, which then ends with LateError.

    For one whose output is read while it runs: its end ends a read that waits for more.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        kill(process)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise LateError(argv, seconds, remedy) from error
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise LateError(argv, seconds, remedy)


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill a program that has a session of its own, with all that it has started."""
    # The last of them may have ended meanwhile.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
