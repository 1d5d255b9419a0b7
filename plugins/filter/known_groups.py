# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host patterns of plays without the groups that have no host: Ansible warns of each of them."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DOCUMENTATION = r"""
name: known_groups
short_description: Leave groups without a host out of a host pattern
version_added: 1.0.0
author: Ëtrid (@etrid)
description:
  - Ansible warns of each group in a host pattern that does not exist, also where that is no mistake.
  - The result means the same hosts as the pattern, and names only groups that have a host.
positional: _input, groups
options:
  _input:
    description: A pattern of groups, such as V(a:b:&c:!d). It has no names of hosts and no wildcards.
    type: str
    required: true
  groups:
    description: Ansible's variable C(groups).
    type: dict
    required: true
  otherwise:
    description: The pattern to take where no host is left. The default means no host.
    type: str
    default: "!all"
"""

EXAMPLES = r"""
- name: Deploy the servers
  hosts: "{{ 'validators:ollama_servers:!spare' | etrid.gizzi.known_groups(groups) }}"
"""

RETURN = r"""
_value:
  description: The pattern.
  type: str
"""


def known_groups(pattern: str, groups: Mapping[str, Sequence[str]], otherwise: str = "!all") -> str:
    """Return a host pattern without the groups that have no host, or ``otherwise`` where no host is left.

    :param pattern: groups alone: ``a:b:&c:!d``.
    :param groups: the hosts of each group.
    """
    parts = pattern.split(":")
    known = [part for part in parts if groups.get(part.lstrip("&!"))]
    one_of = [part for part in known if part[0] not in "&!"]
    wanted = {part for part in parts if part[0] == "&"}
    return ":".join(known) if one_of and wanted <= set(known) else otherwise


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"known_groups": known_groups}
