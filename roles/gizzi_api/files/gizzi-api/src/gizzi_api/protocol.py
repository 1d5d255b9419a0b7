# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP below the app: what a caller may send, how long it may take, and how many may take their time."""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
import termios
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

# Of a request line and its headers, in bytes.
MAX_HEAD = 65_536
# Requests that a caller may send before the answer to the first: each is kept in memory.
MAX_AHEAD = 10
# How long a refused caller may go on sending, so that it reads the answer instead of a broken connection.
LINGER_SECONDS = 2.0


class TooManyError(Exception):
    """Ends the parser's work on what has come already."""


class Waiting:
    """The connections that wait for their caller: for a whole request head, or for an answer to be taken.

    One that has waited ``seconds`` is late. When there are more than ``most``, the one that has waited longest goes:
    callers who send nothing can never keep others out.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds = seconds
        self._most = most
        # In the order in which they began to wait, which one timer is enough for.
        self._since: dict[Protocol, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Protocol) -> None:
        """Let ``connection`` wait from now on."""
        self._since.pop(connection, None)
        self._since[connection] = connection.loop.time()
        if len(self._since) > self._most:
            oldest = next(iter(self._since))
            del self._since[oldest]
            oldest.transport.abort()
        if self._timer is None:
            self._timer = connection.loop.call_later(self.seconds, self._look, connection.loop)

    def discard(self, connection: Protocol) -> None:
        """``connection`` waits no longer, if it did."""
        self._since.pop(connection, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = [connection for connection, since in self._since.items() if since + self.seconds <= now]
        for connection in late:
            del self._since[connection]
        for connection in late:
            connection.late()
        oldest = next(iter(self._since.values()), None)
        self._timer = None if oldest is None else loop.call_at(oldest + self.seconds, self._look, loop)


class Config(uvicorn.Config):
    """uvicorn's, with what this protocol needs."""

    def __init__(self, app: Any, waiting: Waiting, **options: Any) -> None:
        super().__init__(app, http=Protocol, **options)
        self.waiting = waiting


class Protocol(HttpToolsProtocol):
    """Bounds what comes before the body, which httptools does not, and the time for it, which uvicorn does not."""

    _head = 0
    _reading_head = True
    _refused = False
    # Bytes that the caller had not taken at the last look.
    _left = 0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._waiting = config.waiting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._waiting.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._reading_head:
            self._head += len(data)
        super().data_received(data)
        if self._reading_head and self._head > MAX_HEAD:
            self._refuse("414 URI Too Long", f"The request is longer than {MAX_HEAD} bytes.")

    def on_headers_complete(self) -> None:
        self._reading_head = False
        # A further request does not make up for an answer that is not taken.
        if not self.flow.write_paused:
            self._waiting.discard(self)
        if len(self.pipeline) >= MAX_AHEAD:
            self.transport.abort()
            raise TooManyError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head, self._reading_head = 0, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._answering():
            self._waiting.add(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._waiting.add(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answering():
            self._waiting.discard(self)

    def late(self) -> None:
        """End the connection, unless its caller is still taking an answer."""
        left, before = self._untaken(), self._left
        self._left = left
        if left not in (0, before):
            self._waiting.add(self)
        elif self._reading_head and self._head and not left:
            seconds = self._waiting.seconds
            self._refuse("408 Request Timeout", f"The request was not complete within {seconds:g} s.")
        else:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        if self._head > MAX_HEAD:
            self._refuse("414 URI Too Long", f"The request is longer than {MAX_HEAD} bytes.")
        else:
            self._refuse("400 Bad Request", msg)

    def _untaken(self) -> int:
        """Bytes of answers that the caller's side has not confirmed: here, and in the kernel."""
        queued = fcntl.ioctl(self.transport.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4))
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: str, text: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._waiting.add(self)
        body = json.dumps({"detail": text}).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
