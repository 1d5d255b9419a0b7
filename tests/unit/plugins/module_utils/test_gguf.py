# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _gguf, _http
from ansible_collections.etrid.gizzi.plugins.module_utils._gguf import CutShortError, GgufError, ModelHeader
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import (
    ARRAY,
    INT32,
    SMOLLM2,
    SMOLLM2_TOKEN,
    STRING,
    TOKENIZER,
    UINT32,
    UINT64,
    array,
    gguf,
    number,
    text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

SMALL = ModelHeader(SMOLLM2_TOKEN, 8192)


def read(content: bytes) -> ModelHeader:
    return _gguf.read_header(io.BytesIO(content), "the file", len(content))


def llama(**changes: Any) -> bytes:
    """A header with other numbers; None leaves one out."""
    changed = {f"llama.{key.replace('__', '.')}": value for key, value in changes.items()}
    entries = {**SMOLLM2, **changed, **TOKENIZER}
    return gguf({key: value for key, value in entries.items() if value is not None})


@pytest.mark.parametrize("version", [2, 3])
def test_smollm2(version: int) -> None:
    assert read(gguf({**SMOLLM2, **TOKENIZER}, version)) == SMALL


def test_llama_3_1_8b() -> None:
    numbers = {"block_count": 32, "context_length": 131072, "embedding_length": 4096}
    header = read(llama(**numbers, attention__head_count=32, attention__head_count_kv=8))
    assert header == ModelHeader(131_072, 131_072)


@pytest.mark.parametrize(
    ("changes", "bytes_per_token"),
    [
        ({"attention__key_length": 128, "attention__value_length": 64}, 30 * 3 * (128 + 64) * 2),
        ({"attention__key_length": 128}, 30 * 3 * (128 + 64) * 2),
        # Every head has its own key where nothing is said.
        ({"attention__head_count_kv": None}, 30 * 9 * 128 * 2),
        # Layers that differ: those of no heads keep no tokens.
        ({"attention__head_count_kv": [3, 0, 0] * 10}, 10 * 3 * 128 * 2),
        ({"attention__head_count_kv": array(INT32, [3, 0, 0] * 10)}, 10 * 3 * 128 * 2),
        # The largest head counts where heads differ.
        ({"attention__head_count": [9, 0, 6] * 10}, 30 * 3 * (96 + 96) * 2),
        ({"attention__head_count": [0] * 30, "attention__head_count_kv": 0}, 0),
        ({"attention__head_count": None, "attention__key_length": 64, "attention__value_length": 64}, SMOLLM2_TOKEN),
        ({"block_count": number(UINT64, 60)}, 2 * SMOLLM2_TOKEN),
    ],
)
def test_what_a_token_takes(changes: dict[str, Any], bytes_per_token: int) -> None:
    assert read(llama(**changes)) == ModelHeader(bytes_per_token, 8192)


def test_what_a_model_was_trained_for_may_be_unknown() -> None:
    assert read(llama(context_length=None)) == ModelHeader(SMOLLM2_TOKEN, None)
    assert read(llama(context_length=0)) == ModelHeader(SMOLLM2_TOKEN, None)


def test_what_a_model_was_trained_for_is_found_behind_the_tokenizer() -> None:
    entries = {**SMOLLM2, **TOKENIZER}
    trained = {"llama.context_length": entries.pop("llama.context_length")}
    assert read(gguf({**entries, **trained})) == SMALL


def test_the_parts_of_a_model_that_see_are_not_taken_for_it() -> None:
    assert read(gguf({**SMOLLM2, "llama.vision.block_count": 99, "clip.block_count": 99})) == SMALL


def test_keys_in_their_order_come_before_the_kind_of_model() -> None:
    entries = {key.replace("llama.", "bert."): value for key, value in SMOLLM2.items()}
    entries["general.architecture"] = "bert"
    assert read(gguf(dict(sorted({**entries, **TOKENIZER}.items())))) == SMALL


def test_numbers_behind_the_tokenizer_are_found() -> None:
    entries = {key.replace("llama.", "xverse."): value for key, value in SMOLLM2.items()}
    entries["general.architecture"] = "xverse"
    assert read(gguf(dict(sorted({**entries, **TOKENIZER}.items())))) == SMALL


def test_the_tokenizer_is_not_read_when_nothing_is_missing() -> None:
    whole = gguf({**SMOLLM2, **TOKENIZER})
    begun = whole[: whole.index(b"tokenizer.") + len("tokenizer.ggml.add_bos_token")]
    assert read(begun) == SMALL


def test_nothing_behind_the_last_number_is_read() -> None:
    lengths = {"llama.attention.key_length": 64, "llama.attention.value_length": 64}
    assert read(gguf({**SMOLLM2, **lengths}, count=99)) == SMALL


def test_a_header_that_is_cut_anywhere_is_told() -> None:
    whole = gguf(SMOLLM2)
    assert read(whole) == SMALL
    for size in range(len(whole) - 1 - struct.calcsize("<f")):
        with pytest.raises(CutShortError, match="the file is damaged, or its header is too long"):
            read(whole[:size])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\3\4" + bytes(100), "the file is not a GGUF file"),
        (gguf(SMOLLM2, version=1), "of version 1 of GGUF; 2 and 3 are known"),
        # The other order of bytes.
        (gguf(SMOLLM2, version=0x03000000), "of version 50331648 of GGUF"),
        (gguf(SMOLLM2, count=1 << 63), "it counts 9223372036854775808 entries"),
        (gguf({}), "what kind of model it holds"),
        (gguf({"general.architecture": "llama"}), r"does not say its llama\.block_count"),
        (llama(embedding_length=None), r"does not say its llama\.embedding_length"),
        (llama(attention__head_count=None, attention__head_count_kv=None), r"its llama\.attention\.head_count"),
        (llama(attention__head_count=None), r"its llama\.attention\.head_count"),
        (llama(attention__head_count=0), "neither attention.key_length nor attention.head_count"),
        (llama(attention__head_count_kv=[3] * 29), "it has 30 layers, and heads of 29"),
        (llama(block_count=[30]), "block_count is an array"),
        (llama(embedding_length=[576]), "embedding_length is an array"),
        (llama(block_count="30"), "llama.block_count is of type 8, which is no whole number"),
        (llama(block_count=30.0), "llama.block_count is of type 6"),
        (llama(block_count=number(INT32, -1)), "llama.block_count is -1"),
        (llama(block_count=number(UINT64, 1 << 63)), "llama.block_count is 9223372036854775808"),
        (llama(attention__head_count_kv=array(UINT32, [3] * 5000)), "head_count_kv holds 5000 numbers"),
        (llama(rope__kind=struct.pack("<I", 13)), "llama.rope.kind is of type 13, which is none"),
        (llama(rope__kind=array(ARRAY, [], count=1)), "llama.rope.kind is of type 9, which is none"),
        (gguf({"x" * 70000: 1}), "a name in its header is 70000 bytes long"),
        (gguf({"general.architecture": "x" * 300}), "a name in its header is 300 bytes long"),
    ],
)
def test_a_damaged_header_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(GgufError, match=reason):
        read(content)


