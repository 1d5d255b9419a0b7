"""What the role has put on the host, and what the sandbox is worth."""

from __future__ import annotations

import re

import pytest

from lab.server import Server
from lab.testing import Lab


@pytest.mark.parametrize(
    ("path", "user", "mode"),
    [
        ("/opt/ollama/current/bin/ollama", "root", 0o755),
        ("/etc/systemd/system/ollama.service", "root", 0o644),
        ("/etc/systemd/system/ollama.service.d/override.conf", "root", 0o644),
        ("/etc/default/ollama", "root", 0o600),
        ("/var/lib/ollama", "ollama", 0o750),
        ("/var/lib/ollama/models", "ollama", 0o750),
    ],
)
def test_file(server: Server, path: str, user: str, mode: int) -> None:
    file = server.host.file(path)
    assert (file.exists, file.user, file.group, file.mode) == (True, user, user, mode)


def test_nothing_is_left_of_the_installation(lab: Lab, server: Server) -> None:
    version = lab.releases.version
    assert set(server.host.file("/opt/ollama").listdir()) == {version, "current"}
    assert server.host.file("/opt/ollama/current").linked_to == f"/opt/ollama/{version}"
    assert server.host.file("/usr/local/bin/ollama").linked_to == f"/opt/ollama/{version}/bin/ollama"
    assert server.host.run("find /etc -name '*ollama*~'").stdout == ""


def test_user_cannot_log_in(server: Server) -> None:
    user = server.host.user("ollama")
    assert (user.group, user.home, user.shell) == ("ollama", "/var/lib/ollama", "/usr/sbin/nologin")
    assert user.uid < 1000
    assert user.password.startswith("!")


def test_service_runs_and_starts_at_boot(server: Server) -> None:
    service = server.host.service("ollama")
    assert (service.is_running, service.is_enabled) == (True, True)
    assert server.unit("NRestarts") == "0"


def test_listens_on_loopback_alone(server: Server) -> None:
    listening = server.host.check_output("ss --tcp --listening --numeric --no-header 'sport = :11434'")
    assert [line.split()[3] for line in listening.splitlines()] == ["127.0.0.1:11434"]


def test_exposure(server: Server) -> None:
    report = server.host.check_output("systemd-analyze --no-pager security ollama.service")
    exposure = re.search(r"Overall exposure level for ollama\.service: ([0-9.]+) ", report)
    assert exposure is not None
    assert float(exposure[1]) <= 2.0


def test_lab_lifts_one_line_of_the_sandbox_at_most(lab: Lab, server: Server) -> None:
    """What the lab's own build cannot run under is in the unit, and is lifted by the drop-in alone."""
    assert "\nMemoryDenyWriteExecute=yes\n" in server.host.file("/etc/systemd/system/ollama.service").content_string
    lifted = lab.variables["server"].get("ollama_systemd_overrides", {})
    assert lifted in ({}, {"Service": {"MemoryDenyWriteExecute": False}})
    assert server.unit("MemoryDenyWriteExecute") == ("no" if lifted else "yes")


def test_process_is_confined(server: Server) -> None:
    status = server.host.file(f"/proc/{server.unit('MainPID')}/status").content_string
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def test_process_can_write_to_its_own_folders_alone(server: Server) -> None:
    mounts = server.host.file(f"/proc/{server.unit('MainPID')}/mounts").content_string.splitlines()
    writable = {fields[1] for fields in (line.split() for line in mounts) if "rw" in fields[3].split(",")}
    on_disk = {path for path in writable if not path.startswith(("/dev", "/proc", "/sys", "/run"))}
    assert on_disk == {"/var/lib/ollama", "/tmp", "/var/tmp"}
