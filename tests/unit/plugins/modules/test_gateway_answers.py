# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a gateway serves what is in its folder, judged on real listeners and processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _gateway
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _ports
from ansible_collections.etrid.gizzi.plugins.modules import gateway_answers
from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority, served

UNIT = "gizzi-gateway.service"
AUTHORITY = Authority()
Answers = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def own_unit(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The processes that are the gateway's: this one, as long as a test does not take it out."""
    pids = {os.getpid()}
    monkeypatch.setattr(_ports, "unit_of", lambda process: UNIT if int(process.name) in pids else "other.service")
    return pids


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "gateway"
    (made / "tokens").mkdir(parents=True)
    return made


@pytest.fixture
def answers(run_module: Callable[..., dict[str, Any]], folder: Path) -> Answers:
    def run(**given: Any) -> dict[str, Any]:
        return run_module(gateway_answers.main, folder=str(folder), timeout=0, **given)

    return run


def configure(folder: Path, certificate: Path, *listens: str) -> None:
    lines = "".join(f"        listen {listen} ssl;\n" for listen in listens)
    (folder / "nginx.conf").write_text(f"http {{\n    server {{\n{lines}    }}\n}}\n")
    (folder / "certificate.pem").write_bytes(certificate.read_bytes())


@pytest.mark.parametrize(("address", "listen"), [("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")])
def test_it_serves_its_certificate(answers: Answers, folder: Path, tmp_path: Path, address: str, listen: str) -> None:
    certificate = AUTHORITY.issue(tmp_path, address)
    with served(certificate, address) as port:
        configure(folder, certificate, listen.format(port))
        assert answers()["reason"] == ""
        configure(folder, AUTHORITY.issue(tmp_path, address), listen.format(port))
        found = answers()
    assert found["failed"]
    assert found["reason"] == f"{listen.format(port)} serves another certificate than the one in place."


def test_each_address_has_its_listener(answers: Answers, folder: Path, tmp_path: Path) -> None:
    certificate = AUTHORITY.issue(tmp_path, "127.0.0.1")
    with served(certificate) as port:
        configure(folder, certificate, f"127.0.0.1:{port}", f"[::]:{port}")
        assert answers()["msg"] == f"The gateway does not listen on [::]:{port}."


def test_a_port_that_others_have_is_told_with_their_name(
    answers: Answers, folder: Path, tmp_path: Path, own_unit: set[int]
) -> None:
    certificate = AUTHORITY.issue(tmp_path, "127.0.0.1")
    own_unit.clear()
    with served(certificate) as port:
        configure(folder, certificate, f"0.0.0.0:{port}", f"127.0.0.1:{port}")
        assert answers()["msg"].startswith(f"The gateway does not listen on 0.0.0.0:{port}: ")
        assert answers()["msg"].endswith(" (other.service) has the port.")


def test_what_takes_no_tls_is_told(answers: Answers, folder: Path, tmp_path: Path) -> None:
    certificate = AUTHORITY.issue(tmp_path, "127.0.0.1")

    def hang_up() -> None:
        connection, _address = listener.accept()
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, daemon=True).start()
        port = listener.getsockname()[1]
        configure(folder, certificate, f"127.0.0.1:{port}")
        assert answers()["msg"].startswith(f"127.0.0.1:{port} does not answer with TLS: ")


def test_a_listener_without_tls_shows_no_certificate(answers: Answers, folder: Path, tmp_path: Path) -> None:
    """The mirror; that it listens is seen all the same."""
    configure(folder, AUTHORITY.issue(tmp_path, "127.0.0.1"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (folder / "nginx.conf").write_text(f"        listen 127.0.0.1:{port};\n")
        assert answers()["reason"] == ""
    assert answers()["msg"] == f"The gateway does not listen on 127.0.0.1:{port}."


def test_a_folder_without_what_is_needed_is_told(answers: Answers, folder: Path, tmp_path: Path) -> None:
    assert f"{folder}/nginx.conf cannot be read" in answers()["msg"]
    configure(folder, AUTHORITY.issue(tmp_path, "127.0.0.1"))
    assert answers()["msg"] == f"{folder}/nginx.conf has no address to listen on."
    with socket.create_server(("127.0.0.1", 0)) as listener:
        configure(folder, folder / "nginx.conf", f"127.0.0.1:{listener.getsockname()[1]}")
        assert answers()["msg"] == f"{folder}/certificate.pem has no certificate."


@pytest.fixture
def worker(own_unit: set[int]) -> Iterator[Callable[[str], int]]:
    """Start a process with a title of nginx's, which waits."""
    made: list[subprocess.Popen[bytes]] = []

    def start(title: str = "nginx: worker process") -> int:
        one = subprocess.Popen([title, "60"], executable="/usr/bin/sleep")
        made.append(one)
        own_unit.add(one.pid)
        return one.pid

    yield start
    for one in made:
        one.kill()
        one.wait()


def test_a_reload_that_was_not_carried_out_is_told(
    answers: Answers, folder: Path, tmp_path: Path, worker: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new worker has what is in the folder. An old one is not asked any more once it ends."""
    certificate = AUTHORITY.issue(tmp_path, "127.0.0.1")

    def changed(seconds: float) -> None:
        """Say that the last change of the folder was so many seconds ago, in a folder of it."""
        os.utime(folder, (0, 0))
        os.utime(folder / "tokens", (time.time() - seconds,) * 2)

    with served(certificate) as port:
        configure(folder, certificate, f"127.0.0.1:{port}")
        changed(0)
        assert answers(reloaded=True)["msg"] == "The gateway has no worker."
        worker("nginx: worker process is shutting down")
        assert answers(reloaded=True)["msg"] == "The gateway has no worker."
        worker()
        changed(60)
        assert answers(reloaded=True)["reason"] == ""
        changed(-1)
        told = "The gateway has not taken up its configuration, and goes on with the one before."
        assert answers(reloaded=True)["msg"] == told
        assert answers()["reason"] == ""


def test_it_waits_for_a_gateway_that_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = ["not yet", "not yet", ""]
    monkeypatch.setattr(_gateway, "PAUSE", 0)
    monkeypatch.setattr(_gateway.Gateway, "reason", lambda self, reloaded: reasons.pop(0))
    assert _gateway.Gateway(UNIT, folder).wait(reloaded=False, timeout=30) == ""
    assert reasons == []
