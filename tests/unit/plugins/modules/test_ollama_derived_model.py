# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.modules import ollama_derived_model
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

NAME = "etrid-validator:latest"
BASE: dict[str, Any] = {
    "weights": [sha256(b"weights"), sha256(b"projector")],
    "template": '{{ if .System }}"{{ .System }}"\nSYSTEM x\n{{ end }}{{ .Prompt }}',
    "system": "You are a base.",
    "parameters": {"stop": ["<|im_end|>"], "num_thread": 1},
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
    "license": 'Licence\nTEMPLATE "of" things\nPARSER none',
    "messages": [{"role": "user", "content": "Hi"}],
    "renderer": "smol",
    "parser": "smol",
}
DEFINITION: dict[str, Any] = {
    "system": 'You are "fair".\nAnd brief.\n',
    "parameters": {"temperature": 0, "num_ctx": 4096},
}


@pytest.fixture
def base(ollama: FakeOllama) -> str:
    return ollama.have_content("base:1b", **BASE)


@pytest.fixture
def model(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama, base: str) -> Run:
    def run(name: str = "etrid-validator", **args: Any) -> dict[str, Any]:
        return run_module(
            ollama_derived_model.main, **{"url": ollama.url, "name": name, "from": "base:1b", **DEFINITION, **args}
        )

    return run


def adapter_in(folder: Path, content: bytes = b"GGUF adapter") -> str:
    path = folder / "adapter.gguf"
    path.write_bytes(content)
    return str(path)


def creations(ollama: FakeOllama) -> list[Any]:
    return [body for _method, path, body in ollama.requests if path == "/api/create"]


def test_makes_what_is_missing(model: Run, ollama: FakeOllama, base: str) -> None:
    result = model()
    assert (result["changed"], result["reasons"], result["warnings"]) == (True, ["missing"], [])
    assert (result["model"], result["base"], result["base_digest"]) == (NAME, "base:1b", base)
    assert (result["digest_before"], result["digest_after"]) == (None, sha256(ollama.store[NAME]))
    assert creations(ollama) == [{"model": NAME, "from": "base:1b", "stream": True, **DEFINITION}]


def test_second_run_only_looks(model: Run, ollama: FakeOllama) -> None:
    made = model()["digest_after"]
    ollama.requests.clear()
    result = model(name="library/etrid-validator:latest")
    assert (result["changed"], result["reasons"]) == (False, [])
    assert result["digest_before"] == result["digest_after"] == made
    assert [path for _method, path, _body in ollama.requests] == ["/api/tags", "/api/show", "/api/show"]


CHANGES = [
    ("system", {"system": "You are new."}),
    ("template", {"template": "{{ .Prompt }}"}),
    ("parameters", {"parameters": {"temperature": 0.5, "num_ctx": 4096}}),
    # What is taken out of the definition goes back to the base's.
    ("parameters", {"parameters": {"temperature": 0}}),
    ("parameters", {"parameters": {"temperature": 0, "num_ctx": 4096, "stop": ["a", "<|im_end|>"]}}),
]


@pytest.mark.parametrize(("part", "change"), CHANGES)
def test_a_changed_definition(model: Run, ollama: FakeOllama, part: str, change: dict[str, Any]) -> None:
    before = model()["digest_after"]
    predicted = model(**change, check_mode=True)
    assert len(creations(ollama)) == 1
    result = model(**change)
    assert result["changed"] is predicted["changed"] is True
    assert result["reasons"] == predicted["reasons"] == [part]
    assert result["digest_before"] == before != result["digest_after"]
    assert predicted["digest_after"] is None
    assert set(result["diff"]["before"]) == set(result["diff"]["after"]) == {"name", "digest", part}
    assert predicted["diff"]["after"][part] == result["diff"]["after"][part] != result["diff"]["before"][part]
    assert model(**change)["changed"] is False
    assert model()["digest_after"] == before


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("weights", [sha256(b"new weights")]),
        ("template", "{{ .Prompt }}"),
        ("parameters", {"stop": ["<|end|>"], "num_thread": 1}),
        ("license", "another"),
        ("messages", []),
        ("renderer", "smol2"),
        ("parser", ""),
    ],
)
def test_a_changed_base(model: Run, ollama: FakeOllama, part: str, value: Any) -> None:
    model()
    digest = ollama.have_content("base:1b", **{**BASE, part: value})
    result = model()
    assert (result["changed"], result["reasons"], result["base_digest"]) == (True, [part], digest)
    assert model()["changed"] is False


def test_a_change_of_the_base_that_the_definition_hides(model: Run, ollama: FakeOllama) -> None:
    model()
    digest = ollama.have_content("base:1b", **{**BASE, "system": "You are another."})
    result = model()
    assert (result["changed"], result["base_digest"]) == (False, digest)
    assert len(creations(ollama)) == 1


