"""The stand-in registry under a test's hand: tags that move, faults, and what was asked of it."""

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
# What the registry answers, in which tests move tags, and what it answered to begin with.
MANIFESTS = "/srv/manifests/library"
ORIGINALS = "/srv/lab/registry/manifests/library"


def digest(internet: Host, model: str = MODEL) -> str:
    """Return the digest that the registry has under this name now."""
    return hashlib.sha256(internet.file(f"{MANIFESTS}/{path(model)}").content).hexdigest()


def move(internet: Host, version: str, model: str = MODEL) -> str:
    """Move the model's tag to another version of smollm2:135m (see MODELS in lab.artifacts); return its digest."""
    put(internet, f"{ORIGINALS}/{path(MODEL)}-{version}", model)
    return digest(internet, model)


def move_back(internet: Host, model: str = MODEL) -> None:
    """Move the tag back to where it was when the lab was made."""
    put(internet, f"{ORIGINALS}/{path(model)}", model)


@contextmanager
def moved(internet: Host, version: str, model: str = MODEL) -> Iterator[str]:
    """Move the tag for as long as the block takes, and give its new digest."""
    try:
        yield move(internet, version, model)
    finally:
        move_back(internet, model)


@contextmanager
def fault(internet: Host, word: str) -> Iterator[None]:
    """Let the registry misbehave for as long as the block takes; the words are those of internet/registry.py."""
    internet.check_output("echo %s > %s.new && mv %s.new %s", word, FAULT, FAULT, FAULT)
    try:
        yield
    finally:
        internet.check_output("rm --force %s", FAULT)


@dataclass(frozen=True)
class Traffic:
    """What the registry answered: requests and bytes, manifests and blobs apart."""

    manifests: int = 0
    manifest_bytes: int = 0
    blobs: int = 0
    blob_bytes: int = 0


class Meter:
    """What the registry has answered since this was made, or since it was last read."""

    def __init__(self, internet: Host) -> None:
        self._internet = internet
        self._seen = 0
        self.requests()

    def requests(self) -> list[dict[str, Any]]:
        """Return each new request in the order in which they ended. One that still runs is not there yet."""
        lines = self._internet.check_output("tail --lines=+%s %s", str(self._seen + 1), LOG).splitlines()
        self._seen += len(lines)
        return [json.loads(line) for line in lines]

    def read(self) -> Traffic:
        """Return the sums of the new requests."""
        return traffic(self.requests())


def traffic(requests: Collection[Mapping[str, Any]]) -> Traffic:
    """Sum up the requests that concern the registry and its blobs' host."""
    manifests = [request["bytes"] for request in requests if "/manifests/" in request["path"]]
    blobs = [request["bytes"] for request in requests if is_of_a_blob(request)]
    return Traffic(len(manifests), sum(manifests), len(blobs), sum(blobs))


def is_of_a_blob(request: Mapping[str, Any]) -> bool:
    """Tell whether a request was for a blob, at the registry or at the host to which that sends its clients."""
    return "/blobs/" in request["path"] or request["path"].startswith("/sha256-")


def path(model: str) -> str:
    """Return where a model's manifest lies under the namespace: name and tag as two folders."""
    name, _colon, tag = model.partition(":")
    return f"{name}/{tag}"


def put(internet: Host, manifest: str, model: str) -> None:
    """Put a manifest under a model's tag in one step: nobody is answered half of it."""
    target = f"{MANIFESTS}/{path(model)}"
    internet.check_output("cp %s %s.new && mv %s.new %s", manifest, target, target, target)
