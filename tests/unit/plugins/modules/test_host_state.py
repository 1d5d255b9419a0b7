# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import getpass
import grp
import json
import os
import pwd
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _http
from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import Response
from ansible_collections.etrid.gizzi.plugins.module_utils._state import (
    _accounts,
    _asked,
    _guards,
    _journal,
    _ports,
    _processes,
    _seen,
    _system,
    _units,
)
from ansible_collections.etrid.gizzi.plugins.modules import host_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

SERVICE = """Id=ollama.service
ExecStart={ path=/opt/ollama/current/bin/ollama ; argv[]=/opt/ollama/current/bin/ollama serve ; ignore_errors=no }
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
Result=success
User=ollama
FragmentPath=/etc/systemd/system/ollama.service
Documentation=https://docs.ollama.com
DropInPaths=/etc/systemd/system/ollama.service.d/override.conf /etc/systemd/system/ollama.service.d/zz.conf
UnsetEnvironment=LLAMA_API_KEY OLLAMA_DEBUG
MainPID=812
NRestarts=2
ExecMainStatus=0
MemoryCurrent=6000000000
MemoryMax=12884901888
"""
ABSENT = """Id=gone.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
MainPID=0
MemoryCurrent=[not set]
MemoryMax=infinity
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a program where the module looks first: it prints a text, an error, and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(_seen, "SEARCH", (str(folder), *_seen.SEARCH))

    def make(name: str, output: str = "", errors: str = "", code: int = 0) -> None:
        (folder / "said").write_text(output)
        path = folder / name
        path.write_text(f"#!/bin/sh\ncat {folder}/said\necho '{errors}' >&2\nexit {code}\n")
        path.chmod(0o755)

    return make


@pytest.fixture
def state(run_module: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def look(**options: Any) -> dict[str, Any]:
        result = run_module(host_state.main, **options)
        assert result["changed"] is False
        return result

    return look


def test_without_options_there_is_the_system_alone(state: Callable[..., dict[str, Any]]) -> None:
    found = state()
    assert {"system"} == set(found) - {"changed", "warnings", "invocation"}
    assert found["system"]["hostname"] == socket.gethostname()
    assert found["system"]["architecture"] == os.uname().machine
    assert found["system"]["root"] is (os.geteuid() == 0)
    assert len(found["system"]["boot_id"]) == 36


def test_a_system_is_read_from_its_files(tmp_path: Path, program: Callable[..., None]) -> None:
    for folder in ("run/systemd/system", "etc", "proc/sys/kernel/random"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "etc/os-release").write_text('# a comment\nID=debian\nVERSION_ID="12"\nNAME="Debian GNU/Linux"\n')
    program("systemctl", "252.39-1~deb12u1\n")
    found = _system.system(tmp_path)
    assert found["ipv6"] is False
    assert (found["service_manager"], found["systemd"]) == ("systemd", 252)
    assert (found["distribution"], found["distribution_version"]) == ("debian", "12")
    assert found["machine_id"] == "0123456789abcdef0123456789abcdef"


def test_a_system_without_systemd_names_its_first_process(tmp_path: Path) -> None:
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("tini\n")
    found = _system.system(tmp_path)
    assert (found["service_manager"], found["systemd"]) == ("tini", None)


def test_a_machine_id_that_is_none_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("../../etc\n")
    assert _system.system(tmp_path)["machine_id"] == ""


def test_units_are_seen_in_one_call(state: Callable[..., dict[str, Any]], program: Callable[..., None]) -> None:
    program("systemctl", f"{SERVICE}\n{ABSENT}")
    found = state(units=["ollama.service", "gone.service"])["units"]
    assert found["ollama.service"] == {
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "enabled": "enabled",
        "result": "success",
        "user": "ollama",
        "path": "/etc/systemd/system/ollama.service",
        "documentation": "https://docs.ollama.com",
        "exec": "/opt/ollama/current/bin/ollama",
        "main_pid": 812,
        "restarts": 2,
        "exit_status": 0,
        "memory": 6_000_000_000,
        "memory_max": 12_884_901_888,
        "drop_ins": [
            "/etc/systemd/system/ollama.service.d/override.conf",
            "/etc/systemd/system/ollama.service.d/zz.conf",
        ],
        "unset_environment": ["LLAMA_API_KEY", "OLLAMA_DEBUG"],
    }
    assert found["gone.service"]["load"] == "not-found"
    assert found["gone.service"]["memory_max"] is None
    assert found["gone.service"]["exec"] == ""


@pytest.mark.parametrize(
    ("said", "errors", "code", "reason"),
    [
        ("", "System has not been booted with systemd as init system.", 1, "has not been booted with systemd"),
        (SERVICE, "", 0, "tells of 1 units, not of 2"),
    ],
)
def test_units_that_cannot_be_seen_say_why(
    state: Callable[..., dict[str, Any]], program: Callable[..., None], said: str, errors: str, code: int, reason: str
) -> None:
    program("systemctl", said, errors, code)
    found = state(units=["ollama.service", "gone.service"])["units"]
    assert list(found) == ["ollama.service", "gone.service"]
    assert all(reason in unit["unseen"] for unit in found.values())


def test_the_exposure_is_a_number(
    state: Callable[..., dict[str, Any]], program: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("systemctl", SERVICE)
    levels = {"other.service": 9.6, "ollama.service": 1.2}
    monkeypatch.setattr(_units, "exposures", lambda: levels)
    assert state(units=["ollama.service"], exposure=True)["units"]["ollama.service"]["exposure"] == 1.2
    del levels["ollama.service"]
    assert "unseen" in state(units=["ollama.service"], exposure=True)["units"]["ollama.service"]["exposure"]


def test_exposures_are_read_as_json(program: Callable[..., None]) -> None:
    row = {"unit": "ollama.service", "exposure": "1.2", "predicate": "OK", "happy": ":-)"}
    program("systemd-analyze", json.dumps([row]))
    assert _units.exposures() == {"ollama.service": 1.2}
    program("systemd-analyze", "UNIT EXPOSURE PREDICATE HAPPY")
    with pytest.raises(_seen.UnseenError, match="JSON"):
        _units.exposures()


def test_guards_are_seen_by_name(state: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    guard = {"port": 11434, "sources": ["192.0.2.1"], "effective": True, "unseen": False, "reason": ""}
    monkeypatch.setattr(_guards, "live_guards", lambda _host: [{"name": "ollama", **guard}])
    assert state(guards=True)["guards"] == {"ollama": guard}

    def refuse(_host: object) -> None:
        raise GizziError("nft -j list ruleset failed: Operation not permitted")

    monkeypatch.setattr(_guards, "live_guards", refuse)
    assert "not permitted" in state(guards=True)["guards"]["unseen"]


def test_a_calendar_expression_is_judged_by_systemd(
    state: Callable[..., dict[str, Any]], program: Callable[..., None]
) -> None:
    program("systemd-analyze", "Normalized form")
    assert state(calendars=["monthly"])["calendars"] == {"monthly": {"valid": True, "message": ""}}
    program("systemd-analyze", errors="Failed to parse calendar specification", code=1)
    assert state(calendars=["never"])["calendars"]["never"] == {
        "valid": False,
        "message": "Failed to parse calendar specification",
    }


def test_a_listener_is_seen_with_its_process(state: Callable[..., dict[str, Any]]) -> None:
    with socket.socket() as other, socket.socket(socket.AF_INET6) as server, socket.socket() as bound:
        server.bind(("::1", 0))
        server.listen()
        other.bind(("127.0.0.1", 0))
        other.listen()
        bound.bind(("127.0.0.1", 0))
        port, silent = server.getsockname()[1], bound.getsockname()[1]
        found = state(ports=[port, silent])["ports"]
    assert set(found) == {str(port), str(silent)}
    assert found[str(silent)] == []
    (listener,) = found[str(port)]
    assert listener["address"] == "::1"
    assert listener["pid"] == os.getpid()
    assert listener["process"]


def test_a_listener_of_another_user_has_no_process(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    line = "   0: 00000000:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4242 1\n"
    (tmp_path / "net/tcp").write_text("  sl  local_address\n" + line + line.replace("0A", "01").replace("2CAA", "0050"))
    assert _ports.ports([11434, 80], tmp_path) == {
        "11434": [{"address": "0.0.0.0", "pid": None, "process": "", "unit": ""}],
        "80": [],
    }


def test_a_host_with_many_connections_is_seen(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    line = "   0: 00000000:2CAA 00000000:0000 {} 00000000:00000000 00:00000000 00000000   998        0 4242 1\n"
    (tmp_path / "net/tcp").write_text("  sl  local_address\n" + line.format("01") * 20_000 + line.format("0A"))
    assert (tmp_path / "net/tcp").stat().st_size > _seen.MAX_OUTPUT
    assert len(_ports.ports([11434], tmp_path)["11434"]) == 1


def test_ports_that_cannot_be_seen_are_not_free(tmp_path: Path) -> None:
    assert "unseen" in _ports.ports([11434], tmp_path)["11434"]


@pytest.mark.parametrize(
    ("group", "unit"),
    [
        ("0::/system.slice/ollama.service\n", "ollama.service"),
        ("12:pids:/\n1:name=systemd:/system.slice/system-x.slice/x@1.service\n", "x@1.service"),
        ("0::/\n", ""),
    ],
)
def test_the_unit_of_a_process_is_its_group(tmp_path: Path, group: str, unit: str) -> None:
    (tmp_path / "cgroup").write_text(group)
    assert _ports.unit_of(tmp_path) == unit


@pytest.mark.parametrize(("addresses", "ipv6"), [("", False), (f"{'0' * 31}1 01 80 10 80       lo\n", True)])
def test_a_host_without_an_address_of_ipv6_has_none(tmp_path: Path, addresses: str, ipv6: bool) -> None:
    """Where sysctl has switched it off, the kernel has the file, and it is empty."""
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/if_inet6").write_text(addresses)
    assert _system.system(tmp_path)["ipv6"] is ipv6


def test_the_processes_of_a_program(state: Callable[..., dict[str, Any]]) -> None:
    python = str(Path(f"/proc/{os.getpid()}/exe").readlink())
    found = state(processes=[python, "/usr/sbin/no-such-program"])["processes"]
    assert found["/usr/sbin/no-such-program"] == []
    (own,) = [one for one in found[python] if one["pid"] == os.getpid()]
    assert own["replaced"] is False
    assert any("/libc.so" in path for path in own["libraries"])


def test_a_process_of_a_container_is_not_of_the_host(tmp_path: Path) -> None:
    for number, exe, root in (("7", "/usr/sbin/nginx (deleted)", "/"), ("8", "/usr/sbin/nginx", str(tmp_path))):
        (tmp_path / number).mkdir()
        (tmp_path / number / "exe").symlink_to(exe)
        (tmp_path / number / "root").symlink_to(root)
        (tmp_path / number / "cgroup").write_text("0::/system.slice/nginx.service\n")
        (tmp_path / number / "maps").write_text(
            "7f00-7f01 r-xp 0 08:01 7    /usr/lib/a.so\n7f02-7f03 rw-p 0 00:00 0 \n"
        )
    (tmp_path / "self").symlink_to("7")
    # A process that ended while the folder was read.
    (tmp_path / "9").mkdir()
    found = _processes.processes(["/usr/sbin/nginx"], tmp_path)
    process = {"pid": 7, "unit": "nginx.service", "replaced": True, "libraries": ["/usr/lib/a.so"]}
    assert found == {"/usr/sbin/nginx": [process]}


def test_memory_and_processors(state: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    found = state(memory=True, processors=True)
    assert found["memory"]["total"] >= found["memory"]["available"] > 0
    assert 1 <= found["processors"]["usable"] <= found["processors"]["count"]
    monkeypatch.setattr(Host, "memory_available", lambda self: None)
    assert "unseen" in state(memory=True)["memory"]


def test_a_disk_is_measured_at_the_nearest_parent(state: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    wanted = str(tmp_path / "not/there")
    found = state(disks=[wanted, "relative"])["disks"]
    assert found[wanted]["path"] == str(tmp_path)
    assert 0 < found[wanted]["free"] <= found[wanted]["total"]
    assert Path(found[wanted]["mount"]).is_mount()
    assert "unseen" in found["relative"]


def test_users_and_groups(state: Callable[..., dict[str, Any]]) -> None:
    me = pwd.getpwnam(getpass.getuser())
    found = state(users=[me.pw_name, "nobody-such"], groups=[grp.getgrgid(0).gr_name, "nobody-such"])
    assert found["users"][me.pw_name]["home"] == me.pw_dir
    assert found["users"]["nobody-such"] is None
    assert found["groups"][grp.getgrgid(0).gr_name]["gid"] == 0
    assert found["groups"]["nobody-such"] is None


def test_paths_are_seen_and_no_link_is_followed(state: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("12345")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("/etc/shadow")
    os.mkfifo(tmp_path / "pipe")
    names = {name: str(tmp_path / name) for name in ("file", "link", "pipe", "none", "file/below")}
    found = state(paths=[*names.values(), "relative"])["paths"]
    assert (found[names["file"]]["kind"], found[names["file"]]["mode"]) == ("file", "0640")
    assert (found[names["file"]]["size"], found[names["file"]]["owner"]) == (5, getpass.getuser())
    assert (found[names["link"]]["kind"], found[names["link"]]["target"]) == ("link", "/etc/shadow")
    assert found[names["pipe"]]["kind"] == "other"
    assert found[names["none"]] is None
    assert found[names["file/below"]] is None
    assert "unseen" in found["relative"]


def test_releases_are_told_apart(state: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    for name in ("1.0-aa", "1.1-bb", ".build"):
        (tmp_path / name).mkdir()
    (tmp_path / "1.0-aa/.finished").touch()
    (tmp_path / ".build/.finished").touch()
    # The second has lost what answers prompts.
    for program in ("0.34.2/bin/ollama", "0.34.2/lib/ollama/llama-server", "0.33.0/bin/ollama", "0.9.3/bin/ollama"):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).touch(mode=0o755)
    (tmp_path / "current").symlink_to(tmp_path / "1.0-aa")
    none = str(tmp_path / "none")
    found = state(releases=[str(tmp_path), none])["releases"]
    assert found[str(tmp_path)] == {
        "current": "1.0-aa",
        "finished": ["0.34.2", "0.9.3", "1.0-aa"],
        "unfinished": [".build", "0.33.0", "1.1-bb"],
    }
    assert found[none] == {"current": "", "finished": [], "unfinished": []}


def test_a_python_answers_for_itself(state: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "no-python").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "no-python").chmod(0o755)
    (tmp_path / "not-executable").touch()
    odd = [str(tmp_path / name) for name in ("no-python", "not-executable")]
    found = state(pythons=[sys.executable, str(tmp_path / "none"), *odd, "python3"])["pythons"]
    here = found[sys.executable]
    assert here["version"] == "{}.{}.{}".format(*sys.version_info[:3])
    assert here["minor_version"] == "{}.{}".format(*sys.version_info[:2])
    assert here["of_distribution"] is (sys.prefix == "/usr")
    assert found[str(tmp_path / "none")] is None
    assert all("unseen" in found[path] for path in [*odd, "python3"])


def test_programs_are_found(state: Callable[..., dict[str, Any]], program: Callable[..., None], tmp_path: Path) -> None:
    program("nft")
    assert state(commands=["nft", "no-such-program"])["commands"] == {
        "nft": str(tmp_path / "bin/nft"),
        "no-such-program": None,
    }


def test_host_keys_are_public_keys(tmp_path: Path) -> None:
    assert "unseen" in _accounts.ssh_host_keys(tmp_path)
    (tmp_path / "ssh_host_rsa_key.pub").write_text("ssh-rsa AAAAB3Nza root@host\n")
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAC3Nza\n")
    (tmp_path / "ssh_host_bad_key.pub").write_text("ssh-rsa AAAA\n@cert-authority * ssh-rsa BBBB\n")
    assert _accounts.ssh_host_keys(tmp_path) == [
        {"type": "ssh-ed25519", "key": "AAAAC3Nza"},
        {"type": "ssh-rsa", "key": "AAAAB3Nza"},
    ]


def test_a_text_of_a_host_has_an_end(program: Callable[..., None]) -> None:
    assert len(_seen.short("x" * 10_000)) == _seen.MAX_TEXT
    program("systemctl", "Id=x.service\nUser=" + "u" * 10_000 + "\n")
    assert len(_units.units(["x.service"])["x.service"]["user"]) == _seen.MAX_TEXT


def test_a_program_that_does_not_end_is_not_waited_for(
    program: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_seen, "PATIENCE", 0.1)
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "bin/systemctl").chmod(0o755)
    assert "had not ended" in _units.units(["x.service"])["x.service"]["unseen"]


STARTED = {"MESSAGE": "Started ollama.service - Ollama.", "MESSAGE_ID": "39f53479d3a045ac8e11786248231fbf", "_PID": "1"}
STOPPED = {"MESSAGE": "Stopped ollama.service - Ollama.", "MESSAGE_ID": "9d1aaa27d60140bd96365438aad20286", "_PID": "1"}
STOPPING = {"MESSAGE": "Stopping ollama.service - Ollama...", "MESSAGE_ID": _journal.STOPPING, "_PID": "1"}
OOM = {
    "MESSAGE": "ollama.service: A process of this unit has been killed by the OOM killer.",
    "MESSAGE_ID": _journal.OUT_OF_MEMORY,
    "_PID": "1",
}
# The words of 0.33.0-rc2, and of 0.9.3.
KILLED = {
    "MESSAGE": 'level=WARN source=llama_server.go:699 msg="llama-server process no longer running" sys=9 '
    'string="signal: killed"'
}
RUNNER_KILLED = {"MESSAGE": KILLED["MESSAGE"].replace("llama-server", "llama runner")}
UNLOADED = {"MESSAGE": KILLED["MESSAGE"].replace("process no longer running", "terminated")}
CRASHED = {"MESSAGE": KILLED["MESSAGE"].replace("signal: killed", "signal: illegal instruction (core dumped)")}


def entries(*lines: dict[str, Any]) -> str:
    """What journalctl prints of lines, the oldest first; systemd's own are about the unit."""
    base = {"__REALTIME_TIMESTAMP": "1795724121116810", "SYSLOG_IDENTIFIER": "ollama", "_PID": "812"}
    whole = (
        {**base, "UNIT": "ollama.service", **line} if line.get("_PID") == "1" else {**base, **line} for line in lines
    )
    return "".join(json.dumps(line) + "\n" for line in whole)


