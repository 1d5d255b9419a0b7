# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the host is large enough for its models, from module host_capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity_checks import refusal
from ansible_collections.etrid.gizzi.plugins.module_utils._capacity_look import ARGUMENTS
from ansible_collections.etrid.gizzi.plugins.module_utils._capacity_look import look as measure
from ansible_collections.etrid.gizzi.plugins.module_utils._state._seen import UnseenError

if TYPE_CHECKING:
    from collections.abc import Mapping


def capacity(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of host_capacity, the reason why the host is refused ("" where it is not), and the warnings.

    options: those of module host_capacity. GizziError for a wrong value.
    """
    read = ArgumentSpecValidator(ARGUMENTS).validate(dict(options))
    if read.error_messages:
        raise UnseenError("; ".join(read.error_messages))
    result, demand = measure(read.validated_parameters)
    del result["changed"]
    return {**result, "refusal": "" if result["sufficient"] else refusal(result, demand), "warnings": list(demand.cut)}
