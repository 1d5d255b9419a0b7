"""Control of the stand-in registry in tests: move tags, set faults, read its requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from lab.ollama import MODEL

FAULT = "/run/lab/registry-fault"
LOG = "/var/log/nginx/registry.json"
# The manifests that the registry sends, in which tests move tags, and the original manifests.
MANIFESTS = "/srv/manifests/library"
ORIGINALS = "/srv/lab/registry/manifests/library"


def digest(internet: Host, model: str = MODEL) -> str:
    """Return the registry's current digest of this model."""
    return hashlib.sha256(internet.file(f"{MANIFESTS}/{path(model)}").content).hexdigest()


def size(internet: Host, model: str = MODEL) -> int:
    """Return the bytes of all blobs of the registry's current version of this model."""
    manifest = json.loads(internet.file(f"{MANIFESTS}/{path(model)}").content)
    return sum(blob["size"] for blob in (manifest["config"], *manifest["layers"]))


def move(internet: Host, version: str, model: str = MODEL) -> str:
    """Move the model's tag to another version of smollm2:135m (see MODELS in lab.artifacts); return its digest."""
    put(internet, f"{ORIGINALS}/{path(MODEL)}-{version}", model)
    return digest(internet, model)


def move_back(internet: Host, model: str = MODEL) -> None:
    """Move the tag back to where it was when the lab was made."""
    put(internet, f"{ORIGINALS}/{path(model)}", model)


@contextmanager
def moved(internet: Host, version: str, model: str = MODEL) -> Iterator[str]:
    """Move the tag during the block, and yield its new digest."""
    try:
        yield move(internet, version, model)
    finally:
        move_back(internet, model)


@contextmanager
def fault(internet: Host, word: str) -> Iterator[None]:
    """Set a fault of the registry during the block; internet/registry.py lists the words."""
    internet.check_output("echo %s > %s.new && mv %s.new %s", word, FAULT, FAULT, FAULT)
    try:
        yield
    finally:
        internet.check_output("rm --force %s", FAULT)


@dataclass(frozen=True)
class Traffic:
    """The registry's requests and bytes, manifests and blobs separately."""

    manifests: int = 0
    manifest_bytes: int = 0
    blobs: int = 0
    blob_bytes: int = 0


def requests(internet: Host, after: int = 0) -> list[dict[str, Any]]:
    """Return the requests since the lab was made, but for so many, in the order in which they ended."""
    return [json.loads(line) for line in internet.check_output("tail --lines=+%s %s", str(after + 1), LOG).splitlines()]


class Meter:
    """The registry's requests since this object was made or last read."""

    def __init__(self, internet: Host) -> None:
        self._internet = internet
        self._seen = 0
        self.requests()

    def requests(self) -> list[dict[str, Any]]:
        """Return the new requests in the order in which they ended, without those that still run."""
        found = requests(self._internet, self._seen)
        self._seen += len(found)
        return found

    def read(self) -> Traffic:
        """Return the sums of the new requests."""
        return traffic(self.requests())


def traffic(requests: Collection[Mapping[str, Any]]) -> Traffic:
    """Sum up the requests to the registry and to its blob host."""
    manifests = [request["bytes"] for request in requests if "/manifests/" in request["path"]]
    blobs = [request["bytes"] for request in requests if is_of_a_blob(request)]
    return Traffic(len(manifests), sum(manifests), len(blobs), sum(blobs))


def downloads(requests: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Return the bytes of blobs, by the address that they went to."""
    found: dict[str, int] = {}
    for request in filter(is_of_a_blob, requests):
        found[request["client"]] = found.get(request["client"], 0) + request["bytes"]
    return found


def is_of_a_blob(request: Mapping[str, Any]) -> bool:
    """Return whether a request was for a blob, at the registry or at its blob host."""
    return "/blobs/" in request["path"] or request["path"].startswith("/sha256-")


def path(model: str) -> str:
    """Return the path of a model's manifest in the namespace: the name is a folder, the tag a file."""
    name, _colon, tag = model.partition(":")
    return f"{name}/{tag}"


def put(internet: Host, manifest: str, model: str) -> None:
    """Put a manifest under a model's tag in one step, so that no client gets half of it."""
    target = f"{MANIFESTS}/{path(model)}"
    internet.check_output("cp %s %s.new && mv %s.new %s", manifest, target, target, target)
