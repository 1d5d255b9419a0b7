"""Updates that have nothing to do, that work, that meet a worse model, and that are cut off.

Each test begins by bringing the servers to the model from which it goes on, which costs nothing where the one before
has left it; the lab's versions of the model are in lab.artifacts. What happens to a run happens while it is held.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from conftest import LOOPBACK, SETTINGS, Servers, Update
from testinfra.host import Host

from lab import network, registry
from lab.ollama import MODEL, STORE, ask, digests, slowed
from lab.registry import Meter
from lab.testing import Lab, wait_until

CANARY = "validator01"
# What is not judged yet.
NEXT = f"{MODEL}.gizzi-next"
MANIFEST_BYTES = 2000


@pytest.fixture
def meter(internet: Host) -> Meter:
    """Return what counts the registry's answers."""
    return Meter(internet)


def everywhere(servers: Servers, verdict: str) -> dict[str, str]:
    return dict.fromkeys(servers.names, verdict)


@pytest.mark.usefixtures("original")
def test_nothing_stale(servers: Servers, update: Update, meter: Meter) -> None:
    starts = servers.starts()
    took: list[float] = []
    # What else runs on this machine takes its share: the fastest of three counts.
    while min(took, default=20) >= 20 and len(took) < 3:
        began = time.monotonic()
        report = update()
        took.append(time.monotonic() - began)
        assert report.verdicts == everywhere(servers, "current")
        traffic = meter.read()
        assert (traffic.manifests, traffic.blobs) == (1, 0)
        assert traffic.manifest_bytes < MANIFEST_BYTES
    assert min(took) < 20
    assert servers.starts() == starts


@pytest.mark.usefixtures("original")
def test_plan_with_sizes_and_nothing_touched(servers: Servers, update: Update, internet: Host, meter: Meter) -> None:
    before = {name: servers.models(name) for name in servers.names}
    with registry.moved(internet, "newer") as digest:
        report = update("--check")
    assert report.verdicts == everywhere(servers, "planned")
    assert {row["digest_wanted"] for row in report.document["results"]} == {digest}
    assert all(row["bytes"] > 270e6 for row in report.document["results"])
    assert meter.read().blobs == 0
    assert {name: servers.models(name) for name in servers.names} == before


def test_killed_in_the_middle_of_a_pull(
    lab: Lab,
    fleet: dict[str, Host],
    servers: Servers,
    update: Update,
    internet: Host,
    meter: Meter,
    original: str,
) -> None:
    """The tag has moved: a second run meets the lock, the first one dies with the canary, the next one finishes."""
    old = original
    new = registry.move(internet, "newer")
    partial = f"ls {STORE}/blobs/*-partial*"
    # It pulls for as long as the registry stalls.
    with registry.fault(internet, "stall"), update.running(ollama_pull_stall_timeout=3600) as run:
        wait_until(lambda: fleet[CANARY].run(partial).rc == 0, 300, "the canary pulls")
        other = update.result()
        run.kill()
        # What had begun on the server would go on there.
        lab.reboot([CANARY])
        wait_until(lambda: servers.serve(old) == set(servers.names), 60, "all serve what was judged")
    assert other.returncode != 0
    said = " ".join((other.stdout + other.stderr).split())
    assert re.search(r"\(process \d+\) has held the lock since \d{4}-", said), said

    meter.requests()
    starts = servers.starts()
    report = update(model_update_serial=[1, "100%"])
    assert report.verdicts == everywhere(servers, "updated")
    assert servers.have_loaded(new) == set(servers.names)
    assert servers.starts() == starts

    # The canary's pull may have gone on without the run. Nobody else asks before it is done, and the one after it is
    # alone too.
    asked = [request["client"] for request in meter.requests() if registry.is_of_a_blob(request)]
    turns = [address for address, _requests in groupby(asked)]
    canary, second = (lab.addresses(name)[0] for name in servers.names[:2])
    assert canary not in turns[1:]
    assert next(turn for turn in turns if turn != canary) == second
    assert turns.count(second) == 1
    for name in servers.names:
        assert servers.previous_models(name) == {old}
        assert fleet[name].run(partial).rc != 0
        row = report.row(name)
        assert (row["digest_before"], row["digest_after"]) == (old, new)
        assert row["speed_before"] > 0
        assert row["speed_after"] > 0


