# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transport over Ansible's own HTTP client: JSON documents, JSON lines, and errors that say what is wrong."""

from __future__ import annotations

import http.client
import ipaddress
import json
import queue
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ansible.module_utils.urls import Request, make_context

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import BadJsonError, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import BinaryIO

Answer = TypeVar("Answer")

# Nothing that is read whole comes near it; a wrong address may answer with a disk image.
MAX_BODY = 16 * 1024 * 1024
# The longest line of a stream; the last one of an old server's generation holds a number for each token.
MAX_LINE = 4 * 1024 * 1024
# What is read of an answer that is an error.
MAX_ERROR = 64 * 1024
PIECE = 1024 * 1024
# Seconds by which whoever waits for an answer outlasts the connection's own limit.
MARGIN = 0.1


class HttpError(GizziError):
    pass


class RefusedError(HttpError):
    pass


class TimedOutError(HttpError):
    pass


class BrokenOffError(HttpError):
    pass


class NotJsonError(HttpError):
    pass


class BadStatusError(HttpError):
    def __init__(self, request: str, response: Response) -> None:
        self.response = response
        # What the server itself says, "" where it says nothing.
        self.detail = _error_text(response.body)
        super().__init__(f"{request} answered {response.status}{': ' + self.detail if self.detail else ''}")

    @property
    def status(self) -> int:
        return self.response.status


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the document; raise BadJsonError for what is none."""
        return from_json(self.body)


def check_base_url(url: str, option: str) -> str:
    """Return the URL without a trailing slash, or say what is wrong with it."""
    if "://" not in url:
        raise GizziError(f"{option}: {url!r} has no scheme; write 'http://{url}' or 'https://{url}'.")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise GizziError(f"{option}: {url!r} is not a URL of the form http[s]://host[:port].")
    if parts.username is not None or parts.query or parts.fragment:
        raise GizziError(f"{option}: the URL must not carry credentials, a query or a fragment.")
    return url.rstrip("/")


def is_near(url: str) -> bool:
    """Tell whether a URL leads to this host or to one of its own networks, before which no proxy stands."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host


def request(
    method: str,
    url: str,
    timeout: float,
    payload: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    use_proxy: bool = False,
) -> Response:
    """Return the whole answer, which may take timeout seconds in all, from the name's look-up to its last byte."""
    data, all_headers = _json_body(payload, headers)
    until = time.monotonic() + timeout
    return _in_time(
        lambda: _answer(method, url, timeout, data, all_headers, use_proxy),
        lambda: until,
        f"{method} {url}: no whole answer for {timeout:g} s",
    )


def _in_time(ask: Callable[[], Answer], until: Callable[[], float], late: str) -> Answer:
    """Return what a function returns; raise TimedOutError when it has not by a time of time.monotonic().

    Neither the look-up of a name nor a head that comes byte by byte has a limit of its own.
    """
    answers: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(ask())
        except BaseException as error:  # It is raised where the answer is waited for.
            answers.put(error)

    threading.Thread(target=run, daemon=True).start()
    # The connection's own limit comes first, and closes it.
    while (left := until() + MARGIN - time.monotonic()) > 0:
        with suppress(queue.Empty):
            answer = answers.get(timeout=left)
            if isinstance(answer, BaseException):
                raise answer
            return answer
    raise TimedOutError(late)


def upload(method: str, url: str, timeout: float, content: BinaryIO, size: int) -> Response:
    """Send a file; timeout is the longest silence while it is sent, and what the answer may take after, in seconds."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    sent = _Sent(content)
    return _in_time(
        lambda: _answer(method, url, timeout, cast("BinaryIO", sent), headers, False),
        lambda: sent.last + timeout,
        f"{method} {url}: no whole answer for {timeout:g} s",
    )


class _Sent:
    """A file that is sent, and when its last piece was taken, in seconds of time.monotonic()."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.last = time.monotonic()

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(size)
        self.last = time.monotonic()
        return piece


def _answer(
    method: str, url: str, timeout: float, data: str | BinaryIO | None, headers: Mapping[str, str], use_proxy: bool
) -> Response:
    with _opened(method, url, timeout, data, headers, use_proxy) as answer, _named(f"{method} {url}", timeout):
        return Response(answer.status, _headers(answer), _body(answer, f"{method} {url}", timeout))


def _body(answer: Any, what: str, timeout: float) -> bytes:
    """Read a body of MAX_BODY bytes at most, in timeout seconds after its head."""
    until = time.monotonic() + timeout
    body = bytearray()
    for piece in _pieces(answer, what, timeout):
        body += piece
        if len(body) > MAX_BODY:
            raise HttpError(f"{what} answered with more than {MAX_BODY} bytes")
        if time.monotonic() > until:
            raise TimedOutError(f"{what}: no whole answer for {timeout:g} s")
    return bytes(body)


def json_lines(
    method: str, url: str, timeout: float | Callable[[], float], payload: Mapping[str, Any]
) -> Generator[dict[str, Any], None, None]:
    """Yield each line of a streamed answer; timeout is the longest time in seconds until a whole line is there.

    Where silence means different things in the course of an answer, timeout is a function, asked before each line.
    """
    what = f"{method} {url}"
    lines = _Lines(method, url, timeout() if callable(timeout) else timeout, payload)
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
                raise NotJsonError(f"{what}: the stream holds a line that is no JSON object: {_excerpt(line)}")
            yield value
    finally:
        lines.close()


