# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time
import tracemalloc
from contextlib import closing
from io import BytesIO
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _http, _json_lines
from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import OtherService


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("https://gateway.example/ollama/", "https://gateway.example/ollama"),
        ("http://[fd42::5]:11434", "http://[fd42::5]:11434"),
    ],
)
def test_base_urls(url: str, base: str) -> None:
    assert _http.check_base_url(url, "url") == base


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("127.0.0.1:11434", "write 'http://127.0.0.1:11434'"),
        ("localhost", "write 'http://localhost'"),
        ("ftp://host", "not a URL"),
        ("http://", "not a URL"),
        ("http://host:99999", "not a URL"),
        ("http://[::1", "not a URL"),
        ("http://user:secret@host", "credentials"),
        ("http://host/?q=1", "a query"),
    ],
)
def test_wrong_urls_are_explained(url: str, complaint: str) -> None:
    with pytest.raises(GizziError, match=r"^url: ") as error:
        _http.check_base_url(url, "url")
    assert complaint in str(error.value)
    assert "secret" not in str(error.value)


def test_a_body_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MAX_BODY", 10)
    with closing(OtherService()) as other, pytest.raises(_http.HttpError, match="more than 10 bytes"):
        _http.request("GET", other.url, 1)


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was held in memory twice, however long it was."""

    class Endless(OtherService):
        def answer(self, http: Any, body: Any) -> None:
            http.begin_stream()
            http.send_line({"line": 1})
            for _piece in range(64):
                http.send_chunk(b"x" * 1_000_000)

    monkeypatch.setattr(_json_lines, "MAX_LINE", 2_000_000)
    tracemalloc.start()
    try:
        with closing(Endless()) as endless:
            lines = _json_lines.json_lines("POST", endless.url, 10, {}, Access())
            assert next(lines) == {"line": 1}
            with pytest.raises(_http.HttpError, match="a line of more than 2000000 bytes"):
                next(lines)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


class Trickle(OtherService):
    """Sends a part byte by byte: never silent for long, and never done."""

    def __init__(self, before: bytes, part: bytes) -> None:
        super().__init__()
        self.before, self.part = before, part

    def answer(self, http: Any, body: Any) -> None:
        http.wfile.write(self.before)
        while not self.stopped.wait(0.05):
            http.wfile.write(self.part)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("before", "part"),
    [
        (HEAD, b"a"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"["),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n"),
        (b"HTTP/1.1 500 Broken\r\nContent-Length: 1000000\r\n\r\n", b"["),
    ],
)
def test_an_answer_that_trickles_has_an_end(before: bytes, part: bytes) -> None:
    with closing(Trickle(before, part)) as trickle:
        for ask in (
            lambda: _http.request("GET", trickle.url, 0.4),
            lambda: next(_json_lines.json_lines("POST", trickle.url, 0.4, {}, Access())),
        ):
            started = time.monotonic()
            with pytest.raises(_http.TimedOutError):
                ask()
            assert time.monotonic() - started < 2


@pytest.mark.parametrize("part", [b"a", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_the_head_of_an_answer_to_a_file_has_an_end(part: bytes) -> None:
    """And that of a file: a byte now and then was never silence."""
    with closing(Trickle(HEAD if part == b"a" else b"", part)) as trickle:
        for ask in (
            lambda: _http.upload("POST", trickle.url, 0.4, BytesIO(b"abc"), 3, Access()),
            lambda: _http.download(trickle.url, 0.4).__enter__(),
        ):
            started = time.monotonic()
            with pytest.raises(_http.TimedOutError, match=r"for 0\.4 s"):
                ask()
            assert time.monotonic() - started < 2


def test_the_head_of_an_answer_to_a_file_is_of_some_length() -> None:
    endless = Trickle(HEAD + b"Server: " + b"a" * 70_000, b"a")
    with closing(endless), pytest.raises(_http.HttpError, match="not HTTP"):
        _http.upload("POST", endless.url, 5, BytesIO(b"abc"), 3, Access())


def test_a_file_may_take_longer_than_its_longest_silence() -> None:
    class Content(BytesIO):
        """Comes in pieces, as from a slow disk."""

        def read(self, size: int | None = -1) -> bytes:
            slow.stopped.wait(0.15)
            return super().read(4)

    with closing(OtherService()) as slow:
        started = time.monotonic()
        assert _http.upload("POST", slow.url, 0.4, Content(b"x" * 16), 16, Access()).status == 200
        assert time.monotonic() - started > 0.6


def test_a_stream_that_nobody_reads_any_more_is_closed() -> None:
    left = []

    class Waiting(OtherService):
        def answer(self, http: Any, body: Any) -> None:
            http.begin_stream()
            http.send_line({"line": 1})
            left.append(http.connection.recv(1))

    with closing(Waiting()) as waiting:
        lines = _json_lines.json_lines("POST", waiting.url, 5, {}, Access())
        assert next(lines) == {"line": 1}
        lines.close()
        until = time.monotonic() + 2
        while not left and time.monotonic() < until:
            time.sleep(0.01)
    assert left == [b""]


def test_a_download_is_no_longer_than_it_says() -> None:
    """Neither in its first piece nor in the next one."""
    first_is_read = threading.Event()

    class Long(OtherService):
        def answer(self, http: Any, _body: Any) -> None:
            http.wfile.write(HEAD + b"Content-Length: 3\r\n\r\nab")
            first_is_read.wait(5)
            http.wfile.write(b"cdef")

    with closing(Long()) as long, _http.download(long.url, 5) as (size, pieces):
        assert (size, next(pieces)) == (3, b"ab")
        first_is_read.set()
        assert b"".join(pieces) == b"c"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "model not found"}', "answered 500: model not found"),
        (b'{"errors": [{"code": "X", "message": "gone"}]}', "answered 500: gone"),
        (b"<html>\n  Bad gateway</html>", "answered 500: <html> Bad gateway</html>"),
        (b"", "answered 500$"),
    ],
)
def test_error_bodies_are_quoted(body: bytes, text: str) -> None:
    with closing(OtherService(500, body)) as other, pytest.raises(_http.BadStatusError, match=text):
        _http.request("GET", other.url, 1)


def test_lines_that_are_no_objects() -> None:
    with closing(OtherService(200, b'{"a": 1}\n\n<html>\n')) as other:
        lines = _json_lines.json_lines("POST", other.url, 1, {}, Access())
        assert next(lines) == {"a": 1}
        with pytest.raises(_http.NotJsonError, match="<html>"):
            next(lines)


def test_the_longest_silence_is_asked_for_before_each_line() -> None:
    class Slow(OtherService):
        def answer(self, http: Any, body: Any) -> None:
            http.begin_stream()
            http.send_line({"line": 1})
            self.stopped.wait(0.3)
            http.send_line({"line": 2})
            self.stopped.wait(0.3)

    silence = iter((0.05, 0.05, 5, 0.05))
    with closing(Slow()) as slow:
        lines = _json_lines.json_lines("POST", slow.url, lambda: next(silence), {}, Access())
        assert [next(lines)["line"], next(lines)["line"]] == [1, 2]
        with pytest.raises(_http.TimedOutError, match=r"no answer for 0\.05 s"):
            next(lines)


def test_proxies_of_the_environment_are_not_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with closing(OtherService()) as other:
        assert _http.request("GET", other.url, 1).status == 200
        # A mirror at an address of this host, or of one of its networks, is no matter of a proxy either.
        assert _http.request("GET", other.url, 1, use_proxy=True).status == 200
        with pytest.raises(_http.RefusedError):
            _http.request("GET", "http://registry.example/", 1, use_proxy=True)


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://10.0.0.5:8081", True),
        ("http://[fd42::5]:8081", True),
        ("http://localhost", True),
        ("http://mirror:8081", True),
        ("https://registry.ollama.ai", False),
        ("https://1.1.1.1", False),
    ],
)
def test_what_is_near(url: str, near: bool) -> None:
    assert _http.is_near(url) is near
