# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers that come line by line, each a JSON object."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._http import (
    Asked,
    BrokenOffError,
    HttpError,
    NotJsonError,
    TimedOutError,
    excerpt,
    json_body,
    named,
    opened,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._json import BadJsonError, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access

# The longest line of a stream; the last one of an old server's generation holds a number for each token.
MAX_LINE = 4 * 1024 * 1024


def json_lines(
    method: str, url: str, timeout: float | Callable[[], float], payload: Mapping[str, Any], access: Access
) -> Generator[dict[str, Any], None, None]:
    """Yield each line of a streamed answer; timeout is the longest time in seconds until a whole line is there.

    Where silence means different things in the course of an answer, timeout is a function, asked before each line.
    """
    data, headers = json_body(payload, None)
    asked = Asked(method, url, timeout() if callable(timeout) else timeout, data, headers, access=access)
    what, lines = asked.what, _Lines(asked)
    try:
        while True:
            line = lines.next(timeout() if callable(timeout) else timeout)
            if not line:
                return
            if not line.strip():
                continue
            if len(line) > MAX_LINE:
                raise HttpError(f"{what}: the stream holds a line of more than {MAX_LINE} bytes")
            try:
                value = from_json(line)
            except BadJsonError:
                value = None
            if value is None and not line.endswith(b"\n"):
                raise BrokenOffError(f"{what}: the connection broke off in the middle of a line")
            if not isinstance(value, dict):
                raise NotJsonError(f"{what}: the stream holds a line that is no JSON object: {excerpt(line)}")
            yield value
    finally:
        lines.close()


class _Lines:
    """The lines of an answer, read in a thread of their own: who waits for one can stop whatever the server sends."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        # One at a time: what nobody takes is not read either.
        self._read: queue.Queue[bytes | BaseException] = queue.Queue(1)
        self._over = threading.Event()
        self._socket: socket.socket | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def next(self, silence: float) -> bytes:
        """Return the next line, empty at the end, or raise what went wrong; silence in seconds."""
        try:
            line = self._read.get(timeout=silence)
        except queue.Empty:
            raise TimedOutError(f"{self._asked.what}: no answer for {silence:g} s") from None
        if isinstance(line, BaseException):
            raise line
        return line

    def close(self) -> None:
        """Close the connection, so that the server sees it."""
        self._over.set()
        if self._socket is not None:
            # It ends a read that the thread waits in.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(queue.Empty):
            self._read.get_nowait()

    def _run(self) -> None:
        try:
            with opened(self._asked) as answer:
                self._socket = _without_limit(answer)
                while not self._over.is_set():
                    with named(self._asked.what, self._asked.timeout):
                        line = answer.readline(MAX_LINE + 1)
                    self._read.put(line)
                    if not line:
                        return
        except BaseException as error:  # It is raised where the line is waited for.
            self._read.put(error)


def _without_limit(answer: Any) -> socket.socket | None:
    """Let reads of an answer wait for as long as they must, and return its socket."""
    # At its end an answer has let go of its socket. Before that, http.client offers no other way to it.
    if answer.fp is None:
        return None
    connection: socket.socket = answer.fp.raw._sock
    connection.settimeout(None)
    return connection
