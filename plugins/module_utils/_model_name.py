# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

# The parts that Ollama accepts (types/model/name.go).
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")

_PLACES = ("local", "cloud")


class InvalidModelNameError(GizziError):
    pass


@dataclass(frozen=True)
class ModelName:
    """A fully spelled name. Compare with same_as(): Ollama ignores case, registries do not."""

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        short = f"{self.model}:{self.tag}"
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{short}"
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{short}"
        return short

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    def same_as(self, other: ModelName) -> bool:
        return self.full.lower() == other.full.lower()

    def with_tag(self, tag: str) -> ModelName:
        return _checked(replace(self, tag=tag), tag)

    def at_host(self, host: str) -> ModelName:
        return replace(self, host=host)


def parse_model_name(text: str) -> ModelName:
    """Read [[host/]namespace/]model[:tag]; 'mistral' becomes registry.ollama.ai/library/mistral:latest."""
    if "://" in text:
        raise InvalidModelNameError(f"{text!r} is a URL, not a model name: write it without the scheme.")
    if "@" in text:
        raise InvalidModelNameError(f"{text!r} names a digest, and Ollama cannot pull by digest: give the tag alone.")
    parts = text.split("/")
    if len(parts) > 3:
        raise InvalidModelNameError(f"{text!r} has too many parts: a model is [[host/]namespace/]model[:tag].")
    model, colon, tag = parts[-1].partition(":")
    name = ModelName(
        host=parts[0] if len(parts) == 3 else DEFAULT_HOST,
        namespace=parts[-2] if len(parts) > 1 else DEFAULT_NAMESPACE,
        model=model,
        tag=tag if colon else DEFAULT_TAG,
    )
    return _checked(name, text)


def parse_servable_name(text: str) -> ModelName:
    """Read the name of a model that is to answer; raise InvalidModelNameError where it could never do so.

    Ollama takes the tags local, cloud and …-cloud for a place and not for a tag, in any case of letters: it stores such
    a model and looks elsewhere when it is asked (internal/modelref/modelref.go).
    """
    name = parse_model_name(text)
    tag = name.tag.lower()
    if tag in _PLACES or tag.endswith("-cloud"):
        raise InvalidModelNameError(
            f"{text!r} can be stored and never answers: Ollama reads the tag {name.tag!r} as the place where a model "
            "runs. Give it another tag."
        )
    return name


def _checked(name: ModelName, text: str) -> ModelName:
    for what, pattern, value in (
        ("host", _HOST, name.host),
        ("namespace", _NAMESPACE, name.namespace),
        ("model", _MODEL, name.model),
        ("tag", _MODEL, name.tag),
    ):
        if not pattern.fullmatch(value):
            raise InvalidModelNameError(
                f"{text!r} is not a model name: the {what} {value!r} is not allowed. "
                "Write [[host/]namespace/]model[:tag], as in 'llama3.1:8b'."
            )
    return name
