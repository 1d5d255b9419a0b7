"""One host with Ollama, seen from the host itself: its service, and its API with curl."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from lab.ollama import JOURNAL, MODEL, ask, digests, url
from lab.testing import wait_until

LOOPBACK = "127.0.0.1"


class Server:
    """A server on loopback."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def unit(self, setting: str) -> str:
        """Return one property of the service."""
        return str(self.host.check_output("systemctl show --value --property=%s ollama.service", setting))

    def api(self, path: str, payload: dict[str, Any] | None = None, *options: str) -> dict[str, Any]:
        """Ask the API; an error of curl or HTTP fails the test."""
        arguments = ["curl", "--silent", "--show-error", "--fail", "--max-time", "120", *options, url(LOOPBACK, path)]
        if payload is not None:
            arguments += ["--data", json.dumps(payload)]
        answer = self.host.run(" ".join(["%s"] * len(arguments)), *arguments)
        assert answer.rc == 0, answer.stderr
        return dict(json.loads(answer.stdout or "{}"))

    def ask(self, model: str = MODEL) -> str:
        """Return the answer to a prompt."""
        return ask(self.host, LOOPBACK, model=model)

    def digest(self, model: str = MODEL) -> str | None:
        """Return the server's digest of a model."""
        return digests(self.host, LOOPBACK).get(model)

    def version(self) -> str:
        """Return the version that the API reports."""
        return str(self.api("/api/version")["version"])

    def wait_until_it_answers(self) -> None:
        """Wait for the API."""
        wait_until(self.version, 60, "the server answers")

    def starts(self) -> int:
        """Return the number of starts of the service since the host's boot."""
        journal = self.host.check_output(JOURNAL)
        return int(journal.splitlines().count("Started ollama.service - Ollama."))
