"""Questions to a real Ollama through the gateway: while it is restarted and moved, and many at once."""

from __future__ import annotations

import json
import shlex

from conftest import SECRETS, Gateways

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import token
from lab.ollama import MODEL
from lab.testing import wait_until

OLLAMA = "molecule/gateway/ollama.yml"
VALIDATORS = [f"validator{number}" for number in range(1, 22)]
QUESTION = {"model": MODEL, "prompt": "Tell a story.", "stream": False, "options": {"num_predict": 16, "seed": 1}}


def test_no_question_fails_while_ollama_moves_behind_the_gateway(gateways: Gateways) -> None:
    """As in a fleet from before the gateways, and then as in any restart."""
    peer = gateways.lab.addresses("peer")

    def move(**variables: object) -> None:
        run = gateways.lab.playbook(OLLAMA, variables=variables)
        assert run.returncode == 0, run.stdout

    with gateways.asking("server") as answers:
        move(ollama_listen="[::]:11434", ollama_allowed_sources=peer)
        move()
        for _turn in range(2):
            gateways.hosts["server"].check_output("systemctl restart ollama.service")
    assert set(answers) == {"200"}
    assert not gateways.hosts["server"].file("/run/ollama/stopping").exists


def test_a_stop_waits_for_an_answer_and_a_restart_for_nobody_who_is_idle(gateways: Gateways) -> None:
    server = gateways.hosts["server"]
    long = json.dumps(QUESTION | {"options": {"num_predict": 200, "seed": 1}})
    ask = f"curl -s --max-time 200 -d {shlex.quote(long)} http://127.0.0.1:11434/api/generate"
    server.check_output(f"systemd-run --collect --unit=long --property=StandardOutput=file:/run/long {ask}")
    connections = "ss --no-header --numeric state established 'sport = :11434'"
    wait_until(lambda: server.check_output(connections), 30, "it is asked")
    server.check_output("systemctl restart ollama.service")
    assert json.loads(server.file("/run/long").content_string)["done"]
    took = server.check_output("bash -c 'time -p systemctl restart ollama.service' 2>&1").split()[1]
    assert float(took) < 10


def test_of_21_at_once_each_is_answered_in_its_turn_or_told_to_wait(gateways: Gateways) -> None:
    """The longest wait is no longer than all answers take together, by what Ollama says of each of them."""
    peer, address = gateways.hosts["peer"], gateways.lab.addresses("server")[0]
    one = (
        "curl -s --max-time 300 --cacert /root/ca.pem -o /root/answer-NAME -D /root/head-NAME "
        "-w '%{http_code} %{time_total}' -H 'Authorization: Bearer TOKEN' "
        f"-d {shlex.quote(json.dumps(QUESTION))} https://{address}:11443/api/generate >/root/told-NAME &\n"
    )
    asks = "".join(one.replace("NAME", name).replace("TOKEN", token(SECRETS[0], name)) for name in VALIDATORS)
    peer.check_output(f"cat >/root/all <<'EOF'\n{asks}wait\nEOF")
    peer.check_output("sh /root/all")
    waits, work = [], 0
    for name in VALIDATORS:
        status, seconds = peer.file(f"/root/told-{name}").content_string.split()
        if status == "429":
            assert "retry-after:" in peer.file(f"/root/head-{name}").content_string.lower()
            continue
        assert status == "200"
        answer = json.loads(peer.file(f"/root/answer-{name}").content_string)
        work += answer.get("prompt_eval_duration", 0) + answer["eval_duration"]
        waits.append(float(seconds))
    assert len(waits) > 1
    print(f"\nof {len(waits)} answers: the longest wait {max(waits):.1f} s, all answers {work / 1e9:.1f} s", end=" ")
    # What is between two answers is Ollama's.
    assert max(waits) < 1.2 * work / 1e9 + 0.1 * len(waits)