def test_an_empty_definition_is_the_base(model: Run, ollama: FakeOllama) -> None:
    model(system="", parameters={})
    assert creations(ollama) == [{"model": NAME, "from": "base:1b", "stream": True}]
    assert model(system="", parameters={"num_thread": None})["changed"] is False


def test_values_get_their_types(model: Run, ollama: FakeOllama) -> None:
    """A template may give a number as text, with which Ollama could not load the model."""
    given = {"num_ctx": "2048", "top_p": " 1e-5 ", "use_mmap": "True", "stop": "x", "num_thread": None}
    model(parameters=given)
    assert creations(ollama)[0]["parameters"] == {"num_ctx": 2048, "top_p": 1e-5, "use_mmap": True, "stop": ["x"]}
    assert model(parameters=given)["changed"] is False


@pytest.mark.parametrize(("version", "refused"), [("0.34.2", True), ("0.30.0", True), ("0.9.3", False)])
def test_threads_are_the_servers_business_since_0_30(
    model: Run, ollama: FakeOllama, version: str, refused: bool
) -> None:
    ollama.version = version
    for check_mode in (True, False):
        result = model(parameters={"num_thread": "2"}, check_mode=check_mode)
        assert result.get("failed", False) is refused
        assert ("ollama_cpu_threads" in result.get("msg", "")) is refused
    assert len(creations(ollama)) == (0 if refused else 1)


def test_threads_that_an_earlier_run_put_into_the_model_go(model: Run, ollama: FakeOllama) -> None:
    ollama.have_content("base:1b", **{**BASE, "parameters": {"stop": ["<|im_end|>"]}})
    ollama.version = "0.9.3"
    model(parameters={"temperature": 0, "num_thread": 2})
    assert ollama.contents[NAME]["parameters"]["num_thread"] == 2
    ollama.version = "0.34.2"
    predicted = model(parameters={"temperature": 0}, check_mode=True)
    result = model(parameters={"temperature": 0})
    assert (
        (result["changed"], result["reasons"]) == (predicted["changed"], predicted["reasons"]) == (True, ["parameters"])
    )
    assert "num_thread" not in ollama.contents[NAME]["parameters"]
    assert model(parameters={"temperature": 0})["changed"] is False


def test_more_context_than_the_base_was_trained_for(model: Run, ollama: FakeOllama) -> None:
    assert model(parameters={"num_ctx": 8192})["changed"] is True
    for check_mode in (True, False):
        message = model(parameters={"num_ctx": 131072}, check_mode=check_mode)["msg"]
        assert "num_ctx: 131072 tokens are more than the 8192 for which base:1b was trained" in message
    assert len(creations(ollama)) == 1


def test_a_server_that_does_not_tell_what_the_base_was_trained_for(model: Run, ollama: FakeOllama) -> None:
    ollama.have_content("base:1b", **{key: value for key, value in BASE.items() if key != "model_info"})
    result = model(parameters={"num_ctx": 131072})
    assert result["changed"] is True
    assert "does not tell for how much context base:1b was trained" in result["warnings"][0]
    assert "131072 tokens" in result["warnings"][0]
    assert model(parameters={"num_ctx": 131072})["changed"] is False
    assert model(parameters={"temperature": 0})["warnings"] == []


def test_a_creation_that_failed_and_made_the_model_all_the_same(model: Run, ollama: FakeOllama) -> None:
    create = ollama.post_create

    def create_and_break(http: Any, body: Any) -> None:
        ollama.create_fault = "ends"
        ollama.have_content(NAME, **BASE)
        create(http, body)

    ollama.post_create = create_and_break  # type: ignore[method-assign]
    message = model()["msg"]
    assert f"The server has made {sha256(ollama.store[NAME])[:12]} all the same" in message
    assert "Nothing was made" not in message


def test_adapter(model: Run, ollama: FakeOllama, tmp_path: Path) -> None:
    path = adapter_in(tmp_path)
    digest = sha256(b"GGUF adapter")
    assert model(adapter=path, check_mode=True)["reasons"] == ["missing"]
    assert ollama.blobs == {}
    model(adapter=path)
    assert ollama.blobs == {digest: b"GGUF adapter"}
    assert ollama.contents[NAME]["adapters"] == [digest]
    assert model(adapter=path)["changed"] is False
    result = model(adapter=path, system="You are new.")
    assert result["reasons"] == ["system"]
    # What the server has already is not sent again.
    assert [method for method, path, _body in ollama.requests if "blobs" in path] == ["HEAD", "POST", "HEAD"]
    adapter_in(tmp_path, b"GGUF another")
    assert model(adapter=path, system="You are new.")["reasons"] == ["adapter"]
    assert model(system="You are new.")["reasons"] == ["adapter"]


