# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _update_run

REGISTRY = "https://registry.ollama.ai"
NEXT = "mistral:latest.gizzi-next"
PREVIOUS = "mistral:latest.gizzi-20261001T000000Z"
MISTRAL = {"name": "mistral"}
VALIDATOR = {"name": "etrid-validator", "from": "mistral:latest"}


def stored(name: str, digest: str) -> dict[str, Any]:
    return {
        "name": name,
        "digest": digest,
        "size": 1,
        "family": "llama",
        "parameter_size": "8.0B",
        "quantization_level": "Q4_K_M",
    }


def server(models: dict[str, str], loaded: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "models": [stored(name, digest) for name, digest in models.items()],
        "loaded": [{"name": name, "digest": digest} for name, digest in (loaded or {}).items()],
    }


def offer(digest: str = "new", *more: str) -> dict[str, Any]:
    return {"models": {"mistral": {"digest": digest, "digests": [digest, *more], "size": 9, "error": ""}}}


def plan(
    info: dict[str, Any],
    *models: dict[str, Any],
    offered: dict[str, Any] | None = None,
    keep: int = 1,
    mirrors: tuple[str, ...] = (),
    hashed: dict[str, Any] | None = None,
) -> dict[str, Any]:
    (row,) = _update_run.plan(info, hashed, offered or offer(), models or (MISTRAL,), keep, [REGISTRY, *mirrors])
    return row


@pytest.mark.parametrize(
    ("models", "loaded", "action"),
    [
        ({"mistral:latest": "new"}, {}, "none"),
        ({"mistral:latest": "new", PREVIOUS: "old"}, {"mistral:latest": "new"}, "none"),
        ({"mistral:latest": "old"}, {"mistral:latest": "old"}, "update"),
        # Cut off: after the pull, and after it while the tag moved on.
        ({"mistral:latest": "old", NEXT: "new"}, {}, "update"),
        ({"mistral:latest": "old", NEXT: "between"}, {}, "update"),
        # Cut off once the new model was in use.
        ({"mistral:latest": "new", NEXT: "new", PREVIOUS: "old"}, {}, "finish"),
        # Cut off on the way back, or the tag has moved back meanwhile.
        ({"mistral:latest": "new", NEXT: "old"}, {}, "sweep"),
        # Somebody has pulled by hand.
        ({"mistral:latest": "new"}, {"mistral:latest": "old"}, "load"),
        ({"mistral:latest": "new"}, {"mistral:latest": "new", "phi3:mini": "x"}, "none"),
        # Left over.
        ({"mistral:latest": "new", "mistral:latest.gizzi-failed": "bad"}, {}, "sweep"),
        ({"mistral:latest": "new", "mistral:gizzi-replaced": "old"}, {}, "sweep"),
        ({"mistral:latest": "new", PREVIOUS: "new"}, {}, "sweep"),
        ({"mistral:latest": "new", PREVIOUS: "old", PREVIOUS.replace("10", "09"): "older"}, {}, "sweep"),
        # Of other models and tags.
        ({"mistral:latest": "new", "mistral:7b.gizzi-next": "old", "phi3:latest.gizzi-failed": "bad"}, {}, "none"),
        ({}, {}, "blocked"),
    ],
)
def test_what_is_to_be_done(models: dict[str, str], loaded: dict[str, str], action: str) -> None:
    row = plan(server(models, loaded))
    assert row["action"] == action, row["reason"]
    assert row["model"] == "mistral:latest"
    assert row["digest_present"] == models.get("mistral:latest")
    assert row["digest_before"] == ("old" if action == "finish" else models.get("mistral:latest"))
    assert (row["digest_wanted"], row["size"]) == ("new", 9)


def test_a_manifest_that_an_old_server_wrote_anew_is_current() -> None:
    assert plan(server({"mistral:latest": "rewritten"}), offered=offer("new", "rewritten"))["action"] == "none"


def test_more_previous_models_may_stay() -> None:
    models = {"mistral:latest": "new", PREVIOUS: "old", PREVIOUS.replace("10", "09"): "older"}
    assert plan(server(models), keep=2)["action"] == "none"
    assert plan(server(models), keep=0)["action"] == "sweep"


def test_a_name_with_the_mirror_in_it_is_left_over() -> None:
    models = {"mistral:latest": "new", "mirror:5000/library/mistral:latest": "new"}
    assert plan(server(models))["action"] == "none"
    assert plan(server(models), mirrors=("http://mirror:5000",))["action"] == "sweep"


def test_a_pinned_model_follows_its_pin_and_not_the_tag() -> None:
    pinned = {"name": "mistral", "digest": "sha256:PIN"}
    row = plan(server({"mistral:latest": "pin"}), pinned, offered={"models": {}})
    assert (row["action"], row["pinned"], row["digest_wanted"]) == ("none", True, "pin")
    assert plan(server({"mistral:latest": "new"}), pinned, offered={"models": {}})["action"] == "update"


