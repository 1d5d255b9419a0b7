# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small servers on loopback that speak the protocols of Ollama and of a model registry, with faults on request."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
WEIGHTS = "application/vnd.ollama.image.model"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def layer(seed: str, size: int, media_type: str = "application/x") -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256(seed.encode())}", "size": size}


def manifest(seed: str, size: int = 1000) -> bytes:
    """A manifest as a registry formats it: not the way in which Ollama writes JSON."""
    document = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": layer(f"{seed} config", 10),
        "layers": [layer(f"{seed} weights", size, WEIGHTS), layer("licence", 5)],
    }
    return json.dumps(document, indent=3).encode()


def rewritten(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":")).encode()


def content_manifest(*contents: bytes) -> bytes:
    """A manifest of blobs with these contents; the first is the config."""
    config, *layers = (
        {"mediaType": "application/x", "digest": f"sha256:{sha256(content)}", "size": len(content)}
        for content in contents
    )
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": config, "layers": layers}).encode()


class FakeServer:
    """Answers each request with a method named after its verb and path, in a thread of its own."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.stopped = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(raw) if raw and self.headers.get("Content-Type") == "application/json" else raw
                fake.requests.append((self.command, self.path, body))
                fake.answer(self, body)

            def log_message(self, *args: Any) -> None:
                pass

            def send(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response_only(status)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def send_json(self, status: int, value: Any) -> None:
                self.send(status, json.dumps(value).encode(), Content_Type="application/json")

            def begin_stream(self) -> None:
                self.send_response_only(200)
                self.send_header("Content-Type", "application/x-ndjson")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()

            def send_line(self, value: Any) -> None:
                self.send_chunk(json.dumps(value).encode() + b"\n")

            def send_chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

            def end_stream(self) -> None:
                self.wfile.write(b"0\r\n\r\n")

        for verb in ("GET", "HEAD", "POST", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler.handle_any)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that gives up is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, http: Any, body: Any) -> None:
        raise NotImplementedError

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def paths(self, prefix: str = "/") -> list[str]:
        return [path for _method, path, _body in self.requests if path.startswith(prefix)]

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


class FakeRegistry(FakeServer):
    def __init__(self) -> None:
        super().__init__()
        self.manifests: dict[str, bytes] = {}
        # What publish_content() has given, by digest.
        self.contents: dict[str, bytes] = {}
        # What weights begin with, by the paths of their blobs, and the ranges that were asked of them.
        self.blobs: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        # Blobs are elsewhere, as they are at the real registry.
        self.redirects = False
        self.status = 200

    def publish(self, name: str, seed: str, size: int = 1000) -> str:
        """Put a model under name:tag and return the digest of its manifest."""
        model, tag = name.split(":")
        path = model if "/" in model else f"library/{model}"
        self.manifests[f"/v2/{path}/manifests/{tag}"] = body = manifest(seed, size)
        return sha256(body)

    def publish_content(self, name: str, *contents: bytes) -> str:
        """Put a model of these blobs, the config first, under name:tag and return the digest of its manifest."""
        self.contents.update({f"sha256:{sha256(content)}": content for content in contents})
        model, tag = name.split(":")
        self.manifests[f"/v2/library/{model}/manifests/{tag}"] = body = content_manifest(*contents)
        return sha256(body)

    def answer(self, http: Any, body: Any) -> None:
        if self.status != 200:
            http.send_json(self.status, {"errors": [{"code": "BROKEN", "message": "the registry is broken"}]})
        elif http.path in self.manifests:
            http.send(200, self.manifests[http.path], Content_Type=MEDIA_TYPE)
        elif self.redirects and http.path in self.blobs:
            http.send(307, b"", Location=f"{self.url}/elsewhere{http.path}")
        elif http.path.removeprefix("/elsewhere") in self.blobs:
            self.send_blob(http, self.blobs[http.path.removeprefix("/elsewhere")])
        else:
            http.send_json(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})

    def give_weights(self, name: str, seed: str, content: bytes) -> str:
        """Let the weights that publish() named begin with this content; return their path."""
        digest = layer(f"{seed} weights", 0)["digest"]
        self.blobs[path := f"/v2/library/{name.split(':')[0]}/blobs/{digest}"] = content
        return path

    def send_blob(self, http: Any, content: bytes) -> None:
        asked = http.headers.get("Range")
        self.ranges.append(asked)
        if not asked or not self.knows_ranges:
            http.send(200, content)
            return
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        http.send(206, part, Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(content)}")


class FakeOllama(FakeServer):
    """An Ollama server whose store is a dictionary from full names to manifests."""

    def __init__(self, registry: FakeRegistry) -> None:
        super().__init__()
        self.registry = registry
        # Other registries that it reaches, such as a mirror.
        self.others: list[FakeRegistry] = []
        self.version = "0.34.2"
        self.store: dict[str, bytes] = {}
        self.loaded: list[dict[str, Any]] = []
        self.unreadable: set[str] = set()
        # What the models consist of that /api/show and /api/create are asked about.
        self.contents: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, bytes] = {}
        self.create_fault = ""
        # What the server adds to whatever it makes.
        self.own_parameters: dict[str, Any] = {}
        self.adapters_supported = True
        self.pull_fault = ""
        # Where the store is on the disk, for models of FakeRegistry.publish_content(), and whether what a pull writes
        # there differs from what was published by its first byte.
        self.models_dir: Path | None = None
        self.damages = False
        # Whether a pull looks at what it brought: as 0.9.3, it removes the first wrong blob and leaves the others.
        self.verifies = False
        # Seconds of silence while a pull verifies.
        self.verifying = 0.0
        # How many pulls join a download that an earlier client's leaving ends.
        self.canceled_pulls = 0
        self.host_check = False
        # What /api/generate does: lines to stream after an empty prompt has loaded the model.
        self.load_error = ""
        self.load_hangs = False
        self.generate_lines: list[Any] = [
            {"response": "Par", "done": False},
            {"response": "is.", "done": False},
            {"response": "", "done": True, "done_reason": "stop", "eval_count": 3, "eval_duration": 200_000_000},
        ]
        # Whole answers by prompt, for clients that do not stream and for evaluations; any other prompt crashes the
        # runner. How many of these get nothing for 5 s, as where the server works for others.
        self.silent_answers = 0
        self.answers: dict[str, str] = {}
        # Those of one model in place of them, by its digest; and the digests of models that do not load.
        self.own_answers: dict[str, dict[str, str]] = {}
        self.broken_models: set[str] = set()
        # How long each took, by the server's clock; 0.2 s when there are no more.
        self.answer_seconds: list[float] = []
        # Whether loading and unloading show in the list of loaded models.
        self.loads = False
        # What is in memory again as soon as it was unloaded.
        self.asked_all_the_while: dict[str, Any] | None = None
        self.generate_pause = 0.0
        self.generate_hangs = False

    def have(self, name: str, seed: str) -> str:
        """Put a model into the store, and return its digest."""
        self.store[name] = manifest(seed)
        return sha256(self.store[name])

    def have_content(self, name: str, **content: Any) -> str:
        """Put a model into the store whose digest follows from what it consists of."""
        self.contents[name] = content
        self.store[name] = json.dumps(content, sort_keys=True).encode()
        return sha256(self.store[name])

    def answer(self, http: Any, body: Any) -> None:
        if self.host_check:
            http.send(403, b"")
            return
        if http.path.startswith("/api/blobs/"):
            self.blob(http, body)
            return
        route = {
            ("GET", "/api/version"): self.get_version,
            ("GET", "/api/tags"): self.get_tags,
            ("GET", "/api/ps"): self.get_ps,
            ("POST", "/api/pull"): self.post_pull,
            ("POST", "/api/copy"): self.post_copy,
            ("POST", "/api/show"): self.post_show,
            ("POST", "/api/create"): self.post_create,
            ("POST", "/api/generate"): self.post_generate,
            ("POST", "/api/embed"): self.post_embed,
            ("DELETE", "/api/delete"): self.delete_model,
        }.get((http.command, http.path))
        if route:
            route(http, body)
        else:
            http.send(404, b"404 page not found", Content_Type="text/plain")

    def get_version(self, http: Any, body: Any) -> None:
        http.send_json(200, {"version": self.version})

    def get_tags(self, http: Any, body: Any) -> None:
        models = [
            {
                "name": name,
                "digest": sha256(stored),
                "size": 1015,
                "modified_at": "2026-11-22T00:00:00Z",
                "details": {"family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_K_M"},
            }
            for name, stored in self.store.items()
            if sha256(stored) not in self.unreadable
        ]
        http.send_json(200, {"models": models})

    def get_ps(self, http: Any, body: Any) -> None:
        http.send_json(200, {"models": self.loaded})

    def post_copy(self, http: Any, body: Any) -> None:
        if body["source"] not in self.store:
            http.send_json(404, {"error": f'model "{body["source"]}" not found'})
            return
        self.store[body["destination"]] = self.store[body["source"]]
        if body["source"] in self.contents:
            self.contents[body["destination"]] = self.contents[body["source"]]
        self.save()
        http.send(200, b"")

    def post_show(self, http: Any, body: Any) -> None:
        content = self.contents.get(body["model"])
        if content is None:
            http.send_json(404, {"error": f"model '{body['model']}' not found"})
        else:
            http.send_json(200, shown(content))

    def blob(self, http: Any, body: bytes) -> None:
        digest = http.path.rpartition(":")[2]
        if http.command == "HEAD":
            http.send(200 if digest in self.blobs else 404, b"")
        elif sha256(body) != digest:
            http.send_json(400, {"error": f'digest mismatch, expected "sha256:{digest}"'})
        else:
            self.blobs[digest] = body
            http.send(201, b"")

    def post_create(self, http: Any, body: Any) -> None:
        if self.create_fault == "500":
            return http.send_json(500, {"error": "the store is read-only"})
        if body.get("adapters") and not self.adapters_supported:
            return http.send_json(400, {"error": "LoRA adapters are no longer supported"})
        http.begin_stream()
        base = self.contents.get(body["from"])
        http.send_line({"status": "using existing layer sha256:00"})
        if self.create_fault == "silence":
            self.stopped.wait(5)
            return None
        if self.create_fault == "error" or base is None:
            http.send_line({"error": "template error: template: :1: unexpected EOF", "status": 400})
            # 0.9.3 goes on after some errors.
            http.send_line({"status": "success"})
            return http.end_stream()
        if self.create_fault == "ends":
            return http.end_stream()
        http.send_line({"status": "writing manifest"})
        parameters = {**base.get("parameters", {}), **body.get("parameters", {}), **self.own_parameters}
        adapters = [digest.split(":")[1] for digest in body.get("adapters", {}).values()]
        content = {**base, **{part: body[part] for part in ("template", "system") if body.get(part)}}
        content |= {"parameters": parameters, "adapters": [*base.get("adapters", []), *adapters]}
        name = body["model"]
        self.have_content(name, **content)
        http.send_line({"status": "success"})
        return http.end_stream()

    def delete_model(self, http: Any, body: Any) -> None:
        if self.store.pop(body["model"], None) is None:
            http.send_json(404, {"error": f"model '{body['model']}' not found"})
        else:
            self.save()
            http.send(200, b"")

    def save(self) -> None:
        """Bring the manifests on the disk to what is in the store."""
        if self.models_dir is None:
            return
        shutil.rmtree(self.models_dir / "manifests", ignore_errors=True)
        for name, body in self.store.items():
            *place, model = name.split("/")
            parts = {0: ["registry.ollama.ai", "library"], 1: ["registry.ollama.ai"], 2: []}[len(place)] + place
            folder = self.models_dir.joinpath("manifests", *parts, model.rpartition(":")[0])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / model.rpartition(":")[2]).write_bytes(body)

    def post_pull(self, http: Any, body: Any) -> None:
        if self.pull_fault == "500":
            return http.send_json(500, {"error": "the store is read-only"})
        scheme, name = body["model"].rpartition("://")[::2]
        host, repository, model_tag = name.split("/")
        model, tag = model_tag.split(":")
        http.begin_stream()
        http.send_line({"status": "pulling manifest"})
        if scheme == "http" and not body["insecure"]:
            http.send_line({"error": "insecure protocol http"})
            return http.end_stream()
        registries = {f"127.0.0.1:{one.port}": one for one in (self.registry, *self.others)}
        source = registries.get(host, self.registry)
        offered = source.manifests.get(f"/v2/{repository}/{model}/manifests/{tag}")
        if self.canceled_pulls:
            self.canceled_pulls -= 1
            # It comes alone, or with the request behind it that was under way.
            request = 'Get "https://blobs.example/sha256-00": ' if self.canceled_pulls % 2 else ""
            http.send_line({"error": f"{request}context canceled"})
            return http.end_stream()
        if host not in registries or offered is None:
            http.send_line({"error": "pull model manifest: file does not exist"})
            return http.end_stream()
        if source.stopped.is_set():
            http.send_line({"error": f'pull model manifest: Get "http://{host}/v2/": connection refused'})
            return http.end_stream()
        document = json.loads(offered)
        came = []
        for entry in [*document["layers"], document["config"]]:
            came += [] if self._has(entry["digest"]) else [entry["digest"]]
            if not self._pull_layer(http, source, entry["digest"], entry["size"]):
                return None
        http.send_line({"status": "verifying sha256 digest"})
        self.stopped.wait(self.verifying)
        if wrong := self._first_wrong(came):
            http.send_line({"error": f"digest mismatch, file must be downloaded again: want {wrong}, got sha256:00"})
            return http.end_stream()
        for status in ("writing manifest", "removing unused layers"):
            http.send_line({"status": status})
        if self.pull_fault == "ends":
            return http.end_stream()
        verbatim = tuple(map(int, self.version.split("."))) >= (0, 19, 0)
        self.store[name] = offered if verbatim else rewritten(offered)
        self.save()
        if self.pull_fault == "installs":
            # It goes on although the client has left.
            self.stopped.wait(5)
        http.send_line({"status": "success"})
        return http.end_stream()

    def _has(self, digest: str) -> bool:
        blob = self._blob_file(digest)
        return blob.exists() if blob else any(digest.encode() in body for body in self.store.values())

    def _blob_file(self, digest: str) -> Path | None:
        return self.models_dir / "blobs" / digest.replace(":", "-") if self.models_dir else None

    def _first_wrong(self, digests: list[str]) -> str:
        """Look at what a pull has brought, in order; remove the first wrong one."""
        for digest in digests if self.verifies else ():
            blob = self._blob_file(digest)
            if blob and f"sha256:{sha256(blob.read_bytes())}" != digest:
                blob.unlink()
                return digest
        return ""

    def _pull_layer(self, http: Any, source: FakeRegistry, digest: str, size: int) -> bool:
        line = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": size}
        blob = self._blob_file(digest)
        if self._has(digest):
            # As Ollama does: whatever it is that is there.
            http.send_line({**line, "completed": size})
            return True
        http.send_line(line)
        if self.pull_fault in ("error", "mismatch", "full"):
            errors = {
                "full": "pull model manifest: 429: ",
                "error": "max retries exceeded: unexpected EOF",
                "mismatch": f"digest mismatch, file must be downloaded again: want {digest}, got sha256:00",
            }
            http.send_line({"error": errors[self.pull_fault]})
            http.end_stream()
            return False
        if self.pull_fault == "truncated":
            http.send_chunk(json.dumps({**line, "completed": size // 2}).encode()[:40])
            http.close_connection = True
            return False
        if self.pull_fault == "silence":
            self.stopped.wait(5)
            return False
        if self.pull_fault == "repeats":
            while not self.stopped.wait(0.02):
                http.send_line({**line, "completed": size // 2})
            return False
        pause = 0.05 if self.pull_fault == "slow" else 0
        for part in range(5):
            http.send_line({**line, "completed": size * (part + 1) // 5})
            self.stopped.wait(pause)
        if blob:
            content = source.contents[digest]
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(bytes([content[0] ^ 1]) + content[1:] if self.damages else content)
        return True

    def post_embed(self, http: Any, body: Any) -> None:
        if "embedding" not in self.contents.get(body["model"], {}).get("capabilities", []):
            http.send_json(501, {"error": "this model does not support embeddings"})
            return
        self.loaded.append({"name": body["model"], "digest": sha256(self.store[body["model"]])})
        http.send_json(200, {"model": body["model"], "embeddings": [[0.25, 0.5]]})

    def post_generate(self, http: Any, body: Any) -> None:
        if body["model"] not in self.store and self.loads:
            http.send_json(404, {"error": f"model '{body['model']}' not found"})
            return
        abilities = self.contents.get(body["model"], {}).get("capabilities", ["completion"])
        if "completion" not in abilities and body.get("keep_alive") != 0:
            http.send_json(400, {"error": f'"{body["model"]}" does not support generate'})
            return
        if not body.get("prompt"):
            if body.get("keep_alive") == 0:
                self._unload(body["model"])
                http.send_json(200, {"model": body["model"], "response": "", "done": True, "done_reason": "unload"})
            elif self.load_hangs:
                self.stopped.wait(5)
            elif self.load_error or self._digest(body) in self.broken_models:
                http.send_json(500, {"error": self.load_error or "unable to load model"})
            else:
                if self.loads:
                    self._load(body["model"])
                http.send_json(200, {"model": body["model"], "response": "", "done": True, "done_reason": "load"})
            return
        # An evaluation asks with a seed.
        if body.get("stream") is False or "seed" in body.get("options", {}):
            self._answer_whole(http, body)
            return
        http.begin_stream()
        for line in self.generate_lines:
            self.stopped.wait(self.generate_pause)
            http.send_line(line)
        if self.generate_hangs:
            self.stopped.wait(5)
        http.end_stream()

    def _load(self, name: str) -> None:
        """Weights that are there stay there, under the name that loaded them."""
        digest = sha256(self.store[name])
        if digest not in {model["digest"] for model in self.loaded}:
            self.loaded.append({"name": name, "digest": digest})

    def _unload(self, name: str) -> None:
        """Weights are known by their manifest, whatever name they were loaded under."""
        if self.loads and name in self.store:
            self.loaded = [model for model in self.loaded if model["digest"] != sha256(self.store[name])]
            if self.asked_all_the_while and self.asked_all_the_while not in self.loaded:
                self.loaded.append(self.asked_all_the_while)

    def _digest(self, body: Any) -> str:
        return sha256(self.store[body["model"]]) if body["model"] in self.store else ""

    def _answer_whole(self, http: Any, body: Any) -> None:
        prompt, answers = body["prompt"], self.own_answers.get(self._digest(body), self.answers)
        if self.silent_answers:
            self.silent_answers -= 1
            self.stopped.wait(5)
            return
        if prompt not in answers:
            http.send_json(500, {"error": "the runner has crashed"})
            return
        seconds = self.answer_seconds.pop(0) if self.answer_seconds else 0.2
        timing = {"eval_count": 3, "eval_duration": int(seconds * 1e9)}
        http.send_json(200, {"response": answers[prompt], "done": True, "done_reason": "stop", **timing})


def shown(content: dict[str, Any]) -> dict[str, Any]:
    """What /api/show answers, with the Modelfile as Ollama writes it."""
    commands = [("FROM", f"/store/blobs/sha256-{digest}") for digest in content.get("weights", [])]
    commands += [("ADAPTER", f"/store/blobs/sha256-{digest}") for digest in content.get("adapters", [])]
    parts = ("template", "system", "renderer", "parser")
    commands += [(part.upper(), content[part]) for part in parts if content.get(part)]
    parameters = [
        (key, value)
        for key, values in content.get("parameters", {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]
    commands += [("PARAMETER", f"{key} {value}") for key, value in parameters]
    commands += [("LICENSE", content["license"])] if content.get("license") else []
    modelfile = "".join(f"{name} {modelfile_quoted(value)}\n" for name, value in commands)
    return {
        "modelfile": f'# Modelfile generated by "ollama show"\n# FROM some:model\n\n{modelfile}',
        "parameters": "\n".join(f"{key:<30} {json.dumps(value)}" for key, value in parameters),
        # Since 0.30 it may be one that the weights carry.
        "template": "{{ a template of the weights }}",
        **{part: content[part] for part in ("system", "license", "messages") if content.get(part)},
        "details": {"parent_model": "", "format": "gguf"},
        **{part: content[part] for part in ("model_info", "capabilities") if part in content},
    }


def modelfile_quoted(text: str) -> str:
    if "\n" not in text and text == text.strip(" "):
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'


class OtherService(FakeServer):
    """A web server that is no Ollama."""

    def __init__(self, status: int = 200, body: bytes = b"<html>Welcome</html>") -> None:
        super().__init__()
        self.status = status
        self.body = body

    def answer(self, http: Any, body: Any) -> None:
        http.send(self.status, self.body, Server="nginx/1.22.1", Content_Type="text/html")
