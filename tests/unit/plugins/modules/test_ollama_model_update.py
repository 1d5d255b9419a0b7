# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The update of one model on one server, state by state, and cut off at every request."""

from __future__ import annotations

import itertools
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _http, _json_lines, _node, _silence
from ansible_collections.etrid.gizzi.plugins.module_utils._update import alone, loading
from ansible_collections.etrid.gizzi.plugins.modules import ollama_model_update
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeServer, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry

    Run = Callable[..., dict[str, Any]]

MODEL, DERIVED = "mistral:latest", "etrid-validator:latest"
NEXT, FAILED = f"{MODEL}.gizzi-next", f"{MODEL}.gizzi-failed"
GOOD, WORSE = {"capital": "It is Paris."}, {"capital": "!!!!"}
PROMPTS = [{"name": "France", "prompt": "capital", "pattern": "Paris"}]


class Validator(FakeServer):
    """A node whose height rises with each look, unless it is told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.height, self.peers, self.stalls = 100, [24], False

    def answer(self, http: Any, body: Any) -> None:
        self.height += 0 if self.stalls else 1
        peers = self.peers.pop(0) if len(self.peers) > 1 else self.peers[0]
        page = "".join(f'substrate_block_height{{status="{one}"}} {self.height}\n' for one in ("best", "finalized"))
        http.send(200, f"{page}substrate_sub_libp2p_peers_count {peers}\n".encode())


class Fleet:
    """One server with one model, a registry that holds another one under its tag, and what they are called.

    Attributes:
        old, new: the digests of the model in use and of the one at the registry.
        judged: the digests that have answered the prompts well, and so may be in use.
    """

    def __init__(self, run_module: Run, ollama: FakeOllama, registry: FakeRegistry, folder: Path) -> None:
        self._run_module, self.ollama, self.registry = run_module, ollama, registry
        ollama.models_dir = folder
        (folder / "blobs").mkdir(parents=True)
        ollama.loads = True
        self.old = self.offer(b"old")
        body = registry.manifests["/v2/library/mistral/manifests/latest"]
        ollama.store[MODEL] = body
        for content in (b"{}old", b"old"):
            (folder / "blobs" / f"sha256-{sha256(content)}").write_bytes(content)
        ollama.save()
        ollama.answers = GOOD
        self.new = self.offer(b"new")
        self.judged = {self.old}

    def offer(self, weights: bytes) -> str:
        """Let the registry have a model of these weights under the tag; return its digest."""
        return self.registry.publish_content(MODEL, b"{}" + weights, weights)

    def update(self, **args: Any) -> dict[str, Any]:
        given = {
            "url": self.ollama.url,
            "registry": self.registry.url,
            "models_dir": str(self.ollama.models_dir),
            "reserved_disk": 0,
            "name": MODEL,
            "prompts": PROMPTS,
            "stall_timeout": 0.3,
            "answer_timeout": 5,
            "fail_on": "never",
        }
        return self._run_module(ollama_model_update.main, **{**given, **args})

    def names(self) -> dict[str, str]:
        """The digest of each name in the store, a previous model's time left out."""
        found = {}
        for name, body in self.ollama.store.items():
            stem, mark, time = name.partition(".gizzi-2")
            found[f"{stem}.previous" if mark and time else name] = sha256(body)
        return found

    def in_memory(self) -> dict[str, str]:
        return {model["name"]: model["digest"] for model in self.ollama.loaded}

    def asked(self) -> list[str]:
        """The names of the models that were asked the prompts, in order."""
        bodies = [body for _method, path, body in self.ollama.requests if path == "/api/generate"]
        return [body["model"] for body in bodies if body.get("prompt") == "capital"]


PREVIOUS = f"{MODEL}.previous"


@pytest.fixture
def fleet(run_module: Run, ollama: FakeOllama, registry: FakeRegistry, tmp_path: Path) -> Fleet:
    return Fleet(run_module, ollama, registry, tmp_path / "models")


