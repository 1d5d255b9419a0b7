# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the header of a model's weights says about the memory of its context, read from a file or from a registry.

The format is GGUF, little-endian, version 2 or 3 (docs/gguf.md of ggml): the bytes "GGUF", a version, the number of
tensors and of entries, then the entries: a key, the number of a type, a value. Everything in it is bounded here.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError, HttpError, request

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO, Union

    # One number for all layers, or one for each.
    _Number = Union[int, list[int]]
    _Numbers = dict[str, _Number]

# A header is some kilobytes of entries and the words of the tokenizer, up to some 20 MB of them.
MAX_HEADER = 64 * 1024 * 1024
# How much of it is asked of a registry: what is needed comes before the words; where it does not, once more.
REQUEST_SIZES = (1024 * 1024, 16 * 1024 * 1024)

# Bytes of one value of an attention cache of f16, which is what Ollama takes (OLLAMA_KV_CACHE_TYPE).
F16 = 2

_MAX_ENTRIES = 4096
_MAX_KEY = 65535
_MAX_NAME = 256
_MAX_LAYERS = 4096
_MAX_NUMBER = 1 << 32

_STRING, _ARRAY = 8, 9
_SIGNED = {1, 3, 5, 11}
_INTEGER_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 10: 8, 11: 8}
_SIZES = {**_INTEGER_SIZES, 6: 4, 7: 1, 12: 8}

_WANTED = frozenset(
    (
        "block_count",
        "context_length",
        "embedding_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
    )
)


class GgufError(GizziError):
    """The header cannot be read, or does not say what is needed."""


class CutShortError(GgufError):
    """It goes on behind what there is of it."""


@dataclass(frozen=True)
class ModelHeader:
    """bytes_per_token: memory that one token of context takes.

    trained_context: tokens that the model was trained for; None when the header does not say.
    """

    bytes_per_token: int
    trained_context: int | None


