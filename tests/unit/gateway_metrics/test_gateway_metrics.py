"""The program that role gateway installs for the metrics: what it counts, what it looks at, and what it writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import gateway_certificates
import gateway_log
import gateway_metrics
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from gateway_certificates import Listener
from gateway_log import Count, Key, Known, LogError, State

from ansible_collections.etrid.gizzi.tests.unit import made_certificates as certificates

NOW = 1_800_000_000.0
KNOWN = Known(
    frozenset({"ollama", "api"}),
    frozenset({"validator01", "validator02"}),
    {"192.0.2.1": "validator01", "2001:db8::2": "validator02"},
)


def line(**changes: Any) -> dict[str, Any]:
    """Return a line of the gateway's log."""
    return {
        "listener": "ollama",
        "validator": "validator01",
        "address": "192.0.2.1",
        "method": "POST",
        "path": "/api/chat",
        "status": 200,
        "seconds": 1.5,
        "bytes": 123,
    } | changes


def counted(*messages: object) -> State:
    state = State(NOW, NOW)
    for message in messages:
        gateway_log.add(state, KNOWN, message)
    return state


def keys(*lines: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return sorted(tuple(key) for key in counted(*map(json.dumps, lines)).counts)


class TestLines:
    def test_are_added_up(self) -> None:
        state = counted(*[json.dumps(line(seconds=seconds)) for seconds in (1, 0.25, 0)])
        assert state.counts == {Key("ollama", "validator01", "2xx"): Count(3, 1.25)}
        assert state.unreadable == 0

    @pytest.mark.parametrize(
        ("status", "found"),
        [
            (101, "1xx"),
            (302, "3xx"),
            (400, "4xx"),
            (401, "401"),
            (403, "403"),
            (429, "429"),
            (499, "4xx"),
            (502, "5xx"),
        ],
    )
    def test_have_the_class_of_their_status(self, status: int, found: str) -> None:
        assert keys(line(status=status)) == [("ollama", "validator01", found)]

    @pytest.mark.parametrize(
        ("changes", "client"),
        [
            ({"validator": "validator02"}, "validator02"),
            ({"validator": "", "address": "192.0.2.1"}, "validator01"),
            ({"validator": "", "address": "::ffff:192.0.2.1"}, "validator01"),
            ({"validator": "", "address": "2001:db8:0:0::2"}, "validator02"),
            ({"validator": "", "address": "192.0.2.99"}, "unknown"),
            ({"validator": "", "address": "nonsense"}, "unknown"),
            ({"validator": "", "address": ""}, "unknown"),
            ({"validator": 'x"} 1\n', "address": None}, "unknown"),
            ({"validator": ["validator01"], "address": ["192.0.2.1"]}, "unknown"),
        ],
    )
    def test_count_as_of_a_client(self, changes: Mapping[str, Any], client: str) -> None:
        assert keys(line(**changes)) == [("ollama", client, "2xx")]

    def test_cannot_make_series_without_end(self) -> None:
        lines = [line(listener=f"l{n}", validator=f"v{n}", address=f"10.0.0.{n % 256}") for n in range(2000)]
        lines += [line(listener=[n]) for n in range(10)] + [line(status=status) for status in range(1000)]
        # Ten listeners that are lists, and each other status is of one of eight classes.
        assert len(keys(*lines)) == 2 + len(gateway_log.CLASSES)

    @pytest.mark.parametrize(
        "message",
        [
            None,
            7,
            "",
            "no JSON",
            "[]",
            '"text"',
            "[" * 100_000,
            [300],
            ["a"],
            *[
                json.dumps(line(**changes))
                for changes in (
                    {"status": "200"},
                    {"status": True},
                    {"status": 999},
                    {"status": 0},
                    {"status": float("nan")},
                )
            ],
            *[json.dumps(line(seconds=value)) for value in ("1", None, -1, 1e9, True, float("nan"), float("inf"))],
            json.dumps({key: value for key, value in line().items() if key != "status"}),
        ],
    )
    def test_that_are_no_requests_are_counted_as_such(self, message: object) -> None:
        state = counted(message)
        assert (state.counts, state.unreadable) == ({}, 1)

    def test_of_bytes_that_are_no_text_count_too(self) -> None:
        raw = json.dumps(line(path="?")).encode().replace(b"?", b"\xff")
        assert counted(list(raw)).counts.keys() == {Key("ollama", "validator01", "2xx")}


JOURNALCTL = """#!/bin/sh
printf '%s\\n' "$@" >>"$0.asked"
cat "$0.lines"
exit "$(cat "$0.code")"
"""


class Journal:
    """A journalctl of the test's own, in the place of the real one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journalctl"
        self.path.write_text(JOURNALCTL)
        self.path.chmod(0o755)
        self.holds()

    def holds(self, *lines: Mapping[str, Any], text: str = "", code: int = 0) -> None:
        entries = [{"__CURSOR": f"s=1;i={n}", "MESSAGE": json.dumps(one)} for n, one in enumerate(lines, 1)]
        shown = "".join(json.dumps(entry) + "\n" for entry in entries)
        self.path.with_name("journalctl.lines").write_text(shown + text)
        self.path.with_name("journalctl.code").write_text(str(code))

    @property
    def asked(self) -> list[str]:
        return self.path.with_name("journalctl.asked").read_text().split("\n")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Journal(folder)


class TestJournal:
    def test_is_read_from_now_on(self, journal: Journal) -> None:
        state = State(NOW, NOW)
        journal.holds(line(), line(status=401))
        gateway_log.count(state, KNOWN)
        assert "--since=@1800000000" in journal.asked
        assert {"--all", "SYSLOG_IDENTIFIER=gizzi_gateway", "_SYSTEMD_UNIT=gizzi-gateway.service"} < set(journal.asked)
        assert sum(sums.requests for sums in state.counts.values()) == 2
        assert state.cursor == "s=1;i=2"

    def test_is_read_on_where_it_ended(self, journal: Journal) -> None:
        state = State(NOW, NOW, cursor="s=1;i=7")
        gateway_log.count(state, KNOWN)
        assert "--after-cursor=s=1;i=7" in journal.asked
        assert not any(word.startswith("--since") for word in journal.asked)
        assert state.cursor == "s=1;i=7"

    def test_that_cannot_be_read_is_an_error_and_what_came_before_is_counted(self, journal: Journal) -> None:
        state = State(NOW, NOW)
        journal.holds(line(), code=1)
        with pytest.raises(LogError, match="ended with 1"):
            gateway_log.count(state, KNOWN)
        assert (len(state.counts), state.cursor) == (1, "s=1;i=1")

    def test_without_its_program(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LogError, match="cannot be run: No such file"):
            gateway_log.count(State(NOW, NOW), KNOWN)

    def test_with_odd_lines(self, journal: Journal) -> None:
        cut_off = '{"__CURSOR": "s=1;i=9", "MESSAGE": "'
        odd = [
            "no JSON",
            '{"MESSAGE": "{}"}',
            '{"__CURSOR": "--x y", "MESSAGE": null}',
            '{"__CURSOR": "s=1;i=8", "MESSAGE": "' + "x" * 3 * gateway_log.MAX_LINE + '"}',
            cut_off,
        ]
        state = State(NOW, NOW)
        journal.holds(line(), text="\n".join(odd))
        gateway_log.count(state, KNOWN)
        assert (state.unreadable, state.cursor) == (4, "s=1;i=1")

    def test_without_end_is_left_for_the_next_run(self, journal: Journal) -> None:
        journal.path.write_text('#!/bin/sh\ncat "$0.lines"\nexec sleep 60\n')
        journal.holds(line(), text='{"__CURSOR": "s=1;i=9", "MESSA')
        state, before = State(NOW, NOW), time.monotonic()
        gateway_log.count(state, KNOWN, timeout=0.5)
        assert time.monotonic() - before < 30
        assert (len(state.counts), state.cursor) == (1, "s=1;i=1")

    def test_of_the_longest_request(self, journal: Journal) -> None:
        # Each byte escaped as nginx does, and once more by journalctl.
        path = "\\u0001" * 8192
        state = State(NOW, NOW)
        journal.holds(line(path=path))
        gateway_log.count(state, KNOWN)
        assert (len(state.counts), state.unreadable) == (1, 0)


def test_the_real_journalctl_takes_what_it_is_asked() -> None:
    """Nothing in the journal is no error; an option that it does not know would be."""
    cursor = f"s={'0' * 32};i=1;b={'1' * 32};m=1;t=1;x=1"
    for state in (State(NOW, NOW), State(NOW, NOW, cursor=cursor)):
        with gateway_log.journal(state, 30) as lines:
            list(lines)


class TestState:
    STATE = State(NOW, NOW + 5, "s=1;i=1", 3, {Key("ollama", "validator01", "401"): Count(2, 0.5)})

    def test_outlives_the_program(self) -> None:
        assert gateway_log.parse_state(gateway_log.format_state(self.STATE), KNOWN, NOW + 60) == self.STATE

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            "[" * 100_000,
            '{"since": 1}',
            '{"since": 1, "read": 1, "cursor": "--file=/x", "unreadable": 0, "counts": []}',
            '{"since": 1, "read": 1, "cursor": "", "unreadable": 0, "counts": [[1]]}',
            '{"since": 1, "read": 1, "cursor": "", "unreadable": 1e999, "counts": []}',
        ],
    )
    def test_that_is_none_begins_now(self, text: str) -> None:
        assert gateway_log.parse_state(text, KNOWN, NOW) == State(NOW, NOW)

    @pytest.mark.parametrize(
        "key", [("mirror", "validator01", "2xx"), ("ollama", "gone", "2xx"), ("ollama", "unknown", "9")]
    )
    def test_drops_what_is_not_known_any_more(self, key: tuple[str, str, str]) -> None:
        state = State(NOW, NOW, counts={Key(*key): Count(1, 1)})
        assert gateway_log.parse_state(gateway_log.format_state(state), KNOWN, NOW).counts == {}


@pytest.fixture(scope="module")
def authority() -> certificates.Authority:
    return certificates.Authority()


@pytest.fixture
def closed() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield Listener("api", "127.0.0.1", port)


class TestCertificates:
    @pytest.mark.parametrize("days", [-3, 20, 365, 36500])
    def test_expire_at_their_time(self, authority: certificates.Authority, tmp_path: Path, days: int) -> None:
        until = certificates.now() + timedelta(days=days)
        with certificates.served(authority.issue(tmp_path, days=days)) as port:
            der = gateway_certificates.served(Listener("ollama", "127.0.0.1", port))
        assert abs((gateway_certificates.expiry(der or b"") or 0) - until.timestamp()) < 60

    def test_of_the_authority(self, authority: certificates.Authority, tmp_path: Path) -> None:
        path = tmp_path / "fleet-ca.pem"
        assert gateway_certificates.read_authority(path) == []
        path.write_text(f"a comment\n{authority.pem}")
        (der,) = gateway_certificates.read_authority(path)
        assert gateway_certificates.expiry(der) == authority.expires.timestamp()

    def test_that_cannot_be_read(
        self, authority: certificates.Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "fleet-ca.pem"
        path.write_text("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n")
        assert gateway_certificates.expiries({}, gateway_certificates.read_authority(path)) == {}
        der = authority.certificate.public_bytes(Encoding.DER)
        # However it is cut or bent: a time or an error, and no other one.
        for at in range(len(der)):
            for bent in (der[:at], der[:at] + b"\xff" + der[at + 1 :], der[:at] + b"\x00" + der[at + 1 :]):
                gateway_certificates.expiries({Listener("ollama", "::1", 1): bent}, [])
        assert "certificate of ollama" in capsys.readouterr().err

    def test_that_expires_first_counts(self, authority: certificates.Authority) -> None:
        older = certificates.Authority(days=30)
        first, second = (one.certificate.public_bytes(Encoding.DER) for one in (older, authority))
        both = {
            Listener("ollama", "127.0.0.1", 1): first,
            Listener("ollama", "::1", 1): second,
        }
        assert gateway_certificates.expiries(both, [second]) == {
            "ollama": older.expires.timestamp(),
            "authority": authority.expires.timestamp(),
        }

    def test_of_a_listener_that_does_not_answer(
        self, closed: Listener, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert gateway_certificates.served(closed) is None
        assert "listener api at 127.0.0.1:" in capsys.readouterr().err
        # One that takes connections and says nothing.
        monkeypatch.setattr(gateway_certificates, "CONNECT_TIMEOUT", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            assert gateway_certificates.served(Listener("api", "127.0.0.1", silent.getsockname()[1])) is None


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("ollama=127.0.0.1:11443", Listener("ollama", "127.0.0.1", 11443)),
        ("api=[::1]:8443", Listener("api", "::1", 8443)),
    ],
)
def test_listener(text: str, listener: Listener) -> None:
    assert gateway_metrics.parse_listener(text) == listener
    assert text.endswith(listener.address)


@pytest.mark.parametrize("text", ["", "ollama", "ollama=localhost:1", 'o"=127.0.0.1:1', "ollama=127.0.0.1:0", "=::1:1"])
def test_no_listener(text: str) -> None:
    with pytest.raises(ValueError):
        gateway_metrics.parse_listener(text)


@pytest.mark.parametrize("text", ["", 'v"', "v=", "validator01=192.0.2.1,x", "v=names"])
def test_client(text: str) -> None:
    if text == "v=":
        assert gateway_metrics.parse_client(text) == ("v", [])
        return
    with pytest.raises(ValueError):
        gateway_metrics.parse_client(text)


def run(folder: Path, *listeners: str) -> dict[str, float]:
    """Run the program as its unit does and return the samples that it wrote."""
    arguments = [f"--listener={one}" for one in listeners]
    known = ["validator01=192.0.2.1,2001:db8::1", "validator02=192.0.2.2"]
    assert (
        gateway_metrics.main([*arguments, "--authority", str(folder / "ca.pem"), "--folder", str(folder), *known]) == 0
    )
    text = (folder / "gizzi-gateway.prom").read_text()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    rows = [row.rpartition(" ") for row in text.splitlines() if not row.startswith("#")]
    return {name: float(value) for name, _space, value in rows}


def test_a_day(authority: certificates.Authority, journal: Journal, closed: Listener, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(authority.pem)
    total = 'gizzi_gateway_requests_total{listener="ollama",client="validator02",status="401"}'
    read = "gizzi_gateway_log_read_timestamp_seconds"
    refused = line(validator="", address="192.0.2.2", status=401, seconds=0.5)
    with certificates.served(authority.issue(tmp_path)) as port:
        listeners = [f"ollama=127.0.0.1:{port}", f"api={closed.address}"]
        journal.holds(line(), refused)
        first = run(tmp_path, *listeners)
        assert first[total] == 1
        assert first[f'gizzi_gateway_up{{listener="ollama",address="127.0.0.1:{port}"}}'] == 1
        assert first[f'gizzi_gateway_up{{listener="api",address="{closed.address}"}}'] == 0
        expire = "gizzi_gateway_certificate_expiry_timestamp_seconds"
        assert first[f'{expire}{{certificate="authority"}}'] == authority.expires.timestamp()
        assert abs(first[f'{expire}{{certificate="ollama"}}'] - time.time() - 365 * 86400) < 120
        assert f'{expire}{{certificate="api"}}' not in first
        assert abs(first[read] - time.time()) < 60
        # The counts outlive the program.
        journal.holds(refused)
        second = run(tmp_path, *listeners)
        assert "--after-cursor=s=1;i=2" in journal.asked
        assert second[total] == 2
        assert second[total.replace("requests", "request_seconds")] == 1
        # While the log cannot be read, the time of its last reading stays.
        journal.holds(code=1)
        third = run(tmp_path, *listeners)
    assert {name: third[name] for name in (total, read)} == {name: second[name] for name in (total, read)}
    assert second[read] > first[read]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