@pytest.fixture
def validator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Validator]:
    monkeypatch.setattr(_node, "PAUSE", 0.02)
    with closing(Validator()) as node:
        yield node


def test_what_is_no_worse_comes_into_use(fleet: Fleet) -> None:
    result = fleet.update()
    assert (result["verdict"], result["changed"], result["reason"]) == ("updated", True, "the tag has moved")
    assert (result["digest_before"], result["digest_after"]) == (fleet.old, fleet.new)
    assert result["digest_wanted"] == fleet.new
    assert (result["pass_rate_before"], result["pass_rate_after"]) == (1, 1)
    assert (result["speed_before"], result["speed_after"]) == (15, 15)
    assert result["bytes_pulled"] > 0
    assert fleet.names() == {MODEL: fleet.new, PREVIOUS: fleet.old}
    assert fleet.in_memory() == {MODEL: fleet.new}
    assert len(result["kept"]) == 1
    again = fleet.update()
    assert (again["verdict"], again["changed"]) == ("current", False)


def test_it_is_judged_before_it_comes_into_use(fleet: Fleet) -> None:
    fleet.update()
    assert fleet.asked() == [MODEL, NEXT]
    order = [
        (body.get("destination"), body.get("prompt"))
        for _method, path, body in fleet.ollama.requests
        if path in ("/api/copy", "/api/generate") and MODEL in (body.get("destination"), body.get("model"), NEXT)
    ]
    assert order.index((MODEL, None)) > max(i for i, (_name, prompt) in enumerate(order) if prompt == "capital")


def test_the_model_before_is_evaluated_once(fleet: Fleet) -> None:
    fleet.update()
    fleet.offer(b"newer")
    fleet.ollama.requests.clear()
    result = fleet.update()
    # The one in use was measured when it came.
    assert fleet.asked() == [NEXT]
    assert (result["verdict"], result["speed_before"], result["pass_rate_before"]) == ("updated", 15, 1)
    # Another release of Ollama, or other prompts, may do otherwise.
    fleet.ollama.version = "0.35.0"
    fleet.offer(b"newest")
    fleet.ollama.requests.clear()
    fleet.update()
    assert fleet.asked() == [MODEL, NEXT]
    fleet.offer(b"last")
    fleet.ollama.requests.clear()
    fleet.update(prompts=[{**PROMPTS[0], "pattern": "(?i)paris"}])
    assert fleet.asked() == [MODEL, NEXT]


