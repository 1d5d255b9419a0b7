# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transport over Ansible's own HTTP client: JSON documents, files, and errors that say what is wrong."""

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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ansible.module_utils.urls import Request, make_context

from ansible_collections.etrid.gizzi.plugins.module_utils._access import certificate_reason
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import BadJsonError, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import BinaryIO

    from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access

Answer = TypeVar("Answer")

# Nothing that is read whole comes near it; a wrong address may answer with a disk image.
MAX_BODY = 16 * 1024 * 1024
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


class CertificateError(HttpError):
    """The other side has not shown that it is the one to be asked. Nothing was sent to it."""


class NotJsonError(HttpError):
    pass


class BadStatusError(HttpError):
    def __init__(self, request: str, response: Response) -> None:
        self.response = response
        # What the server itself says, "" where it says nothing.
        self.detail = _error_text(response.body)
        target = response.headers.get("location") if 300 <= response.status < 400 else None
        told = f"redirects to {excerpt(target.encode())}, which is not followed" if target else self.detail
        super().__init__(f"{request} answered {response.status}{': ' + told if told else ''}")

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
    access: Access | None = None,
) -> Response:
    """Return the whole answer, which may take timeout seconds in all, from the name's look-up to its last byte.

    With an access redirects are not followed; without one the host's authorities are trusted.
    """
    data, all_headers = json_body(payload, headers)
    until = time.monotonic() + timeout
    asked = Asked(method, url, timeout, data, all_headers, use_proxy, access)
    return _in_time(
        lambda: _answer(asked),
        lambda: until,
        f"{asked.what}: no complete answer for {timeout:g} s",
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


def upload(method: str, url: str, timeout: float, content: BinaryIO, size: int, access: Access) -> Response:
    """Send a file; timeout is the longest silence while it is sent, and what the answer may take after, in seconds."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    sent = _Sent(content)
    asked = Asked(method, url, timeout, cast("BinaryIO", sent), headers, access=access)
    return _in_time(
        lambda: _answer(asked),
        lambda: sent.last + timeout,
        f"{asked.what}: no complete answer for {timeout:g} s",
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


@dataclass(frozen=True)
class Asked:
    """One request; timeout in seconds is the longest silence of its connection."""

    method: str
    url: str
    timeout: float
    data: str | BinaryIO | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    use_proxy: bool = False
    access: Access | None = None

    @property
    def what(self) -> str:
        """As messages call it: without the query, which may be longer than what is to be said."""
        return f"{self.method} {self.url.partition('?')[0]}"


def _answer(asked: Asked) -> Response:
    with opened(asked) as answer, named(asked.what, asked.timeout):
        return Response(answer.status, _headers(answer), _body(answer, asked.what, asked.timeout))


def _body(answer: Any, what: str, timeout: float) -> bytes:
    """Read a body of MAX_BODY bytes at most, in timeout seconds after its head."""
    until = time.monotonic() + timeout
    body = bytearray()
    for piece in _pieces(answer, what, timeout):
        body += piece
        if len(body) > MAX_BODY:
            raise HttpError(f"{what} answered with more than {MAX_BODY} bytes")
        if time.monotonic() > until:
            raise TimedOutError(f"{what}: no complete answer for {timeout:g} s")
    return bytes(body)


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
        lambda: opened(Asked("GET", url, timeout, use_proxy=use_proxy)),
        lambda: until,
        f"GET {url}: no answer for {timeout:g} s",
    ) as answer:
        yield answer.length, _pieces(answer, f"GET {url}", timeout)


def _pieces(answer: Any, what: str, timeout: float) -> Generator[bytes, None, None]:
    """Yield what is there as it comes, and never more than the head has said."""
    # None where it is not said: then the end is marked, or is that of the connection.
    left: int | None = answer.length
    while left != 0:
        with named(what, timeout):
            # read() would wait for the whole piece, of a server that sends it byte by byte.
            piece = answer.read1(PIECE)
        if not piece:
            break
        if left is not None:
            left -= len(piece)
        yield piece
    if left:
        raise BrokenOffError(f"{what}: the connection broke off")


def json_body(
    payload: Mapping[str, Any] | None, headers: Mapping[str, str] | None
) -> tuple[str | None, dict[str, str]]:
    if payload is None:
        return None, dict(headers or {})
    return json.dumps(payload), {**(headers or {}), "Content-Type": "application/json"}


def opened(asked: Asked) -> Any:
    """Return an answer of http.client, whose body is still to be read, for a with statement."""
    with named(asked.what, asked.timeout):
        try:
            return Request().open(
                asked.method,
                asked.url,
                data=asked.data,
                headers={**asked.headers, **(asked.access.headers if asked.access else {})},
                timeout=asked.timeout,
                use_proxy=asked.use_proxy and not is_near(asked.url),
                use_netrc=False,
                http_agent="etrid.gizzi",
                context=_tls_context(asked.url, asked.access),
                follow_redirects="none" if asked.access else "urllib2",
                # Nobody asks for packed answers, and a small one may be a large one.
                decompress=False,
            )
        except HTTPError as error:
            with error:
                response = Response(error.code, _headers(error), error.read(MAX_ERROR))
                raise BadStatusError(asked.what, response) from error


@contextmanager
def named(what: str, timeout: float) -> Iterator[None]:
    """Turn the transport's many exceptions into ours."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ConnectionRefusedError):
            raise RefusedError(f"{what}: connection refused") from error
        if isinstance(reason, (socket.timeout, TimeoutError)):
            raise TimedOutError(f"{what}: no answer for {timeout:g} s") from error
        if isinstance(reason, ssl.SSLCertVerificationError):
            why = certificate_reason(reason, urlsplit(what.split()[-1]).netloc)
            raise CertificateError(f"{what}: {why}. Nothing was sent") from error
        if isinstance(reason, ssl.SSLError):
            raise HttpError(f"{what}: TLS failed: {reason}") from error
        if isinstance(reason, socket.gaierror):
            raise HttpError(f"{what}: the name {urlsplit(what.split()[-1]).hostname} does not resolve") from error
        if isinstance(reason, (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError)):
            raise BrokenOffError(f"{what}: the connection broke off") from error
        if isinstance(reason, http.client.HTTPException):
            raise HttpError(f"{what}: the answer is not HTTP ({excerpt(str(reason).encode())})") from error
        raise HttpError(f"{what}: {reason}") from error


def _tls_context(url: str, access: Access | None) -> ssl.SSLContext:
    """What to trust for https. To read it takes longer than a request, so plain HTTP gets a context without."""
    if not url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context: ssl.SSLContext = (access.context() if access else None) or make_context()
    return context


def _headers(answer: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in answer.headers.items()}


def _error_text(body: bytes) -> str:
    """The reason in {"error": …} (Ollama) or {"errors": [{"message": …}]} (registries), else the body's start."""
    try:
        value = from_json(body)
    except BadJsonError:
        return excerpt(body)
    if isinstance(value, dict):
        if isinstance(value.get("error"), str):
            return str(value["error"])
        errors = value.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return str(errors[0].get("message", errors[0]))
    return excerpt(body)


def excerpt(body: bytes) -> str:
    text = " ".join(body[:300].decode("utf-8", "replace").split())
    return text[:120] + ("…" if len(text) > 120 else "")
