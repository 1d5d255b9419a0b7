# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a derived model to its definition."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ansible_collections.etrid.gizzi.plugins.module_utils._derived import (
    Content,
    Definition,
    content_of,
    differing,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama, find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._parameters import (
    context_problem,
    thread_problems,
    trained_context,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._version import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

GGUF = b"GGUF"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter on this host: its digest (64 hex digits) and its size in bytes."""

    path: Path
    digest: str
    size: int


@dataclass(frozen=True)
class Desired:
    """The derived model, its base and its definition; timeout is the longest silence in seconds."""

    name: ModelName
    base: ModelName
    definition: Definition
    adapter: Adapter | None
    timeout: float

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that have one value, by name."""
        return {name: values[0] for name, values in self.definition.parameters.items() if len(values) == 1}


@dataclass(frozen=True)
class Outcome:
    """What was found and done, or would be in check mode; before and after hold the parts that differ."""

    changed: bool
    digest_before: str | None
    digest_after: str | None
    base_digest: str | None
    reasons: list[str]
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def sync(desired: Desired, server: Ollama, check_mode: bool) -> Outcome:
    """Make the model where it is not as defined; raise GizziError where it cannot be."""
    require_threads(desired, server)
    models = server.models()
    current, base = find_model(models, desired.name), find_model(models, desired.base)
    digest = current.digest if current else None
    if base is None:
        missing = f"{server.url} does not have {desired.base}, from which {desired.name} is to be made"
        if not check_mode:
            raise GizziError(f"{missing}. Pull it first, with etrid.gizzi.ollama_model.")
        warning = f"{missing}. A real run fails unless something pulls it first."
        return Outcome(True, digest, None, None, ["base"], warnings=[warning])

    shown_base = server.show(desired.base)
    wanted = desired.definition.over(base_content(server, desired.base, shown_base))
    warnings = require_context(desired, shown_base or {})
    there = read_content(server, desired.name) if current else None
    parts = differing(wanted, there or Content())
    reasons = parts if there else ["missing"]
    before, after = shown(there, parts), shown(wanted, parts)
    if not reasons:
        return Outcome(False, digest, digest, base.digest, reasons, before, after, warnings)
    if check_mode:
        return Outcome(True, digest, None, base.digest, reasons, before, after, warnings)

    make(desired, server, digest)
    made = server.find(desired.name)
    made_digest = made.digest if made else None
    warnings += verdict(desired.name, wanted, read_content(server, desired.name))
    return Outcome(made_digest != digest, digest, made_digest, base.digest, reasons, before, after, warnings)


def require_threads(desired: Desired, server: Ollama) -> None:
    """Refuse a thread count where the server sets it for all models; raises GizziError."""
    parameters = desired.parameters
    if parameters.get("num_thread") is not None:
        problems = thread_problems(parameters, parse_version(server.version()))
        if problems:
            raise GizziError(f"parameters: {' '.join(problems)}")


def require_context(desired: Desired, shown_base: Mapping[str, Any]) -> list[str]:
    """Refuse more context than the base was trained for; return a warning where the server does not tell how much."""
    wanted = desired.parameters.get("num_ctx")
    trained = trained_context(shown_base)
    problem = context_problem(desired.parameters, trained, str(desired.base))
    if problem:
        raise GizziError(f"parameters: {problem}")
    if wanted is None or trained is not None:
        return []
    return [
        f"{desired.name}: the server does not tell for how much context {desired.base} was trained. "
        f"If that is less than {wanted} tokens, Ollama shortens the context without saying so."
    ]


def base_content(server: Ollama, name: ModelName, shown_base: Mapping[str, Any] | None) -> Content:
    """Read what the base consists of; raise GizziError where the server does not tell."""
    if shown_base is None:
        raise GizziError(f"{server.url} lists {name} but cannot read it. Remove it, and pull it again.")
    content = content_of(shown_base)
    if not content.weights:
        raise GizziError(f"{server.url} does not say which weights {name} has, as it does of models in GGUF format.")
    return content


def read_content(server: Ollama, name: ModelName) -> Content | None:
    """Return what a model consists of, None where the server cannot read it."""
    answer = server.show(name)
    return None if answer is None else content_of(answer)


def make(desired: Desired, server: Ollama, before: str | None) -> None:
    """Make the model; raise GizziError with what is there then where that fails."""
    adapter = desired.adapter
    try:
        if adapter and not server.has_blob(adapter.digest):
            with _opened(adapter.path) as file:
                server.upload_blob(adapter.digest, file, adapter.size, desired.timeout)
        server.create(desired.name, {"from": str(desired.base), **desired.definition.payload()}, desired.timeout)
    except GizziError as error:
        failed = f"Making {desired.name} from {desired.base} failed: {error}."
        raise GizziError(f"{failed} {state_now(desired, server, before)}.") from error


def state_now(desired: Desired, server: Ollama, before: str | None) -> str:
    """Say what is there after a creation that failed; the server may have gone on."""
    try:
        there = server.find(desired.name)
    except GizziError as error:
        return f"What is there now could not be seen: {error}"
    if there is None:
        return "Nothing was made" if before is None else f"The model that was there before ({before[:12]}) is gone"
    if there.digest == before:
        return f"The model that was there before ({before[:12]}) is untouched"
    return f"The server has made {there.digest[:12]} all the same, and another run looks at it"


def verdict(name: ModelName, wanted: Content, made: Content | None) -> list[str]:
    """Some servers add to some models of their own accord, as a stop that their format needs."""
    parts = differing(wanted, made or Content())
    return [f"{name} was made, but the server shows it with another {' and '.join(parts)} than asked."] if parts else []


def shown(content: Content | None, parts: Sequence[str]) -> dict[str, Any]:
    """The parts that differ, for a diff."""
    if content is None:
        return {}
    found = {part: getattr(content, part) for part in parts}
    if "parameters" in found:
        found["parameters"] = {
            key: value[0] if len(value) == 1 else list(value) for key, value in sorted(content.parameters.items())
        }
    return {part: list(value) if isinstance(value, tuple) else value for part, value in found.items()}


def read_adapter(path: Path) -> Adapter:
    """Hash an adapter; raise GizziError where it cannot be read or is none."""
    try:
        with _opened(path) as file:
            digest, size, start = hashlib.sha256(), 0, b""
            for chunk in iter(lambda: file.read(CHUNK), b""):
                start = start or chunk[: len(GGUF)]
                size += len(chunk)
                digest.update(chunk)
    except OSError as error:
        raise GizziError(f"adapter: {path} cannot be read: {error.strerror}.") from error
    if start != GGUF:
        raise GizziError(f"adapter: {path} is not in GGUF format.")
    return Adapter(path, digest.hexdigest(), size)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file: a pipe would be waited for, and a device has no end."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "It is no regular file", str(path))
        yield file
