"""The client against servers on real sockets."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fake_ollama
import pytest
from fleets import THRESHOLDS
from ollama_client import OllamaClient, Settings, endpoints

Serve = Callable[..., fake_ollama.Server]
MakeSettings = Callable[..., Settings]
MakeClient = Callable[..., OllamaClient]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings and no files of the machine; nobody waits for a server that does not come."""
    monkeypatch.setattr(endpoints, "RESTART", 0.0)
    for name in ("ANTHROPIC_API_KEY", "OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIZZI_CONFIG", str(tmp_path / "client.toml"))
    monkeypatch.setenv("GIZZI_THRESHOLDS", json.dumps(THRESHOLDS))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(behaviour, port, tls)`` gives a running server."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(fake_ollama.running(*arguments))


@pytest.fixture
def settings() -> MakeSettings:
    """``settings(*servers, **sections)`` with deadlines that a busy machine keeps."""

    def make(*servers: fake_ollama.Server | str, **sections: Any) -> Settings:
        urls = [one if isinstance(one, str) else one.url for one in servers] or ["http://127.0.0.1:9"]
        endpoints = [{"name": f"server{number}", "url": url} for number, url in enumerate(urls, 1)]
        deadlines = {"connect": 5.0, "first_token": 5.0, "stall": 5.0, "total": 20.0} | sections.pop("deadlines", {})
        return Settings(**({"endpoints": endpoints, "deadlines": deadlines} | sections))

    return make


@pytest.fixture
def client(settings: MakeSettings) -> MakeClient:
    """``client(*servers, **sections)``."""
    return lambda *servers, **sections: OllamaClient(settings=settings(*servers, **sections))


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody has signed, and what a server shows it with."""
    certificate, key = tmp_path / "own.crt", tmp_path / "own.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += [
        "-keyout",
        str(key),
        "-out",
        str(certificate),
        "-subj",
        "/CN=own",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
