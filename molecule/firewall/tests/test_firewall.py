"""The three kinds of host after `converge`, and then through all that may happen to them.

The tests run in this order; each leaves the hosts guarded for the next, and the last takes the guards away.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from lab.testing import Lab, wait_until

OLLAMA = 11434
GIZZI_API = 8080
HOSTS = ("oracle", "ufw", "bare")
GUARD = "molecule/firewall/guard.yml"
PROGRAM = "/usr/local/sbin/gizzi-firewall"

OURS = re.compile(
    r"GIZZI-"
    # What ufw makes of our rules: the only ones for these ports that name a source.
    rf"|-A ufw6?-user-input -s \S+ -p tcp -m tcp --dport ({OLLAMA}|{GIZZI_API}) -j (ACCEPT|DROP)$"
)


def url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def reached(client: Host, addresses: Iterable[str], port: int = OLLAMA) -> set[str]:
    """Return those addresses whose port answers the client; all are asked at once.

    The kernel opens a connection at once, and what listens there may take its time to answer.
    """
    asks = [f"(curl -s -g -o /dev/null --connect-timeout 2 -m 30 '{url(a, port)}' && echo '{a}') &" for a in addresses]
    return set(client.check_output(" ".join([*asks, "wait"])).split())


def filter_rules(host: Host) -> list[str]:
    saved = host.check_output(
        'for tool in iptables ip6tables; do ! command -v "$tool" >/dev/null || "$tool-save" -t filter; done'
    )
    return meaningful(saved)


def meaningful(saved: str) -> list[str]:
    """Return saved rules without the time, the counters, and tables in which there is nothing.

    nftables keeps an empty table of policies ACCEPT once there has been a rule; no tool can tell it from none.
    """
    lines = [re.sub(r"\[\d+:\d+\]", "", line).rstrip() for line in saved.splitlines() if not line.startswith("#")]
    empty = ["*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT", "COMMIT"]
    text = "\n".join([*lines, ""]).replace("\n".join([*empty, ""]), "")
    return text.splitlines()


def rules_before(host: Host) -> list[str]:
    return meaningful(host.check_output("cat /root/rules-before"))


def started(host: Host, unit: str) -> str:
    """Return what changes with every start and stop of the unit, and only then."""
    return str(host.check_output(f"systemctl show --property ActiveState,InvocationID {unit}"))


@dataclass
class Fleet:
    """The hosts, and the two from which they are tried."""

    lab: Lab
    hosts: dict[str, Host]
    stranger: Host

    def addresses(self, names: Iterable[str] = HOSTS) -> set[str]:
        return {address for name in names for address in self.lab.addresses(name)}

    def assert_guarded(self, names: Iterable[str] = HOSTS, port: int = OLLAMA) -> None:
        """The peer reaches every address and the stranger none, while something listens there."""
        addresses = self.addresses(names)
        assert reached(self.hosts["peer"], addresses, port) == addresses
        assert reached(self.stranger, addresses, port) == set()

    def wait_until_it_listens(self, name: str, port: int) -> None:
        socket = self.hosts[name].socket(f"tcp://:::{port}")
        wait_until(lambda: socket.is_listening, 60, f"{name} listens on port {port}")

    def run(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        return self.lab.playbook(GUARD, *arguments, variables=variables)

    def apply(self, *arguments: str, **variables: object) -> dict[str, int]:
        """Run the role, which must succeed, and return how many tasks changed each host."""
        run = self.run(*arguments, **variables)
        assert run.returncode == 0, run.stdout + run.stderr
        return {host: int(changed) for host, changed in re.findall(r"^(\w+) .*\bchanged=(\d+)", run.stdout, re.M)}


@pytest.fixture(scope="module")
def lab_fleet(lab: Lab, fleet: dict[str, Host], stranger: Host) -> Fleet:
    return Fleet(lab, fleet, stranger)


@pytest.mark.parametrize("port", [OLLAMA, GIZZI_API])
def test_open_to_the_peer_and_to_nobody_else(lab_fleet: Fleet, port: int) -> None:
    lab_fleet.assert_guarded(port=port)


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_reaches_itself_at_all_its_addresses(lab_fleet: Fleet, name: str) -> None:
    addresses = {"127.0.0.1", "::1", *lab_fleet.lab.addresses(name)}
    assert reached(lab_fleet.hosts[name], addresses) == addresses


@pytest.mark.parametrize("name", HOSTS)
def test_rules_of_others_are_as_they_were(lab_fleet: Fleet, name: str) -> None:
    host = lab_fleet.hosts[name]
    others = "\n".join(line for line in filter_rules(host) if not OURS.search(line)) + "\n"
    assert meaningful(others) == rules_before(host)


def test_each_kind_has_its_guard_and_only_that(lab_fleet: Fleet) -> None:
    for name in ["oracle", "bare"]:
        for tool in ["iptables", "ip6tables"]:
            chains = lab_fleet.hosts[name].check_output(f"{tool} -S INPUT").splitlines()
            assert all("-j GIZZI-" in chain for chain in chains[1:3]), f"{tool} of {name}"
    assert "GIZZI-" not in "\n".join(filter_rules(lab_fleet.hosts["ufw"]))
    assert not lab_fleet.hosts["bare"].package("iptables-persistent").is_installed


def test_an_established_ssh_session_outlives_a_reload(lab_fleet: Fleet) -> None:
    for name in HOSTS:
        host = lab_fleet.hosts[name]
        peer = lab_fleet.lab.variables["peer"]["lab_container"]
        with subprocess.Popen(
            ["docker", "exec", "-i", peer, "timeout", "120", "nc", lab_fleet.lab.addresses(name)[0], "22"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as session:
            assert session.stdin is not None and session.stdout is not None
            assert session.stdout.readline().startswith("SSH-2.0-")
            host.check_output("iptables -D INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA || true")
            host.check_output("systemctl reload gizzi-firewall-ollama")
            session.stdin.write("not ssh\r\n")
            session.stdin.flush()
            assert "Invalid SSH identification string" in session.stdout.readline()
            session.stdin.close()


def test_a_reload_does_not_touch_the_guarded_service(lab_fleet: Fleet) -> None:
    for name in HOSTS:
        host = lab_fleet.hosts[name]
        before = started(host, f"listener@{OLLAMA}")
        host.check_output("systemctl reload gizzi-firewall-ollama")
        assert started(host, f"listener@{OLLAMA}") == before


def test_it_survives_a_reboot_even_of_rules_that_somebody_saved(lab_fleet: Fleet) -> None:
    # netfilter-persistent saves everything, ours too. What it restores at boot is old as soon as the sources change.
    lab_fleet.hosts["oracle"].check_output("netfilter-persistent save")
    lab_fleet.hosts["oracle"].check_output("sed -i '/GIZZI-OLLAMA -s/d' /etc/iptables/rules.v4 /etc/iptables/rules.v6")
    lab_fleet.lab.reboot(HOSTS)
    for port in (OLLAMA, GIZZI_API):
        # systemd counts the listeners as started before they listen.
        for name in HOSTS:
            lab_fleet.wait_until_it_listens(name, port)
        lab_fleet.assert_guarded(port=port)
    assert lab_fleet.apply("--check") == dict.fromkeys(HOSTS, 0)


def test_a_rule_that_somebody_put_in_front_is_overtaken(lab_fleet: Fleet) -> None:
    opened = {
        "oracle": "ip6tables -I INPUT 1 -p tcp --dport 11434 -j ACCEPT",
        "ufw": "ufw insert 1 allow 11434:11435/tcp",
    }
    for name, command in opened.items():
        lab_fleet.hosts[name].check_output(command)
    before = {name: filter_rules(lab_fleet.hosts[name]) for name in HOSTS}
    assert reached(lab_fleet.stranger, lab_fleet.addresses(opened)) != set()

    assert lab_fleet.apply("--check") == {"oracle": 1, "ufw": 1, "bare": 0}
    assert {name: filter_rules(lab_fleet.hosts[name]) for name in HOSTS} == before

    assert lab_fleet.apply() == {"oracle": 1, "ufw": 1, "bare": 0}
    lab_fleet.assert_guarded()
    lab_fleet.hosts["oracle"].check_output("ip6tables -D INPUT -p tcp --dport 11434 -j ACCEPT")
    lab_fleet.hosts["ufw"].check_output("ufw delete allow 11434:11435/tcp")


def test_exact_when_sources_change(lab_fleet: Fleet) -> None:
    addresses = lab_fleet.addresses()
    services = {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS}

    # One of the peer's two addresses is out, by IPv4; the other is still in, by IPv6.
    ipv4, ipv6 = lab_fleet.lab.addresses("peer")
    lab_fleet.apply(firewall_sources=[ipv6])
    assert reached(lab_fleet.hosts["peer"], addresses) == {address for address in addresses if ":" in address}

    # Nobody at all, and then everybody that was in, written otherwise.
    lab_fleet.apply(firewall_sources=[])
    assert reached(lab_fleet.hosts["peer"], addresses) == set()
    lab_fleet.apply(firewall_sources=[ipv4, f"::ffff:{ipv4}", f"{ipv6}/128", ipv6])
    lab_fleet.assert_guarded()
    assert {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS} == services


def test_a_host_that_changes_its_kind_is_moved(lab_fleet: Fleet) -> None:
    host = lab_fleet.hosts["ufw"]
    comment = b"gizzi ollama".hex()

    host.check_output("ufw disable")
    lab_fleet.apply("--limit", "ufw")
    lab_fleet.assert_guarded(["ufw"])
    assert "-A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA" in filter_rules(host)
    assert comment not in host.check_output("cat /etc/ufw/user.rules /etc/ufw/user6.rules")

    host.check_output("ufw --force enable")
    lab_fleet.assert_guarded(["ufw"])
    lab_fleet.apply("--limit", "ufw")
    lab_fleet.assert_guarded(["ufw"])
    assert "GIZZI-" not in "\n".join(filter_rules(host))
    assert comment in host.check_output("cat /etc/ufw/user6.rules")


def test_ufw_that_is_never_asked_does_not_count(lab_fleet: Fleet) -> None:
    # As on Oracle's images, where enabling ufw puts its chains behind the final REJECT.
    host = lab_fleet.hosts["ufw"]
    front = [
        "-m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-i lo -j ACCEPT",
        "-p tcp --dport 22 -j ACCEPT",
        "-j REJECT --reject-with icmp-host-prohibited",
    ]
    for position, rule in enumerate(front, start=1):
        host.check_output(f"iptables -I INPUT {position} {rule}")
    lab_fleet.apply("--limit", "ufw")
    lab_fleet.assert_guarded(["ufw"])
    for rule in reversed(front):
        host.check_output(f"iptables -D INPUT {rule}")
    lab_fleet.apply("--limit", "ufw")
    lab_fleet.assert_guarded(["ufw"])
    assert "GIZZI-OLLAMA" not in "\n".join(filter_rules(host))


def test_a_service_is_not_served_without_its_guard(lab_fleet: Fleet) -> None:
    host = lab_fleet.hosts["bare"]
    host.check_output(f"mv {PROGRAM} {PROGRAM}.away")
    lab_fleet.lab.reboot(["bare"])
    assert host.service("gizzi-firewall-ollama").is_running is False
    assert host.service(f"listener@{OLLAMA}").is_running is False
    assert reached(lab_fleet.hosts["peer"], lab_fleet.addresses(["bare"])) == set()

    # Starting the service again starts its guard first.
    host.check_output(f"mv {PROGRAM}.away {PROGRAM}")
    host.check_output(f"systemctl start listener@{OLLAMA} listener@{GIZZI_API}")
    lab_fleet.wait_until_it_listens("bare", OLLAMA)
    lab_fleet.assert_guarded(["bare"])


@pytest.mark.parametrize(
    ("variables", "reasons"),
    [
        (
            {"firewall_sources": ["validator07.example", "0.0.0.0/0", "::/0", "10.0.0.1/24"], "firewall_port": 70000},
            [
                "port 70000 does not exist",
                "'validator07.example' is not an IP address",
                "'0.0.0.0/0' would open the port to everybody",
                "'::/0' would open the port to everybody",
                "write 10.0.0.0/24 for the network or 10.0.0.1 for the host",
            ],
        ),
        ({"firewall_name": "Ollama_1"}, ["name 'Ollama_1' is not usable"]),
        ({"firewall_port": 22}, ["It cannot be 22, by which Ansible reaches this host"]),
        (
            {"firewall_port": "ollama", "firewall_state": "open"},
            ["we were unable to convert to int", "value of firewall_state must be one of"],
        ),
    ],
)
def test_wrong_values_change_nothing(lab_fleet: Fleet, variables: dict[str, object], reasons: list[str]) -> None:
    host = lab_fleet.hosts["bare"]
    before = filter_rules(host)
    run = lab_fleet.run("--limit", "bare", **variables)
    assert run.returncode != 0
    said = re.sub(r"\s+", " ", run.stdout).replace("''", "'")
    assert [reason for reason in reasons if reason not in said] == [], said
    assert "changed=0" in said
    assert filter_rules(host) == before


def test_one_of_two_guards_goes_alone(lab_fleet: Fleet) -> None:
    assert all(lab_fleet.apply("--check", firewall_state="absent").values())
    lab_fleet.assert_guarded()

    services = {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS}
    lab_fleet.apply(firewall_state="absent")
    lab_fleet.assert_guarded(port=GIZZI_API)
    assert {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS} == services
    assert lab_fleet.apply("--limit", "bare", firewall_state="absent") == {"bare": 0}


def test_nothing_is_left_after_the_removal(lab_fleet: Fleet) -> None:
    lab_fleet.apply(firewall_state="absent", firewall_name="gizzi-api")
    for name in HOSTS:
        host = lab_fleet.hosts[name]
        assert filter_rules(host) == rules_before(host), name
        assert host.check_output("grep -rli gizzi /etc /usr/local 2>/dev/null || true") == "", name
        assert host.check_output("find /etc /usr/local -name '*gizzi-firewall*' -o -name '*.requires'") == "", name
        assert host.check_output("systemctl list-units --all --no-legend 'gizzi-*'") == "", name
        assert host.service(f"listener@{OLLAMA}").is_running

    lab_fleet.lab.reboot(HOSTS)
    for name in HOSTS:
        assert filter_rules(lab_fleet.hosts[name]) == rules_before(lab_fleet.hosts[name]), name
