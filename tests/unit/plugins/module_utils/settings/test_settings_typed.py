# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values by a specification: text becomes what it means, and everything that is wrong is said at once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import plain, shown, typed, without_prefix

MODELS = {
    "type": "list",
    "elements": "dict",
    "default": [{"name": "llama3.1:8b"}],
    "options": {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "latest", "absent"], "default": "present"},
        "digest": {"type": "str"},
        "parameters": {"type": "dict"},
    },
}
OPTIONS: dict[str, Any] = {
    "x_threads": {"type": "int", "default": 0},
    "x_keep": {"type": "bool", "default": True},
    "x_ratio": {"type": "float", "default": 0.5},
    "x_sources": {"type": "list", "elements": "str", "default": []},
    "x_environment": {"type": "dict", "default": {}},
    "x_token": {"type": "str", "no_log": True, "default": ""},
    "x_secrets": {"type": "dict", "no_log": True, "default": {}},
    "x_state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "x_folder": {"type": "path", "default": "/srv"},
    "x_models": MODELS,
    "x_endpoints": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"url": {"type": "int"}, "token": {"type": "str", "no_log": True}},
    },
}


def value(name: str, given: Any) -> Any:
    read = typed({name: OPTIONS[name]}, {name: given})
    assert read.problems == []
    return read.values[name]


def problems(**given: Any) -> list[str]:
    return typed(OPTIONS, given).problems


@pytest.mark.parametrize(
    ("name", "text", "meaning"),
    [
        ("x_threads", "4", 4),
        ("x_threads", "4000000000", 4000000000),
        ("x_keep", "false", False),
        ("x_keep", "yes", True),
        ("x_ratio", "0.25", 0.25),
        ("x_sources", "192.0.2.1, 2001:db8::1", ["192.0.2.1", "2001:db8::1"]),
        ("x_sources", "", []),
        ("x_sources", '["192.0.2.1"]', ["192.0.2.1"]),
        ("x_environment", '{"HTTPS_PROXY": "http://p:1"}', {"HTTPS_PROXY": "http://p:1"}),
        ("x_environment", "HTTPS_PROXY=http://p:1", {"HTTPS_PROXY": "http://p:1"}),
        ("x_environment", "", {}),
        (
            "x_models",
            '[{"name": "mistral"}]',
            [{"name": "mistral", "state": "present", "digest": None, "parameters": None}],
        ),
    ],
)
def test_text_of_the_command_line_becomes_what_it_means(name: str, text: str, meaning: Any) -> None:
    result = value(name, text)
    assert (result, result.__class__) == (meaning, meaning.__class__)


def test_what_is_not_given_is_the_default_and_items_have_the_defaults_of_their_options() -> None:
    read = typed(OPTIONS, {"unknown": 1})
    assert read.problems == []
    assert read.values["x_models"] == [{"name": "llama3.1:8b", "state": "present", "digest": None, "parameters": None}]
    assert "unknown" not in read.values
    read.values["x_sources"].append("changed")
    assert OPTIONS["x_sources"]["default"] == [], "the specification is nobody's to change"


@pytest.mark.parametrize(
    ("given", "meant"), [("a\n", "a"), ("a", "a"), ("", ""), ("a\nb\n", "a\nb\n"), ("a\nb", "a\nb")]
)
def test_a_secret_of_one_line_is_without_its_end(given: str, meant: str) -> None:
    """As ``openssl rand -hex 32 | ansible-vault encrypt_string`` keeps it."""
    assert value("x_token", given) == meant
    assert value("x_endpoints", [{"token": given}])[0]["token"] == meant
    assert value("x_folder", given) == given