@pytest.mark.parametrize(
    ("lines", "death", "killed"),
    [
        ([STARTED], "", False),
        # Somebody has stopped and started it since; and a process that is unloaded is killed too, but not missed.
        ([STARTED, OOM, KILLED, STOPPING, STARTED], "", False),
        ([STARTED, UNLOADED], "", False),
        ([STARTED, OOM], "the OOM killer", True),
        ([STARTED, KILLED], "llama-server process no longer running", True),
        ([STARTED, RUNNER_KILLED], "llama runner process no longer running", True),
        ([STARTED, CRASHED], "illegal instruction", False),
        # After a restart of systemd's own.
        ([KILLED, STOPPED, STARTED], "no longer running", True),
        # What somebody else writes hides no death.
        ([KILLED, {**STOPPING, "_PID": "812", "UNIT": "ollama.service"}], "no longer running", True),
        ([KILLED, {**STOPPING, "UNIT": "other.service"}], "no longer running", True),
    ],
)
def test_the_last_death_is_found(
    state: Callable[..., dict[str, Any]],
    program: Callable[..., None],
    lines: list[dict[str, Any]],
    death: str,
    killed: bool,
) -> None:
    program("journalctl", entries(*lines))
    found = state(journals=["ollama.service"])["journals"]["ollama.service"]["death"]
    assert (found is not None) == bool(death)
    if found is not None:
        assert death in found["line"]
        assert found["killed"] is killed


