# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an Ollama server says of itself and of its models.

A model is loaded when the server lists its weights, under whatever name, and a process of its unit holds them: models
that are made from one another share their weights, and the server goes on listing a model whose process was killed.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http.client import HTTPException
from typing import Any, Callable, Optional

REQUEST_TIMEOUT = 10.0
MAX_BYTES = 10_000_000
# Parameters of a model with which its weights are loaded. Another value in a question loads them anew.
LOADED_WITH = frozenset(("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread"))

_BLOB = re.compile(r'^(?:FROM|DRAFT|ADAPTER) .*sha256[-:]([0-9a-f]{64})"*$', re.MULTILINE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")

# A path, JSON to post or None, and the seconds to wait; returns the JSON that was answered.
Request = Callable[[str, Optional["Mapping[str, Any]"], float], Any]


class OllamaError(Exception):
    """The server does not answer, or not as an Ollama does; the text says how."""


class SilentError(OllamaError):
    """The server has taken the question, and has sent nothing in the time for it."""


@dataclass(frozen=True)
class Loaded:
    """A model that is listed: when it will be unloaded (seconds since the epoch), and its context in tokens if told.

    ``digest`` is that of the manifest that it was loaded from; ``probed`` tells whether a question loads nothing anew.
    """

    expires: float
    context: int | None = None
    digest: str = ""
    probed: bool = True


@dataclass(frozen=True)
class Server:
    """What a server says of itself; models by their full names.

    ``present`` has the digest of each model's manifest, ``loaded`` what is listed as loaded.
    """

    version: str
    present: Mapping[str, str]
    loaded: Mapping[str, Loaded]


@dataclass(frozen=True)
class Parts:
    """What a model is loaded from: the digests of its files, and what of its parameters counts when it is loaded."""

    files: tuple[str, ...]
    settings: frozenset[str]


def full_name(model: str) -> str:
    """Return a model's name as Ollama lists it: with its tag, without the default registry; in lower case."""
    name = model.lower()
    for default in ("registry.ollama.ai/", "library/"):
        if name.startswith(default):
            name = name[len(default) :]
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def timestamp(text: str) -> float:
    """Return a time in RFC 3339 as seconds since the epoch, without its fraction; ValueError for any other text."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00")).timestamp()


def requester(url: str) -> Request:
    """Return a function that asks the server at ``url``; it raises OllamaError for whatever is no JSON answer."""
    # The host's proxy is not for the host's own Ollama.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(path: str, payload: Mapping[str, Any] | None, timeout: float) -> Any:
        body = None if payload is None else json.dumps(payload).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with opener.open(urllib.request.Request(url + path, body, headers), timeout=timeout) as answer:
                return json.loads(answer.read(MAX_BYTES))
        # Before Python 3.10 they are two.
        except (socket.timeout, TimeoutError) as error:
            raise SilentError(f"{url}{path}: {error}") from None
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            raise OllamaError(f"{url}{path}: {error}") from None

    return request


def read_server(request: Request) -> Server:
    """Ask for the version and the models; OllamaError if one of the three answers does not come or is no Ollama's."""
    version = request("/api/version", None, REQUEST_TIMEOUT)
    present = request("/api/tags", None, REQUEST_TIMEOUT)
    loaded = request("/api/ps", None, REQUEST_TIMEOUT)
    try:
        return Server(
            str(version["version"]),
            {full_name(model["name"]): digest_of(model) for model in present["models"]},
            {
                full_name(model["name"]): Loaded(
                    timestamp(model["expires_at"]), model.get("context_length"), digest_of(model)
                )
                for model in loaded["models"]
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OllamaError(f"the answers are not those of an Ollama ({type(error).__name__}: {error})") from None


def digest_of(model: Mapping[str, Any]) -> str:
    """Return the digest of a listed model in hex, empty if there is none."""
    return str(model.get("digest") or "").rpartition(":")[2]


def held(request: Request, wanted: Iterable[str], server: Server) -> dict[str, Loaded]:
    """Return which of the wanted models are listed, by weights, each with the entry that holds them.

    What a model is made of is asked for only where name and digest do not tell. A digest that no model of the store
    has any more stands for unknown weights.
    """
    known: dict[str, Parts | None] = {}
    names = {digest: name for name, digest in server.present.items() if digest}

    def parts(digest: str) -> Parts | None:
        if digest not in known:
            known[digest] = read_parts(request, names[digest]) if digest in names else None
        return known[digest]

    holders = {}
    for model in wanted:
        digest = server.present.get(model)
        if digest is None:
            continue
        for name, entry in server.loaded.items():
            if entry.digest == digest and (digest or name == model):
                holders[model] = entry
                break
            ours, theirs = parts(digest), parts(entry.digest)
            if ours is not None and theirs is not None and ours.files == theirs.files:
                holders[model] = replace(entry, probed=ours.settings == theirs.settings)
    return holders


def read_parts(request: Request, model: str) -> Parts | None:
    """Ask what a model is loaded from; None if the server does not tell."""
    try:
        shown = request("/api/show", {"model": model}, REQUEST_TIMEOUT)
        files = tuple(_BLOB.findall(shown["modelfile"]))
        lines = [" ".join(line.split()) for line in (shown.get("parameters") or "").splitlines()]
    except (OllamaError, KeyError, TypeError, AttributeError) as error:
        print(f"parts of {model}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    return Parts(files, frozenset(line for line in lines if line.partition(" ")[0] in LOADED_WITH)) if files else None
