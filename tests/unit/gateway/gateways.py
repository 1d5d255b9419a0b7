# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own nginx, with its own files, on free ports of loopback before fakes of what it guards."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from ansible_collections.etrid.gizzi.tests.unit.ollama_client.fake_ollama import until

ROLE = Path(__file__).parents[3] / "roles/gateway"
# Where lab/bootstrap.sh puts them.
NGINX = Path(sys.prefix) / "bin/nginx"
MODULES = Path(sys.prefix) / "lib/nginx"

KEEP_ALIVE = "24h"
OPTIONS = {"num_ctx": 4096, "num_thread": 2}
BODY = 4 * 1024 * 1024
TOKEN = "a1" * 32
OTHER_TOKEN = "b2" * 32


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def values(**changed: Any) -> dict[str, Any]:
    """What the templates get; ``changed`` by name, and None for a listener that is not wanted."""
    ollama: dict[str, Any] = {
        "port": 11443,
        "upstream": "127.0.0.1:11434",
        "keep_alive": KEEP_ALIVE,
        "options": OPTIONS,
        "connections": 8,
        "rate": 1000,
        "body": BODY,
        "patience": 1,
    }
    api = {"port": 8443, "upstream": "127.0.0.1:8080", "connections": 4}
    given: dict[str, Any] = {"listens": ["127.0.0.1"], "modules_dir": str(MODULES), "ollama": ollama, "api": api}
    given["mirror"] = {}
    for name, value in changed.items():
        given[name] = {} if value is None else {**given[name], **value} if isinstance(value, dict) else value
    return given


def rendered(template: str, given: Mapping[str, Any]) -> str:
    """As Ansible renders: ansible.template."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(__gateway=given)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The text of Ollama's form of an error."""
        return str(json.loads(self.body)["error"])


@dataclass
class Gateway:
    """A running gateway."""

    folder: Path
    ollama_port: int
    api_port: int
    process: subprocess.Popen[bytes]
    journal: socket.socket
    context: ssl.SSLContext

    def connection(self, port: int | None = None, timeout: float = 30.0) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", port or self.ollama_port, timeout=timeout, context=self.context)

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> Answer:
        """Ask once on a connection of its own; what is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        connection = self.connection(port)
        try:
            connection.request(method or ("GET" if data is None else "POST"), path, data, sent | dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def logged(self) -> dict[str, Any]:
        """The next line of the access log."""
        line = self.journal.recv(65536).decode()
        entry: dict[str, Any] = json.loads(line[line.index("{") :])
        return entry

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()


def certificate(folder: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem", "-days", "2"),
            *("-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )


def write(folder: Path, given: Mapping[str, Any]) -> Path:
    """Write the gateway's files, with run-time paths in ``folder`` too; return the configuration's."""
    certificate(folder)
    (folder / "tokens").mkdir()
    for key_id, name, token in (("0123456789ab", "validator01", TOKEN), ("ba9876543210", "validator02", OTHER_TOKEN)):
        text = rendered("tokens.conf.j2", {"tokens": [{"name": name, "token": token}]})
        (folder / f"tokens/{key_id}.conf").write_text(text)
    shutil.copy(ROLE / "files/filter.js", folder)
    text = rendered("nginx.conf.j2", given)
    configuration = folder / "nginx.conf"
    for place, ours in (("/run/gizzi-gateway", folder), ("/dev/log", folder / "log"), ("/run/ollama", folder / "run")):
        text = text.replace(place, str(ours))
    configuration.write_text(text)
    return configuration


@contextmanager
def running(
    folder: Path, upstream: str, gizzi_api: str = "127.0.0.1:1", /, access_log: bool = True, **changed: Any
) -> Iterator[Gateway]:
    """Run a gateway before these upstreams."""
    ollama_port, api_port = free_ports()
    wanted = {"port": ollama_port, "upstream": upstream} | changed.pop("ollama", {})
    api_wanted = {"port": api_port, "upstream": gizzi_api} | changed.pop("api", {})
    given = values(ollama=wanted, api=api_wanted, **changed)
    configuration = write(folder, given)
    if not access_log:
        configuration.write_text(configuration.read_text().replace("access_log syslog", "access_log off; # "))
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(folder / "log"))
    journal.settimeout(5)
    # The tests may run as root, whose nginx would have workers of another user.
    command = [str(NGINX), "-c", str(configuration), "-e", "stderr", "-g", "user root;" * (os.getuid() == 0)]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors)
    try:
        context = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
        gateway = Gateway(folder, ollama_port, api_port, process, journal, context)
        _wait(gateway)
        yield gateway
    finally:
        process.send_signal(signal.SIGQUIT if process.poll() is None else 0)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait(5)
        journal.close()


def _wait(gateway: Gateway) -> None:
    def listens() -> bool:
        assert gateway.process.poll() is None, gateway.errors()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", gateway.ollama_port)) == 0

    until(listens, 10)
