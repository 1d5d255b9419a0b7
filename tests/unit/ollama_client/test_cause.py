"""Why there is no connection: its address and its cause, in every place that connects."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path
from typing import Any

import fake_ollama
import pytest
from commands import configure, gizzi
from conftest import MakeSettings, Serve
from fake_ollama import say

NOBODY = "http://nobody.invalid:11434"


def refused() -> str:
    return f"http://127.0.0.1:{fake_ollama.closed_port()}"


def told(settings: MakeSettings, url: str, **endpoint: Any) -> list[str]:
    """Return what each command says that connects to this address."""
    metrics = {"metrics_url": url, "timeout": 2.0} if "ca_file" not in endpoint else {}
    place = {"url": url} | endpoint
    configure(
        settings(
            endpoints=[{"name": "own"} | place],
            api={"timeout": 2.0} | place,
            node=metrics,
            deadlines={"connect": 1.0, "first_token": 2.0},
        )
    )
    commands = [["ask", "?"], ["models"], ["status"]] + ([["peers"]] if metrics else [])
    results = [gizzi(*command) for command in commands]
    assert [one.exit_code for one in results] == [1] * len(commands)
    assert [one.stderr for one in results if url not in one.stderr] == [], "its address"
    return [one.stderr for one in results]


def all_say(texts: list[str], cause: str) -> bool:
    return all(cause in text for text in texts)


def test_nobody_listens(settings: MakeSettings) -> None:
    assert all_say(told(settings, refused()), ": refused")


def test_there_is_no_such_host(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*given: Any, **more: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert all_say(told(settings, NOBODY), ": no such host")

    def away(*given: Any, **more: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", away)
    assert all_say(told(settings, NOBODY), ": the name could not be looked up: Temporary failure")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), ": no route"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), ": no route"),
        (TimeoutError("timed out"), ": timed out"),
        (OSError(errno.EACCES, "Permission denied"), ": Permission denied"),
    ],
)
def test_the_network_does_not_lead_there(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, error: OSError, cause: str
) -> None:
    def fails(*given: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr("socket.create_connection", fails)
    assert all_say(told(settings, "http://192.0.2.1:11434"), cause)


def test_tls(serve: Serve, settings: MakeSettings, tls: tuple[Path, ssl.SSLContext]) -> None:
    certificate, context = tls
    server = serve(say("x"), 0, context)
    assert all_say(
        told(settings, server.url)[:3],
        ": TLS: its certificate is of another authority than the one to trust: self-signed",
    )
    plain = serve(say("x"))
    url = plain.url.replace("http:", "https:")
    assert all_say(told(settings, url, ca_file=str(certificate)), ": TLS: what answers there does not use it")


def test_who_hangs_up_or_says_nothing(serve: Serve, settings: MakeSettings) -> None:
    server = serve(fake_ollama.hang)
    configure(settings(api={"url": server.url, "timeout": 0.3}))
    assert "no answer: timed out" in gizzi("status").stderr
    server.behave = fake_ollama.hang_up
    assert "no answer: " in gizzi("status").stderr
