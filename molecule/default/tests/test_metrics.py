"""What the role publishes for node_exporter, and what the program costs the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from lab.ollama import MODEL, processes
from lab.server import LOOPBACK, Server
from lab.testing import Lab, wait_until

FOLDER = "/var/lib/prometheus/node-exporter"
FILE = f"{FOLDER}/ollama.prom"
# Where the program writes; a link in the other folder leads there.
OWN = "/var/lib/ollama-metrics"
MODEL_METRICS = {
    f'ollama_{name}{{model="{MODEL}"}}'
    for name in ("model_present", "model_loaded", "probe_success", "probe_tokens_per_second")
}

Samples = dict[str, float]


def parse(text: str) -> Samples:
    """Return the samples of a page in Prometheus' text format."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _space, value in lines}


def measured(server: Server) -> Samples:
    """Run the program as its timer does, and return what it has published."""
    between_runs(server)
    # Started by hand so often, systemd would refuse it.
    server.host.check_output("systemctl reset-failed ollama-metrics.service")
    server.host.check_output("systemctl start ollama-metrics.service")
    return parse(server.host.file(FILE).content_string)


def between_runs(server: Server) -> None:
    """Wait until no run of the timer is under way: one that began earlier has seen what was there then."""
    state = "systemctl show --value --property=ActiveState ollama-metrics.service"
    wait_until(lambda: server.host.check_output(state) in {"inactive", "failed"}, 60, "a run of the timer has ended")


def written(server: Server) -> float:
    """Return the time of the file that node_exporter reads."""
    return float(server.host.check_output("stat --dereference --format=%%.Y %s", FILE))


def loaded(server: Server) -> list[str]:
    """Return the names of the models in memory."""
    return [model["name"] for model in server.api("/api/ps")["models"]]


def unload(server: Server) -> None:
    """Take the model out of memory."""
    server.api("/api/generate", {"model": MODEL, "keep_alive": 0})
    wait_until(lambda: not loaded(server), 30, "the model is unloaded")


@pytest.fixture
def forgotten(server: Server) -> None:
    """Let the program forget its probes."""
    server.host.check_output(f"rm -f {OWN}/probes.json")


@pytest.fixture
def exporter(server: Server) -> Iterator[None]:
    """Run Debian's node_exporter with its own defaults."""
    server.host.check_output("systemctl start prometheus-node-exporter.service")
    yield
    server.host.check_output("systemctl stop prometheus-node-exporter.service")


def test_server_and_wanted_model(lab: Lab, server: Server) -> None:
    samples = measured(server)
    assert samples["ollama_up"] == 1
    assert samples[f'ollama_version_info{{version="{lab.releases.version}"}}'] == 1
    assert samples[f'ollama_model_present{{model="{MODEL}"}}'] == 1


@pytest.mark.usefixtures("forgotten")
def test_model_is_probed_only_while_it_is_loaded(server: Server) -> None:
    unload(server)
    samples = measured(server)
    assert samples[f'ollama_model_loaded{{model="{MODEL}"}}'] == 0
    assert not [name for name in samples if "probe" in name]
    assert not loaded(server)

    server.ask()
    samples = measured(server)
    assert samples[f'ollama_model_loaded{{model="{MODEL}"}}'] == 1
    assert samples[f'ollama_probe_success{{model="{MODEL}"}}'] == 1
    assert samples[f'ollama_probe_tokens_per_second{{model="{MODEL}"}}'] > 0


@pytest.mark.usefixtures("forgotten")
def test_a_probe_loads_nothing_anew(server: Server) -> None:
    """The weights that answer are those of one process: loaded anew, they would be another one's."""
    unload(server)
    wait_until(lambda: len(processes(server.host)) == 1, 30, "the process that had the weights is gone")
    server.ask()
    before = loaded(server), set(processes(server.host))
    assert len(before[1]) > 1
    assert f'ollama_probe_success{{model="{MODEL}"}}' in measured(server)
    assert (loaded(server), set(processes(server.host))) == before


def test_stopped_server(server: Server) -> None:
    server.ask()
    assert measured(server).keys() >= MODEL_METRICS
    server.host.check_output("systemctl stop ollama.service")
    try:
        assert measured(server).keys() == {"ollama_up", "ollama_store_free_bytes", "ollama_store_size_bytes"}
        assert measured(server)["ollama_up"] == 0
    finally:
        server.host.check_output("systemctl start ollama.service")
        server.wait_until_it_answers()


def test_store(server: Server) -> None:
    samples = measured(server)
    disk = server.host.check_output("df --block-size=1 --output=size,avail /var/lib/ollama/models").splitlines()[1]
    size, free = (int(number) for number in disk.split())
    assert samples["ollama_store_size_bytes"] == size
    # Others use this disk too.
    assert samples["ollama_store_free_bytes"] == pytest.approx(free, abs=1e9)


@pytest.mark.usefixtures("exporter")
def test_node_exporter_reads_it(server: Server) -> None:
    measured(server)

    def page() -> Samples:
        return parse(server.host.check_output(f"curl --silent --fail http://{LOOPBACK}:9100/metrics"))

    samples = wait_until(page, 30, "node_exporter answers")
    assert samples["ollama_up"] == 1
    assert samples["node_textfile_scrape_error"] == 0

    def shows_the_time_of_the_file() -> bool:
        # The timer may have run between the two.
        shown = page()[f'node_textfile_mtime_seconds{{file="{FILE}"}}']
        return bool(shown == pytest.approx(written(server), abs=1))

    wait_until(shows_the_time_of_the_file, 30, "node_exporter shows the time of the file")


def test_every_minute(server: Server) -> None:
    timer = server.host.service("ollama-metrics.timer")
    assert (timer.is_running, timer.is_enabled) == (True, True)
    before = written(server)
    wait_until(lambda: written(server) > before, 75, "the timer has run the program")


def test_run_that_fails_leaves_the_old_file_with_its_time(server: Server) -> None:
    measured(server)
    server.host.check_output(f"chown root {OWN}")
    try:
        between_runs(server)
        before = written(server)
        assert server.host.run("systemctl start ollama-metrics.service").rc != 0
        assert written(server) == before
    finally:
        server.host.check_output(f"chown ollama {OWN}")
    assert measured(server)["ollama_up"] == 1
    assert written(server) > before


def test_exposure(server: Server) -> None:
    report = server.host.check_output("systemd-analyze --no-pager security ollama-metrics.service")
    exposure = re.search(r"Overall exposure level for ollama-metrics\.service: ([0-9.]+) ", report)
    assert exposure is not None
    assert float(exposure[1]) <= 1.5


def test_folder_that_is_not_there_is_refused(converge: Callable[..., str]) -> None:
    printed = converge(fails=True, ollama_metrics_dir="/var/lib/none")
    assert 'ollama_metrics_dir is "/var/lib/none", and the host has no such folder' in printed
