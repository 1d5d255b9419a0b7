"""A change to a shared library that patchelf cannot make."""

from __future__ import annotations

import struct
from pathlib import Path

from lab.artifacts.errors import BuildError

# Offsets and tags of the System V ABI and its AMD64 supplement, for 64-bit little-endian files.
MAGIC = b"\x7fELF\x02\x01"
PT_DYNAMIC = 2
DT_NULL = 0
DT_SYMBOLIC = 16


def bind_to_itself(library: Path) -> None:
    """Make a library use its own functions, even if the program that loads it has functions of the same names.

    Sets DT_SYMBOLIC in an empty entry: linkers leave some at the end of the dynamic section.
    """
    data = bytearray(library.read_bytes())
    if not data.startswith(MAGIC):
        raise BuildError(f"{library.name} is no 64-bit ELF file")
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for header in range(headers, headers + size * count, size):
        (kind,) = struct.unpack_from("<I", data, header)
        if kind == PT_DYNAMIC:
            (start,) = struct.unpack_from("<Q", data, header + 8)
            (length,) = struct.unpack_from("<Q", data, header + 32)
            places = range(start, start + length, 16)
            empty = [place for place in places if struct.unpack_from("<q", data, place) == (DT_NULL,)]
            # The last empty entry ends the section.
            if len(empty) > 1:
                struct.pack_into("<qQ", data, empty[0], DT_SYMBOLIC, 0)
                library.write_bytes(data)
                return
    raise BuildError(f"{library.name} has no room for another entry of its dynamic section")
