# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.etrid.gizzi.plugins.module_utils import _model_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

DOCUMENTATION = r"""
name: model_problems
short_description: Say what is wrong with a list of models
version_added: 1.0.0
author: Ëtrid operations (@etrid)
description:
  - Names that Ollama stores and never answers under, parameters that it does not know and would ignore, thread counts
    where they cost a new load of the weights, and contexts for which no memory was checked.
  - Asks no server, so that everything that is wrong is said at once, before anything changes.
positional: version, context_length
options:
  _input:
    description: The models, as the role C(etrid.gizzi.ollama) takes them in C(ollama_models).
    type: list
    elements: dict
    required: true
  version:
    description: The release of Ollama that will run. Empty means a current one.
    type: str
    default: ""
  context_length:
    description: The server's context in tokens, for which there is memory. No model may have more.
    type: int
    default: 4096
"""

EXAMPLES = r"""
- name: The models can be had and will answer
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join(' ') }}"
  vars:
    problems: "{{ ollama_models | etrid.gizzi.model_problems(ollama_version, ollama_context_length) }}"
"""

RETURN = r"""
_value:
  description: Each problem in words, with the model, the value and what to write instead. V([]) when there is none.
  type: list
  elements: str
"""


def model_problems(
    models: t.Iterable[t.Mapping[str, t.Any]], version: str = "", context_length: int = 4096
) -> list[str]:
    """Return the problems of the list; raise AnsibleFilterError where version is none."""
    try:
        return _model_problems.model_problems(models, version, context_length)
    except GizziError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible finds the filter by this."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"model_problems": model_problems}