def header_of_file(path: Path) -> ModelHeader:
    """The header of a blob in a store, through no link: the store belongs to somebody else than who looks.

    Raises GgufError, which names the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=64 * 1024) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise GgufError(f"{path} is no file.")
            return read_header(file, str(path), MAX_HEADER)
    except OSError as error:
        raise GgufError(f"{path} cannot be read: {error.strerror}.") from error


def header_at_url(url: str, timeout: float) -> ModelHeader:
    """The header of a blob at a registry, of which no more is asked than is needed; timeout in seconds for each MiB.

    A registry answers a Range with 206 and the part. One that answers 200 sends everything: the transport takes the
    first 16 MiB at most, and gives up beyond. Raises GgufError, which names the URL.
    """
    for size in REQUEST_SIZES:
        patience = timeout * size / REQUEST_SIZES[0]
        try:
            answer = request("GET", url, patience, headers={"Range": f"bytes=0-{size - 1}"}, use_proxy=True)
        except BadStatusError as error:
            raise GgufError(f"The weights cannot be looked at: {error}.") from error
        except HttpError as error:
            raise GgufError(f"The first {size} bytes of the weights cannot be read: {error}.") from error
        part = answer.headers.get("content-range", "")
        if answer.status == 206 and not part.startswith("bytes 0-"):
            raise GgufError(f"{url} answered with another part of the weights than was asked for: {part!r}.")
        try:
            return read_header(io.BytesIO(answer.body), url, len(answer.body))
        except CutShortError:
            if size == REQUEST_SIZES[-1] or len(answer.body) < size:
                raise
    raise AssertionError("unreachable")


def read_header(source: BinaryIO, what: str, limit: int) -> ModelHeader:
    """Read entries until all that is needed is known; what names the source in errors, limit is in bytes.

    Converters write a model's numbers before its tokenizer, or all keys in their order. So the tokenizer is read only
    when something is still missing. Raises CutShortError at the end of the source or at the limit, and GgufError.
    """
    reader = _Reader(source, what, limit)
    if reader.take(4) != b"GGUF":
        raise GgufError(f"{what} is not a GGUF file.")
    version = reader.number(4)
    if version not in (2, 3):
        raise GgufError(f"{what} is of version {version} of GGUF; 2 and 3 are known.")
    reader.skip(8)
    entries = reader.number(8)
    if entries > _MAX_ENTRIES:
        raise GgufError(f"{what} is damaged: it counts {entries} entries.")
    architecture = ""
    numbers: _Numbers = {}
    for _entry in range(entries):
        key = reader.text(_MAX_KEY)
        if key.startswith("tokenizer.") and _is_enough(architecture, numbers):
            break
        kind = reader.number(4)
        # A model's keys may come before general.architecture, so those of every prefix are kept.
        if key == "general.architecture" and kind == _STRING:
            architecture = reader.text(_MAX_NAME)
        elif key.partition(".")[2] in _WANTED:
            numbers[key] = reader.numbers(kind, key)
        else:
            reader.skip_value(kind, key)
        if all(f"{architecture}.{name}" in numbers for name in _WANTED):
            break
    return _header(architecture, numbers, what)


class _Reader:
    """Takes from a source, and never goes beyond the limit."""

    def __init__(self, source: BinaryIO, what: str, limit: int) -> None:
        self.source = source
        self.what = what
        self.left = limit

    def take(self, size: int) -> bytes:
        self._spend(size)
        data = self.source.read(size)
        if len(data) < size:
            raise self._cut_short()
        return data

    def skip(self, size: int) -> None:
        self._spend(size)
        self.source.seek(size, os.SEEK_CUR)

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def text(self, longest: int) -> str:
        size = self.number(8)
        if size > longest:
            raise GgufError(f"{self.what} is damaged: a name in its header is {size} bytes long.")
        return self.take(size).decode("utf-8", "replace")

    def numbers(self, kind: int, key: str) -> _Number:
        """A whole number, or an array of them."""
        if kind != _ARRAY:
            return self._whole(kind, key)
        kind, count = self.number(4), self.number(8)
        if count > _MAX_LAYERS:
            raise GgufError(f"{self.what} is damaged: {key} holds {count} numbers.")
        return [self._whole(kind, key) for _each in range(count)]

    def skip_value(self, kind: int, key: str) -> None:
        """Go past a value without building it."""
        count = 1
        if kind == _ARRAY:
            kind, count = self.number(4), self.number(8)
        if kind == _STRING:
            for _each in range(count):
                self.skip(self.number(8))
        elif kind in _SIZES:
            self.skip(_SIZES[kind] * count)
        else:
            raise GgufError(f"{self.what} is damaged: {key} is of type {kind}, which is none.")

    def _whole(self, kind: int, key: str) -> int:
        if kind not in _INTEGER_SIZES:
            raise GgufError(f"{self.what} is damaged: {key} is of type {kind}, which is no whole number.")
        value = self.number(_INTEGER_SIZES[kind], kind in _SIGNED)
        if not 0 <= value < _MAX_NUMBER:
            raise GgufError(f"{self.what} is damaged: {key} is {value}.")
        return value

    def _spend(self, size: int) -> None:
        if size > self.left:
            raise self._cut_short()
        self.left -= size

    def _cut_short(self) -> CutShortError:
        return CutShortError(f"{self.what} is damaged, or its header is too long: it ends too early.")


def _is_enough(architecture: str, numbers: _Numbers) -> bool:
    """Whether only keys are missing for which there is a default."""
    try:
        header = _header(architecture, numbers, "")
    except GgufError:
        return False
    return header.trained_context is not None


def _header(architecture: str, numbers: _Numbers, what: str) -> ModelHeader:
    if not architecture:
        raise GgufError(f"{what} does not say what kind of model it holds (general.architecture).")
    prefix = f"{architecture}."
    own = {key[len(prefix) :]: value for key, value in numbers.items() if key.startswith(prefix)}
    trained = own.get("context_length")
    try:
        return ModelHeader(_bytes_per_token(own), trained if isinstance(trained, int) and trained else None)
    except KeyError as error:
        raise GgufError(f"{what} does not say its {prefix}{error.args[0]}.") from error
    except ValueError as error:
        raise GgufError(f"{what} is damaged: {error} ({prefix}*).") from error


def _bytes_per_token(numbers: _Numbers) -> int:
    """Each layer keeps one key and one value of a token for each of its heads (llama.cpp: llama_kv_cache).

    What a sliding window saves is not taken off. Raises KeyError for a number that is missing, ValueError.
    """
    layers = numbers["block_count"]
    if isinstance(layers, list):
        raise ValueError("block_count is an array")
    heads = numbers.get("attention.head_count_kv", numbers.get("attention.head_count"))
    if heads is None:
        raise KeyError("attention.head_count")
    if isinstance(heads, list) and len(heads) < layers:
        raise ValueError(f"it has {layers} layers, and heads of {len(heads)}")
    count = sum(heads) if isinstance(heads, list) else heads * layers
    # A model without attention keeps no tokens.
    return count and count * (_length(numbers, "key_length") + _length(numbers, "value_length")) * F16


def _length(numbers: _Numbers, name: str) -> int:
    """Values in a head's key or value: as said, or its share of the embedding, the largest where layers differ."""
    said = numbers.get(f"attention.{name}")
    if said is not None:
        return max(said, default=0) if isinstance(said, list) else said
    embedding, heads = numbers["embedding_length"], numbers["attention.head_count"]
    if isinstance(embedding, list):
        raise ValueError("embedding_length is an array")
    fewest = min((count for count in (heads if isinstance(heads, list) else [heads]) if count), default=0)
    if not fewest:
        raise ValueError(f"it has neither attention.{name} nor attention.head_count")
    return embedding // fewest
