# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that plays what a real Ollama 0.33.0-rc2 answered (recorded/ollama-0.33.0-rc2.json).

For the contract tests of all that speaks to Ollama: which recording a request gets follows from the request, as it did
on the real server. Its models are those of the recording: ``smollm2:135m``; ``etrid2:1``, made from it; ``thinker2:1``,
which thinks; ``made:1``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeServer

RECORDED = Path(__file__).with_name("recorded") / "ollama-0.33.0-rc2.json"
VERSION = "0.33.0"
MODEL, DERIVED, THINKER = "smollm2:135m", "etrid2:1", "thinker2:1"
# The words from which on a prompt is longer than the server's context (4096 tokens).
LONG = 1500
LONG_PROMPT = " ".join(f"w{number}" for number in range(LONG))

Recording = dict[str, Any]


def recordings() -> dict[str, Recording]:
    """Return every recording by its name: method, path, body, status, content_type and answer (its lines)."""
    return {entry["name"]: entry for entry in json.loads(RECORDED.read_text(encoding="utf-8"))}


class RecordedOllama(FakeServer):
    """Plays the recordings.

    Attributes:
        state: what every prompt meets, whatever the model: "" (as recorded), "cut" (the connection breaks off in
            mid-stream), "busy" (not a byte comes, as from a server that answers somebody else), "repeats" (the server
            stops a model that repeats one token) or "gone" (the model is not there any more).
        ps: the recording of what is in memory.
        played: the names of the recordings that were played, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = ""
        self.ps = "ps after the derived model answered"
        self.played: list[str] = []
        self._recordings = recordings()

    def answer(self, http: Any, body: Any) -> None:
        if http.path == "/api/generate" and body.get("prompt") and self.state in ("cut", "busy"):
            self._fail(http)
            return
        name = self._name(http.command, http.path, body)
        self.played.append(name)
        played = self._recordings[name]
        lines = [_asked_by(line, body) for line in played["answer"]]
        # Recorded without a stream where the caller asks for one: the one line of it.
        whole = played["status"] == 200 and http.path == "/api/generate" and body.get("stream", True)
        if whole or played["content_type"] == "application/x-ndjson":
            http.begin_stream()
            for line in lines:
                http.send_chunk(line.encode() + b"\n")
            http.end_stream()
        else:
            kind = {"Content_Type": played["content_type"]} if played["content_type"] else {}
            http.send(played["status"], b"" if http.command == "HEAD" else lines[0].encode(), **kind)

    def _fail(self, http: Any) -> None:
        if self.state == "busy":
            self.stopped.wait(30)
            return
        http.begin_stream()
        for line in self._recordings["generate, streamed"]["answer"][:3]:
            http.send_chunk(line.encode() + b"\n")
        http.close_connection = True

    def _name(self, method: str, path: str, body: Any) -> str:
        if (method, path) == ("POST", "/api/generate"):
            return self._generate_name(body)
        absent = isinstance(body, dict) and str(body.get("source", body.get("model", ""))).startswith("nope")
        names = {
            ("GET", "/"): "root",
            ("GET", "/api/version"): "version",
            ("GET", "/api/tags"): "tags",
            ("GET", "/api/ps"): self.ps,
            ("POST", "/api/show"): "show, thinks" if body and body.get("model") == THINKER else "show",
            ("POST", "/api/create"): "create from, streamed",
            ("POST", "/api/copy"): "copy of what is not there" if absent else "copy",
            ("DELETE", "/api/delete"): "delete of what is not there" if absent else "delete",
            ("POST", "/api/pull"): "pull, no such host",
            ("POST", "/api/chat"): "chat, streamed",
            ("POST", "/api/embed"): "embed with a model that only completes",
        }
        return names.get((method, path), "unknown path")

    def _generate_name(self, body: dict[str, Any]) -> str:
        model, form, think = body["model"], body.get("format"), body.get("think")
        tag = model.rpartition(":")[2]
        if " " in model:
            return "name that is none"
        if tag == "cloud" or tag.endswith("-cloud"):
            return "cloud name under OLLAMA_NO_CLOUD=1"
        if tag == "local":
            return "local name"
        if model not in (MODEL, DERIVED, THINKER, "made:1") or self.state == "gone":
            return "model that is not there"
        if not body.get("prompt"):
            return "unload" if body.get("keep_alive") == 0 else "load"
        if isinstance(form, str) and form != "json":
            return "format that is none"
        if isinstance(form, dict) and any(
            "pattern" in part and not part["pattern"].startswith("^") for part in form.get("properties", {}).values()
        ):
            return "pattern without anchors"
        if not isinstance(body.get("options", {}).get("num_ctx", 0), int):
            return "option of the wrong type"
        if len(body["prompt"].split()) >= LONG:
            return (
                "too long, truncate false"
                if body.get("truncate") is False
                else "too long, truncate unset: cut in silence"
            )
        streamed = body.get("stream", True)
        if self.state == "repeats":
            return (
                "repeats one token: the stream ends without done"
                if streamed
                else "repeats one token, not streamed: done is false"
            )
        if model == THINKER and think is None:
            if streamed:
                return "thinks, think unset, streamed"
            return "thinks, think unset, with a schema: the JSON is in thinking" if form else "thinks, think unset"
        if think is True and model != THINKER:
            return "think true on a model that does not think"
        if form:
            return "thinks, think false, with a schema" if model == THINKER else "generate with a schema"
        return "generate, streamed" if streamed else "generate, derived model"


def _asked_by(line: str, body: Any) -> str:
    """The answer names the model that was asked."""
    try:
        value = json.loads(line)
    except ValueError:
        return line
    if isinstance(value, dict) and isinstance(body, dict) and "model" in value and "model" in body:
        value["model"] = body["model"]
        return json.dumps(value)
    return line
