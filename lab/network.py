"""A scenario's network: faults of validators' nodes and of Prometheus, and questions to the Gizzi API with curl."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testinfra.host import Host

from lab.testing import wait_until

PORT = 8080
LOOPBACK = "127.0.0.1"
PROMETHEUS = "http://127.0.0.1:9090"
CONTROL = "/run/flare-node/control.json"


def fault(validator: Host, **wanted: Any) -> None:
    """Give a validator's node faults from its next page on; ``wanted`` are keys of flare_node.py's control file."""
    # Write a new file and rename it: the node never reads half a file.
    validator.check_output("printf %%s %s > %s.new && mv %s.new %s", json.dumps(wanted), CONTROL, CONTROL, CONTROL)


def heal(validator: Host) -> None:
    """Remove all faults of a validator's node."""
    validator.check_output("rm -f %s", CONTROL)


@contextmanager
def prometheus_stopped(gizzi: Host) -> Iterator[None]:
    """Stop Prometheus during the block; afterwards it answers again."""
    gizzi.check_output("systemctl stop prometheus.service")
    try:
        yield
    finally:
        gizzi.check_output("systemctl start prometheus.service")
        wait_until(lambda: query(gizzi, "vector(1)"), 30, "Prometheus answers")


@contextmanager
def prometheus_hanging(gizzi: Host) -> Iterator[None]:
    """Freeze Prometheus during the block: connections open, but get no answer."""
    gizzi.check_output("systemctl kill --signal=SIGSTOP prometheus.service")
    try:
        yield
    finally:
        gizzi.check_output("systemctl kill --signal=SIGCONT prometheus.service")


def query(gizzi: Host, promql: str) -> list[dict[str, Any]]:
    """Return the series of Prometheus' own answer to an instant query."""
    return list(prometheus(gizzi, f"query?{urllib.parse.urlencode({'query': promql})}")["result"])


def prometheus(gizzi: Host, path: str) -> Any:
    """Return ``data`` of Prometheus' answer under /api/v1/; an HTTP error fails the test."""
    answer = gizzi.check_output("curl --silent --fail --max-time 10 %s", f"{PROMETHEUS}/api/v1/{path}")
    return json.loads(answer)["data"]


def url(path: str, address: str = LOOPBACK) -> str:
    """Return the API's URL at an address."""
    return f"http://[{address}]:{PORT}{path}" if ":" in address else f"http://{address}:{PORT}{path}"


def ask(client: Host, path: str, token: str | None = None, address: str = LOOPBACK) -> tuple[int, Any]:
    """Return HTTP status and JSON of the API's answer to the client; the test fails without an answer."""
    arguments = ["curl", "--silent", "--show-error", "--globoff", "--max-time", "10", "--write-out", "\n%{http_code}"]
    if token is not None:
        arguments += ["--header", f"Authorization: Bearer {token}"]
    answer = client.run(" ".join(["%s"] * (len(arguments) + 1)), *arguments, url(path, address))
    assert answer.rc == 0, answer.stderr
    body, _unused, status = answer.stdout.rpartition("\n")
    return int(status), json.loads(body)


def statuses(client: Host, address: str = LOOPBACK) -> dict[int, str]:
    """Return every validator's status by its number, from the API at the address."""
    _unused, answer = ask(client, "/api/network/status", address=address)
    return {validator["number"]: validator["status"] for validator in answer["validators"]}


def wait_for(client: Host, wanted: dict[int, str], timeout: float) -> None:
    """Wait until these validators have these statuses and all others are healthy; fail after ``timeout`` seconds."""
    last: dict[int, str] = {}

    def reached() -> bool:
        nonlocal last
        last = statuses(client)
        assert last == dict.fromkeys(last, "healthy") | wanted, last
        return True

    wait_until(reached, timeout, f"{wanted or 'all'} {'and the others ' if wanted else ''}healthy")


def own_metric(client: Host, name: str) -> float:
    """Return one of the API's own metrics, summed over its series."""
    page = client.check_output("curl --silent --fail --max-time 10 %s", url("/metrics"))
    series = [line.rpartition(" ") for line in page.splitlines() if line.split("{")[0].split(" ")[0] == name]
    assert series, f"no {name}"
    return sum(float(value) for _unused, _space, value in series)
