"""A model registry's content, made by the real Ollama.

The server creates the models, so that config and layers are what it would have
been given by the public registry. Manifests are then written in the form in
which a 0.9 client stores them after a pull (compact JSON, no newline at the
end): so the sha256 of what is served is the digest that /api/tags reports.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lab.artifacts.errors import BuildError
from lab.artifacts.model import BROKEN, GARBAGE, NEWER, WEIGHTS
from lab.artifacts.progress import megabytes, step

CHATML = """\
{{- if .Messages }}
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ else }}
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ end }}{{ .Response }}"""


@dataclass(frozen=True)
class Model:
    """One model of the registry; models that share their weights differ in small layers."""

    name: str
    tags: tuple[str, ...]
    system: str
    weights: str = WEIGHTS
    # Where more servers than cores share a machine, threads that wait for each other cost far more than a second one
    # brings.
    threads: int = 1


SMOLLM2 = Model(
    "smollm2",
    ("135m", "latest"),
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
)
MODELS = (
    SMOLLM2,
    # What the tag 135m is moved to when a test wants news in the registry: other small layers,
    replace(SMOLLM2, tags=("135m-next",), system=f"{SMOLLM2.system}. You answer in one sentence"),
    # other weights,
    replace(SMOLLM2, tags=("135m-newer",), weights=NEWER),
    # and models that nobody should get to keep. With many threads for each CPU, every operation waits until all of them
    # have had their turn: five times slower where nothing else runs, and more beside others.
    replace(SMOLLM2, tags=("135m-slow",), threads=32 * (os.cpu_count() or 1)),
    replace(SMOLLM2, tags=("135m-garbage",), weights=GARBAGE),
    replace(SMOLLM2, tags=("135m-broken",), weights=BROKEN),
    # The same weights under names that are easily taken for each other.
    Model("mistral", ("latest",), "You stand in for mistral"),
    Model("phi3", ("latest",), "You stand in for phi3"),
    Model("phi3", ("mini",), "You stand in for phi3:mini"),
)


def modelfile(model: Model, parts: Path) -> str:
    """The Modelfile of one model; the licence lies beside the weights."""
    return (
        f"FROM {parts / model.weights}\n"
        f'TEMPLATE """{CHATML}"""\n'
        f'SYSTEM """{model.system}"""\n'
        'PARAMETER stop "<|im_start|>"\n'
        'PARAMETER stop "<|im_end|>"\n'
        f"PARAMETER num_thread {model.threads}\n"
        f'LICENSE """{(parts / "LICENSE").read_text(encoding="utf-8")}"""\n'
    )


def served_form(stored: bytes) -> bytes:
    """Turn the manifest of a model created here into what a registry serves and a client stores.

    A created model's layers say which local file they came from; a pulled one's do not.
    """
    manifest = json.loads(stored)
    for layer in manifest["layers"]:
        layer.pop("from", None)
    return json.dumps(manifest, separators=(",", ":"), ensure_ascii=False).encode()


def make_registry(release: Path, parts: Path, registry: Path) -> None:
    """Let Ollama create every model, and lay its store out for the web server."""
    store = registry.with_name("store")
    with (
        step("models, created by Ollama") as running,
        serving(release / "bin" / "ollama", store) as ollama,
    ):
        for model in MODELS:
            recipe = store / "Modelfile"
            recipe.write_text(modelfile(model, parts), "utf-8")
            name = f"{model.name}:{model.tags[0]}"
            ollama("create", name, "-f", str(recipe))
            stored = store / "models/manifests/registry.ollama.ai/library" / model.name
            manifest = served_form((stored / model.tags[0]).read_bytes())
            served = registry / "manifests" / "library" / model.name
            served.mkdir(parents=True, exist_ok=True)
            for tag in model.tags:
                (served / tag).write_bytes(manifest)
        blobs = registry / "blobs"
        shutil.move(store / "models" / "blobs", blobs)
        running.note = f"{len(MODELS)} manifests, blobs of {megabytes(*blobs.iterdir())}"
    shutil.rmtree(store)
    check_complete(registry)


def check_complete(registry: Path) -> None:
    """See that every layer of every manifest is there in full, and nothing else."""
    wanted: dict[str, int] = {}
    for path in (registry / "manifests").rglob("*"):
        if path.is_file():
            manifest = json.loads(path.read_bytes())
            for layer in [manifest["config"], *manifest["layers"]]:
                wanted[layer["digest"].replace(":", "-")] = layer["size"]
    there = {path.name: path.stat().st_size for path in (registry / "blobs").iterdir()}
    if wanted != there:
        raise BuildError(f"the manifests name {wanted}, but the blobs are {there}")


@contextlib.contextmanager
def serving(binary: Path, store: Path) -> Iterator[Ollama]:
    """Run an Ollama of our own on a free port, with a store of its own."""
    store.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(store),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(store / "models"),
        "OLLAMA_NEW_ENGINE": "1",
    }
    log = store / "serve.log"
    # The server must not outlive a build that is killed.
    command = ["setpriv", "--pdeathsig", "KILL", str(binary), "serve"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            wait_until_answering(server, port, log)
            yield Ollama(binary, environment)
        finally:
            server.terminate()


@dataclass(frozen=True)
class Ollama:
    """The command line, pointed at our own server."""

    binary: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str) -> None:
        """Run ``ollama <arguments>`` and raise with its own words when it fails."""
        result = subprocess.run(
            [self.binary, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
        )
        if result.returncode != 0:
            raise BuildError(f"ollama {' '.join(arguments)}: {result.stderr.strip()}")


def wait_until_answering(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for /api/version, at most 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/version")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise BuildError(f"Ollama does not start on this machine:\n{tail}")