@pytest.mark.parametrize(
    "value",
    [
        struct.pack("<IQ", STRING, 1 << 62),
        array(UINT32, [], count=1 << 62),
        array(STRING, [], count=1 << 62),
        struct.pack("<IIQQ", ARRAY, STRING, 1, 1 << 62),
    ],
)
def test_sizes_of_a_damaged_header_are_not_believed(value: bytes) -> None:
    with pytest.raises(CutShortError):
        read(gguf({"general.name": value}, tail=bytes(64)))


def test_a_file_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(gguf({**SMOLLM2, **TOKENIZER}, tail=bytes(1000)))
    assert _gguf.header_of_file(path) == SMALL


def test_only_a_file_is_read_and_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(gguf(SMOLLM2))
    (tmp_path / "link").symlink_to(tmp_path / "blob")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    reasons = {
        "link": "cannot be read: Too many levels",
        "pipe": "is no file",
        "folder": "",
        "nothing": "cannot be read",
    }
    for name, reason in reasons.items():
        with pytest.raises(GgufError, match=f"{tmp_path / name} {reason}"):
            _gguf.header_of_file(tmp_path / name)


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    whole = gguf(SMOLLM2)
    for size in (0, 3, 10, 24, 100, len(whole) - 10):
        (tmp_path / "blob").write_bytes(whole[:size])
        with pytest.raises(CutShortError, match=f"{tmp_path / 'blob'} is damaged"):
            _gguf.header_of_file(tmp_path / "blob")


