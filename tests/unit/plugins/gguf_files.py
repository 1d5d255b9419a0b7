# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The beginnings of GGUF files, of models that there are and of damaged ones."""

from __future__ import annotations

import struct
from typing import Any

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 4, 5, 6, 7, 8, 9, 10
_FORMATS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?", UINT64: "<Q"}

# Of SmolLM2 135M as the lab's registry has it. A token of context takes 30 x 3 x (64 + 64) x 2 bytes.
SMOLLM2 = {
    "general.architecture": "llama",
    "general.name": "Smollm2 135M",
    "general.languages": ["en"],
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.rope.freq_base": 100000.0,
}
SMOLLM2_TOKEN = 23_040
TOKENIZER = {"tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.tokens": [f"word{number}" for number in range(500)]}


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: Any) -> bytes:
    """An entry; bytes are a type and a value as they are."""
    return text(key) + (value if isinstance(value, bytes) else _typed(value))


def gguf(entries: dict[str, Any], version: int = 3, count: int | None = None, tail: bytes = b"") -> bytes:
    """A file with these entries, which counts them as said, and what follows."""
    begin = b"GGUF" + struct.pack("<IQQ", version, 272, len(entries) if count is None else count)
    return begin + b"".join(entry(key, value) for key, value in entries.items()) + tail


def array(kind: int, values: list[Any], count: int | None = None) -> bytes:
    head = struct.pack("<IIQ", ARRAY, kind, len(values) if count is None else count)
    return head + b"".join(_value(kind, value) for value in values)


def number(kind: int, value: int) -> bytes:
    return struct.pack("<I", kind) + _value(kind, value)


def _typed(value: Any) -> bytes:
    if isinstance(value, list):
        return array(_kind(value[0]), value)
    return struct.pack("<I", _kind(value)) + _value(_kind(value), value)


def _kind(value: Any) -> int:
    return {bool: BOOL, int: UINT32, float: FLOAT32, str: STRING}[type(value)]


def _value(kind: int, value: Any) -> bytes:
    return text(value) if kind == STRING else struct.pack(_FORMATS[kind], value)