def test_a_busy_server_is_not_updated(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its silence was a bad answer of the model in use, and was kept as that: a worse model would have passed."""
    looks = itertools.count()
    monkeypatch.setattr(_silence, "cpu_behind", lambda _url: {7: next(looks) * 10.0})
    fleet.ollama.silent_answers = 1
    result = fleet.update(prompt_timeout=0.3)
    assert (result["verdict"], result["changed"]) == ("unhealthy", False)
    assert result["reason"].startswith("the model in use cannot be evaluated: mistral:latest gave no token for 0.3 s")
    assert "busy with other questions" in result["reason"]
    assert fleet.ollama.paths("/api/pull") == []
    # When it is free again.
    assert fleet.update()["verdict"] == "updated"


def test_a_new_model_on_a_busy_server_does_not_come_into_use(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr(_silence, "cpu_behind", lambda _url: {7: next(looks) * 10.0})
    fleet.update(until="pulled")
    fleet.ollama.silent_answers = 1
    result = fleet.update(prompt_timeout=0.3)
    assert result["verdict"] == "restored"
    assert f"the new model cannot be evaluated: {NEXT} gave no token for 0.3 s" in result["reason"]
    assert fleet.names() == {MODEL: fleet.old}
    # It is not held against the model.
    assert fleet.update()["verdict"] == "updated"


def test_a_batch_pulls_first_and_serves_what_was_judged(fleet: Fleet) -> None:
    result = fleet.update(until="pulled")
    assert (result["verdict"], result["changed"]) == ("pulled", True)
    assert fleet.names() == {MODEL: fleet.old, NEXT: fleet.new}
    pulls = len(fleet.ollama.paths("/api/pull"))
    assert fleet.update(until="pulled")["changed"] is False
    assert fleet.update()["verdict"] == "updated"
    assert len(fleet.ollama.paths("/api/pull")) == pulls == 1
    assert fleet.names() == {MODEL: fleet.new, PREVIOUS: fleet.old}


def test_a_tag_that_moves_between_pull_and_verdict(fleet: Fleet) -> None:
    fleet.update(until="pulled")
    newer = fleet.offer(b"newer")
    assert fleet.update()["reason"] == "an update was interrupted, and the tag has moved again"
    assert fleet.names() == {MODEL: newer, PREVIOUS: fleet.old}


def test_a_tag_that_moves_back_leaves_nothing(fleet: Fleet) -> None:
    fleet.update(until="pulled")
    fleet.offer(b"old")
    result = fleet.update()
    assert (result["verdict"], result["removed"]) == ("swept", [NEXT])
    assert result["freed"] > 0
    assert fleet.names() == {MODEL: fleet.old}
    assert {path.name for path in (fleet.ollama.models_dir / "blobs").iterdir()} == {
        f"sha256-{sha256(content)}" for content in (b"{}old", b"old")
    }


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda fleet: fleet.ollama.own_answers.update({fleet.new: WORSE}), "0% of the prompts are answered well"),
        (lambda fleet: fleet.ollama.broken_models.add(fleet.new), "does not load"),
        (lambda fleet: fleet.ollama.answer_seconds.extend([0.2, 2, 2, 2, 2]), "too slow"),
        (lambda fleet: setattr(fleet.ollama, "pull_fault", "mismatch"), "digest mismatch"),
        (lambda fleet: setattr(fleet.ollama, "pull_fault", "error"), "max retries exceeded"),
    ],
)
def test_what_is_worse_never_comes_into_use(fleet: Fleet, spoil: Callable[[Fleet], object], reason: str) -> None:
    spoil(fleet)
    result = fleet.update()
    assert (result["verdict"], result["digest_after"]) == ("restored", fleet.old), result["reason"]
    assert reason in result["reason"]
    assert fleet.names() == {MODEL: fleet.old}
    assert fleet.in_memory() == {MODEL: fleet.old}
    # Of the pull that was given up nothing is left either.
    assert fleet.update(fail_on="bad")["failed"] is True


def test_what_was_worse_leaves_the_memory_where_the_model_in_use_is_asked_all_the_while(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.1)
    fleet.ollama.own_answers[fleet.new] = WORSE
    fleet.ollama.asked_all_the_while = {"name": MODEL, "digest": fleet.old}
    assert fleet.update()["verdict"] == "restored"
    assert fleet.in_memory() == {MODEL: fleet.old}


def test_what_measured_nothing_does_not_pass(fleet: Fleet) -> None:
    fleet.ollama.answers = WORSE
    result = fleet.update()
    assert result["verdict"] == "restored"
    assert "nothing was measured: none of the 1 prompts" in result["reason"]


def test_a_server_that_is_not_well_is_not_touched(fleet: Fleet) -> None:
    fleet.ollama.broken_models.add(fleet.old)
    result = fleet.update()
    assert (result["verdict"], result["changed"]) == ("unhealthy", False)
    assert "the model in use does not answer" in result["reason"]
    assert fleet.names() == {MODEL: fleet.old}
    fleet.ollama.broken_models.clear()
    result = fleet.update(reserved_disk=10**18)
    assert (result["verdict"], "Not enough disk" in result["reason"]) == ("unhealthy", True)
    assert fleet.update(name="phi3")["verdict"] == "unhealthy"


def test_a_registry_that_does_not_tell_is_no_reason_to_touch_anything(fleet: Fleet) -> None:
    fleet.registry.status = 500
    result = fleet.update()
    assert (result["verdict"], result["changed"]) == ("failed", False)
    assert "the registry is broken" in result["reason"]


def test_a_look_touches_nothing(fleet: Fleet) -> None:
    before = dict(fleet.ollama.store)
    result = fleet.update(until="checked")
    assert (result["verdict"], result["changed"], result["bytes_missing"]) == ("planned", False, len(b"{}newnew"))
    assert fleet.ollama.store == before
    fleet.ollama.loaded.clear()
    result = fleet.update(check_mode=True)
    assert (result["verdict"], result["changed"], result["digest_wanted"]) == ("planned", True, fleet.new)
    assert (fleet.ollama.store, fleet.ollama.loaded) == (before, [])
    fleet.ollama.broken_models.add(fleet.old)
    assert fleet.update(until="checked")["verdict"] == "unhealthy"


def test_a_pinned_model_follows_its_digest(fleet: Fleet) -> None:
    assert fleet.update(digest=f"sha256:{fleet.old}")["verdict"] == "current"
    assert fleet.update(digest=fleet.new)["verdict"] == "updated"
    assert fleet.update(digest=fleet.old)["verdict"] == "failed"


def test_older_weights_in_memory_are_loaded_anew(fleet: Fleet) -> None:
    fleet.offer(b"old")
    fleet.ollama.loaded = [{"name": MODEL, "digest": "0" * 64}]
    fleet.ollama.loads = False
    fleet.ollama.post_generate = lambda http, body: (  # type: ignore[method-assign]
        fleet.ollama.loaded.clear()
        if body.get("keep_alive") == 0
        else fleet.ollama.loaded.append({"name": MODEL, "digest": fleet.old}),
        type(fleet.ollama).post_generate(fleet.ollama, http, body),
    )
    result = fleet.update()
    assert (result["verdict"], result["reason"]) == ("reloaded", "older weights are in memory")


@pytest.mark.parametrize("stalls", [True, False])
def test_a_validator_that_suffers(fleet: Fleet, validator: Validator, stalls: bool) -> None:
    watched = {"validator_metrics": f"{validator.url}/metrics", "validator_timeout": 0.2}
    assert fleet.update(**watched, until="pulled")["verdict"] == "pulled"
    if stalls:
        validator.stalls = True
    else:
        validator.peers = [24, 24, 2]
    result = fleet.update(**watched)
    assert (result["verdict"], result["digest_after"]) == ("restored", fleet.old)
    assert ("height stays at" if stalls else "has lost its peers") in result["reason"]
    assert fleet.names() == {MODEL: fleet.old}


def test_a_validator_that_cannot_be_watched(fleet: Fleet, validator: Validator) -> None:
    url = validator.url
    validator.close()
    result = fleet.update(validator_metrics=url)
    assert (result["verdict"], result["changed"]) == ("unhealthy", False)
    assert "the validator beside the server" in result["reason"]


def test_a_validator_that_goes_on(fleet: Fleet, validator: Validator) -> None:
    assert fleet.update(validator_metrics=validator.url)["verdict"] == "updated"


def test_a_model_that_only_embeds_is_loaded_and_not_asked(fleet: Fleet) -> None:
    fleet.ollama.contents[MODEL] = {"weights": ["a1" * 32], "capabilities": ["embedding"]}
    fleet.ollama.contents[f"127.0.0.1:{fleet.registry.port}/library/{MODEL}"] = fleet.ollama.contents[MODEL]
    result = fleet.update()
    assert (result["verdict"], result["pass_rate_before"], fleet.asked()) == ("updated", None, [])


def made(fleet: Fleet) -> list[dict[str, Any]]:
    """A model derived from the one that is updated."""
    fleet.ollama.contents[MODEL] = {"weights": ["a1" * 32]}
    fleet.ollama.contents[f"127.0.0.1:{fleet.registry.port}/library/{MODEL}"] = {"weights": ["b2" * 32]}
    fleet.ollama.have_content(DERIVED, weights=["a1" * 32], system="Be brief.")
    return [{"name": "etrid-validator", "system": "Be brief."}]


def test_what_is_made_from_it_is_made_anew(fleet: Fleet) -> None:
    before = made(fleet)
    result = fleet.update(derived=before)
    assert result["verdict"] == "updated", result["reason"]
    (row,) = result["derived"]
    assert (row["model"], row["verdict"], row["reason"]) == (DERIVED, "rebuilt", f"made from {MODEL}")
    assert fleet.ollama.contents[DERIVED]["weights"] == ["b2" * 32]
    assert set(fleet.names()) == {MODEL, PREVIOUS, DERIVED}


def test_one_that_cannot_be_made_brings_the_model_before_back(fleet: Fleet) -> None:
    definitions = made(fleet)
    fleet.ollama.create_fault = "error"
    result = fleet.update(derived=definitions)
    assert result["verdict"] == "restored"
    assert "template error" in result["reason"]
    assert fleet.ollama.contents[DERIVED]["weights"] == ["a1" * 32]
    assert fleet.names()[MODEL] == fleet.old


def test_damaged_weights_are_pulled_again(fleet: Fleet) -> None:
    fleet.offer(b"old")
    blob = fleet.ollama.models_dir / "blobs" / f"sha256-{sha256(b'old')}"
    blob.write_bytes(b"olD")
    assert fleet.update()["verdict"] == "current"
    fleet.ollama.loaded = [{"name": MODEL, "digest": fleet.old}]
    result = fleet.update(verify_blobs=True)
    assert result["verdict"] == "updated", result["reason"]
    assert f"{MODEL}: the blob sha256:{sha256(b'old')}" in result["reason"]
    assert blob.read_bytes() == b"old"
    assert fleet.names() == {MODEL: fleet.old}
    assert {"model": MODEL, "keep_alive": 0, "stream": False} in [body for *_rest, body in fleet.ollama.requests]


def test_a_pull_that_the_network_ends_is_resumed(fleet: Fleet) -> None:
    post_pull, left = fleet.ollama.post_pull, ["truncated", "error", "ends"]

    def breaking(http: Any, body: Any) -> None:
        fleet.ollama.pull_fault = left.pop(0) if left else ""
        post_pull(http, body)

    fleet.ollama.post_pull = breaking  # type: ignore[method-assign]
    result = fleet.update(stall_timeout=5)
    assert result["verdict"] == "updated", result["reason"]
    assert len(fleet.ollama.paths("/api/pull")) == 4


def test_long_tags_have_shorter_ones_beside_them(fleet: Fleet) -> None:
    tags = [f"mistral:{'t' * 57}{end}" for end in "ab"]
    for name in tags:
        fleet.ollama.store[name] = fleet.ollama.store[MODEL]
        tag = name.rpartition(":")[2]
        fleet.registry.manifests[f"/v2/library/mistral/manifests/{tag}"] = fleet.registry.manifests[
            "/v2/library/mistral/manifests/latest"
        ]
    fleet.ollama.save()
    assert fleet.update(name=tags[0], until="pulled")["verdict"] == "pulled"
    result = fleet.update(name=tags[0])
    assert result["verdict"] == "updated", result["reason"]
    assert all(len(name.rpartition(":")[2]) <= 80 for name in fleet.ollama.store)
    assert fleet.names()[tags[1]] == fleet.old
    assert len(result["kept"]) == 1
    assert fleet.update(name=tags[1], state="previous")["verdict"] == "refused"
    assert fleet.update(name=tags[0], state="previous")["digest_after"] == fleet.old


def test_previous_models_that_stay(fleet: Fleet) -> None:
    fleet.update(keep=2)
    fleet.ollama.store[f"{MODEL}.gizzi-20260901T000000Z"] = fleet.registry.manifests[
        "/v2/library/mistral/manifests/latest"
    ]
    fleet.ollama.store[f"{MODEL}.gizzi-20250901T000000Z"] = json.dumps({"another": 1}).encode()
    assert fleet.update(keep=2)["verdict"] == "swept"
    assert len([name for name in fleet.ollama.store if ".gizzi-2" in name]) == 2
    fleet.update(keep=0)
    assert fleet.names() == {MODEL: fleet.new}


def test_what_a_pull_from_a_mirror_has_left_goes(fleet: Fleet) -> None:
    fleet.offer(b"old")
    fleet.ollama.store[f"127.0.0.1:{fleet.registry.port}/library/{MODEL}"] = fleet.ollama.store[MODEL]
    fleet.ollama.store[f"other:5000/library/{MODEL}"] = fleet.ollama.store[MODEL]
    assert fleet.update()["verdict"] == "swept"
    assert set(fleet.ollama.store) == {MODEL, f"other:5000/library/{MODEL}"}


class TestGoingBack:
    def test_the_newest_previous_model_comes_back(self, fleet: Fleet) -> None:
        fleet.update()
        result = fleet.update(state="previous", check_mode=True)
        assert (result["verdict"], result["changed"], result["digest_wanted"]) == ("planned", True, fleet.old)
        assert fleet.names()[MODEL] == fleet.new
        result = fleet.update(state="previous")
        assert (result["verdict"], result["digest_before"], result["digest_after"]) == (
            "rolled_back",
            fleet.new,
            fleet.old,
        )
        assert result["reason"].startswith(f"back to {MODEL}.gizzi-2")
        assert fleet.names() == {MODEL: fleet.old}
        assert fleet.in_memory() == {MODEL: fleet.old}

    def test_without_a_previous_model_it_is_refused(self, fleet: Fleet) -> None:
        result = fleet.update(state="previous")
        assert (result["verdict"], result["changed"]) == ("refused", False)
        assert "nothing to go back to" in result["reason"]

    def test_a_previous_model_that_does_not_answer_changes_nothing(self, fleet: Fleet) -> None:
        fleet.update()
        fleet.ollama.broken_models.add(fleet.old)
        result = fleet.update(state="previous")
        assert (result["verdict"], result["digest_after"]) == ("restored", fleet.new)
        assert fleet.names() == {MODEL: fleet.new, PREVIOUS: fleet.old}

    def test_what_is_made_goes_back_too(self, fleet: Fleet) -> None:
        definitions = made(fleet)
        fleet.update(derived=definitions)
        result = fleet.update(derived=definitions, state="previous")
        assert (result["verdict"], result["derived"][0]["verdict"]) == ("rolled_back", "rebuilt")
        assert fleet.ollama.contents[DERIVED]["weights"] == ["a1" * 32]


class CutError(BaseException):
    """The run is killed."""


class Cut:
    """Kills a run before its request of some number; none with 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = self.count = 0
        opened = _http.opened

        def cut(*args: Any, **more: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                raise CutError
            return opened(*args, **more)

        for module in (_http, _json_lines):
            monkeypatch.setattr(module, "opened", cut)

    def run(self, at: int, update: Callable[[], dict[str, Any]]) -> bool:
        """Run, killed at a request; return whether it came that far."""
        self.at, self.count = at, 0
        try:
            update()
        except CutError:
            return True
        finally:
            self.at = 0
        return False


def watch_use(fleet: Fleet, names: dict[str, set[str]]) -> list[str]:
    """See that public names only ever stand for what may be in use; return what was wrong."""
    wrong: list[str] = []
    save = fleet.ollama.save

    def saved() -> None:
        for name, allowed in names.items():
            if sha256(fleet.ollama.store[name]) not in allowed:
                wrong.append(f"{name} stands for {sha256(fleet.ollama.store[name])[:12]}")
        save()

    fleet.ollama.save = saved  # type: ignore[method-assign]
    return wrong


@pytest.mark.parametrize("state", ["good", "worse", "previous"])
def test_cut_off_at_every_request(
    run_module: Run,
    ollama: FakeOllama,
    registry: FakeRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    """At whatever request a run is killed, the next one ends it, and nobody was served what was not judged."""
    monkeypatch.setattr(loading, "PAUSE", 0.01)
    cut = Cut(monkeypatch)
    for at in range(1, 1000):
        fleet = fresh(run_module, ollama, registry, tmp_path / str(at))
        definitions = made(fleet)
        run = {"derived": definitions, "state": "previous"} if state == "previous" else {"derived": definitions}
        if state == "previous":
            updated(fleet)
        if state == "worse":
            ollama.own_answers[fleet.new] = WORSE
        wrong = watch_use(fleet, {MODEL: {fleet.old} if state == "worse" else {fleet.old, fleet.new}})
        if not cut.run(at, lambda fleet=fleet, run=run: fleet.update(**run)):
            assert at > 20
            return
        kept = {fleet.old} & set(fleet.names().values())
        assert kept, f"cut off at {at}: the model before is lost"
        if fleet.names()[MODEL] == fleet.new and state == "good":
            assert NEXT in fleet.names() or PREVIOUS in fleet.names()
        result = fleet.update(**run)
        what = f"cut off at {at}: {result['verdict']}: {result['reason']}"
        assert not wrong, what
        names = fleet.names()
        if state == "good":
            assert result["verdict"] in ("updated", "swept", "current"), what
            assert names == {MODEL: fleet.new, PREVIOUS: fleet.old, DERIVED: names[DERIVED]}, what
        elif state == "worse":
            assert result["verdict"] == "restored", what
            assert names == {MODEL: fleet.old, DERIVED: names[DERIVED]}, what
        else:
            assert result["verdict"] in ("rolled_back", "refused"), what
            left = fleet.update(derived=definitions, digest=fleet.old)
            assert left["verdict"] in ("current", "swept", "updated"), what
            assert fleet.names() == {MODEL: fleet.old, DERIVED: names[DERIVED]}, what
        weights = "b2" if state == "good" else "a1"
        assert ollama.contents[DERIVED]["weights"] == [weights * 32], what
        assert not {name for name in names if name.startswith("127.0.0.1")}, what


def fresh(run_module: Run, ollama: FakeOllama, registry: FakeRegistry, folder: Path) -> Fleet:
    """Begin anew with the same servers."""
    ollama.store.clear()
    ollama.contents.clear()
    ollama.loaded.clear()
    ollama.own_answers.clear()
    if "save" in vars(ollama):
        del ollama.save  # type: ignore[method-assign]
    return Fleet(run_module, ollama, registry, folder)


def updated(fleet: Fleet) -> None:
    """Begin with an update that went well."""
    ollama, body = fleet.ollama, fleet.registry.manifests["/v2/library/mistral/manifests/latest"]
    weights = ollama.contents[f"127.0.0.1:{fleet.registry.port}/library/{MODEL}"]
    previous = f"{MODEL}.gizzi-20261001T000000Z"
    ollama.store[previous], ollama.contents[previous] = ollama.store[MODEL], ollama.contents[MODEL]
    ollama.store[MODEL], ollama.contents[MODEL] = body, weights
    ollama.have_content(DERIVED, **weights, system="Be brief.")
    for content in (b"{}new", b"new"):
        (ollama.models_dir / "blobs" / f"sha256-{sha256(content)}").write_bytes(content)
    ollama.save()


def test_one_update_at_a_time_on_a_server(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run whose control host is gone goes on; the next one waits for it, and for ever only in vain."""
    monkeypatch.setattr(alone, "PAUSE", 0.02)
    with alone.alone(1):
        message = fleet.update(answer_timeout=0.1)["msg"]
        assert "still under way" in message
        assert fleet.ollama.requests == []
        # A dry run touches nothing, and so meets nobody.
        assert fleet.update(check_mode=True)["verdict"] == "planned"
    assert fleet.update()["verdict"] == "updated"


def test_wrong_values_are_named_before_anything_is_asked(fleet: Fleet) -> None:
    assert "-1 previous models" in fleet.update(keep=-1)["msg"]
    assert "no part" in fleet.update(minimum_speed=1.5)["msg"]
    assert "there is none" in fleet.update(prompts=[])["msg"]
    assert "made from itself" in fleet.update(derived=[{"name": MODEL}])["msg"]
    assert fleet.ollama.requests == []
