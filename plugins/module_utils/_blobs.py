# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the blobs of a store are what their names say: each is hashed, without getting in anybody's way."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import platform
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_file, opened_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store

OK, DAMAGED, MISSING, NOT_CHECKED = "ok", "damaged", "missing", "not_checked"
PIECE = 1024 * 1024
# ioprio_set(2) has no name in Python; linux/ioprio.h: who = this process, class idle.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_THIS_PROCESS = 1
_IDLE = 3 << 13
_NAME = re.compile(r"sha256-[0-9a-f]{64}")


@dataclass(frozen=True)
class Blob:
    """What a look at one blob found.

    Attributes:
        digest: "sha256:" and 64 hex digits, by which manifests name it.
        size: its bytes on the disk, 0 where it is not there.
        status: OK, DAMAGED (its content is another than its name says), MISSING or NOT_CHECKED (it could not be read).
        reason: what is wrong, for people; "" when nothing is.
    """

    digest: str
    size: int
    status: str
    reason: str


def blob_name(digest: str) -> str:
    """Return the name of a blob's file."""
    return digest.replace(":", "-")


def blob_digest(name: str) -> str | None:
    """Return the digest that the name of a blob's file says, None for an unfinished one."""
    return name.replace("-", ":", 1) if _NAME.fullmatch(name) else None


def check_blob(store: Path, digest: str) -> Blob:
    """Hash one blob of a store on this host."""
    name = blob_name(digest)
    try:
        with opened_folder(store / "blobs") as folder, opened_file(folder, name) as file:
            found, size = sha256(file)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return Blob(digest, 0, MISSING, f"there is no file {name}")
        # A link is not followed, so what it leads to is not known.
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        return Blob(digest, 0, NOT_CHECKED, f"the file {name} cannot be read: {why}")
    if found == digest:
        return Blob(digest, size, OK, "")
    return Blob(digest, size, DAMAGED, f"the content of {name} has the digest {found}")


def check_blobs(store: Path, digests: Iterable[str]) -> dict[str, Blob]:
    """Hash some blobs of a store on this host, each once, at idle priority."""
    be_idle()
    return {digest: check_blob(store, digest) for digest in sorted(set(digests))}


def take_away(store: Path, digest: str) -> None:
    """Remove a damaged blob, so that the next pull fetches it; raise GizziError where that is not possible."""
    try:
        with opened_folder(store / "blobs") as folder, suppress(FileNotFoundError):
            os.unlink(blob_name(digest), dir_fd=folder)
    except OSError as error:
        raise GizziError(
            f"The damaged blob {store}/blobs/{blob_name(digest)} cannot be removed: {error.strerror}. "
            "Run this task as root."
        ) from error


def be_idle() -> None:
    """Give way to everybody: the disk when nobody else wants it, the processors last.

    Where the kernel does not allow it, as in some containers, the work is done all the same.
    """
    call = _IOPRIO_SET.get(platform.machine())
    if call is not None:
        ctypes.CDLL(None).syscall(call, _THIS_PROCESS, 0, _IDLE)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 19)


def sha256(file: int) -> tuple[str, int]:
    """Return the digest of an open file from where it stands, and its bytes; what was read leaves the page cache."""
    digest, size = hashlib.sha256(), 0
    while True:
        piece = os.read(file, PIECE)
        if not piece:
            return f"sha256:{digest.hexdigest()}", size
        digest.update(piece)
        os.posix_fadvise(file, size, len(piece), os.POSIX_FADV_DONTNEED)
        size += len(piece)


def check_store(store: Store, names: Iterable[ModelName] | None) -> list[dict[str, Any]]:
    """Hash the blobs of some models of a store on this host, or of all where names is None, each blob once.

    Returns a dict for each blob: digest (None where not even the manifest could be read), size in bytes, the models
    that name it, status and message ("" for one that is OK). What cannot be read is NOT_CHECKED.
    """
    try:
        there = store.names()
        wanted = there if names is None else list(names)
    except OSError as error:
        why = f"the store {store.path} cannot be read here ({error.strerror}), so nothing was checked"
        return [_result(None, [str(name) for name in names or ()], Blob("", 0, NOT_CHECKED, why))]
    users: dict[str, list[str]] = {}
    results = []
    for name in wanted:
        stored = next((other for other in there if other.same_as(name)), None)
        manifest = store.held(stored) if stored else None
        if manifest is None:
            why = f"the store {store.path} has no manifest of it that can be read, so its blobs were not checked"
            results.append(_result(None, [str(name)], Blob("", 0, NOT_CHECKED, why)))
            continue
        for layer in manifest.layers:
            users.setdefault(layer.digest, []).append(str(name))
    blobs = check_blobs(store.path, users)
    return results + [_result(digest, users[digest], blob) for digest, blob in blobs.items()]


def _result(digest: str | None, models: list[str], blob: Blob) -> dict[str, Any]:
    whose = ", ".join(models)
    what = f"{whose}: the blob {digest}: {blob.reason}" if digest else f"{whose}: {blob.reason}".removeprefix(": ")
    message = "" if blob.status == OK else what
    return {"digest": digest, "size": blob.size, "models": models, "status": blob.status, "message": message}