def test_a_path_is_one_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/control")
    assert value("x_folder", "~/models/$HOME") == "~/models/$HOME"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"x_threads": "four"}, "x_threads is 'four'. It must be a whole number."),
        ({"x_threads": True}, "x_threads is true. It must be a whole number."),
        ({"x_threads": 1.5}, "x_threads is 1.5. It must be a whole number."),
        ({"x_threads": None}, "x_threads has no value. Give it one or leave it out."),
        ({"x_keep": "maybe"}, "x_keep is 'maybe'. It must be true or false."),
        ({"x_state": "gone"}, "x_state is 'gone'. It must be present or absent."),
        ({"x_state": False}, "x_state is false. It must be present or absent."),
        ({"x_folder": ["/a"]}, 'x_folder is ["/a"]. It must be text.'),
        ({"x_sources": {"a": 1}}, 'x_sources is {"a": 1}. It must be a list.'),
        ({"x_sources": ["a", None]}, "x_sources[1] has no value. Give it one or leave it out."),
        (
            {"x_sources": "[a]"},
            "x_sources is '[a]'. It looks like JSON and is none: names and texts need double quotes.",
        ),
        ({"x_environment": "x"}, "x_environment is 'x'. It must be a mapping."),
        (
            {"x_environment": {"HTTPS_PROXY": None}},
            "x_environment.HTTPS_PROXY has no value. Give it one or leave it out.",
        ),
        (
            {"x_environment": {"a": [{"b": None}]}},
            "x_environment.a[0].b has no value. Give it one or leave it out.",
        ),
        ({"x_models": [{"state": "present"}]}, "x_models[0].name is not set. Set it."),
        (
            {"x_models": [{"name": "a"}, {"name": "b", "state": "gone"}]},
            "x_models[1].state is 'gone'. It must be present, latest or absent.",
        ),
        (
            {"x_models": [{"name": "a", "stat": "present"}]},
            "x_models[0] has the key 'stat', which is unknown. Its keys are name, state, digest, parameters.",
        ),
        ({"x_models": [{"name": "a", "state": None}]}, "x_models[0].state has no value. Give it one or leave it out."),
        ({"x_models": "mistral"}, "x_models[0] is 'mistral'. It must be a mapping."),
    ],
)
def test_each_problem_names_value_and_remedy(given: dict[str, Any], problem: str) -> None:
    assert problems(**given) == [problem]


def test_all_problems_are_said_at_once_and_the_others_keep_their_values() -> None:
    read = typed(OPTIONS, {"x_threads": "four", "x_keep": "false", "x_models": [{"nam": "a"}, {"name": "b"}]})
    assert len(read.problems) == 3
    assert read.values["x_keep"] is False
    assert read.values["x_threads"] == 0
    assert [model["name"] for model in read.values["x_models"]] == ["b"]
    assert read.complete
    assert read.wrong == {"x_threads"}


def test_a_null_where_there_is_no_default_means_nothing() -> None:
    assert value("x_models", [{"name": "a", "digest": None}])[0]["digest"] is None


def test_what_is_required_and_missing_makes_the_values_incomplete() -> None:
    read = typed({"x_id": {"type": "int", "required": True}}, {})
    assert (read.problems, read.complete) == (["x_id is not set. Set it in the inventory or with -e."], False)
    assert not typed({"x_id": {"type": "int", "required": True}}, {"x_id": "a"}).complete


@pytest.mark.parametrize(
    "given",
    [
        {"x_token": ["hunter2"]},
        {"x_secrets": "hunter2"},
        {"x_secrets": '{"a": hunter2}'},
        {"x_endpoints": {"token": "hunter2"}},
    ],
)
def test_a_secret_is_in_no_message(given: dict[str, Any]) -> None:
    (problem,) = problems(**given)
    assert "hunter2" not in problem
    assert problem.startswith(f"{next(iter(given))} has a wrong value, which is secret. It ")


def test_what_stands_beside_a_secret_is_shown() -> None:
    (problem,) = problems(x_endpoints=[{"url": "x", "token": "hunter2"}])
    assert problem == "x_endpoints[0].url is 'x'. It must be a whole number."


def test_values_are_of_pythons_own_types() -> None:
    class Tagged(str):
        pass

    (key,) = plain({Tagged("a"): [Tagged("b")]})
    assert key.__class__ is str
    assert plain(Tagged("b")).__class__ is str
    assert value("x_environment", {"a": Tagged("b")})["a"].__class__ is str


def test_a_message_shows_a_value_on_one_short_line() -> None:
    assert shown("a\nb") == "'a\\x0ab'"
    assert len(shown("a" * 1000)) == 120


def test_names_lose_the_prefix_of_their_role() -> None:
    assert without_prefix("ollama", {"ollama_listen": 1, "validator_id": 2}) == {"listen": 1, "validator_id": 2}