@pytest.mark.usefixtures("original")
@pytest.mark.parametrize(("version", "reason"), [("garbage", "prompts are answered well"), ("broken", "does not load")])
def test_worse_model(servers: Servers, update: Update, internet: Host, version: str, reason: str) -> None:
    with only_the_canary_is_touched(servers), registry.moved(internet, version):
        report = update(fails=True)
    assert report.verdicts == stopped_at_the_canary(servers)
    assert reason in report.row(CANARY)["reason"]


@pytest.mark.usefixtures("original")
def test_slow_model(fleet: dict[str, Host], servers: Servers, update: Update, internet: Host) -> None:
    """As good as the one before, on a server that has a small part of its speed left when the new one is asked."""
    with only_the_canary_is_touched(servers), registry.moved(internet, "next"):
        with update.running(model_update_minimum_speed=0.5) as run, ExitStack() as speed:
            wait_until(lambda: NEXT in servers.loaded(CANARY), 300, "the canary has the new weights in memory")
            speed.enter_context(slowed(fleet[CANARY]))
            # The way back need not be slow.
            wait_until(lambda: NEXT not in servers.loaded(CANARY), 600, "the canary goes back")
            speed.close()
            assert run.ends() != 0
        report = update.report()
    assert report.verdicts == stopped_at_the_canary(servers)
    row = report.row(CANARY)
    assert "too slow" in row["reason"]
    print(f"{row['speed_before']} > {row['speed_after']} tokens/s")


@pytest.mark.usefixtures("original")
def test_validator_that_suffers_beside_the_server(
    fleet: dict[str, Host], servers: Servers, update: Update, internet: Host
) -> None:
    host = fleet[CANARY]
    with only_the_canary_is_touched(servers), registry.moved(internet, "newer"):
        with update.running(model_update_validator_timeout=20) as run:
            wait_until(lambda: NEXT in servers.models(CANARY), 300, "the canary has the new model")
            network.fault(host, stall=True)
            try:
                assert run.ends() != 0
            finally:
                network.heal(host)
        report = update.report()
    assert report.verdicts == stopped_at_the_canary(servers)
    assert "height stays at" in report.row(CANARY)["reason"]


@pytest.mark.usefixtures("original")
def test_corrupt_download(servers: Servers, update: Update, internet: Host) -> None:
    with (
        only_the_canary_is_touched(servers),
        registry.moved(internet, "newer"),
        registry.fault(internet, "wrong-digest"),
    ):
        report = update(fails=True)
    assert report.verdicts == stopped_at_the_canary(servers)
    assert "digest mismatch" in report.row(CANARY)["reason"]


def stopped_at_the_canary(servers: Servers) -> dict[str, str]:
    return everywhere(servers, "untouched") | {CANARY: "restored"}


@contextmanager
def only_the_canary_is_touched(servers: Servers) -> Iterator[None]:
    """See that after the block all is as it was before it, with the canary's model loaded again."""

    def state() -> dict[str, Any]:
        return {name: (servers.models(name), servers.weights(name), servers.loaded(name)) for name in servers.names}

    before = state()
    yield
    after = state()
    assert {name: found[:2] for name, found in after.items()} == {name: found[:2] for name, found in before.items()}
    for name in servers.names[1:]:
        assert after[name][2] in ({}, before[name][2])
    assert after[CANARY][2] == {MODEL: after[CANARY][0][MODEL]}