def test_server_that_takes_no_adapters(model: Run, ollama: FakeOllama, tmp_path: Path) -> None:
    ollama.adapters_supported = False
    result = model(adapter=adapter_in(tmp_path))
    assert result["failed"] is True
    assert "answered 400: LoRA adapters are no longer supported. Nothing was made." in result["msg"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("error", "template error: template: :1: unexpected EOF"),
        ("ends", "broke off after 'using existing layer sha256:00'"),
        ("silence", "no answer for 0.3 s"),
        ("500", "the store is read-only"),
    ],
)
def test_failed_creation_keeps_the_old_model(model: Run, ollama: FakeOllama, fault: str, reason: str) -> None:
    old = model()["digest_after"]
    ollama.create_fault = fault
    started = time.monotonic()
    result = model(system="You are new.", timeout=0.3)
    assert time.monotonic() - started < 2
    assert result["failed"] is True
    assert reason in result["msg"]
    assert f"({old[:12]}) is untouched" in result["msg"]
    assert sha256(ollama.store[NAME]) == old
    ollama.create_fault = ""
    assert model(system="You are new.")["changed"] is True


def test_base_that_is_not_there(model: Run, ollama: FakeOllama) -> None:
    """The server would pull it on its own, unchecked."""
    old = model()["digest_after"]
    result = model(**{"from": "base:2b"})
    assert "does not have base:2b, from which etrid-validator:latest is to be made. Pull it first" in result["msg"]
    predicted = model(**{"from": "base:2b"}, check_mode=True)
    assert (predicted["changed"], predicted["reasons"], predicted["base_digest"]) == (True, ["base"], None)
    assert (predicted["digest_before"], predicted["digest_after"]) == (old, None)
    assert "fails unless something pulls it first" in str(predicted["warnings"])
    assert len(creations(ollama)) == 1


def test_model_that_the_server_cannot_read_is_made_anew(model: Run, ollama: FakeOllama) -> None:
    ollama.have(NAME, "damaged")
    assert model()["reasons"] == ["missing"]
    assert model()["changed"] is False


def test_base_that_the_server_cannot_read(model: Run, ollama: FakeOllama) -> None:
    del ollama.contents["base:1b"]
    assert "lists base:1b but cannot read it" in model()["msg"]
    ollama.have_content("base:1b", template="{{ .Prompt }}")
    assert "does not say which weights base:1b has" in model()["msg"]
    assert creations(ollama) == []


def test_server_that_adds_something_of_its_own(model: Run, ollama: FakeOllama) -> None:
    ollama.own_parameters = {"stop": ["<turn|>"]}
    assert "shows it with another parameters than asked" in str(model()["warnings"])
    again = model()
    assert (again["changed"], again["reasons"]) == (False, ["parameters"])


def test_server_that_is_no_ollama(model: Run, ollama: FakeOllama) -> None:
    ollama.post_show = lambda http, body: http.send(200, b"[]")  # type: ignore[method-assign]
    assert "/api/show did not answer with a model" in model()["msg"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"name": "bad name"}, "is not a model name"),
        ({"name": "host.example/team/x"}, "names a registry"),
        ({"from": "library/etrid-validator"}, "cannot be made from itself"),
        ({"name": "etrid:1-cloud"}, "'etrid:1-cloud' can be stored and never answers"),
        ({"from": "base:local"}, "'base:local' can be stored and never answers"),
        ({"parameters": {"num_cxt": 1, "tmp": 1}}, "parameters: num_cxt: Ollama does not know this parameter"),
        ({"parameters": {"num_cxt": 1}}, "Is num_ctx meant?"),
        ({"parameters": {"num_ctx": "many"}}, "num_ctx is 'many'. Write a number, true or false"),
        ({"parameters": {"num_ctx": [1]}}, "num_ctx is [1]"),
        ({"parameters": {"temperature": "nan"}}, "temperature is 'nan'"),
        ({"parameters": {"stop": [1]}}, "stop is [1]. Write a text or a list of texts"),
        ({"adapter": "/does/not/exist"}, "/does/not/exist cannot be read: No such file"),
        ({"adapter": "/etc/hostname"}, "/etc/hostname is not in GGUF format"),
        ({"adapter": "/dev/zero"}, "/dev/zero cannot be read: It is no regular file"),
    ],
)
def test_wrong_values_fail_before_any_request(
    model: Run, ollama: FakeOllama, args: dict[str, Any], complaint: str
) -> None:
    result = model(**args)
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert ollama.requests == []
