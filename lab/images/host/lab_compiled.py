"""Keeps what Python has compiled out of zip archives, for the next process that needs the same source.

Ansible sends each module with all that it imports as source in an archive. Compiling that takes three quarters of the
module's time, again for every task on every host, and all the lab's hosts share one machine. Python keeps no compiled
files for archives, so here it does: on the hosts, and where the tests' own environment is a host itself. A file
lab_compiled.pth loads it and names the folder.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import types
import zipimport
from collections.abc import Callable
from pathlib import Path

Compile = Callable[[str, bytes], types.CodeType]


def keeping(compile_source: Compile, folder: Path) -> Compile:
    """Return a function that compiles as ``compile_source`` does, or finds what it did before in ``folder``."""

    def compile_once(pathname: str, source: bytes) -> types.CodeType:
        key = hashlib.sha256(sys.version.encode() + bytes([sys.flags.optimize]) + source).hexdigest()
        path = folder / key
        try:
            code: types.CodeType = marshal.loads(path.read_bytes())
        except (OSError, ValueError, EOFError, TypeError):
            code = compile_source(pathname, source)
            keep(path, code)
        return code

    return compile_once


def keep(path: Path, code: types.CodeType) -> None:
    """Write it whole or not at all; a service that may not write does without."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # Nobody runs what another user has compiled.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_bytes(marshal.dumps(code))
        partial.replace(path)
    except OSError:
        pass


def install(folder: str) -> None:
    """Let this process' imports from archives do so. Every user has a folder of his own in ``folder``."""
    private = vars(zipimport)
    private["_compile_source"] = keeping(private["_compile_source"], Path(folder) / str(os.geteuid()))