@pytest.mark.usefixtures("original")
def test_disk_that_fills(fleet: dict[str, Host], servers: Servers, update: Update, internet: Host) -> None:
    """The disk has room when the canary begins, and none when it pulls."""
    host = fleet[CANARY]
    with small_disk(host), only_the_canary_is_touched(servers), registry.moved(internet, "newer"):
        with ExitStack() as stall:
            stall.enter_context(registry.fault(internet, "stall"))
            with update.running(ollama_reserved_disk=0, ollama_pull_stall_timeout=3600) as run:
                wait_until(lambda: host.run(f"ls {STORE}/blobs/*-partial*").rc == 0, 300, "the canary pulls")
                # All that there is. (fallocate would take nothing where it cannot have as much as it asks for.)
                assert "No space left" in host.run("head --bytes=1G /dev/zero > %s/filler", STORE).stderr
                stall.close()
                assert run.ends() != 0
        host.check_output("rm %s/filler", STORE)
        report = update.report()
    assert report.verdicts == stopped_at_the_canary(servers)
    assert "no space left" in report.row(CANARY)["reason"]


@contextmanager
def small_disk(host: Host) -> Iterator[None]:
    """Keep the models of a server on a disk of 600 MB in memory for as long as the block takes."""
    host.check_output("systemctl stop ollama")
    host.check_output("mkdir /run/small && mount -t tmpfs -o size=600M tmpfs /run/small")
    host.check_output("cp --archive %s/. /run/small/ && chown --reference=%s /run/small", STORE, STORE)
    host.check_output("mount --move /run/small %s && systemctl start ollama", STORE)
    wait_until(lambda: digests(host, LOOPBACK), 60, "the server has its models on the small disk")
    try:
        yield
    finally:
        host.check_output("systemctl stop ollama && umount %s && rmdir /run/small && systemctl start ollama", STORE)
        wait_until(lambda: digests(host, LOOPBACK), 60, "the server has its models on its own disk")


def test_damaged_weights(
    lab: Lab, fleet: dict[str, Host], servers: Servers, update: Update, tmp_path: Path, original: str
) -> None:
    """One byte of them is another one on one server's disk: who hashes them tells, and the update pulls them anew."""
    damaged = servers.names[1]
    host = fleet[damaged]
    blob = one_byte_changed(host)

    verified = lab.playbook(
        "etrid.gizzi.verify",
        variables=SETTINGS | {"gizzi_verify_blobs": True, "gizzi_report_dir": str(tmp_path / "verify")},
    )
    assert verified.returncode != 0
    (path,) = (tmp_path / "verify").glob("*.json")
    rows = [row for row in json.loads(path.read_text())["results"] if row["check"] == "blobs"]
    assert {row["host"]: row["status"] for row in rows} == everywhere(servers, "PASS") | {damaged: "FAIL"}
    (reason,) = [row["reason"] for row in rows if row["host"] == damaged]
    assert f"{MODEL}: the blob sha256:{blob}" in reason

    report = update(model_update_verify_blobs=True)
    assert report.verdicts == everywhere(servers, "current") | {damaged: "updated"}
    assert f"{MODEL}: the blob sha256:{blob}" in report.row(damaged)["reason"]
    assert host.file(f"{STORE}/blobs/sha256-{blob}").sha256sum == blob
    assert servers.models(damaged) == {MODEL: original}
    assert servers.loaded(damaged) == {MODEL: original}
    assert "Paris" in ask(host, LOOPBACK)


def one_byte_changed(host: Host) -> str:
    """Change one byte in the middle of a server's weights, by which the model hardly changes; return their digest."""
    (path,) = host.check_output("find %s/blobs -size +100M", STORE).splitlines()
    # The lower byte of a number of two.
    code = """
import sys
with open(sys.argv[1], "r+b") as weights:
    weights.seek(200_000_000)
    (byte,) = weights.read(1)
    weights.seek(-1, 1)
    weights.write(bytes([byte ^ 1]))
"""
    host.check_output("python3 -c %s %s", code, path)
    return path.rpartition("-")[2]


