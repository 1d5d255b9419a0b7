# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What gateways show and let through, seen from a host."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _gateway_look
from ansible_collections.etrid.gizzi.plugins.modules import gateway_info
from ansible_collections.etrid.gizzi.tests.unit import tls_servers
from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority, served
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., dict[str, Any]]

TOKEN = "5f" * 32
DAY = 86400


class Gateway(FakeOllama):
    """Answers as it is told to."""

    def __init__(self, registry: FakeRegistry, context: ssl.SSLContext) -> None:
        super().__init__(registry)
        self.wrap(context)
        self.url = self.url.replace("http:", "https:")
        self.stranger, self.change = 401, 403
        self.bodies: list[Any] = []

    def answer(self, http: Any, body: Any) -> None:
        if http.path == "/api/pull":
            self.bodies.append(body)
            http.send_json(self.change, {"error": "not let through"})
        elif http.headers.get("Authorization") != f"Bearer {TOKEN}":
            http.send_json(self.stranger, {"version": "0.34.2"})
        else:
            super().answer(http, body)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def gateway(registry: FakeRegistry, authority: Authority, tmp_path: Path) -> Iterator[Gateway]:
    with closing(Gateway(registry, tls_servers.shown(authority, tmp_path))) as server:
        yield server


@pytest.fixture
def asked(run_module: Run, gateway: Gateway, authority: Authority) -> Callable[..., Any]:
    """Return what is told of the gateway."""

    def run(**args: Any) -> Any:
        given = {"urls": [gateway.url], "token": TOKEN, "ca": authority.pem}
        return run_module(gateway_info.main, **{**given, **args})["gateways"][gateway.url]

    return run


def test_a_gateway_as_it_should_be(asked: Callable[..., Any], gateway: Gateway) -> None:
    assert asked() == {"token": "", "stranger": 401, "change": 403}
    # Were it let through, it would pull nothing.
    assert gateway.bodies == [{}]


def test_a_gateway_that_lets_everybody_do_everything(asked: Callable[..., Any], gateway: Gateway) -> None:
    gateway.stranger = gateway.change = 200
    assert asked() == {"token": "", "stranger": 200, "change": 200}


def test_a_token_that_does_not_count(asked: Callable[..., Any]) -> None:
    assert "does not know this host's token" in asked(token="0" * 64)["token"]
    assert "does not know this host's token" in asked(token="")["token"]


def test_a_gateway_that_is_another(asked: Callable[..., Any]) -> None:
    found = asked(ca=Authority().pem)
    assert set(found) == {"unseen"}
    assert "of another authority" in found["unseen"]


def test_a_gateway_that_does_not_answer(run_module: Run, gateway: Gateway, authority: Authority) -> None:
    gateway.close()
    found = run_module(gateway_info.main, urls=[gateway.url], token=TOKEN, ca=authority.pem)["gateways"]
    assert set(found[gateway.url]) == {"unseen"}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"urls": ["192.0.2.1:11443"]}, "has no scheme"),
        ({"urls": ["http://192.0.2.1:11443"], "token": TOKEN}, "in plain text"),
        ({"ca": "no PEM"}, "no certificate in PEM form"),
        ({"mirrors": [{"url": "http://192.0.2.1/v2", "models": []}]}, "mirrors: 'http://192.0.2.1/v2' has a path"),
        ({"mirrors": [{"url": "http://192.0.2.1", "models": ["a b"]}]}, "'a b' is not a model name"),
    ],
)
def test_wrong_options_are_named(run_module: Run, args: dict[str, Any], reason: str) -> None:
    result = run_module(gateway_info.main, **args)
    assert result["failed"] is True
    assert reason in result["msg"]
    assert TOKEN not in str(result)


def certificate_of(run_module: Run, port: int, ca: str) -> Any:
    return run_module(gateway_info.main, ports=[port], ca=ca)["certificates"][str(port)]


@pytest.mark.parametrize("where", ["127.0.0.1", "::1"])
def test_a_certificate(run_module: Run, authority: Authority, tmp_path: Path, where: str) -> None:
    path = authority.issue(tmp_path, "192.0.2.1", "2001:db8::1", days=40)
    with served(path, where) as port:
        found = certificate_of(run_module, port, authority.pem)
    assert found["problem"] == ""
    assert found["addresses"] == ["192.0.2.1", "2001:db8::1"]
    assert 39.9 * DAY < found["left"] <= 40 * DAY


@pytest.mark.parametrize(("own", "days", "reason"), [(False, 40, "of another authority"), (True, -0.5, "has expired")])
def test_a_certificate_that_is_not_good(
    run_module: Run, authority: Authority, tmp_path: Path, own: bool, days: float, reason: str
) -> None:
    issuer = authority if own else Authority(text="Other")
    with served(issuer.issue(tmp_path, "127.0.0.1", days=days)) as port:
        found = certificate_of(run_module, port, authority.pem)
    assert reason in found["problem"]
    assert found | {"problem": ""} == {"problem": "", "left": None, "addresses": []}


def test_no_certificate(run_module: Run, authority: Authority, registry: FakeRegistry, tmp_path: Path) -> None:
    with served(authority.issue(tmp_path)) as port:
        pass
    assert "shows no certificate" in certificate_of(run_module, port, authority.pem)["problem"]
    with closing(FakeOllama(registry)) as plain:
        found = certificate_of(run_module, int(plain.url.rpartition(":")[2]), authority.pem)
    assert "shows no certificate" in found["problem"]


def test_one_without_addresses(run_module: Run, authority: Authority, tmp_path: Path) -> None:
    with served(authority.issue(tmp_path)) as port:
        assert certificate_of(run_module, port, authority.pem)["addresses"] == []


def test_names_that_are_no_addresses() -> None:
    names = (("DNS", "gateway"), ("IP Address", "<invalid>"), ("IP Address", "2001:DB8:0:0:0:0:0:1"))
    assert _gateway_look._addresses(names) == ["2001:db8::1"]


def test_what_a_mirror_gives(run_module: Run, registry: FakeRegistry) -> None:
    digest = registry.publish("mistral:latest", "one")

    def asked(*models: str) -> Any:
        found = run_module(gateway_info.main, mirrors=[{"url": registry.url, "models": list(models)}])
        return found["mirrors"][registry.url]

    found = asked("mistral", "gone:1b")
    assert found["mistral"] == {"digest": digest, "problem": "", "full": False}
    assert (found["gone:1b"]["digest"], found["gone:1b"]["full"]) == ("", False)
    assert "There is no such model or tag" in found["gone:1b"]["problem"]
    registry.status = 429
    assert asked("mistral")["mistral"]["full"] is True
    registry.close()
    assert "cannot be asked" in asked("mistral")["mistral"]["problem"]
