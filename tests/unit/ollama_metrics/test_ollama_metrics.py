"""The program that role ollama installs for the metrics: what it asks, when it probes, and the file that it writes."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ollama_metrics
import ollama_probes
import ollama_server
import pytest
import textfile
from ollama_metrics import Processes, Store
from ollama_probes import Probe
from ollama_server import Loaded, OllamaError, Request, Server, SilentError

from ansible_collections.etrid.gizzi.plugins.module_utils._runner import Unit
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import OtherService

NOW = 1_800_000_000.0
MODEL = "llama3.1:8b"
SEEN = Processes(alive=True)
LATER = Loaded(NOW + 300)


def answers(**changes: Any) -> dict[str, Any]:
    """Return what a server with two models, one of them loaded, answers."""
    return {
        "/api/version": {"version": "0.34.2"},
        "/api/tags": {"models": [{"name": MODEL, "size": 1}, {"name": "phi3:mini", "size": 1}]},
        "/api/ps": {"models": [{"name": MODEL, "expires_at": "2027-01-15T08:05:00.123456789Z"}]},
        "/api/generate": {"response": "Hi", "done": True, "eval_count": 8, "eval_duration": 2_000_000_000},
    } | {f"/api/{name}": answer for name, answer in changes.items()}


def asked(answers: Mapping[str, Any], requests: list[tuple[str, Any]] | None = None) -> Request:
    """Return a server that gives these answers and notes the requests; an answer may be an error."""

    def request(path: str, payload: Mapping[str, Any] | None, timeout: float) -> Any:
        if requests is not None:
            requests.append((path, payload))
        if isinstance(answers[path], Exception):
            raise answers[path]
        return answers[path]

    return request


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("mistral", "mistral:latest"),
        ("Llama3.1:8B", "llama3.1:8b"),
        ("library/mistral:7b", "mistral:7b"),
        ("registry.ollama.ai/library/mistral", "mistral:latest"),
        ("registry.ollama.ai/etrid/flare:1", "etrid/flare:1"),
        ("localhost:5000/library/mistral", "localhost:5000/library/mistral:latest"),
    ],
)
def test_a_model_has_one_name(written: str, listed: str) -> None:
    assert ollama_server.full_name(written) == listed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T08:05:00.123456789Z", NOW + 300),
        ("2027-01-15T09:00:00.5+01:00", NOW),
    ],
)
def test_time(text: str, seconds: float) -> None:
    assert ollama_server.timestamp(text) == seconds


@pytest.mark.parametrize("text", ["", "never", "2027-01-15", "2027-01-15T08:00:00"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        ollama_server.timestamp(text)


class TestServer:
    def test_is_read(self) -> None:
        assert ollama_server.read_server(asked(answers())) == Server(
            "0.34.2", {MODEL: "", "phi3:mini": ""}, {MODEL: LATER}
        )

    def test_tells_the_context_that_a_model_is_loaded_with(self) -> None:
        loaded = {"models": [{"name": MODEL, "expires_at": "2027-01-15T08:05:00Z", "context_length": 8192}]}
        assert ollama_server.read_server(asked(answers(ps=loaded))).loaded == {MODEL: Loaded(NOW + 300, 8192)}

    @pytest.mark.parametrize("path", ["version", "tags", "ps"])
    def test_each_answer_is_needed(self, path: str) -> None:
        with pytest.raises(OllamaError, match="timed out"):
            ollama_server.read_server(asked(answers(**{path: OllamaError("timed out")})))

    @pytest.mark.parametrize(
        "changes",
        [
            {"version": {}},
            {"version": []},
            {"tags": {"models": None}},
            {"tags": {"models": [{"name": 1}]}},
            {"ps": {"models": [{"name": MODEL, "expires_at": "never"}]}},
        ],
    )
    def test_something_else_is_no_ollama(self, changes: dict[str, Any]) -> None:
        with pytest.raises(OllamaError, match="not those of an Ollama"):
            ollama_server.read_server(asked(answers(**changes)))


BASE, DERIVED, OTHER, TUNED = "base:1", "made:1", "other:1", "tuned:1"
DIGESTS = {BASE: "d1", DERIVED: "d2", OTHER: "d3", TUNED: "d4"}
BLOBS = {BASE: ["a1"], DERIVED: ["a1"], OTHER: ["b2"], TUNED: ["a1", "c3"]}


def shows(parameters: Mapping[str, str] | None = None, requests: list[str] | None = None) -> Request:
    """Return a server that tells what its models are made of; whoever is not there is an error."""

    def request(path: str, payload: Mapping[str, Any] | None, timeout: float) -> Any:
        assert path == "/api/show"
        assert payload is not None
        name = payload["model"]
        if requests is not None:
            requests.append(name)
        if name not in BLOBS:
            raise OllamaError("HTTP Error 404")
        first, *more = [f"/store/blobs/sha256-{blob * 32}" for blob in BLOBS[name]]
        adapters = "".join(f"ADAPTER {path}\n" for path in more)
        modelfile = f'# FROM {name}\n\nFROM {first}\n{adapters}TEMPLATE """x"""\n'
        return {"modelfile": modelfile, "parameters": (parameters or {}).get(name)}

    return request


class TestWhatIsHeld:
    def held(self, listed: Mapping[str, str], request: Request | None = None) -> dict[str, Loaded]:
        entries = {name: Loaded(NOW + 300, digest=digest) for name, digest in listed.items()}
        return ollama_server.held(request or shows(), DIGESTS, Server("0.34.2", DIGESTS, entries))

    @pytest.mark.parametrize("name", [BASE, DERIVED])
    def test_models_that_share_weights_are_held_together(self, name: str) -> None:
        assert self.held({name: DIGESTS[name]}).keys() == {BASE, DERIVED}

    def test_an_adapter_makes_other_weights(self) -> None:
        assert self.held({TUNED: DIGESTS[TUNED]}).keys() == {TUNED}

    def test_a_digest_that_the_store_has_no_more_is_nobodys(self) -> None:
        assert self.held({BASE: "d0"}) == {}

    def test_a_copy_from_before_a_pull_tells_whose_weights_they_are(self) -> None:
        server = Server("0.34.2", {**DIGESTS, OTHER: "d0"}, {BASE: Loaded(NOW, digest="d0")})
        assert ollama_server.held(shows(), DIGESTS, server).keys() == {OTHER}

    def test_parts_are_asked_for_only_where_digests_do_not_tell(self) -> None:
        requests: list[str] = []
        server = Server("0.34.2", DIGESTS, {BASE: Loaded(NOW, digest="d1")})
        assert ollama_server.held(shows(requests=requests), [BASE], server).keys() == {BASE}
        assert requests == []
        ollama_server.held(shows(requests=requests), [BASE, DERIVED, OTHER, "absent:1"], server)
        assert sorted(requests) == [BASE, DERIVED, OTHER]

    def test_what_the_server_does_not_tell_is_not_held(self, capsys: pytest.CaptureFixture[str]) -> None:
        server = Server("0.34.2", {"gone:1": "d9", BASE: "d1"}, {BASE: Loaded(NOW, digest="d1")})
        assert ollama_server.held(shows(), ["gone:1"], server) == {}
        assert "parts of gone:1" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("parameters", "probed"),
        [
            ({}, True),
            ({DERIVED: "temperature                    0"}, True),
            ({DERIVED: "num_thread                     2"}, False),
            ({DERIVED: "num_thread  2", BASE: "num_thread                     2"}, True),
            ({BASE: 'stop  "x"\nnum_ctx  8192'}, False),
        ],
    )
    def test_what_a_question_would_load_anew_is_not_probed(self, parameters: dict[str, str], probed: bool) -> None:
        held = self.held({BASE: DIGESTS[BASE]}, shows(parameters))
        assert (held[BASE].probed, held[DERIVED].probed) == (True, probed)


LLAMA_SERVER = ["/opt/ollama/lib/ollama/llama-server", "--model", "/store/blobs/sha256-a1", "--port", "1"]
SERVE = ["/opt/ollama/bin/ollama", "serve"]
SYSTEM = "system.slice/ollama.service"


def host(folder: Path, tree: str, processes: Mapping[int, list[str] | None]) -> tuple[Path, Path]:
    """Make the unit of a host with these processes, None is one that is hidden; return /proc and the cgroups."""
    unit = folder / "cgroup" / tree
    unit.mkdir(parents=True)
    (unit / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))
    for pid, words in processes.items():
        if words is not None:
            (folder / "proc" / str(pid)).mkdir(parents=True)
            (folder / "proc" / str(pid) / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
    return folder / "proc", folder / "cgroup"


def seen(proc: Path, cgroup: Path) -> Processes:
    return ollama_metrics.read_processes(Unit(proc=proc, cgroup=cgroup))


class TestUnit:
    @pytest.mark.parametrize(("process", "alive"), [(LLAMA_SERVER, True), ([], False)])
    def test_a_process_that_holds_weights(self, tmp_path: Path, process: list[str], alive: bool) -> None:
        assert seen(*host(tmp_path, SYSTEM, {1: SERVE, 2: process})).alive is alive

    def test_what_cannot_be_seen_is_unknown(self, tmp_path: Path) -> None:
        assert seen(tmp_path, tmp_path) == Processes(None, None)
        assert seen(*host(tmp_path, SYSTEM, {1: None, 2: None})).alive is None

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            (f"{SYSTEM}/memory.events", "low 0\nhigh 0\nmax 12\noom 5\noom_kill 3\noom_group_kill 0\n"),
            (f"memory/{SYSTEM}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ],
        ids=["v2", "v1"],
    )
    def test_kills_for_want_of_memory_are_counted(self, tmp_path: Path, path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
        assert seen(tmp_path, tmp_path).oom_kills == 3

    @pytest.mark.parametrize("text", ["", "oom 5\n", "oom_kill many\n"])
    def test_a_count_that_is_not_told_is_unknown(self, tmp_path: Path, text: str) -> None:
        """As with kernels before 4.13, which do not count under version 1."""
        (tmp_path / f"memory/{SYSTEM}").mkdir(parents=True)
        (tmp_path / f"memory/{SYSTEM}/memory.oom_control").write_text(text)
        assert seen(tmp_path, tmp_path).oom_kills is None


class TestWhenToProbe:
    @pytest.mark.parametrize(
        ("loaded", "last", "probed"),
        [
            pytest.param({}, {}, None, id="not loaded"),
            pytest.param({MODEL: LATER}, {}, MODEL, id="never probed"),
            pytest.param({MODEL: Loaded(NOW + 29)}, {}, None, id="about to be unloaded"),
            pytest.param({"phi3:mini": LATER}, {}, None, id="not wanted"),
            pytest.param({MODEL: LATER}, {MODEL: Probe(NOW - 899, True)}, None, id="probed lately"),
            pytest.param({MODEL: LATER}, {MODEL: Probe(NOW - 900, True)}, MODEL, id="its turn again"),
            pytest.param({MODEL: LATER}, {MODEL: Probe(NOW - 900, True, 4.0, NOW + 299)}, MODEL, id="used since"),
            pytest.param({MODEL: LATER}, {MODEL: Probe(NOW - 900, True, 4.0, NOW + 300)}, None, id="not used since"),
            pytest.param(
                {MODEL: Loaded(1e10)},
                {MODEL: Probe(NOW - 900, True, 4.0, 1e10)},
                MODEL,
                id="for ever",
            ),
        ],
    )
    def test_one_model(self, loaded: dict[str, Loaded], last: dict[str, Probe], probed: str | None) -> None:
        assert ollama_probes.due([MODEL], loaded, last, NOW) == probed

    def test_the_one_that_has_waited_longest(self) -> None:
        last = {"a": Probe(NOW - 1000, True), "b": Probe(NOW - 2000, True)}
        loaded = dict.fromkeys("abc", LATER)
        assert ollama_probes.due("abc", loaded, last, NOW) == "c"
        assert ollama_probes.due("ab", loaded, last, NOW) == "b"

    def test_models_that_share_weights_do_not_keep_one_another_loaded(self) -> None:
        """A probe of one puts off the unloading of both."""
        last = {
            "a": Probe(NOW - 1000, True, 4.0, NOW + 100),
            "b": Probe(NOW - 900, True, 4.0, NOW + 300),
        }
        assert ollama_probes.due("ab", dict.fromkeys("ab", LATER), last, NOW) is None
        asked = dict.fromkeys("ab", Loaded(NOW + 301))
        assert ollama_probes.due("ab", asked, last, NOW) == "a"

    def test_not_one_that_a_question_would_load_anew(self) -> None:
        assert ollama_probes.due([MODEL], {MODEL: Loaded(NOW + 300, probed=False)}, {}, NOW) is None

    def test_the_unloading_is_noted_once(self) -> None:
        fresh = {MODEL: Probe(NOW - 60, True, 4.0)}
        noted = ollama_probes.noted(fresh, {MODEL: LATER}, NOW)
        assert noted == {MODEL: Probe(NOW - 60, True, 4.0, LATER.expires)}
        assert ollama_probes.noted(noted, {MODEL: Loaded(NOW + 400)}, NOW) == noted
        assert ollama_probes.noted(fresh, {}, NOW) == fresh

    @pytest.mark.parametrize(("age", "kept"), [(3599, True), (3600, False), (-1, False)])
    def test_old_results_are_dropped(self, age: float, kept: bool) -> None:
        assert bool(ollama_probes.noted({MODEL: Probe(NOW - age, True)}, {}, NOW)) is kept


class TestProbe:
    def test_few_tokens_and_their_speed(self) -> None:
        requests: list[tuple[str, Any]] = []
        assert ollama_probes.probe(asked(answers(), requests), MODEL, LATER, NOW) == Probe(NOW, True, 4.0)
        [(path, payload)] = requests
        assert (path, payload["model"], payload["stream"]) == ("/api/generate", MODEL, False)
        assert payload["options"] == {"num_predict": 8, "temperature": 0}
        assert payload["think"] is False

    @pytest.mark.parametrize(
        ("generated", "reason"),
        [
            ({"response": "", "thinking": "Hm", "done": True}, "only thought"),
            ({"response": " \n", "thinking": "Hm", "done": True}, "only thought"),
            ({"response": "000", "done": False}, "repeated one token"),
        ],
    )
    def test_thoughts_and_repeats_are_no_answer(
        self, generated: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole = {"eval_count": 8, "eval_duration": 2_000_000_000, **generated}
        assert ollama_probes.probe(asked(answers(generate=whole)), MODEL, LATER, NOW) == Probe(NOW, False)
        assert reason in capsys.readouterr().err

    def test_with_the_context_that_is_loaded(self) -> None:
        requests: list[tuple[str, Any]] = []
        ollama_probes.probe(asked(answers(), requests), MODEL, Loaded(NOW + 300, 8192), NOW)
        assert requests[0][1]["options"]["num_ctx"] == 8192

    @pytest.mark.parametrize(
        "answer",
        [
            OllamaError("HTTP Error 500"),
            {"error": "no"},
            [],
            {"eval_count": "x", "eval_duration": 1},
            {"eval_count": float("inf"), "eval_duration": 1},
            {"eval_count": 10**400, "eval_duration": 1},
        ],
    )
    def test_failure_is_a_result(self, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert ollama_probes.probe(asked(answers(generate=answer)), MODEL, LATER, NOW) == Probe(NOW, False)
        assert f"probe of {MODEL}: " in capsys.readouterr().err

    def test_no_time_is_no_speed(self) -> None:
        generated = {"eval_count": 1, "eval_duration": 0}
        assert ollama_probes.probe(asked(answers(generate=generated)), MODEL, LATER, NOW) == Probe(NOW, True, None)


def test_an_answer_of_brackets_is_none() -> None:
    """It ended the program with a RecursionError."""
    with closing(OtherService(200, b"[" * 200_000)) as other, pytest.raises(OllamaError):
        ollama_server.requester(other.url)("/api/tags", None, 5)


@pytest.mark.parametrize("text", ["[" * 200_000, "", "{", "[]", '{"a": 1}', '{"a": {"time": 1}}', '{"a": {"new": 1}}'])
def test_unreadable_results_are_none(text: str) -> None:
    assert ollama_probes.parse_probes(text) == {}


def test_results_are_read_as_written() -> None:
    probes = {MODEL: Probe(NOW, True, 4.0), "b": Probe(NOW, False, None, NOW)}
    assert ollama_probes.parse_probes(ollama_probes.format_probes(probes)) == probes


class TestFile:
    def test_everything_known(self) -> None:
        server = Server("0.34.2", {MODEL: ""}, {MODEL: LATER})
        unit = Processes(alive=True, oom_kills=2)
        probes = {MODEL: Probe(NOW, True, 4.5), "gone:1": Probe(NOW, False)}
        store = Store(100_000_000_001, 200_000_000_000)
        text = ollama_metrics.render([MODEL, "phi3:mini"], server, server.loaded, unit, probes, store)
        assert text == (
            "# HELP ollama_up Whether the server answers.\n"
            "# TYPE ollama_up gauge\n"
            "ollama_up 1\n"
            "# HELP ollama_version_info The server's version.\n"
            "# TYPE ollama_version_info gauge\n"
            'ollama_version_info{version="0.34.2"} 1\n'
            "# HELP ollama_model_present Whether the server has the wanted model.\n"
            "# TYPE ollama_model_present gauge\n"
            'ollama_model_present{model="llama3.1:8b"} 1\n'
            'ollama_model_present{model="phi3:mini"} 0\n'
            "# HELP ollama_model_loaded Whether the wanted model is in memory.\n"
            "# TYPE ollama_model_loaded gauge\n"
            'ollama_model_loaded{model="llama3.1:8b"} 1\n'
            'ollama_model_loaded{model="phi3:mini"} 0\n'
            "# HELP ollama_probe_success Whether the model answered the last probe.\n"
            "# TYPE ollama_probe_success gauge\n"
            'ollama_probe_success{model="llama3.1:8b"} 1\n'
            "# HELP ollama_probe_tokens_per_second Speed of the model's answer to it.\n"
            "# TYPE ollama_probe_tokens_per_second gauge\n"
            'ollama_probe_tokens_per_second{model="llama3.1:8b"} 4.5\n'
            "# HELP ollama_oom_kills_total Processes of the server that the kernel has killed because memory ran out.\n"
            "# TYPE ollama_oom_kills_total counter\n"
            "ollama_oom_kills_total 2\n"
            "# HELP ollama_store_free_bytes Free space of the model store's file system.\n"
            "# TYPE ollama_store_free_bytes gauge\n"
            "ollama_store_free_bytes 100000000001\n"
            "# HELP ollama_store_size_bytes Size of the model store's file system.\n"
            "# TYPE ollama_store_size_bytes gauge\n"
            "ollama_store_size_bytes 200000000000\n"
        )

    def test_the_unknown_is_left_out(self) -> None:
        text = ollama_metrics.render([MODEL], None, {}, Processes(), {MODEL: Probe(NOW, True, 4.5)}, None)
        assert [line for line in text.splitlines() if not line.startswith("#")] == ["ollama_up 0"]

    def test_failed_probe(self) -> None:
        server = Server("0.34.2", {MODEL: ""}, {})
        text = ollama_metrics.render([MODEL], server, {}, SEEN, {MODEL: Probe(NOW, False)}, None)
        assert 'ollama_probe_success{model="llama3.1:8b"} 0\n' in text
        assert "tokens_per_second" not in text

    def test_labels_are_escaped(self) -> None:
        server = Server('a"b\\c\nd', {}, {})
        assert 'version="a\\"b\\\\c\\nd"' in ollama_metrics.render([], server, {}, SEEN, {}, None)

    @pytest.mark.parametrize(("alive", "listed", "unlisted"), [(True, "1", "0"), (False, "0", "0"), (None, None, "0")])
    def test_loaded_is_listed_and_alive(self, alive: bool | None, listed: str | None, unlisted: str) -> None:
        """Where the processes cannot be seen, of a model that is listed nothing is said."""
        server = Server("0.34.2", {MODEL: "", "phi3:mini": ""}, {MODEL: LATER})
        text = ollama_metrics.render([MODEL, "phi3:mini"], server, server.loaded, Processes(alive), {}, None)
        found = dict(re.findall(r'^ollama_model_loaded\{model="(.*)"\} (.*)$', text, re.MULTILINE))
        assert found == {name: state for name, state in ((MODEL, listed), ("phi3:mini", unlisted)) if state}

    def test_is_replaced_at_once_and_readable(self, tmp_path: Path) -> None:
        path = tmp_path / "ollama.prom"
        textfile.write(path, "old\n")
        before = path.open()
        textfile.write(path, "new\n")
        with before:
            assert before.read() == "old\n"
        assert path.read_text() == "new\n"
        assert path.stat().st_mode & 0o777 == 0o644
        assert list(tmp_path.iterdir()) == [path]

    def test_a_link_in_the_drafts_place_changes_no_mode(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        victim = tmp_path / "victim"
        victim.touch(mode=0o600)
        fdopen = os.fdopen

        def swap(*arguments: Any, **options: Any) -> Any:
            (draft,) = tmp_path.glob(".ollama*")
            draft.unlink()
            draft.symlink_to(victim)
            return fdopen(*arguments, **options)

        monkeypatch.setattr(textfile.os, "fdopen", swap)
        textfile.write(tmp_path / "ollama.prom", "new\n")
        assert (victim.stat().st_mode & 0o777, victim.read_text()) == (0o600, "")

    def test_a_failed_write_leaves_the_old_file_with_its_time(self, tmp_path: Path) -> None:
        path = tmp_path / "ollama.prom"
        textfile.write(path, "old\n")
        written = path.stat().st_mtime_ns
        with pytest.raises(UnicodeEncodeError):
            textfile.write(path, "\ud800")
        assert (path.read_text(), path.stat().st_mtime_ns) == ("old\n", written)
        assert list(tmp_path.iterdir()) == [path]

    def test_store(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        store = ollama_metrics.read_store(str(tmp_path))
        assert store is not None
        assert 0 < store.free < store.size
        assert ollama_metrics.read_store(str(tmp_path / "missing")) is None
        assert "missing" in capsys.readouterr().err


class Ollama(ThreadingHTTPServer):
    """A server on loopback that answers from a mapping; None is a 500, bytes are sent as they are."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Ollama

    def do_GET(self) -> None:  # the base class wants this name
        self.server.requests.append(self.path)
        answer = self.server.answers[self.path]
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(500 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # the base class wants this name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Keep the test's output free of it."""


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    """Run a server whose model is loaded for the next five minutes."""
    later = time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime(time.time() + 300))
    server = Ollama(answers(ps={"models": [{"name": MODEL, "expires_at": later}]}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(ollama: Ollama, folder: Path, unit: tuple[Path, Path] | None = None) -> dict[str, float]:
    """Run the program as its unit does, beside a server's unit that is seen or not, and return what its file says."""
    proc, cgroup = unit or (folder, folder)
    arguments = ["--url", ollama.url, "--models-dir", str(folder), "--folder", str(folder)]
    arguments += ["--proc", str(proc), "--cgroup", str(cgroup)]
    assert ollama_metrics.main([*arguments, MODEL, "Phi3:mini", "absent"]) == 0
    lines = (folder / "ollama.prom").read_text().splitlines()
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _space, value in samples}


def test_program(ollama: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    first = run(ollama, tmp_path)
    assert first["ollama_up"] == 1
    assert first['ollama_model_present{model="phi3:mini"}'] == 1
    assert first['ollama_model_present{model="absent:latest"}'] == 0
    assert first['ollama_probe_tokens_per_second{model="llama3.1:8b"}'] == 4

    assert run(ollama, tmp_path).keys() == first.keys()
    assert ollama.requests.count("/api/generate") == 1, "the second run keeps the first one's result"


@pytest.mark.parametrize("answer", [None, b"<html>", b"\xff", b'{"models": ['])
def test_program_without_a_server(
    ollama: Ollama, tmp_path: Path, answer: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ollama, tmp_path)
    ollama.answers["/api/tags"] = answer
    without = run(ollama, tmp_path)
    assert without["ollama_up"] == 0
    assert without.keys() == {"ollama_up", "ollama_store_free_bytes", "ollama_store_size_bytes"}
    assert "/api/tags" in capsys.readouterr().err


def test_program_beside_a_process_that_was_killed(ollama: Ollama, tmp_path: Path) -> None:
    """It is listed still; to probe it would load it."""
    (tmp_path / "out").mkdir()
    samples = run(ollama, tmp_path / "out", host(tmp_path, SYSTEM, {1: SERVE}))
    assert samples['ollama_model_loaded{model="llama3.1:8b"}'] == 0
    assert "/api/generate" not in ollama.requests
    assert not [name for name in samples if "probe" in name]


def test_program_beside_a_process_that_lives(ollama: Ollama, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    unit = host(tmp_path, SYSTEM, {1: SERVE, 2: LLAMA_SERVER})
    (tmp_path / "cgroup" / SYSTEM / "memory.events").write_text("oom_kill 4\n")
    samples = run(ollama, tmp_path / "out", unit)
    assert samples['ollama_model_loaded{model="llama3.1:8b"}'] == 1
    assert samples["ollama_oom_kills_total"] == 4


def test_program_that_cannot_write_fails(ollama: Ollama, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(ollama, tmp_path / "missing")


def stat(folder: Path, seconds: float) -> None:
    """Let the process that holds weights have taken so much processor time, half of it in the kernel."""
    ticks = int(seconds * os.sysconf("SC_CLK_TCK") / 2)
    (folder / "proc/2/stat").write_text(f"2 (llama (x) y) S {'0 ' * 10}{ticks} {ticks} 0 0\n")


class TestSilence:
    """A probe gets no answer: what that means."""

    @staticmethod
    def result(looks: list[dict[int, float] | None], last: Probe | None = None, now: float = NOW) -> Probe:
        seen = iter(looks)

        def ask() -> Probe:
            raise SilentError("timed out")

        return ollama_probes.probed(ask, now, last, lambda: next(seen))

    @pytest.mark.parametrize(
        "looks",
        [
            pytest.param([{"7": 1.0}, {"7": 4.0}], id="at work"),
            pytest.param([{"7": 9.0}, {"7": 9.0, "8": 3.0}], id="another at work"),
            pytest.param([None, {"7": 9.0}], id="not seen before"),
            pytest.param([{"7": 9.0}, None], id="not seen after"),
        ],
    )
    def test_of_a_busy_server_is_neither_success_nor_failure(self, looks: list[dict[str, float] | None]) -> None:
        assert self.result(looks) == Probe(NOW, None, silent_since=NOW)

    @pytest.mark.parametrize(
        "looks",
        [
            pytest.param([{"7": 1.0}, {"7": 3.9}], id="hangs"),
            pytest.param([{"7": 9.0}, {}], id="was killed"),
            pytest.param([{"7": 9.0, "8": 9.0}, {"8": 9.1}], id="one was killed, the other hangs"),
        ],
    )
    def test_of_a_server_that_does_nothing_is_a_failure(self, looks: list[dict[str, float] | None]) -> None:
        assert self.result(looks) == Probe(NOW, False)

    def test_of_a_server_that_is_busy_for_long_is_a_failure(self) -> None:
        busy: list[dict[str, float] | None] = [{"7": 0.0}, {"7": 60.0}]
        first = Probe(NOW, None, silent_since=NOW)
        assert self.result(busy, first, NOW + 899) == Probe(NOW + 899, None, silent_since=NOW)
        failed = Probe(NOW + 900, False, silent_since=NOW)
        assert self.result(busy, first, NOW + 900) == failed
        # And goes on to be one until it answers.
        assert self.result(busy, failed, NOW + 960) == Probe(NOW + 960, False, silent_since=NOW)
        assert ollama_probes.probed(lambda: Probe(NOW, True), NOW, failed, dict) == Probe(NOW, True)
        # One that failed for another reason has not been busy since then.
        assert self.result(busy, Probe(NOW - 950, False)).success is None

    def test_is_asked_about_in_the_next_run(self) -> None:
        busy = {MODEL: Probe(NOW - 60, None, silent_since=NOW - 60)}
        assert ollama_probes.due([MODEL], {MODEL: LATER}, busy, NOW) == MODEL
        # It has put off nothing, so the other model of the same weights is not held to be unused.
        assert ollama_probes.noted(busy, {MODEL: LATER}, NOW) == busy

    def test_is_told_as_not_known(self) -> None:
        server = Server("0.34.2", {MODEL: ""}, {MODEL: LATER})
        busy = {MODEL: Probe(NOW, None, silent_since=NOW)}
        text = ollama_metrics.render([MODEL], server, {MODEL: LATER}, SEEN, busy, None)
        assert "ollama_model_loaded" in text
        assert "ollama_probe" not in text


@pytest.mark.parametrize(("taken", "told"), [(5.0, None), (0.0, 0.0)])
def test_program_beside_a_server_that_does_not_answer(
    ollama: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: float, told: float | None
) -> None:
    unit = host(tmp_path, SYSTEM, {1: SERVE, 2: LLAMA_SERVER})
    stat(tmp_path, 3)
    over = threading.Event()

    class Silent(dict[str, Any]):
        """Answers no probe, while the process is at work or not."""

        def __getitem__(self, path: str) -> Any:
            if path == "/api/generate":
                stat(tmp_path, 3 + taken)
                over.wait(10)
            return super().__getitem__(path)

    answered = ollama.answers
    ollama.answers = Silent(answered)
    monkeypatch.setattr(ollama_probes, "PROBE_TIMEOUT", 0.3)
    (tmp_path / "out").mkdir()
    success = 'ollama_probe_success{model="llama3.1:8b"}'
    assert run(ollama, tmp_path / "out", unit).get(success) == told
    over.set()
    ollama.answers = answered
    # The next run asks a busy one again, and a failed one when its turn comes.
    assert run(ollama, tmp_path / "out", unit)[success] == (0.0 if told == 0 else 1.0)
