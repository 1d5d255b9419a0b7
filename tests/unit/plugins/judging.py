# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What action settings makes of a role's variables, without Ansible."""

from __future__ import annotations

from typing import Any

from ansible_collections.etrid.gizzi.plugins.plugin_utils._settings import judged, options_of


def judge(
    role: str, given: dict[str, Any], host: dict[str, Any] | None = None, options: dict[str, Any] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the values and the problems of a role's variables, given by their whole names, on a host if one is given.

    options: the role's specification, where it was read before.
    """
    found = judged(role, options or options_of(role), given, {}, {})
    if host is not None and found.look:
        found = found.on(host)
    return found.values, found.problems