def test_models_made_from_it_belong_to_their_base() -> None:
    both = server({"mistral:latest": "old", "etrid-validator:latest": "made"})
    row = plan(both, MISTRAL, {**VALIDATOR, "system": "Be brief.", "template": None, "state": "present"})
    assert (row["action"], row["derived"]) == ("update", [{"name": "etrid-validator", "system": "Be brief."}])
    # The base need not be listed itself.
    assert plan(both, VALIDATOR)["model"] == "mistral:latest"
    missing = plan(server({"mistral:latest": "new"}), MISTRAL, VALIDATOR)
    assert missing["action"] == "blocked"
    assert "etrid-validator" in missing["reason"]


def test_what_cannot_be_known_is_not_touched() -> None:
    there = server({"mistral:latest": "old"})
    failed = {"models": {"mistral": {"digest": None, "digests": [], "size": 0, "error": "no such tag"}}}
    row = plan(there, offered=failed)
    assert (row["action"], row["reason"]) == ("unknown", "no such tag")
    row = plan(there, offered={"failed": True, "msg": "no route"})
    assert (row["action"], "no route" in row["reason"]) == ("unknown", True)
    row = plan({"unreachable": True, "msg": "ssh: timed out"})
    assert (row["action"], row["reason"]) == ("unreachable", "ssh: timed out")
    row = plan({"msg": "Nothing listens"})
    assert (row["action"], row["reason"]) == ("blocked", "Nothing listens")


def test_a_model_nobody_asked_about_is_a_fault_of_the_playbook() -> None:
    with pytest.raises(GizziError, match="nobody asked"):
        plan(server({"mistral:latest": "old"}), offered={"models": {}})
    with pytest.raises(GizziError, match="is a URL"):
        plan(server({}), {"name": "http://x/y"})


def with_layers(info: dict[str, Any], **layers: list[str]) -> dict[str, Any]:
    """Say what models consist of, by the part of their name before the colon; of the others nothing is known."""
    for model in info["models"]:
        model["layers"] = layers.get(model["name"].replace(":", "_").replace(".", "_").replace("-", "_"))
    return info


def offer_of(*layers: str) -> dict[str, Any]:
    offered = offer()
    offered["models"]["mistral"]["layers"] = list(layers)
    return offered


def test_the_same_content_is_current_whatever_its_digest() -> None:
    """As where a server before 0.19 wrote the manifest in its own way."""
    rewritten = with_layers(server({"mistral:latest": "other"}), mistral_latest=["config", "weights"])
    row = plan(rewritten, offered=offer_of("config", "weights"))
    assert (row["action"], row["digest_present"], row["digest_wanted"]) == ("none", "other", "new")
    assert plan(rewritten, offered=offer_of("weights", "config"))["action"] == "update"
    assert plan(rewritten, offered=offer_of("config", "newer"))["action"] == "update"


def test_without_the_content_of_both_digests_decide() -> None:
    assert plan(with_layers(server({"mistral:latest": "other"})), offered=offer_of("a"))["action"] == "update"
    assert plan(with_layers(server({"mistral:latest": "new"})), offered=offer_of("a"))["action"] == "none"
    known = with_layers(server({"mistral:latest": "other"}), mistral_latest=["a"])
    assert plan(known, offered=offer())["action"] == "update"
    assert plan(known, {"name": "mistral", "digest": "sha256:other"}, offered={"models": {}})["action"] == "none"


@pytest.mark.parametrize(("in_memory", "action"), [(False, "load"), (True, "none"), (None, "none")])
def test_weights_in_memory_are_older_only_if_they_are_others(in_memory: bool | None, action: str) -> None:
    """The list names an earlier manifest; by weights it is the same model."""
    there = server({"mistral:latest": "new"}, {"mistral:latest": "old"})
    there["models"][0]["loaded"] = in_memory
    assert plan(there)["action"] == action


def test_a_process_that_was_killed_is_no_older_weights() -> None:
    there = server({"mistral:latest": "new"}, {"mistral:latest": "new"})
    there["models"][0]["loaded"] = False
    assert plan(there)["action"] == "none"


def blob(status: str, *models: str, digest: str = "sha256:b1") -> dict[str, Any]:
    message = "" if status == "ok" else f"{models[0]}: blob {digest} is {status}"
    return {"digest": digest, "size": 5, "models": list(models), "status": status, "message": message}


CURRENT = {"mistral:latest": "new"}


@pytest.mark.parametrize("status", ["damaged", "missing"])
def test_a_damaged_model_is_pulled_anew(status: str) -> None:
    good, bad = blob("ok", "mistral:latest", digest="sha256:b0"), blob(status, "mistral:latest", "phi3:mini")
    elsewhere = blob("damaged", "phi3:mini", digest="sha256:b2")
    row = plan(server(CURRENT), hashed={"blobs": [good, bad, elsewhere]})
    assert (row["action"], row["damaged"], row["blobs"]) == ("update", ["sha256:b1"], [good, bad])
    assert row["reason"] == f"mistral:latest: blob sha256:b1 is {status}"


def test_whole_blobs_change_nothing() -> None:
    row = plan(server(CURRENT), hashed={"blobs": [blob("ok", "mistral:latest")]})
    assert (row["action"], row["damaged"], len(row["blobs"])) == ("none", [], 1)
    row = plan(server({"mistral:latest": "old"}), hashed={"blobs": [blob("ok", "mistral:latest")]})
    assert (row["action"], row["reason"]) == ("update", "the tag has moved")
    assert plan(server(CURRENT))["blobs"] == []


