# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of a host that speak to Ollama without the gateway, or by the old client: found by their text."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_file, opened_folder
from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ENTRIES = 20_000
MAX_SECONDS = 3.0
MAX_DEPTH = 8
MAX_BYTES = 1 << 20
MAX_FOUND = 50
MAX_PATH = 300

# Where programs and their settings are, those with few files first.
_FOLDERS = (
    *("/etc/systemd/system", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.weekly"),
    *("/etc/cron.monthly", "/etc/default", "/var/spool/cron", "/usr/local/bin", "/usr/local/sbin"),
    *("/opt", "/srv", "/root", "/home"),
)
_FILES = (("/etc", "crontab"),)
_CLIENT = "/opt/validator/ollama-client"
# Of this collection.
_OURS = ("/opt/ollama", "/opt/gizzi-api", _CLIENT, "/opt/gizzi-model-update")
# The server itself, which another check names.
_SERVER = "/etc/systemd/system/ollama.service"
_OLD_CLIENT = "ollama_client.py"
_SET_ASIDE = ".before-gizzi"
# Packages of others, caches, and the chain of a node.
_SKIPPED = {
    *(".git", "node_modules", "site-packages", "dist-packages", "__pycache__", ".cache", ".cargo", ".rustup", ".npm"),
    *("chains", "db", "rocksdb", "paritydb"),
}
_OF_VENV = {"lib", "lib64", "include", "share"}
_SUFFIXES = {
    *(".py", ".sh", ".bash", ".service", ".timer", ".conf", ".env", ".toml", ".yml", ".yaml", ".json", ".js", ".ts"),
    "",
}
_HEAD = 4096
_FIRST = 200
# At the start of a line, or of a text for python -c. The old client has no modules of its own.
_IMPORT = re.compile(
    rb"(?:^|[;\"'])[ \t]*(?:import[ \t]+(?:[\w.]+[ \t]*,[ \t]*)*ollama_client(?![\w.])"
    rb"|from[ \t]+ollama_client[ \t]+import\b)",
    re.MULTILINE,
)
_PORT = re.compile(rb":11434(?!\d)")


@dataclass(frozen=True)
class _Folder:
    path: str
    depth: int
    # The filesystem of the folder where the search began; None for that one itself.
    device: int | None = None


@dataclass
class _Search:
    root: Path
    ends: float
    complete: bool = True
    entries: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def is_over(self) -> bool:
        """Return whether the time is over or too many programs are found; then the search is not complete."""
        over = time.monotonic() >= self.ends or len(self.found) > MAX_FOUND
        self.complete = self.complete and not over
        return over

    def is_full(self) -> bool:
        """Return whether no more entries may be looked at; then the search is not complete."""
        full = self.entries >= MAX_ENTRIES
        self.complete = self.complete and not full
        return full or self.is_over()


def old_programs(root: Path = Path("/")) -> dict[str, Any]:
    """Return the programs of a host that speak plain Ollama.

    ``found``: the ``path`` of each, the first ``line`` that tells it, and ``why``: "import" of the old client, else the
    "port" 11434. ``complete``: false where a bound was met (entries, seconds, depth, number of programs), or something
    could not be read. No link in the folders is followed, and no other filesystem below one of them is looked at.

    A program of the new client has the same import: it is told apart only where its first line names that client's
    Python. So "import" tells something only while the old client is there.
    """
    search = _Search(root, time.monotonic() + MAX_SECONDS)
    for folder, name in _FILES:
        _look_at_one(search, folder, name)
    # Each level before the next one: a large tree must not hide a program at the top of another one.
    waiting = deque(_Folder(path, 1) for path in _FOLDERS)
    while waiting and not search.is_full():
        waiting.extend(_look_into(search, waiting.popleft()))
    found = sorted(search.found[:MAX_FOUND], key=lambda one: str(one["path"]))
    return {"found": found, "complete": search.complete and len(search.found) <= MAX_FOUND}


def _look_at_one(search: _Search, folder: str, name: str) -> None:
    try:
        with opened_folder(_below(search.root, folder)) as opened:
            _look_at(search, opened, f"{folder}/{name}")
    except FileNotFoundError:
        return
    except OSError:
        search.complete = False


def _look_into(search: _Search, folder: _Folder) -> list[_Folder]:
    """Look at the files of a folder and return the folders in it; one that is gone has none."""
    try:
        with opened_folder(_below(search.root, folder.path)) as opened:
            status = os.fstat(opened)
            device = status.st_dev if folder.device is None else folder.device
            if status.st_dev != device or (status.st_dev, status.st_ino) in search.seen:
                return []
            search.seen.add((status.st_dev, status.st_ino))
            return [_Folder(path, folder.depth + 1, device) for path in _folders_in(search, opened, folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        search.complete = False
        return []


def _folders_in(search: _Search, opened: int, folder: _Folder) -> list[str]:
    folders = []
    entries = _entries(search, opened)
    in_venv = any(entry.name == "pyvenv.cfg" for entry in entries)
    for entry in entries:
        path = f"{folder.path}/{entry.name}"
        if search.is_over():
            break
        if path in _OURS or path.startswith(_SERVER):
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name in _SKIPPED or (in_venv and entry.name in _OF_VENV):
                continue
            if folder.depth >= MAX_DEPTH:
                search.complete = False
            else:
                folders.append(path)
        elif entry.is_file(follow_symlinks=False):
            _look_at(search, opened, path)
    return folders


def _entries(search: _Search, opened: int) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by their names, as many as the search may still have."""
    entries = []
    with os.scandir(opened) as found:
        for entry in found:
            if search.is_full():
                break
            search.entries += 1
            entries.append(entry)
    return sorted(entries, key=lambda entry: entry.name)


def _look_at(search: _Search, folder: int, path: str) -> None:
    name = path.rpartition("/")[2]
    if name == _OLD_CLIENT or name.endswith(_SET_ASIDE) or Path(name).suffix not in _SUFFIXES:
        return
    try:
        text = _text(folder, name)
    except FileNotFoundError:
        return
    except OSError:
        search.complete = False
        return
    for why, line in _reasons(text):
        search.found.append({"path": shown(path)[:MAX_PATH], "line": line, "why": why})
        return


def _text(folder: int, name: str) -> bytes:
    """Return the text of a file; empty where it is large, is no text or is of this collection."""
    with opened_file(folder, name) as file, open(file, "rb", closefd=False) as content:
        head = b"" if os.fstat(file).st_size > MAX_BYTES else content.read(_HEAD)
        if b"\0" in head or b"etrid.gizzi" in head[:_FIRST]:
            return b""
        return head + content.read(MAX_BYTES) if head else b""


def _reasons(text: bytes) -> Iterator[tuple[str, int]]:
    """Yield why a text is one of a program that speaks plain Ollama, and the line of it: first the graver reason."""
    # A program that runs by the new client's Python has the new client. The plain search first: it is quick.
    is_new = _CLIENT.encode() in text.partition(b"\n")[0]
    imports = _IMPORT.search(text) if not is_new and b"ollama_client" in text else None
    for why, match in (("import", imports), ("port", _PORT.search(text))):
        if match:
            yield why, text.count(b"\n", 0, match.start()) + 1


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