def test_a_header_without_end_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gguf, "MAX_HEADER", 4000)
    path = tmp_path / "blob"
    path.write_bytes(gguf({**TOKENIZER, **SMOLLM2}))
    with pytest.raises(CutShortError, match="its header is too long"):
        _gguf.header_of_file(path)


def offered(registry: FakeRegistry, content: bytes) -> str:
    return registry.url + registry.give_weights("smollm2:135m", "small", content)


@pytest.mark.parametrize("redirects", [False, True])
def test_a_registry_is_asked_for_the_beginning_of_the_weights(registry: FakeRegistry, redirects: bool) -> None:
    registry.redirects = redirects
    url = offered(registry, gguf({**SMOLLM2, **TOKENIZER}, tail=bytes(2 * 1024 * 1024)))
    assert _gguf.header_at_url(url, 5) == SMALL
    assert registry.ranges == ["bytes=0-1048575"]


def test_a_registry_is_asked_once_more_where_the_numbers_come_late(registry: FakeRegistry) -> None:
    words = {"tokenizer.ggml.tokens": ["x" * 1000] * 1100}
    url = offered(registry, gguf({**words, **SMOLLM2}, tail=bytes(100_000)))
    assert _gguf.header_at_url(url, 5) == SMALL
    assert registry.ranges == ["bytes=0-1048575", "bytes=0-16777215"]


def test_a_registry_is_not_asked_a_third_time(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gguf, "REQUEST_SIZES", (100, 1000))
    url = offered(registry, gguf({**TOKENIZER, **SMOLLM2}))
    with pytest.raises(CutShortError, match=url):
        _gguf.header_at_url(url, 5)
    assert registry.ranges == ["bytes=0-99", "bytes=0-999"]


def test_weights_that_end_too_early_are_not_asked_for_again(registry: FakeRegistry) -> None:
    with pytest.raises(CutShortError):
        _gguf.header_at_url(offered(registry, gguf(SMOLLM2, count=99)), 5)
    assert registry.ranges == ["bytes=0-1048575"]


def test_a_server_that_knows_no_ranges(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.knows_ranges = False
    url = offered(registry, gguf({**SMOLLM2, **TOKENIZER}))
    assert _gguf.header_at_url(url, 5) == SMALL
    # Of large weights it would send everything.
    monkeypatch.setattr(_http, "MAX_BODY", 1000)
    with pytest.raises(GgufError, match="answered with more than 1000 bytes"):
        _gguf.header_at_url(url, 5)


def test_weights_that_cannot_be_had(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GgufError, match="answered 404: manifest unknown"):
        _gguf.header_at_url(f"{registry.url}/v2/library/x/blobs/sha256:0", 5)
    with pytest.raises(GgufError, match="connection refused"):
        _gguf.header_at_url("http://127.0.0.1:1/v2/library/x/blobs/sha256:0", 5)
    monkeypatch.setattr(
        registry, "send_blob", lambda http, content: http.send(206, content, Content_Range="bytes 5-9/9")
    )
    with pytest.raises(GgufError, match="another part of the weights than was asked for: 'bytes 5-9/9'"):
        _gguf.header_at_url(offered(registry, gguf(SMOLLM2)), 5)


def test_a_name_may_hold_anything() -> None:
    assert read(gguf({**SMOLLM2, "general.name": struct.pack("<I", STRING) + text(b"\xff\xfe")})) == SMALL
