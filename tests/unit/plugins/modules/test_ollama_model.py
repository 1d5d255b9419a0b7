# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _model_state
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Registry
from ansible_collections.etrid.gizzi.plugins.modules import ollama_model
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest, rewritten, sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry

    Run = Callable[..., dict[str, Any]]


@pytest.fixture
def model(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama, registry: FakeRegistry) -> Run:
    def run(name: str = "mistral", **args: Any) -> dict[str, Any]:
        urls = {"url": ollama.url, "registry": registry.url}
        return run_module(ollama_model.main, **{**urls, "name": name, **args})

    return run


def test_present_pulls_what_is_missing(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    digest = registry.publish("mistral:latest", "one")
    result = model()
    assert result["changed"] is True
    assert result["pulled"] is True
    assert (result["digest_before"], result["digest_after"]) == (None, digest)
    assert result["bytes_pulled"] == 1000 + 10 + 5
    assert result["model"] == "mistral:latest"
    # The registry's own name does not stay behind.
    assert list(ollama.store) == ["mistral:latest"]


def test_second_run_pulls_nothing(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    registry.publish("mistral:latest", "one")
    for state, registry_requests in (("present", 0), ("latest", 1)):
        model(state=state)
        ollama.requests.clear()
        registry.requests.clear()
        result = model(state=state)
        assert result["changed"] is False
        assert result["pulled"] is False
        assert len(registry.requests) == registry_requests
        assert ollama.paths("/api/pull") == []


def test_moved_tag_concerns_latest_only(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    old = registry.publish("mistral:latest", "one")
    model()
    new = registry.publish("mistral:latest", "two")
    result = model(state="present")
    assert (result["changed"], result["digest_after"]) == (False, old)
    result = model(state="latest")
    assert (result["changed"], result["digest_before"], result["digest_after"]) == (True, old, new)
    # The layer that both have did not move again.
    assert result["bytes_pulled"] == 1000 + 10


@pytest.mark.parametrize("version", ["0.34.2", "0.9.3"])
def test_check_mode_never_pulls_and_predicts_rightly(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, version: str
) -> None:
    ollama.version = version
    registry.publish("mistral:latest", "one")
    steps: list[tuple[str, str]] = [("present", "one"), ("latest", "one"), ("present", "two"), ("latest", "two")]
    for state, seed in [*steps, ("latest", "two"), ("absent", "two"), ("absent", "two")]:
        registry.publish("mistral:latest", seed)
        store = dict(ollama.store)
        ollama.requests.clear()
        predicted = model(state=state, check_mode=True)
        assert {method for method, _path, _body in ollama.requests} == {"GET"}
        assert ollama.store == store
        assert predicted["pulled"] is False
        real = model(state=state)
        assert {key: predicted[key] for key in ("changed", "digest_before", "digest_after", "diff")} == {
            key: real[key] for key in ("changed", "digest_before", "digest_after", "diff")
        }


def test_check_mode_asks_whether_the_registry_has_it(model: Run) -> None:
    result = model("nonsense", check_mode=True)
    assert result["failed"] is True
    assert "no such model or tag" in result["msg"]
    assert "nonsense:latest" in result["msg"]


def test_old_server_rewrites_manifests(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    ollama.version = "0.9.3"
    digest = registry.publish("mistral:latest", "one")
    result = model()
    assert result["digest_after"] == sha256(rewritten(registry.manifests["/v2/library/mistral/manifests/latest"]))
    assert result["digest_after"] != digest
    ollama.requests.clear()
    assert model(state="latest")["changed"] is False
    # The registry's digest is what an operator would pin.
    assert model(digest=digest)["changed"] is False
    assert ollama.paths("/api/pull") == []


def test_check_mode_warns_where_an_old_server_leaves_it_open(
    model: Run, ollama: FakeOllama, registry: FakeRegistry
) -> None:
    ollama.version = "0.9.3"
    ollama.have("mistral:latest", "made by hand")
    registry.publish("mistral:latest", "one")
    result = model(state="latest", check_mode=True)
    assert result["changed"] is True
    assert "0.9.3 re-serialises manifests" in str(result["warnings"])


def test_diff_shows_name_and_digests(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    old = ollama.have("mistral:latest", "zero")
    new = registry.publish("mistral:latest", "one")
    assert model(state="latest")["diff"] == {
        "before": {"name": "mistral:latest", "digest": old},
        "after": {"name": "mistral:latest", "digest": new},
    }


def test_names(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    ollama.have("phi3:mini", "mini")
    ollama.have("mistral:latest", "one")
    registry.publish("phi3:latest", "full")
    assert model("phi3")["changed"] is True
    assert set(ollama.store) == {"phi3:mini", "phi3:latest", "mistral:latest"}
    for same in ("mistral", "mistral:latest", "library/mistral", "registry.ollama.ai/library/mistral", "Mistral"):
        assert model(same)["changed"] is False
    result = model("phi3", state="absent")
    assert result["changed"] is True
    assert set(ollama.store) == {"phi3:mini", "mistral:latest"}


def test_absent(model: Run, ollama: FakeOllama) -> None:
    digest = ollama.have("mistral:latest", "one")
    result = model(state="absent")
    assert (result["changed"], result["digest_before"], result["digest_after"]) == (True, digest, None)
    assert ollama.store == {}
    assert model(state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("error", "max retries exceeded: unexpected EOF"),
        ("mismatch", "digest mismatch"),
        ("truncated", "broke off"),
        ("ends", "broke off after 'removing unused layers'"),
        ("silence", "no progress for 0.4 s"),
        ("repeats", "no progress for 0.4 s"),
        ("500", "the store is read-only"),
    ],
)
def test_failed_pull_keeps_the_old_model_and_a_rerun_recovers(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, fault: str, reason: str
) -> None:
    old = ollama.have("mistral:latest", "zero")
    new = registry.publish("mistral:latest", "one")
    ollama.pull_fault = fault
    started = time.monotonic()
    result = model(state="latest", stall_timeout=0.4)
    assert time.monotonic() - started < 2
    assert result["failed"] is True
    assert reason in result["msg"]
    assert f"{old[:12]}) is untouched, and another run resumes" in result["msg"]
    assert {name: sha256(body) for name, body in ollama.store.items()} == {"mistral:latest": old}
    ollama.pull_fault = ""
    assert model(state="latest")["digest_after"] == new


def test_first_pull_that_fails_says_that_nothing_is_there(
    model: Run, ollama: FakeOllama, registry: FakeRegistry
) -> None:
    registry.publish("mistral:latest", "one")
    ollama.pull_fault = "error"
    assert "Nothing was installed" in model(stall_timeout=0.2)["msg"]


def test_after_a_pull_that_this_side_ended_nothing_is_called_final(
    model: Run, ollama: FakeOllama, registry: FakeRegistry
) -> None:
    registry.publish("mistral:latest", "one")
    ollama.pull_fault = "silence"
    message = model(stall_timeout=0.1)["msg"]
    assert "Nothing was installed" in message
    assert "The server may still go on and install it" in message
    ollama.pull_fault = "error"
    assert "may still go on" not in model(stall_timeout=0.2)["msg"]


def test_what_cannot_be_seen_after_a_failed_pull_is_said_so(
    model: Run, ollama: FakeOllama, registry: FakeRegistry
) -> None:
    registry.publish("mistral:latest", "one")

    def pull_and_fall_ill(http: Any, body: Any) -> None:
        ollama.get_tags = lambda http, body: http.send_json(500, {"error": "ill"})  # type: ignore[method-assign]
        http.send_json(500, {"error": "the store is read-only"})

    ollama.post_pull = pull_and_fall_ill  # type: ignore[method-assign]
    message = model()["msg"]
    assert "the store is read-only" in message
    assert "What is installed now could not be seen" in message
    assert "answered 500: ill" in message
    assert "Nothing was installed" not in message


def test_another_model_that_came_meanwhile_is_named(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    ollama.have("mistral:latest", "zero")
    registry.publish("mistral:latest", "one")

    def pull_beside_another(http: Any, body: Any) -> None:
        ollama.have("mistral:latest", "two")
        http.send_json(500, {"error": "the store is read-only"})

    ollama.post_pull = pull_beside_another  # type: ignore[method-assign]
    there = sha256(manifest("two"))
    assert f"Another model ({there[:12]}) is there now" in model(state="latest")["msg"]


def test_names_that_never_answer_can_be_removed(model: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:cloud", "one")
    assert model("mistral:cloud", state="absent")["changed"] is True
    assert ollama.store == {}


def test_download_of_a_client_that_left(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    """Ollama shares downloads: a pull right after one that gave up is canceled together with it."""
    registry.publish("mistral:latest", "new")
    ollama.canceled_pulls = 2
    assert model()["changed"] is True
    assert len(ollama.paths("/api/pull")) == 3

    registry.publish("mistral:latest", "newer")
    ollama.canceled_pulls = 1000
    assert "context canceled" in model(state="latest", stall_timeout=0.2)["msg"]


def test_slow_progress_is_no_stall_but_has_a_limit(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    registry.publish("mistral:latest", "one")
    ollama.pull_fault = "slow"
    assert "took longer than 0.2 s" in model(stall_timeout=0.2, timeout=0.2)["msg"]
    # Three layers of a quarter of a second each.
    assert model(stall_timeout=0.2)["changed"] is True


def test_verification_may_be_silent_for_longer_than_a_stall(
    model: Run, ollama: FakeOllama, registry: FakeRegistry
) -> None:
    registry.publish("mistral:latest", "one")
    ollama.verifying = 0.3
    result = model(stall_timeout=0.1, timeout=0.2)
    assert "took longer than 0.2 s" in result["msg"]
    ollama.store.clear()
    assert model(stall_timeout=0.1)["changed"] is True


def test_a_cloud_that_is_off_is_no_matter_of_the_host_header(ollama: FakeOllama) -> None:
    """As recorded of a real server: it is the only 403 of Ollama's with a text."""
    refusal = {"error": "ollama cloud is disabled: remote model is unavailable"}
    ollama.post_generate = lambda http, body: http.send_json(403, refusal)  # type: ignore[method-assign]
    with pytest.raises(GizziError, match="answered 403: ollama cloud is disabled") as error:
        Ollama(ollama.url, 1).load(parse_model_name("x:1"), 1)
    assert "Host" not in str(error.value)


def test_registry_that_is_broken(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    ollama.have("mistral:latest", "zero")
    registry.status = 500
    result = model(state="latest")
    assert result["failed"] is True
    assert "answered 500: the registry is broken" in result["msg"]
    assert ollama.paths("/api/pull") == []


def test_error_page_is_not_hashed_as_a_manifest(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    ollama.have("mistral:latest", "zero")
    registry.manifests["/v2/library/mistral/manifests/latest"] = b"<html>Please log in</html>"
    result = model(state="latest")
    assert "did not answer with a model's manifest" in result["msg"]
    assert ollama.paths("/api/pull") == []


def test_pinned_digest(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    old = ollama.have("mistral:latest", "zero")
    new = registry.publish("mistral:latest", "one")
    result = model(digest="ab" * 32)
    assert result["failed"] is True
    assert new in result["msg"]
    assert "ab" * 32 in result["msg"]
    assert ollama.paths("/api/pull") == []
    registry.requests.clear()
    assert model(digest=old, state="latest")["changed"] is False
    assert registry.requests == []
    # With another digest than the wanted one, present pulls too.
    assert model(digest=f"sha256:{new}")["digest_after"] == new


def test_tag_that_moves_during_the_pull(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    pinned = registry.publish("mistral:latest", "one")
    pull = ollama.post_pull

    def pull_after_the_move(http: Any, body: Any) -> None:
        registry.publish("mistral:latest", "two")
        pull(http, body)

    ollama.post_pull = pull_after_the_move  # type: ignore[method-assign]
    result = model(digest=pinned)
    assert result["failed"] is True
    assert "the tag moved" in result["msg"]


def test_disk_is_checked_before_the_first_byte(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.publish("mistral:latest", "one", size=10**18)
    for check_mode in (True, False):
        result = model(models_dir=str(tmp_path / "models"), check_mode=check_mode)
        assert result["failed"] is True
        assert "1000000.0 TB are still to be pulled" in result["msg"]
        assert "1.0 GB must stay free" in result["msg"]
        assert "are free. Nothing was pulled." in result["msg"]
    assert ollama.paths("/api/pull") == []


def test_disk_counts_missing_layers_only(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.publish("mistral:latest", "one", size=10**12)
    blob = tmp_path / "blobs" / f"sha256-{sha256(b'one weights')}"
    blob.parent.mkdir()
    partial = blob.with_name(f"{blob.name}-partial")
    for path, enough in ((partial, False), (blob, True)):
        with path.open("wb") as file:
            file.truncate(10**12)
        assert ("failed" not in model(models_dir=str(tmp_path), reserved_disk=0, check_mode=True)) is enough


def test_replaced_model_leaves_no_layers_behind(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    """A copy over a name frees nothing; only a delete does. So the old model is deleted under another name."""
    ollama.have("mistral:latest", "zero")
    registry.publish("mistral:latest", "one")
    model(state="latest")
    deleted = [body["model"] for method, _path, body in ollama.requests if method == "DELETE"]
    assert deleted == [f"127.0.0.1:{registry.port}/library/mistral:latest", "mistral:gizzi-replaced"]
    assert list(ollama.store) == ["mistral:latest"]


def test_model_that_the_server_cannot_read_replaces_nothing(
    model: Run, ollama: FakeOllama, registry: FakeRegistry
) -> None:
    old = ollama.have("mistral:latest", "zero")
    new = registry.publish("mistral:latest", "one")
    # Ollama leaves a model out of its list when its configuration is damaged.
    ollama.unreadable = {new}
    result = model(state="latest")
    assert "cannot read the model" in result["msg"]
    assert {name: sha256(body) for name, body in ollama.store.items()} == {"mistral:latest": old}
    ollama.unreadable = set()
    assert model(state="latest")["digest_after"] == new


def test_a_name_that_carries_its_host_is_pulled_as_it_is(ollama: FakeOllama, registry: FakeRegistry) -> None:
    registry.publish("team/mistral:7b", "one")
    name = parse_model_name(f"127.0.0.1:{registry.port}/team/mistral:7b")
    desired = _model_state.Desired(name, "present", Registry(registry.url), None, None, 0, 1, 10, 1)
    outcome = _model_state.sync(desired, Ollama(ollama.url, 1), check_mode=False)
    assert outcome.changed
    assert list(ollama.store) == [str(name)]
    assert ollama.paths("/api/copy") == []


def test_server_that_is_not_there(model: Run, ollama: FakeOllama) -> None:
    ollama.close()
    assert "Nothing listens on" in model()["msg"]


def test_server_that_refuses_the_host_header(model: Run, ollama: FakeOllama) -> None:
    ollama.host_check = True
    assert "Host: localhost:11434" in model()["msg"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"name": "bad name"}, "is not a model name"),
        ({"name": "mistral:local"}, "'mistral:local' can be stored and never answers"),
        ({"name": "mistral:7b-Cloud", "state": "latest"}, "Give it another tag"),
        ({"digest": "123"}, "64 hex digits"),
        ({"registry": "10.0.0.5:8070"}, "write 'http://10.0.0.5:8070'"),
        ({"registry": "http://10.0.0.5/path"}, "has a path"),
        ({"state": "newest"}, "value of state must be one of"),
    ],
)
def test_wrong_values_fail_before_any_request(
    model: Run, ollama: FakeOllama, args: dict[str, Any], complaint: str
) -> None:
    result = model(**args)
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert ollama.requests == []