@contextmanager
def judged_for_long(servers: Servers, fleet: dict[str, Host], name: str) -> Iterator[None]:
    """Slow a server down as soon as it has pulled: it is judged for longer than it takes to see that it is."""
    wait_until(lambda: NEXT in servers.models(name), 300, f"{name} has pulled")
    with slowed(fleet[name]):
        wait_until(lambda: NEXT in servers.loaded(name), 300, f"{name} has the new weights in memory")
        yield


def test_server_that_goes_away_in_its_turn(
    lab: Lab, fleet: dict[str, Host], servers: Servers, update: Update, internet: Host, original: str
) -> None:
    """One loses its power while it is judged, the next one its network; both are named, then all is done.

    Each is back when the run has ended: where it comes back earlier, what the run meets is a matter of luck.
    """
    new = registry.move(internet, "next")
    with update.running() as run, ExitStack() as gone:
        gone.enter_context(judged_for_long(servers, fleet, CANARY))
        gone.enter_context(lab.off(CANARY))
        assert run.ends() != 0
        # What ansible-playbook said is all there is to see of a run that ends without a report.
        print(run.printed())
    report = update.report()
    assert report.verdicts == everywhere(servers, "untouched") | {CANARY: "unreachable"}
    assert "became unreachable in its turn" in report.row(CANARY)["reason"]
    assert servers.serve(original) == set(servers.names)

    second = servers.names[1]
    with update.running() as run, ExitStack() as gone:
        gone.enter_context(judged_for_long(servers, fleet, second))
        gone.enter_context(cut_off(lab.variables[second]["lab_container"]))
        assert run.ends() != 0
        print(run.printed())
    report = update.report()
    assert report.verdicts == everywhere(servers, "untouched") | {CANARY: "updated", second: "unreachable"}

    # What had begun on the one whose network was gone went on there: the next run waits for its end.
    report = update()
    assert report.verdicts[CANARY] == "current"
    assert set(report.verdicts.values()) <= {"current", "updated"}
    assert servers.have_loaded(new) == set(servers.names)
    assert [servers.previous_models(name) for name in servers.names] == [{original}] * len(servers.names)


@contextmanager
def cut_off(container: str) -> Iterator[None]:
    """Let no packet reach the host from the network for as long as the block takes."""
    rule = ["INPUT", "--in-interface", "eth0", "--jump", "DROP"]
    engine = ["docker", "exec", container]
    for program in ("iptables", "ip6tables"):
        subprocess.run([*engine, program, "--insert", *rule], check=True)
    try:
        yield
    finally:
        for program in ("iptables", "ip6tables"):
            subprocess.run([*engine, program, "--delete", *rule], check=True)


@pytest.fixture
def updated(servers: Servers, update: Update, internet: Host, request: pytest.FixtureRequest) -> str:
    """Begin with an update that went well on every server; return the digest before it."""
    new = registry.move(internet, "next")
    registry.move_back(internet)
    old = registry.digest(internet)
    if any((servers.models(name).get(MODEL), servers.previous_models(name)) != (new, {old}) for name in servers.names):
        request.getfixturevalue("original")
        with registry.moved(internet, "next"):
            update()
    return old


def test_rollback_by_hand(servers: Servers, update: Update, updated: str) -> None:
    """One host first, then all that have something to go back to."""
    old, new = updated, servers.models(CANARY)[MODEL]
    assert old != new
    report = update("--limit", CANARY, playbook="etrid.gizzi.model_rollback")
    assert report.verdicts == {CANARY: "rolled_back"}
    assert servers.serve(old) == servers.have_loaded(old) == {CANARY}

    report = update(playbook="etrid.gizzi.model_rollback", fails=True)
    assert report.verdicts == everywhere(servers, "rolled_back") | {CANARY: "refused"}
    assert servers.serve(old) == servers.have_loaded(old) == set(servers.names)
    assert servers.serve(new) == set()
