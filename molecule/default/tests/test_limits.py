"""Ollama at full load leaves the rest of the host its CPU and memory."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.ollama import MODEL, url
from lab.server import LOOPBACK, Server
from lab.testing import wait_until

# What a busy validator would be: as many processes as there are cores, counting how often they get round.
WORK = """
import multiprocessing, time
def work(_):
    rounds, end = 0, time.monotonic() + 3
    while time.monotonic() < end:
        sum(range(1000))
        rounds += 1
    return rounds
n = multiprocessing.cpu_count()
with multiprocessing.Pool(n) as pool:
    print(sum(pool.map(work, range(n), chunksize=1)))
"""


@pytest.fixture
def generating(server: Server) -> Iterator[None]:
    """Keep the server generating, with every thread it has."""
    payload = {"model": MODEL, "prompt": "Tell a long story.", "stream": False, "options": {"num_predict": 1000}}
    curl = f"curl --silent --data '{json.dumps(payload)}' {url(LOOPBACK, '/api/generate')}"
    server.host.check_output("systemd-run --collect --unit=load sh -c %s", f"while {curl}; do :; done")
    before = cpu_seconds(server)
    wait_until(lambda: cpu_seconds(server) > before + 1, 60, "the server is at work")
    yield
    server.host.check_output("systemctl stop load.service")


def rounds(server: Server) -> int:
    """Return what a busy service gets done in its time."""
    return int(
        server.host.check_output("systemd-run --quiet --wait --pipe --collect --unit=validator python3 -c %s", WORK)
    )


def cpu_seconds(server: Server) -> int:
    """Return the CPU time that Ollama's processes have had."""
    return sum(int(seconds) for seconds in server.host.check_output("ps -C ollama -o cputimes=").split())


def freeze(server: Server, signal: str) -> None:
    """Stop all processes of Ollama, or let them go on."""
    server.host.check_output("systemctl kill --signal=%s ollama.service", signal)


@pytest.mark.usefixtures("generating")
def test_busy_neighbour_keeps_its_share(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured in turns, so that what else the machine does meets both; until Ollama has had a second of its own."""
    alone = beside = taken = 0
    before = cpu_seconds(server)
    for turn in range(1, 21):
        freeze(server, "STOP")
        alone += rounds(server)
        freeze(server, "CONT")
        beside += rounds(server)
        taken = cpu_seconds(server) - before
        if turn >= 3 and taken > 0:
            break
    ratio = beside / alone

    with capsys.disabled():
        print(
            f"\nwork done beside a full Ollama: {ratio:.0%} of that done alone; Ollama took {taken} s of CPU", end=" "
        )
    assert taken > 0, "Ollama was not at work: nothing was measured"
    assert ratio >= 0.8


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
    """Give the server less memory than the model takes."""
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
        server.ask()
    assert server.api("/api/version")
    assert server.unit("MainPID") == process