def test_the_end_of_the_journal_is_returned(state: Callable[..., dict[str, Any]], program: Callable[..., None]) -> None:
    program("journalctl", entries(*({"MESSAGE": f"line {number}"} for number in range(100))))
    lines = state(journals=["ollama.service"])["journals"]["ollama.service"]["lines"]
    assert lines == [f"2026-11-26T20:15:21Z ollama[812]: line {number}" for number in range(85, 100)]


def test_a_message_that_is_no_text_is_shown(program: Callable[..., None]) -> None:
    program("journalctl", entries({"MESSAGE": [104, 105, 255]}, {"MESSAGE": None}))
    lines = _journal.journals(["ollama.service"])["ollama.service"]["lines"]
    assert [line.partition("]: ")[2] for line in lines] == ["hi\ufffd", ""]


def test_a_journal_that_cannot_be_seen_says_why(program: Callable[..., None]) -> None:
    program("journalctl", errors="Permission denied", code=1)
    assert "Permission denied" in _journal.journals(["ollama.service"])["ollama.service"]["unseen"]
    program("journalctl", '{"MESSAGE": \n')
    assert "JSON" in _journal.journals(["ollama.service"])["ollama.service"]["unseen"]


@pytest.mark.parametrize(
    "line",
    [
        'msg="server config" env="map[HTTPS_PROXY:http://u:hunter2@proxy OLLAMA_HOST:http://[::]:11434]"',
        "proxyconnect tcp: dial http://u:hunter2@proxy:3128",
        "header Authorization: Bearer hunter2",
        "OLLAMA_API_KEY=hunter2",
        "ANTHROPIC_AUTH_TOKEN=hunter2 accepted",
    ],
)
def test_secrets_do_not_leave_the_host(
    state: Callable[..., dict[str, Any]], program: Callable[..., None], line: str
) -> None:
    program("journalctl", entries({"MESSAGE": line}, {"MESSAGE": f"{line} llama-server process no longer running"}))
    assert "hunter2" not in json.dumps(state(journals=["ollama.service"])["journals"])