@pytest.mark.parametrize(
    "hashed", [{"blobs": [blob("not_checked", "mistral:latest")]}, {"msg": "sudo: a password is required"}]
)
def test_what_could_not_be_hashed_is_not_current(hashed: dict[str, Any]) -> None:
    row = plan(server(CURRENT), hashed=hashed)
    assert row["action"] == "blocked"
    assert "not_checked" in row["reason"] or "a password is required" in row["reason"]
    # What is to be done anyway is done.
    assert plan(server({"mistral:latest": "old"}), hashed=hashed)["action"] == "update"


def test_a_made_model_that_is_damaged_alone_cannot_be_pulled() -> None:
    both = server({**CURRENT, "etrid-validator:latest": "made"})
    row = plan(both, MISTRAL, VALIDATOR, hashed={"blobs": [blob("damaged", "etrid-validator:latest")]})
    assert (row["action"], row["damaged"]) == ("blocked", [])
    assert "etrid-validator:latest" in row["reason"]


def test_damage_that_no_registry_can_mend_now_is_told() -> None:
    row = plan(
        server(CURRENT),
        offered={"failed": True, "msg": "no route"},
        hashed={"blobs": [blob("damaged", "mistral:latest")]},
    )
    assert row["action"] == "unknown"
    assert "no route" in row["reason"]
    assert "damaged" in row["reason"]


def test_the_registry_is_asked_once_for_each_model_and_not_for_pinned_ones() -> None:
    pinned = {"name": "phi3", "digest": "0" * 64}
    assert _update_run.asked_models([MISTRAL, VALIDATOR, pinned, {"name": "mistral:latest"}]) == ["mistral:latest"]


class TestGoingBack:
    @staticmethod
    def look(name: str, verdict: str, reason: str = "why") -> dict[str, Any]:
        return {"item": name, "model": f"{name}:latest", "verdict": verdict, "reason": reason, "digest_before": "new"}

    def test_what_has_a_previous_model_goes_back_and_the_rest_is_left_alone(self) -> None:
        looks = [
            self.look("mistral", "planned"),
            self.look("phi3", "refused"),
            {"item": "x", "unreachable": True, "msg": "ssh"},
        ]
        rows = _update_run.rollback_plan(looks, False, [MISTRAL, VALIDATOR])
        assert [row["action"] for row in rows] == ["update", "none", "unreachable"]
        assert rows[0]["derived"] == [{"name": "etrid-validator"}]

    def test_what_was_named_must_have_one(self) -> None:
        looks = [self.look("mistral", "planned"), self.look("phi3", "refused")]
        assert [row["action"] for row in _update_run.rollback_plan(looks, True, [])] == ["update", "refused"]
        (row,) = _update_run.rollback_plan([self.look("phi3", "refused", "no previous model")], False, [])
        assert (row["action"], row["reason"]) == ("refused", "no previous model")


GOOD, ROOM = {"verdict": "planned", "reason": ""}, {"checks": [{"name": "memory", "ok": True, "message": ""}]}


@pytest.mark.parametrize(
    ("checks", "capacity", "reason", "gone"),
    [
        ([GOOD], ROOM, "", False),
        ([], {**ROOM, "checks": [{"name": "disk", "ok": False, "message": "no disk"}]}, "", False),
        ([{"verdict": "unhealthy", "reason": "it does not answer"}], ROOM, "it does not answer", False),
        ([GOOD], {"checks": [{"name": "memory_available", "ok": False, "message": "no memory"}]}, "no memory", False),
        ([{"failed": True, "msg": "Nothing listens"}], ROOM, "Nothing listens", False),
        ([GOOD], {"failed": True, "msg": "no such folder"}, "no such folder", False),
        ([{"unreachable": True, "msg": "ssh"}], ROOM, "the host became unreachable", True),
    ],
)
def test_who_is_not_fit(checks: list[dict[str, Any]], capacity: dict[str, Any], reason: str, gone: bool) -> None:
    assert _update_run.unfit({"results": checks}, capacity) == (reason, gone)


def test_the_canary_goes_first_where_it_is_fit() -> None:
    assert _update_run.first_of(["v1", "v2"], "v2") == "v2"
    assert _update_run.first_of(["v1", "v3"], "v2") == "v1"
    assert _update_run.first_of([], "v2") == ""


@pytest.mark.parametrize(
    ("results", "stopped"),
    [
        ([], ""),
        ([{"verdict": "updated"}, {"skipped": True}], ""),
        ([{"verdict": "updated"}, {"verdict": "restored", "reason": "too slow"}], "too slow"),
        ([{"unreachable": True, "msg": "ssh: timed out"}], "ssh: timed out"),
        ([{"failed": True, "msg": "Nothing listens"}], "Nothing listens"),
    ],
)
def test_nobody_is_touched_after_a_bad_verdict(results: list[dict[str, Any]], stopped: str) -> None:
    assert _update_run.why_stopped(results) == stopped
