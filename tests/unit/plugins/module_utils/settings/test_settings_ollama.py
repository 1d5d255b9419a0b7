# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role ollama refuses, with value and remedy, and what follows from its values."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings.ollama import (
    derived,
    host_derived,
    host_problems,
    look,
    problems,
)
from ansible_collections.etrid.gizzi.tests.unit.plugins.ollama_values import NO_EARLIER, ollama_values

MIB = 1024 * 1024
PULLED = {"name": "phi3"}
OFFER: dict[str, Any] = {"digest": None, "layers": None, "error": "There is no such model.", "header": None}

# Each rule: values, and what is said of them.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"version": "v0.34.2"}, ['ollama_version is "v0.34.2". Write it in quotes and without a v']),
    ({"version": "0.34"}, ['ollama_version is "0.34".']),
    ({"minimum_version": "newest"}, ['ollama_minimum_version is "newest". Write it in quotes', '"0.31.2"']),
    (
        {"version": "0.34.1", "minimum_version": "0.99.0"},
        ["0.34.1 is older than ollama_minimum_version 0.99.0", 'set ollama_minimum_version to "0.34.1"'],
    ),
    ({"version": "0.31.2-rc1"}, ["0.31.2-rc1 is older than ollama_minimum_version 0.31.2"]),
    ({"version": "0.34.2-rc2", "minimum_version": "0.34.2-rc10"}, ["0.34.2-rc2 is older"]),
    (
        {"checksum": "A" * 64},
        [f'ollama_checksum is "{"A" * 64}". It is the SHA-256', "lower-case hex digits, or empty"],
    ),
    ({"release_url": "http://x"}, ['ollama_release_url is "http://x". It must start with https://, or with http://']),
    ({"release_url": "https://", "checksum": "a" * 64}, ['ollama_release_url is "https://"']),
    ({"release_url": "ftp://me:hunter2@x"}, ['ollama_release_url is "ftp://***@x"']),
    ({"registry": "registry.ollama.ai"}, ['ollama_registry is "registry.ollama.ai". It must start with https://']),
    ({"offered": [1]}, ["ollama_offered is no mapping of models, but [1]. Give what module ollama_registry_info has"]),
    ({"offered": {"phi3": {"manifest": "<html>"}}}, ["ollama_offered: phi3: its manifest is none:"]),
    ({"mirror": "192.0.2.1:11444"}, ['ollama_mirror is "192.0.2.1:11444". Write it as "http://192.0.2.1:11444"']),
    (
        {"bundle": "/srv/models.tar"},
        ["ollama_bundle is set and ollama_offered is empty. Give it what module model_bundle"],
    ),
    ({"bundle": "models.tar", "offered": {"phi3": OFFER}}, ["ollama_bundle is 'models.tar'. Write the whole path"]),
    (
        {"bundle": "/srv/models.tar", "offered": {"phi3": OFFER}, "mirror": "http://192.0.2.1:11444"},
        ["ollama_bundle and ollama_mirror are both set."],
    ),
    ({"listen": "127.0.0.1"}, ['ollama_listen is "127.0.0.1". Write an address and a port, for instance']),
    ({"listen": "::1:11434"}, ['ollama_listen is "::1:11434"']),
    ({"listen": "256.0.0.1:1"}, ['ollama_listen is "256.0.0.1:1"']),
    ({"listen": "gizzi:11434"}, ['ollama_listen is "gizzi:11434"']),
    ({"listen": "[fe80::1%eth0]:1"}, ["ollama_listen is"]),
    ({"listen": "127.0.0.1:0"}, ["ollama_listen is"]),
    ({"listen": "127.0.0.1:65536"}, ["ollama_listen is"]),
    ({"allowed_sources": ["validator01"]}, ["ollama_allowed_sources: source 'validator01' is not an IP address"]),
    (
        {"allowed_sources": ["0.0.0.0/0"]},
        ["ollama_allowed_sources: source '0.0.0.0/0' would open the port to everybody"],
    ),
    ({"models_dir": "/"}, ['ollama_models_dir is "/". Name an absolute path to a directory of its own']),
    ({"models_dir": "/srv/my models"}, ['ollama_models_dir is "/srv/my models"', "without spaces"]),
    ({"metrics_dir": "/node exporter"}, ['ollama_metrics_dir is "/node exporter"', "or leave it empty"]),
    ({"models": [PULLED, {"name": "phi3:latest"}]}, ["names a model twice: phi3, phi3:latest"]),
    ({"models": [PULLED | {"digest": "F" * 64}]}, ["A digest in ollama_models is not a SHA-256", "phi3"]),
    ({"models": [{"name": "own", "from": "phi3"}]}, ["from phi3, which it does not pull itself. Add that as an item"]),
    (
        {"models": [PULLED, {"name": "here/there/own", "from": "phi3"}]},
        ["makes here/there/own from another model, but the name is one of a registry", "etrid/validator:v1"],
    ),
    (
        {"models": [PULLED, {"name": "own", "from": "phi3", "state": "latest"}]},
        ["makes own from another model, and so has no digest and no state latest"],
    ),
    ({"models": [PULLED, {"name": "own", "from": "phi3", "digest": "a" * 64}]}, ["so has no digest"]),
    ({"models": [PULLED | {"system": "Hello"}]}, ["sets system for a model that is pulled", 'as its "from"']),
    ({"models": [PULLED | {"parameters": {"seed": 1}, "template": "x"}]}, ["sets template and parameters for"]),
    (
        {"version": "0.34.1", "models": [PULLED, {"name": "own", "from": "phi3", "adapter": "/srv/a.gguf"}]},
        ["Ollama 0.34.1 makes no models with one any more", 'ollama_version to "0.34.0"'],
    ),
    ({"models": [{"name": "bad name"}]}, ["ollama_models: bad name: name: 'bad name' is not a model name"]),
    ({"models": [{"name": "x:cloud"}]}, ["ollama_models: x:cloud: name: 'x:cloud' can be stored and never answers"]),
    (
        {"models": [PULLED, {"name": "y", "from": "phi3", "parameters": {"num_cxt": 1}}]},
        ["ollama_models: y: parameters: num_cxt: Ollama does not know", "Is num_ctx meant?"],
    ),
    (
        {"models": [PULLED, {"name": "y", "from": "phi3", "parameters": {"num_thread": 2}}]},
        ["parameters: num_thread: ", "ollama_cpu_threads of the role sets the threads"],
    ),
    (
        {"models": [PULLED, {"name": "y", "from": "phi3", "parameters": {"num_ctx": "8192"}}]},
        ["num_ctx: 8192 tokens are more than ollama_context_length, 4096"],
    ),
    ({"environment": {"A-B": 1}}, ["a name that no variable can have: A-B"]),
    ({"environment": {"TWO": "lines\nhunter2"}}, ["is not one line of text: TWO"]),
    ({"environment": {"LIST": ["hunter2"]}}, ["is not one line of text: LIST"]),
    ({"environment": {"A": "", "HTTPS_PROXY": None}}, ["has no value for A and HTTPS_PROXY. Leave the name out"]),
    ({"environment": {"LLAMA_API_KEY": "hunter2"}}, ["ollama_environment sets LLAMA_API_KEY. Leave it out"]),
    (
        {"environment": {"OLLAMA_CONTEXT_LENGTH": 1, "LLAMA_ARG_CACHE_RAM": 1}},
        ["Set ollama_context_length and ollama_prompt_cache instead."],
    ),
    ({"systemd_overrides": {"Servce": {"Nice": 1}}}, ["is wrong at Servce. It must have the form"]),
    ({"systemd_overrides": {"Service": "Nice=1"}}, ["is wrong at Service."]),
    ({"systemd_overrides": {"Service": {"nice": 1}}}, ["is wrong at Service.nice."]),
    ({"systemd_overrides": {"Service": {"Nice": "1\nUser=root"}}}, ["is wrong at Service.Nice."]),
    ({"systemd_overrides": {"Service": {"ExecStartPre": None}}}, ["is wrong at Service.ExecStartPre."]),
    ({"systemd_overrides": {"Service": {"CPUQuota": "100%"}}}, ["has CPUQuota", "Set ollama_cpu_threads"]),
    ({"cpu_threads": -1}, ["ollama_cpu_threads is -1. It must be 0 or more"]),
    (
        {"cpu_threads": 2, "version": "0.9.3", "minimum_version": "0.9.3"},
        ["ollama_cpu_threads is 2.", "0 with a version older than 0.30.0"],
    ),
    ({"memory_max": "12GB"}, ['ollama_memory_max is "12GB". Write it as "12G"']),
    ({"cpu_weight": 0}, ["ollama_cpu_weight is 0. It goes from 1 to 10000."]),
    ({"io_weight": 10001}, ["ollama_io_weight is 10001. It goes from 1 to 10000."]),
    ({"reserved_memory": -1}, ["ollama_reserved_memory is -1. It must be 0 or more."]),
    ({"reserved_disk": -1}, ["ollama_reserved_disk is -1. It must be 0 or more."]),
    ({"prompt_cache": -1}, ["ollama_prompt_cache is -1. It must be 0 or more."]),
    ({"minimum_cpus": 0}, ["ollama_minimum_cpus is 0. It must be 1 or more."]),
    ({"start_timeout": 0}, ["ollama_start_timeout is 0. It must be 1 or more."]),
    ({"pull_timeout": 0}, ["ollama_pull_timeout is 0. It must be 1 or more."]),
    ({"pull_stall_timeout": 0}, ["ollama_pull_stall_timeout is 0. It must be 1 or more."]),
    ({"context_length": 255}, ["ollama_context_length is 255. It must be 256 or more."]),
]


