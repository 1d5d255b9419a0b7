# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role replaces of an earlier installation by hand, from section takeover of module host_state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._aside import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KEPT = f"kept with {SUFFIX} behind the name"


def replaced(
    paths: Sequence[str], programs: Sequence[str], own: Iterable[str], left: Iterable[str], links: Iterable[str] = ()
) -> dict[str, Any]:
    """Return what a role's tasks need to replace an earlier installation.

    ``replaced`` has ``paths`` and ``programs`` for module set_aside, and ``files``, more entries for the role's list.
    ``old_left`` is what nothing needs afterwards.

    :param paths: files that get a second name.
    :param programs: programs that get one, and are a link to it meanwhile.
    :param own: those of the paths that the role writes itself; the others go.
    :param left: what is left already of one that was replaced.
    :param links: links that go, and need no second name.
    """
    mine = set(own)
    files: list[dict[str, Any]] = [{"path": path, "when": False} for path in paths if path not in mine]
    files += [{"path": path, "kind": "link", "when": False} for path in links]
    return {
        "replaced": {"paths": list(paths), "programs": list(programs), "files": files},
        "old_left": list(dict.fromkeys([*(f"{path}{SUFFIX}" for path in (*paths, *programs)), *left])),
    }


def unseen(topic: Mapping[str, Any]) -> list[str]:
    """Return the problem where the host could not be looked at for an earlier installation."""
    if "unseen" not in topic:
        return []
    return [f"Whether something of an earlier installation is there cannot be seen: {topic['unseen']}. Run it as root."]
