"""Ollama at full load leaves the rest of the host its CPU and memory."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.ollama import MODEL, processes, url
from lab.server import LOOPBACK, Server
from lab.testing import wait_until

# What a busy validator would be: as many processes as there are cores, for nine seconds. Prints the CPU time, in
# seconds, that they had, and what the processes given had meanwhile: starting Python is not part of it.
WORK = """
import multiprocessing, os, sys, time
def used():
    stats = [open(f"/proc/{process}/stat").read().split() for process in sys.argv[1:]]
    return sum(int(stat[13]) + int(stat[14]) for stat in stats) / os.sysconf("SC_CLK_TCK")
def work(_):
    end = time.monotonic() + 9
    while time.monotonic() < end:
        sum(range(1000))
    return time.process_time()
n = multiprocessing.cpu_count()
with multiprocessing.Pool(n) as pool:
    before = used()
    own = sum(pool.map(work, range(n), chunksize=1))
    print(own, used() - before)
"""


@pytest.fixture
def generating(server: Server) -> Iterator[None]:
    """Keep the server generating, with every thread it has."""
    payload = {"model": MODEL, "prompt": "Tell a long story.", "stream": False, "options": {"num_predict": 1000}}
    curl = f"curl --silent --data '{json.dumps(payload)}' {url(LOOPBACK, '/api/generate')}"
    server.host.check_output("systemd-run --collect --unit=load sh -c %s", f"while {curl}; do :; done")
    # The one that is at work now, in a child of its own, is the one whose time is taken.
    before = processes(server.host)
    wait_until(
        lambda: any(used > before.get(pid, 0) + 1 for pid, used in processes(server.host).items()),
        60,
        "the server is at work",
    )
    yield
    server.host.check_output("systemctl stop load.service")


@pytest.mark.usefixtures("generating")
def test_busy_neighbour_keeps_its_share(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the CPU time that both had while both wanted all of it: what else the machine does takes from both alike."""
    pids = " ".join(map(str, processes(server.host)))
    command = f"systemd-run --quiet --wait --pipe --collect --unit=validator python3 -c %s {pids}"
    neighbour, ollama = (float(seconds) for seconds in server.host.check_output(command, WORK).split())
    share = neighbour / (neighbour + ollama)

    with capsys.disabled():
        print(f"\nof the CPU beside a full Ollama: {neighbour:.1f} s, Ollama {ollama:.1f} s: {share:.0%}", end=" ")
    assert ollama > 0.1, "Ollama was not at work: nothing was measured"
    assert share >= 0.8


def test_weights_are_in_force(server: Server) -> None:
    assert [server.unit(setting) for setting in ("CPUWeight", "IOWeight", "Nice", "OOMScoreAdjust")] == [
        "10",
        "10",
        "10",
        "500",
    ]
    assert server.unit("CPUQuotaPerSecUSec") == "infinity"


def test_memory_limit_leaves_the_reserve(server: Server) -> None:
    total = 1024 * int(server.host.file("/proc/meminfo").content_string.split()[1])
    assert total - int(server.unit("MemoryMax")) == 1_000_000_000


@pytest.fixture
def little_memory(server: Server) -> Iterator[None]:
    """Give the server less memory than the model takes.

    The weights may be pages of a file, which the kernel can drop and read again; the 190 MB that 8192 tokens of
    context take are not.
    """
    server.host.check_output("systemctl set-property --runtime ollama.service MemoryMax=200M")
    server.host.check_output("systemctl restart ollama.service")
    server.wait_until_it_answers()
    yield
    server.host.check_output("rm -r /run/systemd/system.control/ollama.service.d")
    server.host.check_output("systemctl daemon-reload")
    server.host.check_output("systemctl restart ollama.service")
    server.wait_until_it_answers()


@pytest.mark.usefixtures("little_memory")
def test_too_much_memory_ends_at_the_limit(server: Server) -> None:
    """A model that outgrows the limit is what dies; the server says so and goes on."""
    process = server.unit("MainPID")
    with pytest.raises(AssertionError, match="500"):
        server.api("/api/generate", {"model": MODEL, "prompt": "Hello", "stream": False, "options": {"num_ctx": 8192}})
    assert server.api("/api/version")
    assert server.unit("MainPID") == process