@pytest.mark.parametrize(("values", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused(values: dict[str, Any], said: list[str]) -> None:
    (problem,) = problems(ollama_values(**values))
    assert all(part in problem for part in said)
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"version": "0.34.2-rc2", "minimum_version": "0.34.2-rc1"},
        {"version": "0.31.10"},
        {"checksum": "a" * 64, "release_url": "http://here"},
        {"registry": "http://mirror:8080"},
        {"mirror": "http://192.0.2.1:11444", "mirror_fallback": True},
        {"listen": "[::]:11434"},
        {"listen": "localhost:1"},
        {"models_dir": "/srv/ollama/models", "metrics_dir": "/var/lib/prometheus/node-exporter"},
        {"models": [PULLED | {"digest": "sha256:" + "a" * 64, "state": "latest"}]},
        {"models": [PULLED, {"name": "y", "from": "phi3:latest", "parameters": {"num_ctx": 4096, "temperature": 0}}]},
        {"models": [{"name": "x:cloud", "state": "absent"}]},
        {"version": "0.34.0", "models": [PULLED, {"name": "y", "from": "phi3", "adapter": "/srv/a.gguf"}]},
        {"environment": {"HTTPS_PROXY": "http://me:x@proxy:3128", "OLLAMA_DEBUG": True}},
        {"systemd_overrides": {"Service": {"Environment": ["", "A=1"], "MemoryDenyWriteExecute": False}}},
        {"memory_max": "50%", "cpu_threads": 2, "prompt_cache": MIB},
    ],
    ids=str,
)
def test_taken(values: dict[str, Any]) -> None:
    assert problems(ollama_values(**values)) == []


