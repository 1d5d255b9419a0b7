# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that a release of Ollama must have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._version import LLAMA_SERVER, parse_version

if TYPE_CHECKING:
    from pathlib import Path


def missing_parts(release: Path, version: str) -> list[str]:
    """Return which executables a release lacks, as paths below its folder; raise GizziError where version is none.

    Since 0.30 inference runs in a child: without it the server answers /api/version, and 500 to every prompt.
    """
    parts = ["bin/ollama", *(["lib/ollama/llama-server"] if parse_version(version) >= LLAMA_SERVER else [])]
    return [part for part in parts if not _is_program(release / part)]


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
