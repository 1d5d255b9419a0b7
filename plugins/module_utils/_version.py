# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of Ollama."""

from __future__ import annotations

import re

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

# Since then answers come from a child of the server, lib/ollama/llama-server, which the server starts for each model.
LLAMA_SERVER = (0, 30, 0)

_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?", re.ASCII)


def parse_version(text: str) -> tuple[int, int, int]:
    """Return a version, with or without a v and what follows its three numbers; GizziError where it is none."""
    match = _VERSION.fullmatch(text)
    if not match:
        raise GizziError(f"{text[:80]!r} is not a version of the form 0.31.2.")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)