@pytest.mark.parametrize(
    "path",
    ["/etc/models", "/home/me/models", "/lib64/x", "/var/tmp/x", "/var/lib/ollama", "/var/models", "/opt/ollama/x"],
)
def test_a_store_is_not_where_others_have_their_files(path: str) -> None:
    (problem,) = problems(ollama_values(models_dir=path))
    assert f'ollama_models_dir is "{path}"' in problem


def test_everything_is_said_at_once() -> None:
    values = ollama_values(version="v1", listen="x", models=[{"name": "bad name"}, {"name": "y", "from": "x:cloud"}])
    found = problems(values)
    assert len(found) == 5
    # A wrong name comes before what may follow from it.
    assert [problem.startswith("ollama_models: ") for problem in found] == [False, False, True, True, False]


def test_text_of_the_command_line_has_its_type() -> None:
    """As -e x=4 brings it: what passed as text broke later in mid-change."""
    values = ollama_values(keep_models="false", cpu_threads="4", reserved_memory="4000000000", prompt_cache="2097152")
    assert (values["keep_models"], values["cpu_threads"], values["reserved_memory"]) == (False, 4, 4_000_000_000)
    assert problems(values) == []
    assert derived(values)["variables"]["LLAMA_ARG_THREADS"] == 4
    assert derived(values)["variables"]["LLAMA_ARG_CACHE_RAM"] == 2


