"""Ollama from the view of a client on the network: requests with curl, not with the collection's modules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from testinfra.host import Host

from lab.testing import Lab, wait_until

PORT = 11434
MODEL = "smollm2:135m"
STORE = "/var/lib/ollama/models"
# The unit's own namespace, and systemd's messages about the unit, which are in the main journal.
JOURNAL = "journalctl --namespace=+ollama --unit=ollama.service --output=cat --no-pager"


def url(address: str, path: str = "/") -> str:
    """Return the URL of Ollama at an address."""
    return f"http://[{address}]:{PORT}{path}" if ":" in address else f"http://{address}:{PORT}{path}"


def every_address(lab: Lab) -> set[str]:
    """Return the IPv4 and IPv6 addresses of all validators."""
    return {address for name in lab.groups["validators"] for address in lab.addresses(name)}


def reached(client: Host, addresses: Iterable[str], port: int = PORT) -> set[str]:
    """Return the addresses at which the client can open the port; all are tried in parallel."""
    tries = [f"(nc -z -w 2 {address} {port} && echo {address}) &" for address in addresses]
    return set(client.check_output(" ".join([*tries, "wait"])).split())


def ask(client: Host, address: str, prompt: str = "What is the capital of France?", model: str = MODEL) -> str:
    """Send a prompt from the client to the server at the address, and return the answer."""
    body = {"model": model, "prompt": prompt, "stream": False, "options": {"num_predict": 16, "temperature": 0}}
    answer = client.run(
        "curl --silent --show-error --fail --globoff --max-time 120 --data %s %s",
        json.dumps(body),
        url(address, "/api/generate"),
    )
    assert answer.rc == 0, f"{address}: {answer.stderr}"
    response = json.loads(answer.stdout)["response"]
    assert isinstance(response, str)
    return response


def digests(client: Host, address: str) -> dict[str, str]:
    """Return the digest of each model that the server at the address has."""
    listing = client.check_output("curl --silent --fail --globoff --max-time 20 %s", url(address, "/api/tags"))
    return {model["name"]: model["digest"] for model in json.loads(listing)["models"]}


def loaded(client: Host, address: str) -> dict[str, str]:
    """Return the digest of each model that the server at the address has in memory."""
    listing = client.check_output("curl --silent --fail --globoff --max-time 20 %s", url(address, "/api/ps"))
    return {model["name"]: model["digest"] for model in json.loads(listing)["models"]}


@contextmanager
def slowed(server: Host) -> Iterator[None]:
    """Limit all processes of a server to 5 % of one CPU during the block."""
    server.check_output("systemctl set-property --runtime ollama.service CPUQuota=5%")
    try:
        yield
    finally:
        server.check_output("systemctl set-property --runtime ollama.service CPUQuota=")
        server.check_output("rm -r /run/systemd/system.control/ollama.service.d && systemctl daemon-reload")


def answered(server: Host) -> list[str]:
    """Return the client address of each prompt that this server has answered since its start, from its journal.

    The web framework gin writes these lines: Ollama's server/routes.go uses gin.Default, which includes its log.
    """
    lines = server.check_output(f"{JOURNAL} _PID=$(systemctl show -P MainPID ollama)")
    return re.findall(r'\| 200 \|[^|]*\|\s*(\S+) \| POST\s+"/api/generate"', lines)


def asked(server: Host, client: Host, address: str, seen_as: str) -> None:
    """Ask from the client, and check in the server's journal that this server has answered."""
    before = answered(server).count(seen_as)
    assert "Paris" in ask(client, address)
    # On loopback the metrics program asks too.
    wait_until(lambda: answered(server).count(seen_as) > before, 60, f"the server has answered {seen_as}")


def processes(server: Host) -> dict[int, float]:
    """Return the CPU time in seconds of each process of the unit, by process number.

    One of them does the inference; since 0.30 its name is llama-server.
    """
    lines = server.check_output("ps -e -o pid=,cputimes=,unit=").splitlines()
    fields = [line.split() for line in lines]
    return {int(pid): float(seconds) for pid, seconds, unit in fields if unit == "ollama.service"}


_TRACES = """
ls -d /opt/ollama /usr/local/bin/ollama /etc/default/ollama /etc/systemd/system/ollama* \
  /etc/systemd/system/*.wants/ollama* /usr/local/lib/ollama-metrics /var/lib/prometheus/node-exporter/*ollama* \
  /var/lib/ollama-metrics /etc/sysusers.d/ollama.conf /var/lib/gizzi-files /var/lib/gizzi-files/* /var/lib/gizzi-undo \
  /etc/systemd/system/gizzi-guard* /usr/local/sbin/gizzi-guard \
  /etc/gizzi-guard /etc/gizzi-gateway* /var/lib/gizzi-gateway* /opt/gizzi-api \
  /usr/local/lib/gizzi-gateway-metrics /etc/prometheus/gizzi \
  /etc/systemd/system/gizzi-api* /etc/systemd/system/*.wants/gizzi-api* \
  /etc/systemd/system/gizzi-gateway* /etc/systemd/system/*.wants/gizzi-gateway* \
  /opt/validator/ollama-client /usr/local/bin/gizzi /usr/local/share/bash-completion/completions/gizzi \
  /var/cache/gizzi* /var/lib/gizzi /var/lib/gizzi-root /var/lib/gizzi-ollama-pulls /var/lib/gizzi-update \
  /etc/systemd/journald@ollama.conf /var/log/journal/*.ollama /run/log/journal/*.ollama
for folder in /var/lib/ollama /etc/gizzi; do [ ! -e $folder ] || find $folder; done
(iptables-save; ip6tables-save; nft list tables) | grep -i gizzi
systemctl list-units --all --plain --no-legend 'ollama*' 'gizzi-*' 'systemd-journald*@ollama.*'
pgrep --list-full ollama
ss --no-header --listening --tcp --numeric 'sport = :11434 or sport = :8080 or sport = :11443 or sport = :8443'
getent passwd ollama gizzi-api gizzi-gateway
getent group ollama gizzi-api gizzi
"""
# The note of a failed pull stays as long as its partial files.
_MODELS = rf"/var/lib/ollama$|{STORE}(/|$)|/var/lib/gizzi-(ollama-pulls|update)$"
_CLIENT = (
    r"/opt/validator/ollama-client$|/usr/local/bin/gizzi$|/usr/local/share/bash-completion/|/var/(cache|lib)/gizzi(-root)?$"
    r"|/etc/gizzi(/(client[.]toml|client-gateway[.]token|fleet-ca[.]pem))?$|gizzi:"
    r"|/var/lib/gizzi-files(/ollama-client[.]json)?$"
)


def traces(host: Host, *, models_kept: bool = False, client_kept: bool = False) -> list[str]:
    """Return what the collection has left on a host after its removal."""
    found = host.run(_TRACES).stdout.splitlines()
    kept = [pattern for pattern, wanted in ((_MODELS, models_kept), (_CLIENT, client_kept)) if wanted]
    return [trace for trace in found if not any(re.match(pattern, trace) for pattern in kept)]


def guard_rules(host: Host) -> list[str]:
    """Return the rules that guard Ollama."""
    return list(host.run("nft list table inet gizzi-ollama").stdout.splitlines())
