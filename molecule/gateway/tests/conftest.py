"""A gateway before a real Ollama, and one host that may ask it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from testinfra.host import Host

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import token
from lab.ollama import MODEL
from lab.testing import Lab, wait_until

GATEWAY = "molecule/gateway/converge.yml"
SECRETS = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")
# The body of each question comes within a second.
ASKING = """
body() { printf '{"prompt":"Hi","stream":false,'; sleep 1; printf '"model":"MODEL","options":{"num_predict":4}}'; }
while [ -e /root/ask ]; do
    body | curl -s -o /dev/null -w '%{http_code}\\n' --cacert /root/ca.pem -T - -X POST \\
        -H 'Authorization: Bearer TOKEN' https://ADDRESS:11443/api/generate >>/root/asked
done
"""


class Gateways:
    """The hosts, and the one that may ask them."""

    def __init__(self, lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
        self.lab, self.hosts, self.stranger = lab, fleet, stranger
        authority = (lab.inventory.parent / "certificates/authority.pem").read_text()
        fleet["peer"].check_output(f"cat >/root/ca.pem <<'EOF'\n{authority}EOF")

    def run(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        return self.lab.playbook(GATEWAY, *arguments, variables=variables)

    def apply(self, *arguments: str, **variables: object) -> str:
        run = self.run(*arguments, **variables)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def answer(self, address: str, secret: str = SECRETS[0], name: str = "peer") -> str:
        """Return the status that a question from the peer gets."""
        place = f"[{address}]" if ":" in address else address
        return str(
            self.hosts["peer"].check_output(
                "curl -s -g -m 20 --cacert /root/ca.pem -o /dev/null -w '%{http_code}' "
                f"-H 'Authorization: Bearer {token(secret, name)}' 'https://{place}:11443/api/pull'"
            )
        )

    @contextmanager
    def asking(self, name: str) -> Iterator[list[str]]:
        """Ask without a pause during the block, and yield the status of each answer, which is there after the block."""
        answers: list[str] = []
        peer = self.hosts["peer"]
        script = ASKING.replace("ADDRESS", self.lab.addresses(name)[0]).replace("MODEL", MODEL)
        script = script.replace("TOKEN", token(SECRETS[0], "peer"))
        peer.check_output(f"rm -f /root/asked; touch /root/ask; cat >/root/asking <<'EOF'\n{script}EOF")
        for _one in range(4):
            peer.check_output("sh /root/asking >/dev/null 2>&1 &")
        asked = peer.file("/root/asked")
        try:
            wait_until(lambda: asked.exists, 30, "a question was answered")
            yield answers
            before = len(asked.content_string.split())
            wait_until(lambda: len(asked.content_string.split()) > before + 4, 30, "questions go on")
        finally:
            peer.check_output("rm /root/ask")
        answers += asked.content_string.split()

    def master(self, name: str) -> str:
        return str(self.hosts[name].check_output("systemctl show --property=InvocationID gizzi-gateway.service"))


@pytest.fixture(scope="module")
def gateways(lab: Lab, fleet: dict[str, Host], stranger: Host) -> Gateways:
    return Gateways(lab, fleet, stranger)
