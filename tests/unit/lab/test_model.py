"""The weights that the lab makes, on a model of two numbers per tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter

from lab.artifacts.model import rename, rewrite_as_f16


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model of three blocks."""
    path = tmp_path / "source.gguf"
    writer = GGUFWriter(path, arch="llama")
    writer.add_name("Smollm2 toy")
    writer.add_block_count(3)
    writer.add_file_type(0)
    for name in ("token_embd", "blk.0.attn_q", "blk.1.attn_q", "blk.10.attn_q"):
        writer.add_tensor(f"{name}.weight", np.ones((2, 2), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(2, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def content(path: Path) -> tuple[object, dict[str, str]]:
    """Return the number of blocks, and the type of each tensor."""
    reader = GGUFReader(path)
    types = {tensor.name.removesuffix(".weight"): tensor.tensor_type.name for tensor in reader.tensors}
    return reader.fields["llama.block_count"].contents(), types


def test_all_is_rewritten_and_norms_stay(source: Path, tmp_path: Path) -> None:
    assert rewrite_as_f16(source, tmp_path / "whole") == 4 * 4 + 2
    matrices = dict.fromkeys(["token_embd", "blk.0.attn_q", "blk.1.attn_q", "blk.10.attn_q"], "F16")
    assert content(tmp_path / "whole") == (3, {**matrices, "output_norm": "F32"})


def test_some_tensors_and_another_number_of_blocks(source: Path, tmp_path: Path) -> None:
    rewrite_as_f16(source, tmp_path / "some", r"token_embd\.|blk\.[01]\.", blocks=2)
    assert content(tmp_path / "some") == (2, dict.fromkeys(["token_embd", "blk.0.attn_q", "blk.1.attn_q"], "F16"))


def test_a_renamed_model_is_the_same_in_other_bytes(source: Path, tmp_path: Path) -> None:
    rename(source, tmp_path / "renamed")
    assert content(tmp_path / "renamed") == content(source)
    assert len((tmp_path / "renamed").read_bytes()) == len(source.read_bytes())
    assert GGUFReader(tmp_path / "renamed").fields["general.name"].contents() == "SMOLLM2 toy"
