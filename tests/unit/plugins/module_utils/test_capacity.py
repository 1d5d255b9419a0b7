# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host, Listener

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3

MEMINFO = """\
MemTotal:       16306852 kB
MemFree:          812340 kB
MemAvailable:   12345678 kB
Buffers:          123456 kB
Cached:          9876543 kB
SwapTotal:             0 kB
"""

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4711 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:1F90 0100007F:2CAA 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 20 4 30 10 -1
"""

TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4714 1 0 100
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host as recorded: 16 GB of memory, no limits, three processes."""
    write(tmp_path / "proc/meminfo", MEMINFO)
    write(tmp_path / "proc/net/tcp", TCP)
    write(tmp_path / "proc/net/tcp6", TCP6)
    write(tmp_path / "proc/self/cgroup", "0::/system.slice/ssh.service\n")
    write(tmp_path / "sys/cgroup.controllers", "cpu memory\n")
    host = Host(tmp_path / "proc", tmp_path / "sys")
    process(host, 1, "systemd", "/usr/lib/systemd/systemd", 100)
    process(host, 42, "sshd", "/usr/sbin/sshd", 100, inode=4712)
    return host


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def process(host: Host, pid: int, comm: str, exe: str, anonymous_kb: int, inode: int = 0) -> None:
    directory = host.proc / str(pid)
    write(directory / "comm", f"{comm}\n")
    write(directory / "status", f"Name: {comm}\nRssAnon: {anonymous_kb} kB\nRssFile: 999999 kB\nRssShmem: 1 kB\n")
    (directory / "exe").symlink_to(exe)
    (directory / "fd").mkdir()
    if inode:
        (directory / "fd" / "3").symlink_to(f"socket:[{inode}]")


def test_memory_without_limits(host: Host) -> None:
    assert host.memory_total() == 16306852 * 1024
    assert host.memory_available() == 12345678 * 1024


@pytest.mark.parametrize("level", ["", "system.slice/", "system.slice/ssh.service/"])
def test_cgroup_v2_limits_at_any_level(host: Host, level: str) -> None:
    write(host.cgroup / f"{level}memory.max", f"{4 * GIB}\n")
    write(host.cgroup / f"{level}memory.current", f"{3 * GIB}\n")
    write(host.cgroup / f"{level}memory.stat", f"anon 1\ninactive_file {GIB}\n")
    assert host.memory_total() == 4 * GIB
    # Of the 3 GiB in use, one is page cache that gives way.
    assert host.memory_available() == 2 * GIB


def test_cgroup_v2_without_limit(host: Host) -> None:
    write(host.cgroup / "memory.max", "max\n")
    write(host.cgroup / "cpu.max", "max 100000\n")
    assert host.memory_total() == 16306852 * 1024
    assert host.cpus() == len(os.sched_getaffinity(0))


def test_cgroup_v1_limits(host: Host) -> None:
    (host.cgroup / "cgroup.controllers").unlink()
    write(host.proc / "self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n")
    # Without a namespace of its own, a container sees the host's path but has its own group mounted as the root.
    write(host.cgroup / "memory/memory.limit_in_bytes", f"{4 * GIB}\n")
    write(host.cgroup / "memory/memory.usage_in_bytes", f"{3 * GIB}\n")
    write(host.cgroup / "memory/memory.stat", f"inactive_file 0\ntotal_inactive_file {GIB}\n")
    write(host.cgroup / "cpu/docker/abc/cpu.cfs_quota_us", "150000\n")
    write(host.cgroup / "cpu/docker/abc/cpu.cfs_period_us", "100000\n")
    assert host.memory_total() == 4 * GIB
    assert host.memory_available() == 2 * GIB
    assert host.cpus() == 1


def test_cgroup_v1_without_limits(host: Host) -> None:
    (host.cgroup / "cgroup.controllers").unlink()
    write(host.proc / "self/cgroup", "5:memory:/\n4:cpu,cpuacct:/\n")
    write(host.cgroup / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(host.cgroup / "cpu/cpu.cfs_quota_us", "-1\n")
    write(host.cgroup / "cpu/cpu.cfs_period_us", "100000\n")
    assert host.memory_total() == 16306852 * 1024
    assert host.cpus() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("quota", "cpus"), [("150000 100000", 1), ("50000 100000", 0)])
def test_cpu_quota_counts_whole_cpus(host: Host, quota: str, cpus: int) -> None:
    write(host.cgroup / "system.slice/cpu.max", f"{quota}\n")
    assert host.cpus() == cpus


def test_group_outside_of_the_namespace(host: Host) -> None:
    write(host.proc / "self/cgroup", "0::/../../user.slice\n")
    write(host.cgroup / "memory.max", f"{4 * GIB}\n")
    assert host.memory_total() == 4 * GIB


def test_memory_that_a_running_ollama_holds_counts_as_available(host: Host) -> None:
    free = host.memory_available() or 0
    process(host, 50, "ollama", "/opt/ollama/0.34.2/bin/ollama", 1000)
    process(host, 51, "llama-server", "/opt/ollama/0.34.2/lib/ollama/llama-server (deleted)", 2000)
    process(host, 52, "gizzi-ollama-x", "/opt/other/bin/x", 4000)
    # Its mapped weights are page cache, and available anyway.
    assert host.memory_available() == free + (1001 + 2001) * 1024


def test_available_is_never_more_than_there_is(host: Host) -> None:
    process(host, 50, "ollama", "/usr/bin/ollama", 15_000_000)
    assert host.memory_available() == host.memory_total()


def test_what_cannot_be_read_is_unknown(host: Host) -> None:
    write(host.proc / "meminfo", "MemTotal:       16306852 kB\n")
    assert host.memory_available() is None
    (host.proc / "meminfo").unlink()
    assert host.memory_total() is None
    shutil.rmtree(host.proc / "net")
    with pytest.raises(OSError, match="tcp"):
        host.listener(11434)


def test_listeners(host: Host) -> None:
    assert host.listener(22) == Listener(42, "sshd", is_ollama=False)
    assert host.listener(23) is None
    # A connection to or from the port is no listener.
    assert host.listener(8080) is None
    # Over IPv6, and its process is not to be seen.
    assert str(host.listener(8081)) == "a process that could not be identified"
    process(host, 50, "ollama", "/opt/ollama/current/bin/ollama", 1, inode=4711)
    assert host.listener(0x2CAA) == Listener(50, "ollama", is_ollama=True)


def test_this_machine_agrees_with_its_own_tools() -> None:
    host = Host()
    columns = subprocess.run(["free", "-b"], check=True, capture_output=True, text=True).stdout.splitlines()[1].split()
    limits = [limit for limit, _used in host._memory_limits()]
    assert host.memory_total() == min([int(columns[1]), *limits])
    if not limits:
        available = host.memory_available() or 0
        assert available == pytest.approx(int(columns[6]) + host.held_by_ollama(), rel=0.05)
    processors = int(subprocess.run(["nproc"], check=True, capture_output=True, text=True).stdout)
    assert host.cpus() == min([processors, *host._cpu_quotas()])


def test_this_machine_names_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        holder = Host().listener(listener.getsockname()[1])
    assert holder is not None
    assert holder.pid == os.getpid()
    assert not holder.is_ollama
