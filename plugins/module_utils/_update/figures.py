# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of evaluations, kept on the server's host, so that a model is evaluated once and not at every update.

A result is valid for one manifest, one version of Ollama and one list of prompts.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import is_ours_alone, opened_folder, read_file
from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import Evaluation, Failure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import Prompt

# Only root can write here: else the user ollama could change results.
FOLDER = Path("/var/lib/gizzi-update")
NAME = "evaluations.json"
MAX_FILE = 1024 * 1024


def key_of(digest: str, version: str, prompts: Sequence[Prompt]) -> str:
    """Return the key of an evaluation; digest is the manifest's, version is the server's."""
    asked = json.dumps([asdict(prompt) for prompt in prompts], sort_keys=True)
    return f"{digest} {version} {hashlib.sha256(asked.encode()).hexdigest()[:16]}"


def known(key: str) -> Evaluation | None:
    """Return the kept result, None where there is none or its file is invalid."""
    try:
        entry = _read()[key]
        return Evaluation(
            int(entry["asked"]),
            tuple(Failure(str(one["name"]), str(one["answer"]), str(one["reason"])) for one in entry["failures"]),
            int(entry["tokens"]),
            int(entry["nanoseconds"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def keep(key: str, found: Evaluation, digests: Collection[str]) -> None:
    """Keep a result, and remove the results of models that no longer exist: digests are the existing models.

    Raises GizziError where it cannot be written.
    """
    entries = {name: entry for name, entry in _read().items() if name.split(" ", maxsplit=1)[0] in digests}
    entries[key] = asdict(found)
    try:
        with suppress(FileExistsError):
            FOLDER.mkdir(0o700)
        with opened_folder(FOLDER) as folder:
            if not is_ours_alone(folder):
                raise GizziError(f"{FOLDER} can be written by others than root: remove it.")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(f"{NAME}.new", flags, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
                json.dump(entries, file)
            os.rename(f"{NAME}.new", NAME, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        raise GizziError(
            f"What the evaluation measured cannot be kept in {FOLDER}: {error.strerror}. Run this task as root."
        ) from error


def _read() -> dict[str, Any]:
    try:
        with opened_folder(FOLDER) as folder:
            if is_ours_alone(folder):
                entries = from_json(read_file(folder, NAME, MAX_FILE))
                return entries if isinstance(entries, dict) else {}
    except (OSError, ValueError):
        pass
    return {}