def test_an_ordinary_line_is_shown_as_it_is() -> None:
    line = '[GIN] 2026/11/22 - 23:16:01 | 200 | 61.0ms | 127.0.0.1 | POST "/api/generate" load_duration=12 tokens=16'
    assert _journal.redact(line) == line


def test_pages_are_asked_without_a_proxy(
    state: Callable[..., dict[str, Any]], ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    page, none = f"{ollama.url}/api/version", f"{ollama.url}/api/nothing"
    found = state(urls=[page, none])["urls"]
    assert found[page]["status"] == 200
    assert "version" in found[page]["json"]
    assert "404" in found[none]["unseen"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b'"' + b"x" * _asked.MAX_PAGE + b'"', "more than 1000000 bytes"),
    ],
)
def test_a_page_has_an_end_and_is_json(monkeypatch: pytest.MonkeyPatch, body: bytes, reason: str) -> None:
    monkeypatch.setattr(_http, "request", lambda *_arguments, **_access: Response(200, {}, body))
    assert reason in _asked.urls(["http://192.0.2.1"], {}, "")["http://192.0.2.1"]["unseen"]


def test_a_program_prints_a_document(
    state: Callable[..., dict[str, Any]], program: Callable[..., None], tmp_path: Path
) -> None:
    argv = [str(tmp_path / "bin/gizzi"), "config", "--json"]
    assert state(documents=[{"name": "gizzi", "argv": argv}])["documents"] == {"gizzi": None}
    program("gizzi", '{"error": {"message": "too short"}}', "said", 1)
    assert state(documents=[{"name": "gizzi", "argv": argv}])["documents"] == {
        "gizzi": {"code": 1, "json": {"error": {"message": "too short"}}}
    }
    program("gizzi", "settings", "Traceback\nKeyError", 1)
    assert "KeyError" in state(documents=[{"name": "gizzi", "argv": argv}])["documents"]["gizzi"]["unseen"]
    assert "absolute" in state(documents=[{"name": "gizzi", "argv": ["gizzi"]}])["documents"]["gizzi"]["unseen"]


def test_a_connection_is_taken_or_not(state: Callable[..., dict[str, Any]]) -> None:
    with socket.socket() as server, socket.socket() as silent:
        server.bind(("127.0.0.1", 0))
        server.listen()
        silent.bind(("127.0.0.1", 0))
        wanted = [{"address": "127.0.0.1", "port": one.getsockname()[1]} for one in (server, silent)]
        taken, refused = state(connections=wanted)["connections"]
    assert taken == {**wanted[0], "open": True, "reason": ""}
    assert refused["open"] is False
    assert "refused" in refused["reason"]
