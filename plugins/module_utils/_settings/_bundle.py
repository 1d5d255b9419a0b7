# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models that come from a bundle: its path, its checksum, and what a server is to have of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_SHA256 = re.compile(r"[0-9a-f]{64}")


def path_problems(name: str, path: str) -> list[str]:
    """Return what is wrong with the path of a bundle on the control host."""
    if path.startswith("/") and not path.endswith("/"):
        return []
    return [f"{name} is {shown(path)}. Write the whole path of a file on the control host, such as /srv/models.tar."]


def fleet_problems(path: str, sha256: str) -> list[str]:
    """Return what is wrong with gizzi_bundle and gizzi_bundle_sha256."""
    if not path:
        return []
    found = path_problems("gizzi_bundle", path)
    if not sha256:
        found.append(
            "gizzi_bundle_sha256 is not set. Give the SHA-256 of gizzi_bundle that etrid.gizzi.model_bundle has "
            "printed, as it came from whoever made the file."
        )
    elif not _SHA256.fullmatch(sha256):
        found.append(f"gizzi_bundle_sha256 is {shown(sha256)}. It is a SHA-256, 64 lower-case hex digits.")
    return found


def role_problems(path: str, mirror: str, offered: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with ollama_bundle, beside ollama_mirror and ollama_offered."""
    if not path:
        return []
    found = path_problems("ollama_bundle", path)
    if mirror:
        found.append("ollama_bundle and ollama_mirror are both set. The models come from one of them: leave one empty.")
    if not offered:
        found.append(
            "ollama_bundle is set and ollama_offered is empty. Give it what module model_bundle_info returns as models."
        )
    return found


def bundled_models(pulled: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return pulled models as module model_bundle_import takes them."""
    return [{key: model[key] for key in ("name", "state", "digest") if model.get(key)} for model in pulled]


def pinned_models(pulled: Iterable[Mapping[str, Any]], offered: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return pulled models so that no registry is asked: the latest is the one that the bundle offers."""
    return [
        {**model, "digest": offered[model["name"]]["digest"]}
        if model.get("state") == "latest" and not model.get("digest") and model["name"] in offered
        else model
        for model in pulled
    ]
