"""A gateway on a host without nginx and on one that serves something else with it, after `converge`.

The tests run in this order; the last takes the gateways away.
"""

from __future__ import annotations

import pytest
from conftest import GATEWAY, SECRETS, Gateways
from testinfra.host import Host

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import token
from lab.testing import wait_until

HOSTS = ("server", "shop")
FOLDER = "/etc/gizzi-gateway"


def assert_others_serve(host: Host) -> None:
    """The nginx that was there before is the same, down to its workers."""
    page = host.check_output("curl -s http://127.0.0.1/")
    assert "Welcome to nginx" in page
    for pid in host.file("/root/nginx-before").content_string.split():
        assert host.file(f"/proc/{pid}/comm").content_string == "nginx\n"
    assert host.check_output("ls /etc/nginx/modules-enabled") == ""


@pytest.mark.parametrize("name", HOSTS)
def test_both_families_answer_who_may_ask_and_nobody_else(gateways: Gateways, name: str) -> None:
    for address in gateways.lab.addresses(name):
        assert gateways.answer(address) == "403"
        assert gateways.answer(address, SECRETS[1]) == "401"
        place = f"[{address}]" if ":" in address else address
        assert gateways.stranger.run(f"curl -sk -g --connect-timeout 2 https://{place}:11443/").rc == 28


def test_an_nginx_that_we_bring_serves_no_site_of_its_own(gateways: Gateways) -> None:
    server = gateways.hosts["server"]
    assert server.run("systemctl is-enabled nginx.service").stdout.strip() == "masked"
    assert not server.socket("tcp://0.0.0.0:80").is_listening


def test_an_nginx_of_others_is_as_it_was(gateways: Gateways) -> None:
    assert_others_serve(gateways.hosts["shop"])


def test_an_unchanged_host_costs_few_calls(gateways: Gateways) -> None:
    run, calls = gateways.lab.counted(GATEWAY, "--limit=server", variables={"settles": False})
    assert run.returncode == 0, run.stdout
    assert [one.rpartition(".")[2] for one in calls["server"]] == [
        "host_state",
        "files",
        "port_guard",
        "gateway_answers",
    ]


def test_a_new_certificate_is_served_and_no_question_is_lost(gateways: Gateways) -> None:
    before = gateways.master("server")
    with gateways.asking("server") as answers:
        gateways.apply("--limit=server", names=["gateway.example"])
    assert set(answers) == {"200"}
    assert gateways.master("server") == before
    served = gateways.hosts["server"].check_output(
        "openssl s_client -connect 127.0.0.1:11443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"
    )
    assert "DNS:gateway.example" in served


def test_what_nginx_refuses_is_not_used(gateways: Gateways) -> None:
    before = gateways.master("server")
    run = gateways.run("--limit=server", names=["gateway.example"], gateway_rate=10**30)
    assert run.returncode == 2
    assert f"{FOLDER} is refused, and nothing was replaced." in run.stdout
    assert "This run had changed nothing." in run.stdout
    assert gateways.master("server") == before
    assert gateways.answer(gateways.lab.addresses("server")[0]) == "403"


def test_a_taken_port_leaves_the_gateway_as_it_was(gateways: Gateways) -> None:
    server, before = gateways.hosts["server"], gateways.master("server")
    server.check_output("systemd-run --unit=taker python3 -m http.server 8443")
    wait_until(lambda: server.socket("tcp://0.0.0.0:8443").is_listening, 30, "the port is taken")
    with gateways.asking("server") as answers:
        run = gateways.run(
            "--limit=server", names=["gateway.example"], gateway_api_sources=gateways.lab.addresses("peer")
        )
    assert run.returncode == 2
    assert set(answers) == {"200"}
    assert "The gateway does not listen on 0.0.0.0:8443: python3 (taker.service) has the port." in run.stdout
    assert "The previous release and settings are back, and in use." in run.stdout
    assert gateways.master("server") == before
    assert "gizzi-gateway-api" not in server.check_output("nft list tables")
    server.check_output("systemctl stop taker")


def test_the_tokens_of_the_earlier_secret_count_until_the_end(gateways: Gateways) -> None:
    address = gateways.lab.addresses("server")[0]
    gateways.apply("--limit=server", names=["gateway.example"], secret=SECRETS[1], settles=False)
    assert [gateways.answer(address, secret) for secret in SECRETS] == ["403", "403"]
    shown = gateways.apply("--limit=server", "--diff", names=["gateway.example"], secret=SECRETS[1])
    assert [gateways.answer(address, secret) for secret in SECRETS] == ["401", "403"]
    assert not any(token(secret, "peer") in shown for secret in SECRETS)
    assert len(gateways.hosts["server"].check_output(f"ls {FOLDER}/tokens").split()) == 1


def test_after_a_reboot_it_serves_and_the_mask_holds(gateways: Gateways) -> None:
    gateways.lab.reboot(["server"])
    address = gateways.lab.addresses("server")[0]
    wait_until(lambda: gateways.answer(address, SECRETS[1]) == "403", 30, "the gateway answers")
    assert not gateways.hosts["server"].socket("tcp://0.0.0.0:80").is_listening


def test_a_removal_leaves_nothing_and_others_go_on(gateways: Gateways) -> None:
    gateways.apply(gateway_state="absent", settles=False)
    for name in HOSTS:
        host = gateways.hosts[name]
        assert host.run("/root/shown | diff /root/shown-before -").stdout == ""
    assert_others_serve(gateways.hosts["shop"])
    again = gateways.apply(gateway_state="absent", settles=False)
    assert "server" in again and "changed=0" in again.partition("server ")[2].splitlines()[0]
