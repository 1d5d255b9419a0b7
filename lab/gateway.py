"""The gateway from the view of a host on the network: requests with curl, and what passes over the wire."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from testinfra.host import Host

from lab.ollama import MODEL
from lab.testing import Lab, wait_until

OLLAMA, API, MIRROR = 11443, 8443, 11444
AUTHORITY = "/etc/gizzi/fleet-ca.pem"
TOKEN = "/etc/gizzi/client-gateway.token"
LOG = "journalctl SYSLOG_IDENTIFIER=gizzi_gateway --output=cat --no-pager"
# Of linux/if_ether.h, linux/socket.h and linux/if_packet.h: every protocol, and frames from one host to another too.
_ALL, _SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 3, 263, 1, 1


def url(address: str, path: str, port: int = OLLAMA) -> str:
    """Return the URL of a path at a gateway's address."""
    return f"https://[{address}]:{port}{path}" if ":" in address else f"https://{address}:{port}{path}"


def request(
    client: Host, address: str, path: str, body: str | None = None, token: str | None = None, port: int = OLLAMA
) -> tuple[int, str]:
    """Return HTTP status and text of a gateway's answer; without ``token`` the client's own is sent, with "" none."""
    curl = ["curl", "--silent", "--show-error", "--globoff", "--max-time", "120", "--cacert", AUTHORITY]
    curl += ["--write-out", "\n%{http_code}"]
    if token != "":
        own = token or client.file(TOKEN).content_string.strip()
        curl += ["--header", f"Authorization: Bearer {own}"]
    curl += [] if body is None else ["--data", body]
    answer = client.run(" ".join(["%s"] * (len(curl) + 1)), *curl, url(address, path, port))
    assert answer.rc == 0, answer.stderr
    text, _unused, status = answer.stdout.rpartition("\n")
    return int(status), text


def digests(client: Host, address: str) -> dict[str, str]:
    """Return the digest of each model of the server behind the gateway at the address."""
    status, text = request(client, address, "/api/tags")
    assert status == 200, text
    return {model["name"]: model["digest"] for model in json.loads(text)["models"]}


def asked(server: Host, client: Host, address: str, name: str) -> None:
    """Ask from the client, and check that the gateway has noted the client by its validator's name."""
    options = {"num_predict": 16, "temperature": 0}
    body = {"model": MODEL, "prompt": "What is the capital of France?", "stream": False, "options": options}
    before = answered(server).count(name)
    status, text = request(client, address, "/api/generate", json.dumps(body))
    assert (status, "Paris" in text) == (200, True), text
    wait_until(lambda: answered(server).count(name) > before, 60, f"the gateway has answered {name}")


def answered(server: Host) -> list[str]:
    """Return the validator of each prompt that the gateway has let through, from its log."""
    lines = [json.loads(line) for line in server.check_output(LOG).splitlines() if line.startswith("{")]
    return [line["validator"] for line in lines if (line["path"], line["status"]) == ("/api/generate", 200)]


@contextmanager
def captured(lab: Lab) -> Iterator[bytearray]:
    """Capture all that passes over the lab's network during the block; this needs root on the machine of the lab."""
    network = json.loads(subprocess.check_output(["docker", "network", "inspect", lab.prefix]))[0]["Id"]
    seen, done = bytearray(), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as wire:
        bridge = f"br-{network[:12]}"
        wire.bind((bridge, 0))
        wanted = struct.pack("IHH8x", socket.if_nametoindex(bridge), _PROMISCUOUS, 0)
        wire.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, wanted)
        wire.settimeout(0.2)

        def read() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    seen.extend(wire.recv(65536))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield seen
        finally:
            done.set()
            reader.join()
