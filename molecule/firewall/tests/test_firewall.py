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
PROGRAM = "/usr/local/sbin/gizzi-guard"

ACCEPT = "-p tcp --dport 11434 -j ACCEPT"
# Nothing less gives ufw its place in INPUT back.
UFW_ANEW = "ufw disable; nft flush ruleset; ufw --force enable"

OURS = re.compile(
    r"GIZZI-"
    # What ufw makes of our rules: the only ones for these ports that name a source.
    rf"|-A ufw6?-user-input -s \S+ -p tcp -m tcp --dport ({OLLAMA}|{GIZZI_API}) -j ACCEPT$"
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
    return [line for line in text.splitlines() if line]


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

    def becomes_guarded(self, names: Iterable[str], flushed: bool = False) -> None:
        """The peer is let in again everywhere, and the stranger nowhere, without a playbook.

        The stranger is shut out all the time, but for the moment after somebody has flushed the whole rule set.
        """
        addresses = self.addresses(names)
        if flushed:
            wait_until(lambda: not reached(self.stranger, addresses), 30, "the stranger is shut out")
        assert reached(self.stranger, addresses) == set()
        wait_until(lambda: reached(self.hosts["peer"], addresses) == addresses, 60, "the peer is let in")
        assert reached(self.stranger, addresses) == set()

    def on(self, name: str, command: str) -> str:
        """Run a command on a host that may have shut SSH out, and return what it prints."""
        return str(self.lab.outside(name).check_output(command))

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


def test_each_kind_lets_the_peer_in_its_own_way(lab_fleet: Fleet) -> None:
    ways = {}
    for name in HOSTS:
        said = "\n".join(filter_rules(lab_fleet.hosts[name]))
        ways[name] = {way for way in ("GIZZI-OLLAMA", "ufw-user-input -s") if way in said}
    assert ways == {"oracle": {"GIZZI-OLLAMA"}, "ufw": {"ufw-user-input -s"}, "bare": set()}
    assert not lab_fleet.hosts["bare"].package("iptables").is_installed


def test_an_established_ssh_session_and_the_service_outlive_a_new_table(lab_fleet: Fleet) -> None:
    for name in HOSTS:
        host = lab_fleet.hosts[name]
        before = started(host, f"listener@{OLLAMA}")
        peer = lab_fleet.lab.variables["peer"]["lab_container"]
        with subprocess.Popen(
            ["docker", "exec", "-i", peer, "timeout", "120", "nc", lab_fleet.lab.addresses(name)[0], "22"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as session:
            assert session.stdin is not None and session.stdout is not None
            assert session.stdout.readline().startswith("SSH-2.0-")
            host.check_output("nft delete table inet gizzi-ollama && systemctl reload gizzi-guard-ollama")
            session.stdin.write("not ssh\r\n")
            session.stdin.flush()
            assert "Invalid SSH identification string" in session.stdout.readline()
            session.stdin.close()
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


@pytest.mark.parametrize("name", HOSTS)
def test_a_flushed_rule_set_is_back_within_two_seconds(lab_fleet: Fleet, name: str) -> None:
    waited = lab_fleet.on(
        name,
        "nft flush ruleset; from=$(date +%s%N); "
        "until nft list table inet gizzi-ollama >/dev/null 2>&1; do :; done; "
        "echo $((($(date +%s%N) - from) / 1000000))",
    )
    assert int(waited) < 2000
    lab_fleet.becomes_guarded([name])


def test_back_to_the_firewalls_of_the_hosts(lab_fleet: Fleet) -> None:
    lab_fleet.on("oracle", "netfilter-persistent reload")
    lab_fleet.on("ufw", UFW_ANEW)
    lab_fleet.becomes_guarded(HOSTS, flushed=True)


@pytest.mark.parametrize(
    ("name", "command", "undo"),
    [
        # The first of these is in the user's document.
        ("oracle", f"iptables -I INPUT 1 {ACCEPT}", f"iptables -D INPUT {ACCEPT}"),
        ("oracle", f"ip6tables -I INPUT 1 {ACCEPT}", f"ip6tables -D INPUT {ACCEPT}"),
        ("oracle", "iptables -F; ip6tables -F", "netfilter-persistent reload"),
        ("oracle", "iptables -I INPUT 1 -p tcp --dport 11434 -j REJECT", "netfilter-persistent reload"),
        ("ufw", f"iptables -I INPUT 1 {ACCEPT}", f"iptables -D INPUT {ACCEPT}"),
        ("ufw", f"ip6tables -I INPUT 1 {ACCEPT}", f"ip6tables -D INPUT {ACCEPT}"),
        ("ufw", "ufw insert 1 allow 11434:11435/tcp", "ufw delete allow 11434:11435/tcp"),
        ("ufw", "iptables -F ufw-user-input; ip6tables -F ufw6-user-input", "ufw reload"),
        ("ufw", "ip6tables -F", UFW_ANEW),
        ("ufw", "iptables -F", UFW_ANEW),
    ],
)
def test_what_others_do_to_the_rules(lab_fleet: Fleet, name: str, command: str, undo: str) -> None:
    lab_fleet.on(name, command)
    lab_fleet.becomes_guarded([name])
    lab_fleet.on(name, undo)
    lab_fleet.becomes_guarded([name], flushed=undo == UFW_ANEW)


def test_ufw_that_is_never_asked_does_not_count(lab_fleet: Fleet) -> None:
    # As on Oracle's images, where enabling ufw puts its chains behind the final REJECT.
    front = [
        "-m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-i lo -j ACCEPT",
        "-p tcp --dport 22 -j ACCEPT",
        "-j REJECT --reject-with icmp-host-prohibited",
    ]
    for position, rule in enumerate(front, start=1):
        lab_fleet.on("ufw", f"iptables -I INPUT {position} {rule}")
    lab_fleet.becomes_guarded(["ufw"])
    for rule in reversed(front):
        lab_fleet.on("ufw", f"iptables -D INPUT {rule}")
    lab_fleet.becomes_guarded(["ufw"])
    wait_until(lambda: "GIZZI-" not in lab_fleet.on("ufw", "iptables -S"), 30, "ufw lets the peer in again")


def test_after_all_that_nothing_is_left_to_do(lab_fleet: Fleet) -> None:
    assert lab_fleet.apply("--check") == dict.fromkeys(HOSTS, 0)


def test_exact_when_sources_change(lab_fleet: Fleet) -> None:
    addresses = lab_fleet.addresses()
    services = {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS}

    # One of the peer's two addresses is out, by IPv4; the other is still in, by IPv6.
    ipv4, ipv6 = lab_fleet.lab.addresses("peer")
    lab_fleet.apply(firewall_sources=[ipv6])
    assert reached(lab_fleet.hosts["peer"], addresses) == {address for address in addresses if ":" in address}
    lab_fleet.apply(firewall_sources=[ipv4, f"::ffff:{ipv4}", f"{ipv6}/128", ipv6])
    lab_fleet.assert_guarded()
    assert {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS} == services


def test_a_service_is_not_served_without_its_guard(lab_fleet: Fleet) -> None:
    host = lab_fleet.hosts["bare"]
    host.check_output(f"mv {PROGRAM} {PROGRAM}.away")
    lab_fleet.lab.reboot(["bare"])
    assert host.service("gizzi-guard-ollama").is_running is False
    assert host.service(f"listener@{OLLAMA}").is_running is False
    assert reached(lab_fleet.hosts["peer"], lab_fleet.addresses(["bare"])) == set()

    # Starting the service again starts its guard first.
    host.check_output(f"mv {PROGRAM}.away {PROGRAM}")
    host.check_output(f"systemctl start listener@{OLLAMA} listener@{GIZZI_API}")
    lab_fleet.wait_until_it_listens("bare", OLLAMA)
    lab_fleet.assert_guarded(["bare"])


def test_a_host_whose_iptables_refuses_needs_no_guard(lab_fleet: Fleet) -> None:
    host = lab_fleet.hosts["oracle"]
    # Made by nft, at a place of which iptables knows nothing.
    host.check_output("iptables -F; nft delete table ip filter")
    host.check_output("nft 'add table ip filter; add chain ip filter INPUT { type filter hook input priority -5; }'")
    try:
        assert "incompatible" in host.check_output("iptables -S 2>&1 || true")
        unguarded = {"firewall_name": "never", "firewall_state": "absent"}
        assert lab_fleet.apply("--limit", "oracle", **unguarded) == {"oracle": 0}
        lab_fleet.assert_guarded(["oracle"])
    finally:
        host.check_output("nft delete table ip filter && netfilter-persistent reload")
    lab_fleet.becomes_guarded(["oracle"])


def test_wrong_values_change_nothing(lab_fleet: Fleet) -> None:
    host = lab_fleet.hosts["bare"]
    before = host.check_output("nft list ruleset")
    sources = ["validator07.example", "0.0.0.0/0"]
    for variables, reasons in (
        (
            {"firewall_sources": sources, "firewall_port": 70000},
            ["port 70000 does not exist", "'validator07.example' is not", "'0.0.0.0/0' would open"],
        ),
        ({"firewall_port": 22}, ["port 22 is the one by which this host is reached"]),
    ):
        run = lab_fleet.run("--limit", "bare", **variables)
        assert run.returncode != 0
        said = re.sub(r"\s+", " ", run.stdout).replace("''", "'")
        assert [reason for reason in reasons if reason not in said] == [], said
        assert "changed=0" in said
    assert host.check_output("nft list ruleset") == before


def test_one_of_two_guards_goes_alone(lab_fleet: Fleet) -> None:
    services = {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS}
    assert all(lab_fleet.apply("--check", firewall_state="absent").values())
    lab_fleet.assert_guarded()
    lab_fleet.apply(firewall_state="absent")
    lab_fleet.assert_guarded(port=GIZZI_API)
    assert {name: started(lab_fleet.hosts[name], f"listener@{OLLAMA}") for name in HOSTS} == services
    assert reached(lab_fleet.stranger, lab_fleet.addresses(["bare"])) == lab_fleet.addresses(["bare"])


def test_nothing_is_left_after_the_removal(lab_fleet: Fleet) -> None:
    lab_fleet.apply(firewall_state="absent", firewall_name="gizzi-api")
    for name in HOSTS:
        host = lab_fleet.hosts[name]
        assert filter_rules(host) == rules_before(host), name
        assert "gizzi" not in host.check_output("nft list tables")
        assert host.check_output("grep -rli gizzi /etc /usr/local 2>/dev/null || true") == "", name
        assert host.check_output("find /etc /usr/local -name '*gizzi-guard*' -o -name '*.requires'") == "", name
        assert host.check_output("systemctl list-units --all --no-legend 'gizzi-*'") == "", name
        assert host.service(f"listener@{OLLAMA}").is_running

    lab_fleet.lab.reboot(HOSTS)
    for name in HOSTS:
        assert filter_rules(lab_fleet.hosts[name]) == rules_before(lab_fleet.hosts[name]), name