@pytest.mark.parametrize(
    ("listen", "url", "on_loopback", "metrics_address"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434", True, "localhost"),
        ("127.1.2.3:1", "http://127.1.2.3:1", True, "localhost"),
        ("localhost:1", "http://localhost:1", True, "localhost"),
        ("[::1]:1", "http://[::1]:1", True, "localhost"),
        ("0.0.0.0:1", "http://127.0.0.1:1", False, "localhost"),
        ("[::]:1", "http://127.0.0.1:1", False, "localhost"),
        ("[fd42::1]:11500", "http://[fd42::1]:11500", False, "fd42::1"),
        ("192.0.2.1:11500", "http://192.0.2.1:11500", False, "192.0.2.1"),
    ],
)
def test_where_the_server_is(listen: str, url: str, on_loopback: bool, metrics_address: str) -> None:
    found = derived(ollama_values(listen=listen))
    assert (found["url"], found["port"]) == (url, int(listen.rpartition(":")[2]))
    assert (found["on_loopback"], found["metrics_address"]) == (on_loopback, metrics_address)


def test_variables_of_a_current_release() -> None:
    found = derived(ollama_values(context_length=8192, prompt_cache=5 * MIB - 1, cpu_threads=2))
    assert found["variables"] == {
        "OLLAMA_HOST": "127.0.0.1:11434",
        "OLLAMA_MODELS": "/var/lib/ollama/models",
        "OLLAMA_CONTEXT_LENGTH": 8192,
        "LLAMA_ARG_CACHE_RAM": 4,
        "LLAMA_ARG_THREADS": 2,
    }
    asked = look(ollama_values(context_length=8192, prompt_cache=5 * MIB - 1, cpu_threads=2))
    assert set(asked["ollama_environment"]["names"]) >= set(found["variables"])
    assert found["release"] == "/opt/ollama/0.34.2"


def test_no_cache_is_said_to_a_current_release_alone() -> None:
    assert derived(ollama_values())["variables"]["LLAMA_ARG_CACHE_RAM"] == 0
    assert "LLAMA_ARG_THREADS" not in derived(ollama_values())["variables"]
    before = derived(ollama_values(version="0.9.3", prompt_cache=100 * MIB))
    assert set(before["variables"]) == {"OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_CONTEXT_LENGTH"}


def test_environment_goes_over_the_defaults() -> None:
    value = """two words, 100% $HOME `id` "double" 'single' back\\slash # ü"""
    lines = derived(ollama_values(environment={"OLLAMA_NO_CLOUD": 0, "X": value}))["environment_lines"]
    assert {'OLLAMA_NO_CLOUD="0"', 'OLLAMA_NUM_PARALLEL="1"', 'OLLAMA_MAX_LOADED_MODELS="1"'} <= set(lines)
    # A shell takes within double quotes what systemd does.
    assert shlex.split(lines[-1].replace("\\$", "$").replace("\\`", "`")) == [f"X={value}"]


def test_overrides_repeat_a_setting() -> None:
    overrides = {"Unit": {"After": "a.service"}, "Service": {"Environment": ["", "A=1"], "PrivateTmp": False}}
    assert derived(ollama_values(systemd_overrides=overrides))["override_lines"] == {
        "Unit": ["After=a.service"],
        "Service": ["Environment=", "Environment=A=1", "PrivateTmp=False"],
    }


def test_models_by_what_is_done_with_them() -> None:
    models = [{"name": "phi3"}, {"name": "own", "from": "phi3"}, {"name": "gone", "from": "x", "state": "absent"}]
    found = derived(ollama_values(models=models))
    names = {key: [model["name"] for model in found[f"models_{key}"]] for key in ("pulled", "derived", "removed")}
    assert names == {"pulled": ["phi3:latest"], "derived": ["own:latest"], "removed": ["gone:latest"]}
    assert found["models_derived"][0]["from"] == "phi3:latest"
    assert found["models_wanted"] == ["phi3:latest", "own:latest"]


def test_where_the_store_is() -> None:
    assert derived(ollama_values())["store_at_home"] is True
    assert derived(ollama_values(models_dir="/var/lib/ollama-models/x"))["store_at_home"] is False


def test_threads_of_a_model_before_the_child() -> None:
    models = [PULLED, {"name": "y", "from": "phi3", "parameters": {"num_thread": 2}}]
    assert problems(ollama_values(models=models, version="0.9.3", minimum_version="0.9.3")) == []


FOLDER = {"kind": "folder", "owner": "root"}
STORE = "/var/lib/ollama/models"
SERVER = {"host": "127.0.0.1", "url": "http://127.0.0.1:11434", "port": 11434, "on_loopback": True}


