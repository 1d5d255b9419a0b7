# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror: what its nginx gives of a models' store, to whom how fast, and what it keeps."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gateways
import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._gateway_look import given
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Registry
from ansible_collections.etrid.gizzi.tests.unit.ollama_client.fake_ollama import until
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest

MANIFEST = b'{"schemaVersion": 2}'
WEIGHTS = os.urandom(3_000_000)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
MODEL = {"path": "library/mistral/manifests/7b", "file": "registry.ollama.ai/library/mistral/7b"}
MANIFEST_PATH = f"/v2/{MODEL['path']}"
BLOB_PATH = f"/v2/library/mistral/blobs/sha256:{DIGEST}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a model that is wanted, one that is not, and an unfinished blob."""
    store = tmp_path / "models"
    for name in ("mistral/7b", "etrid-validator/latest"):
        path = store / "manifests/registry.ollama.ai/library" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(MANIFEST)
    (store / "blobs").mkdir()
    (store / f"blobs/sha256-{DIGEST}").write_bytes(WEIGHTS)
    (store / f"blobs/sha256-{'0' * 64}-partial").write_bytes(b"half")
    return store


@contextmanager
def mirror(folder: Path, store: Path, **changed: Any) -> Iterator[int]:
    """Run a gateway that is a mirror and nothing else; yields its port."""
    port, _other = gateways.free_ports()
    wanted = {"port": port, "models_dir": str(store), "models": [MODEL], "answers": 32, "rate": 0, **changed}
    (folder / "gateway").mkdir()
    configuration = gateways.write(
        folder / "gateway", gateways.values(ollama=None, api=None, mirror=wanted, listens=["127.0.0.1"])
    )
    command = [gateways.NGINX, "-c", configuration, "-e", "stderr", "-g", "user root;" * (os.getuid() == 0)]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors)

    def listens() -> bool:
        assert process.poll() is None, (folder / "stderr").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, 10)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.fixture
def port(tmp_path: Path, store: Path) -> Iterator[int]:
    with mirror(tmp_path, store) as running:
        yield running


def ask(port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> gateways.Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return gateways.Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def test_a_manifest_is_what_is_in_the_store(port: int) -> None:
    answer = ask(port, MANIFEST_PATH)
    assert (answer.status, answer.body) == (200, MANIFEST)
    assert answer.headers["content-type"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_a_blob_has_what_a_puller_asks_for(port: int) -> None:
    """The length by HEAD, where it is also on a 200, and parts."""
    head = ask(port, BLOB_PATH, "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(WEIGHTS)), b"")
    whole = ask(port, BLOB_PATH)
    assert (whole.status, whole.headers["location"], whole.body) == (200, BLOB_PATH, WEIGHTS)
    part = ask(port, BLOB_PATH, headers={"Range": "bytes=1000000-1999999"})
    assert (part.status, part.body) == (206, WEIGHTS[1_000_000:2_000_000])
    assert part.headers["content-length"] == "1000000"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v2/library/etrid-validator/manifests/latest", {}, 404),
        ("GET", "/v2/library/mistral/manifests/8b", {}, 404),
        ("GET", f"/v2/library/mistral/blobs/sha256:{'0' * 64}", {}, 404),
        ("GET", f"/v2/library/mistral/blobs/sha256-{DIGEST}", {}, 404),
        ("GET", f"/v2/library/mistral/blobs/sha256:{'0' * 64}-partial", {}, 404),
        ("GET", "/v2/library/mistral/blobs/", {}, 404),
        ("GET", "/", {}, 404),
        ("GET", "/v2/_catalog", {}, 404),
        ("GET", "/manifests/registry.ollama.ai/library/mistral/7b", {}, 404),
        ("GET", f"/v2/../blobs/sha256-{DIGEST}", {}, 404),
        ("GET", f"/v2/library/a%0d%0aX-Bad:1/blobs/sha256:{DIGEST}", {}, 404),
        ("PUT", MANIFEST_PATH, {}, 405),
        ("DELETE", BLOB_PATH, {}, 405),
        ("POST", "/v2/library/mistral/blobs/uploads/", {}, 405),
        ("GET", BLOB_PATH, {"Range": "bytes=3000000-3000001"}, 416),
    ],
)
def test_nothing_else_is_given_and_never_a_byte_that_a_puller_could_take_for_a_models(
    port: int, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = ask(port, path, method, headers)
    assert (answer.status, answer.body) == (status, b"")


def test_a_link_in_the_store_is_not_followed(port: int, store: Path) -> None:
    blob = store / f"blobs/sha256-{'1' * 64}"
    blob.symlink_to("/etc/hostname")
    assert ask(port, f"/v2/library/mistral/blobs/sha256:{'1' * 64}").status == 403


def test_a_pull_has_its_answers_at_once_and_nobody_has_many_more(tmp_path: Path, store: Path) -> None:
    """The rate is that of each answer, so that all of them are under way at one time."""
    with mirror(tmp_path, store, rate=1_000_000, answers=100) as port, ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(lambda _n: ask(port, BLOB_PATH).status, range(30)))
    assert 16 <= statuses.count(200) <= 20
    assert statuses.count(429) == 30 - statuses.count(200)


def test_what_all_take_together_has_a_limit(tmp_path: Path, store: Path) -> None:
    """Whoever finds all answers taken is told to ask again, without a byte."""
    with mirror(tmp_path, store, rate=1_500_000, answers=3) as port, ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda _n: ask(port, BLOB_PATH), range(8)))
        seconds = time.monotonic() - began
    given = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status != 200]
    assert [len(answer.body) for answer in given] == [len(WEIGHTS)] * 3
    assert {(answer.status, answer.body, answer.headers["retry-after"]) for answer in refused} == {(429, b"", "5")}
    # nginx lets the first second go ahead.
    assert len(WEIGHTS) * 3 / (seconds + 1) <= 3 * 1_500_000


def test_what_verify_sees_of_a_mirror(tmp_path: Path, store: Path) -> None:
    """A model by the digest that the server has too, one that is not there, and a mirror that serves another."""
    document = manifest("one")
    (store / "manifests" / MODEL["file"]).write_bytes(document)
    with mirror(tmp_path, store, answers=1, rate=100_000) as port:
        registry = Registry(f"http://127.0.0.1:{port}")
        found = given(registry, parse_model_name("mistral:7b"))
        assert found == {"digest": hashlib.sha256(document).hexdigest(), "problem": "", "full": False}
        found = given(registry, parse_model_name("etrid-validator"))
        assert (found["digest"], found["full"]) == ("", False)
        assert "There is no such model or tag" in found["problem"]
        puller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        puller.request("GET", BLOB_PATH)
        puller.getresponse().read(1)
        assert given(registry, parse_model_name("mistral:7b"))["full"] is True
        puller.close()


def test_the_unit_reads_the_store_by_its_group(tmp_path: Path) -> None:
    mirrors, other = (
        gateways.rendered("gizzi-gateway.service.j2", gateways.values(**changed)).splitlines()
        for changed in ({"mirror": {"port": 1}}, {})
    )
    assert "SupplementaryGroups=ollama" in mirrors
    assert not [line for line in other if line.startswith("SupplementaryGroups")]
