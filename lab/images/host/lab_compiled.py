"""Keeps the code that Python compiles from zip archives, for the next process that imports the same source.

Ansible sends each module and its imports as source in an archive. To compile them takes three quarters of the
module's time, for every task on every host, and all lab hosts share one machine. Python keeps no compiled files for
archives, so this file does: on the hosts, and in the tests' environment, which is a host too (localhost). The file
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
    """Return a function that reads compiled code from ``folder``, or calls ``compile_source`` and keeps the result."""

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
    """Write the code in one step; a service without write permission skips this."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # No user may run code that another user has compiled.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_bytes(marshal.dumps(code))
        partial.replace(path)
    except OSError:
        pass


def install(folder: str) -> None:
    """Keep compiled code for this process' imports from archives. Each user has its own folder in ``folder``."""
    private = vars(zipimport)
    private["_compile_source"] = keeping(private["_compile_source"], Path(folder) / str(os.geteuid()))