def host(system: dict[str, Any] | None = None, **paths: Any) -> dict[str, Any]:
    """Return what host_state says of a host that can have the server; paths by their last part."""
    known = {"architecture": "x86_64", "service_manager": "systemd", "systemd": 252, "machine_id": "0123"} | (
        system or {}
    )
    names = {"models": STORE, "exporter": "/var/lib/exporter"}
    seen = {"exporter": FOLDER} | paths
    return {
        "system": known,
        "paths": {path: seen.get(name) for name, path in names.items()},
        "releases": {"/opt/ollama": {"current": "0.34.1", "finished": ["0.34.1"], "unfinished": []}},
        "units": {"ollama.service": {"active": "active"}, "ollama-metrics.timer": {"active": "inactive"}},
        "ollama_environment": {"problems": [], "unset": ["LLAMA_API_KEY"], "foreign": [], "server": SERVER},
        "guards": {},
        "takeover": {"ollama": NO_EARLIER},
        "capacity": {"refusal": "", "facts": {"memory_total": 16 * 10**9}},
    }


def test_a_host_that_can_have_the_server() -> None:
    values = ollama_values(metrics_dir="/var/lib/exporter")
    assert host_problems(values, host()) == []
    assert host_problems(values, host(models=FOLDER)) == []
    assert set(look(values)["paths"]) == set(host()["paths"])
    assert "" not in look(ollama_values())["paths"]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (host({"architecture": "riscv64"}), "The host is riscv64. Ollama is released for x86_64 and aarch64."),
        (host({"systemd": 246}), "does not run systemd 247 or newer"),
        (host({"systemd": None}), "does not run systemd 247 or newer"),
        (host({"service_manager": "init"}), "does not run systemd 247 or newer"),
        (host(exporter=None), 'ollama_metrics_dir is "/var/lib/exporter", and the host has no such folder. Install'),
        (host(exporter={"unseen": "no access"}), "the host has no such folder"),
        (
            host(models={"kind": "link", "target": "/etc"}),
            f'ollama_models_dir is "{STORE}", and on the host {STORE} is a link',
        ),
        (host(models={"kind": "file"}), "is no folder. Put a folder there"),
        (host(models={"unseen": "a link of others on the way"}), "not to be looked at: a link of others on the way."),
    ],
)
def test_a_host_that_cannot(seen: dict[str, Any], said: str) -> None:
    (problem,) = host_problems(ollama_values(metrics_dir="/var/lib/exporter"), seen)
    assert said in problem


def test_a_link_on_the_way_to_the_store() -> None:
    values = ollama_values(models_dir="/var/lib/ollama/large/models")
    way = ["/var/lib/ollama/large", "/var/lib/ollama/large/models"]
    assert set(way) <= set(look(values)["paths"])
    seen = host()
    seen["paths"] |= {way[0]: {"kind": "link", "target": "/etc"}, way[1]: FOLDER}
    (problem,) = host_problems(values, seen)
    assert "on the host /var/lib/ollama/large is a link to /etc" in problem


def test_what_shows_that_a_server_was_there() -> None:
    kept = ollama_values(state="absent", models_dir="/srv/ollama/models")
    nothing = dict.fromkeys(look(kept)["paths"])
    assert {"/opt/ollama", "/etc/sysusers.d/ollama.conf", "/srv/ollama/models"} <= set(nothing)

    def left(values: dict[str, Any], **paths: Any) -> bool:
        seen = host() | {"paths": dict.fromkeys(look(values)["paths"]) | paths}
        found: bool = host_derived(values, seen)["left"]
        return found

    assert not left(kept)
    assert left(kept, **{"/opt/ollama": FOLDER})
    assert left(kept, **{"/opt/ollama": {"unseen": "no right"}})
    # Models that are to stay are no reason to remove anything.
    assert not left(kept, **{"/srv/ollama/models": FOLDER})
    gone = kept | {"keep_models": False}
    assert left(gone, **{"/srv/ollama/models": FOLDER})
    assert left(gone, **{"/var/lib/ollama": FOLDER})


