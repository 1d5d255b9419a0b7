"""A library that uses its own functions, whatever the program that loads it has."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import numpy._core._multiarray_umath as library
import pytest

from lab.artifacts.elf import bind_to_itself
from lab.artifacts.errors import BuildError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of a library that a linker has made."""
    copied = tmp_path / "library.so"
    copied.write_bytes(Path(library.__file__).read_bytes())
    return copied


def dynamic(path: Path) -> list[int]:
    """Return the tags of the dynamic section, by another way than the code's: from its section's header."""
    data = path.read_bytes()
    (sections,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    for at in range(sections, sections + size * count, size):
        if struct.unpack_from("<I", data, at + 4) == (6,):
            start, length = struct.unpack_from("<QQ", data, at + 24)
            return [tag for tag, _value in struct.iter_unpack("<qQ", data[start : start + length])]
    raise AssertionError("no dynamic section")


def test_it_binds_to_itself_and_still_loads(copy: Path) -> None:
    before = dynamic(copy)
    assert 16 not in before
    bind_to_itself(copy)
    after = dynamic(copy)
    assert after.count(16) == 1
    assert [tag for tag in after if tag not in (0, 16)] == [tag for tag in before if tag != 0]
    assert after[-1] == 0
    ctypes.CDLL(str(copy))


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(BuildError, match="no 64-bit ELF file"):
        bind_to_itself(script)