class _Lines:
    """The lines of an answer, read in a thread of their own: who waits for one can stop whatever the server sends."""

    def __init__(self, method: str, url: str, silence: float, payload: Mapping[str, Any]) -> None:
        self._method, self._url, self._silence = method, url, silence
        self._data, self._headers = _json_body(payload, None)
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
            raise TimedOutError(f"{self._method} {self._url}: no answer for {silence:g} s") from None
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
        what = f"{self._method} {self._url}"
        try:
            with _opened(self._method, self._url, self._silence, self._data, self._headers, False) as answer:
                self._socket = _without_limit(answer)
                while not self._over.is_set():
                    with _named(what, self._silence):
                        line = answer.readline(MAX_LINE + 1)
                    self._read.put(line)
                    if not line:
                        return
        except BaseException as error:  # It is raised where the line is waited for.
            self._read.put(error)


@contextmanager
def download(
    url: str, timeout: float, use_proxy: bool = False
) -> Iterator[tuple[int | None, Generator[bytes, None, None]]]:
    """Yield a body's size in bytes (None when the server does not say it) and its pieces.

    timeout is the longest silence in seconds, and what the head may take. Nothing of the body is read before its pieces
    are asked for.
    """
    until = time.monotonic() + timeout
    with _in_time(
        lambda: _opened("GET", url, timeout, None, {}, use_proxy),
        lambda: until,
        f"GET {url}: no answer for {timeout:g} s",
    ) as answer:
        yield answer.length, _pieces(answer, f"GET {url}", timeout)


def _pieces(answer: Any, what: str, timeout: float) -> Generator[bytes, None, None]:
    """Yield what is there as it comes, and never more than the head has said."""
    # None where it is not said: then the end is marked, or is that of the connection.
    left: int | None = answer.length
    while left != 0:
        with _named(what, timeout):
            # read() would wait for the whole piece, of a server that sends it byte by byte.
            piece = answer.read1(PIECE if left is None else min(PIECE, left))
        if not piece:
            break
        if left is not None:
            left -= len(piece)
        yield piece
    if left:
        raise BrokenOffError(f"{what}: the connection broke off")


def _without_limit(answer: Any) -> socket.socket | None:
    """Let reads of an answer wait for as long as they must, and return its socket."""
    # At its end an answer has let go of its socket. Before that, http.client offers no other way to it.
    if answer.fp is None:
        return None
    connection: socket.socket = answer.fp.raw._sock
    connection.settimeout(None)
    return connection


def _json_body(
    payload: Mapping[str, Any] | None, headers: Mapping[str, str] | None
) -> tuple[str | None, dict[str, str]]:
    if payload is None:
        return None, dict(headers or {})
    return json.dumps(payload), {**(headers or {}), "Content-Type": "application/json"}


def _opened(
    method: str, url: str, timeout: float, data: str | BinaryIO | None, headers: Mapping[str, str], use_proxy: bool
) -> Any:
    """Return an answer of http.client, whose body is still to be read, for a with statement."""
    what = f"{method} {url}"
    with _named(what, timeout):
        try:
            return Request().open(
                method,
                url,
                data=data,
                headers=headers,
                timeout=timeout,
                use_proxy=use_proxy and not is_near(url),
                use_netrc=False,
                http_agent="etrid.gizzi",
                context=_tls_context(url),
                # Nobody asks for packed answers, and a small one may be a large one.
                decompress=False,
            )
        except HTTPError as error:
            with error:
                raise BadStatusError(what, Response(error.code, _headers(error), error.read(MAX_ERROR))) from error


@contextmanager
def _named(what: str, timeout: float) -> Iterator[None]:
    """Turn the transport's many exceptions into ours."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ConnectionRefusedError):
            raise RefusedError(f"{what}: connection refused") from error
        if isinstance(reason, (socket.timeout, TimeoutError)):
            raise TimedOutError(f"{what}: no answer for {timeout:g} s") from error
        if isinstance(reason, ssl.SSLError):
            raise HttpError(f"{what}: TLS failed: {reason}") from error
        if isinstance(reason, socket.gaierror):
            raise HttpError(f"{what}: the name {urlsplit(what.split()[-1]).hostname} does not resolve") from error
        if isinstance(reason, (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError)):
            raise BrokenOffError(f"{what}: the connection broke off") from error
        if isinstance(reason, http.client.HTTPException):
            raise HttpError(f"{what}: the answer is not HTTP ({_excerpt(str(reason).encode())})") from error
        raise HttpError(f"{what}: {reason}") from error


def _tls_context(url: str) -> ssl.SSLContext:
    """The system's trust for https. To read it takes longer than a request, so plain HTTP gets a context without."""
    context: ssl.SSLContext = make_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return context


def _headers(answer: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in answer.headers.items()}


def _error_text(body: bytes) -> str:
    """The reason in {"error": …} (Ollama) or {"errors": [{"message": …}]} (registries), else the body's start."""
    try:
        value = from_json(body)
    except BadJsonError:
        return _excerpt(body)
    if isinstance(value, dict):
        if isinstance(value.get("error"), str):
            return str(value["error"])
        errors = value.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return str(errors[0].get("message", errors[0]))
    return _excerpt(body)


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:300].decode("utf-8", "replace").split())
    return text[:120] + ("…" if len(text) > 120 else "")
