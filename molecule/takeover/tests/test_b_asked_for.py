"""What the takeover does only when it is asked: rules that open ports go, and so does what was replaced."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from testinfra.host import Host

from lab import client
from lab.ollama import MODEL, digests, reached
from lab.server import LOOPBACK
from lab.takeover import ASIDE, ASKER, OLD_STORE, OWN, SERVER, before, meaningful, old_digests
from lab.testing import Lab, wait_until

Site = Callable[..., subprocess.CompletedProcess[str]]
OPEN = re.compile(r"-A (INPUT|ufw6?-user-input) -p tcp -m tcp --dport (11434|8080) -j ACCEPT$")
SAVED = "/etc/iptables/rules.v4"


def others(rules: list[str]) -> list[str]:
    """Return the rules but for those that open a port of ours to everybody."""
    return [rule for rule in rules if not OPEN.search(rule)]


def only_the_open_rules_are_gone(fleet: dict[str, Host]) -> None:
    for name in (SERVER, OWN):
        was, found = meaningful(before(fleet[name], "iptables")), fleet[name].check_output("iptables-save -t filter")
        assert others(was) != was
        assert meaningful(found) == others(was), name
    saved = before(fleet[SERVER], "rules.v4").splitlines()
    assert others(saved) != saved
    assert fleet[SERVER].file(SAVED).content_string.splitlines() == others(saved)
    added = before(fleet[OWN], "ufw-added").replace("ufw allow 11434/tcp\n", "")
    assert fleet[OWN].check_output("ufw show added") == added.strip()


def test_open_rules_go_and_stay_gone(lab: Lab, fleet: dict[str, Host], site: Site) -> None:
    site(gizzi_close_open_rules=True)
    only_the_open_rules_are_gone(fleet)
    lab.reboot([SERVER, OWN])
    wait_until(lambda: reached(fleet[SERVER], [LOOPBACK]), 60, "Ollama listens")
    only_the_open_rules_are_gone(fleet)


def test_what_was_replaced_goes_and_the_model_answers(fleet: dict[str, Host], site: Site) -> None:
    site(gizzi_delete_replaced=True)
    for name in (SERVER, OWN, ASKER):
        host = fleet[name]
        left = host.check_output(f"find / -xdev -name '*{ASIDE}' -o -path {OLD_STORE} -o -path /usr/local/lib/ollama")
        assert left == "", name
        # This is nobody's but the owner's.
        assert host.file("/opt/validator/ai_dev_workers.py").exists
    assert digests(fleet[SERVER], LOOPBACK) == {MODEL: old_digests(fleet[SERVER])[MODEL]}
    client.ask_everywhere(fleet, {SERVER: "own", OWN: SERVER, ASKER: SERVER})


def test_twice_changes_nothing(site: Site) -> None:
    again = site(gizzi_close_open_rules=True, gizzi_delete_replaced=True)
    assert {*re.findall(r"changed=(\d+)", again.stdout)} == {"0"}