def test_the_host_is_judged_by_what_the_server_needs() -> None:
    models = [{"name": "phi3"}, {"name": "own", "from": "phi3"}, {"name": "old", "state": "absent"}]
    seen = look(ollama_values(models=models, listen="[::]:11500", environment={"HTTPS_PROXY": "http://p:1"}))
    assert seen["capacity"]["models"] == ["phi3:latest"]
    assert (seen["capacity"]["port"], seen["capacity"]["min_cpus"]) == (11500, 2)
    assert {"OLLAMA_HOST", "HTTPS_PROXY"} <= set(seen["ollama_environment"]["names"])
    assert set(look(ollama_values(state="absent"))) == {"paths", "takeover"}


def test_what_the_registry_names_is_kept_for_the_models_that_are_pulled() -> None:
    models = [{"name": "phi3"}, {"name": "mistral"}, {"name": "old", "state": "absent"}]
    values = ollama_values(models=models, offered={"Phi3:latest": OFFER, "old": OFFER, "others": OFFER})
    assert problems(values) == []
    values |= derived(values)
    assert values["offered"] == {"phi3:latest": OFFER}
    assert look(values)["capacity"]["offered"] == {"phi3:latest": OFFER}


def test_models_of_a_bundle_are_pinned_to_it() -> None:
    models = [
        {"name": "phi3", "state": "latest"},
        {"name": "mistral"},
        {"name": "gemma", "digest": "b" * 64, "state": "latest"},
        {"name": "own", "from": "mistral"},
    ]
    offered = {name: {**OFFER, "digest": "a" * 64} for name in ("phi3:latest", "mistral:latest", "gemma:latest")}
    values = derived(ollama_values(models=models, offered=offered, bundle="/srv/models.tar"))
    assert [model.get("digest") for model in values["models_pulled"]] == ["a" * 64, None, "b" * 64]
    assert values["models_bundled"] == [
        {"name": "phi3:latest", "state": "latest"},
        {"name": "mistral:latest", "state": "present"},
        {"name": "gemma:latest", "state": "latest", "digest": "b" * 64},
    ]
    without = derived(ollama_values(models=models, offered=offered))
    assert [model.get("digest") for model in without["models_pulled"]] == [None, None, "b" * 64]


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("capacity", {"refusal": "This host is too small."}, "This host is too small."),
        ("capacity", {"unseen": "no /proc"}, "no /proc"),
        ("ollama_environment", {"problems": ["z.conf empties Environment=."]}, "z.conf empties Environment=."),
        ("ollama_environment", {"unseen": "no bus"}, "cannot be seen: no bus. Run the role as root."),
        ("units", {"ollama.service": {"unseen": "no bus"}, "ollama-metrics.timer": {}}, "cannot be seen: no bus."),
        ("releases", {"/opt/ollama": {"unseen": "no right"}}, "cannot be seen: no right."),
    ],
)
def test_a_host_that_does_not_suffice_or_cannot_be_seen(section: str, value: Any, said: str) -> None:
    (problem,) = host_problems(ollama_values(), host() | {section: value})
    assert said in problem


def test_what_is_there_before_the_first_change() -> None:
    found = host_derived(ollama_values(version="0.34.2"), host())
    assert found["installed"] is False
    assert (found["current"], found["running"], found["measured"]) == ("0.34.1", True, False)
    assert found["before"]["port"] == 11434
    assert found["unset"] == ["LLAMA_API_KEY"]
    assert (found["guards"], found["guards_before"]) == ([], [{"name": "ollama", "state": "absent"}])
    for guards in ({"ollama": {"port": None}}, {"unseen": "no nft"}):
        unsure = host_derived(ollama_values(), host() | {"guards": guards})
        assert (unsure["guards"], unsure["guards_before"]) == ([{"name": "ollama", "state": "absent"}], [])
    assert found["memory_limit"] == 12 * 10**9
    assert found["journals"] == [
        "/run/systemd/journal.ollama",
        "/run/log/journal/0123.ollama",
        "/var/log/journal/0123.ollama",
    ]
    assert host_derived(ollama_values(version="0.34.1", memory_max="8G"), host())["memory_limit"] == "8G"
    assert host_derived(ollama_values(version="0.34.1"), host())["installed"] is True


def test_removal_looks_at_the_store_alone() -> None:
    values = ollama_values(state="absent", metrics_dir="/var/lib/exporter")
    assert host_problems(values, host({"architecture": "riscv64"})) == []
    assert len(host_problems(values, host(models={"kind": "link", "target": "/etc"}))) == 1
