"""The network as a scenario makes it and asks for it: validators' nodes, Prometheus, and the Gizzi API by curl."""

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
    """Make a validator's node ill from its next page on; ``wanted`` are keys of flare_node.py's control file."""
    # Written beside and renamed: a page is never made from half a file.
    validator.check_output("printf %%s %s > %s.new && mv %s.new %s", json.dumps(wanted), CONTROL, CONTROL, CONTROL)


def heal(validator: Host) -> None:
    """Make a validator's node sound again."""
    validator.check_output("rm -f %s", CONTROL)


@contextmanager
def prometheus_stopped(gizzi: Host) -> Iterator[None]:
    """Stop Prometheus for as long as the block takes; afterwards it answers again."""
    gizzi.check_output("systemctl stop prometheus.service")
    try:
        yield
    finally:
        gizzi.check_output("systemctl start prometheus.service")
        wait_until(lambda: query(gizzi, "vector(1)"), 30, "Prometheus answers")


@contextmanager
def prometheus_hanging(gizzi: Host) -> Iterator[None]:
    """Keep Prometheus from running for as long as the block takes: it takes connections and answers nothing."""
    gizzi.check_output("systemctl kill --signal=SIGSTOP prometheus.service")
    try:
        yield
    finally:
        gizzi.check_output("systemctl kill --signal=SIGCONT prometheus.service")


def query(gizzi: Host, promql: str) -> list[dict[str, Any]]:
    """Return the series by which Prometheus itself answers an instant query."""
    return list(prometheus(gizzi, f"query?{urllib.parse.urlencode({'query': promql})}")["result"])


def prometheus(gizzi: Host, path: str) -> Any:
    """Return the part ``data`` of what Prometheus answers under /api/v1/; an error of HTTP fails."""
    answer = gizzi.check_output("curl --silent --fail --max-time 10 %s", f"{PROMETHEUS}/api/v1/{path}")
    return json.loads(answer)["data"]


def url(path: str, address: str = LOOPBACK) -> str:
    """Return the API's URL at an address."""
    return f"http://[{address}]:{PORT}{path}" if ":" in address else f"http://{address}:{PORT}{path}"


def ask(client: Host, path: str, token: str | None = None, address: str = LOOPBACK) -> tuple[int, Any]:
    """Return the HTTP status and the JSON by which the API at the address answers the client; no answer fails."""
    arguments = ["curl", "--silent", "--show-error", "--globoff", "--max-time", "10", "--write-out", "\n%{http_code}"]
    if token is not None:
        arguments += ["--header", f"Authorization: Bearer {token}"]
    answer = client.run(" ".join(["%s"] * (len(arguments) + 1)), *arguments, url(path, address))
    assert answer.rc == 0, answer.stderr
    body, _unused, status = answer.stdout.rpartition("\n")
    return int(status), json.loads(body)


def statuses(client: Host, address: str = LOOPBACK) -> dict[int, str]:
    """Return every validator's status by its number, as the API at the address sees it."""
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
    """Return one of the API's own metrics, the sum over its series."""
    page = client.check_output("curl --silent --fail --max-time 10 %s", url("/metrics"))
    series = [line.rpartition(" ") for line in page.splitlines() if line.split("{")[0].split(" ")[0] == name]
    assert series, f"no {name}"
    return sum(float(value) for _unused, _space, value in series)
