# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lock
short_description: Allow only one run of a playbook at a time
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Takes, renews and gives back a lock for the process that runs the playbook. The lock is a file on the managed host,
    so that it works for runs from several control hosts.
  - A lock is free again after its lease time, or when its process has ended, if that was on this control host. If
    another run holds the lock, the task fails with the name of the holder.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: none
    details:
      - Is skipped.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run with O(state=held) starts the lease again.
options:
  path:
    description: The file. Its folder must belong to root, with mode 0700. It is made if it is missing.
    type: path
    default: /var/lib/gizzi-update/lock
  state:
    description:
      - V(held) takes the lock, or renews the lease where this run has it.
      - V(free) gives it back. A lock that is not of this run stays.
    type: str
    choices:
      - held
      - free
    default: held
  lease:
    description: Seconds after which others may take the lock, unless it is renewed.
    type: float
    default: 14400
  holder:
    description: The process that runs the playbook. It is set by the action plugin of this module.
    type: dict
  ended:
    description: The holder whose process has ended. It is set by the action plugin of this module.
    type: dict
notes:
  - The lock is not counted as a change.
"""

EXAMPLES = r"""
- name: Allow no other run
  etrid.gizzi.run_lock:

- name: Give it back
  etrid.gizzi.run_lock:
    state: free
"""

RETURN = r"""
taken_from:
  description: Who held the lock before and had ended, or held it longer than its lease, V("") when nobody had.
  returned: success and O(state=held)
  type: str
  sample: ops@control (process 4711) holds the lock since 2026-11-24T02:00:00Z, at most until 2026-11-24T06:00:00Z
held_by:
  description: The process that holds the lock, when it is not this run's.
  returned: when somebody else holds it
  type: dict
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._lock import HeldError, Holder, LockFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def holder_of(given: Mapping[str, Any] | None) -> Holder | None:
    try:
        return Holder(**{field: given[field] for field in Holder.__dataclass_fields__}) if given else None
    except KeyError as error:
        raise GizziError(f"The holder of a lock has no {error}.") from None


OPTIONS = {
    "path": {"type": "path", "default": "/var/lib/gizzi-update/lock"},
    "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
    "lease": {"type": "float", "default": 14400},
    "holder": {"type": "dict"},
    "ended": {"type": "dict"},
}


def run(params: Mapping[str, Any]) -> dict[str, Any]:
    """Take, renew or give back the lock, and return what the module tells; raise GizziError where that cannot be."""
    lock, holder = LockFile(Path(params["path"])), holder_of(params["holder"])
    if holder is None:
        raise GizziError("Nobody is named who would hold the lock: the module runs by its action plugin alone.")
    if params["state"] == "free":
        lock.release(holder)
        return {}
    before, entry = lock.take(holder, holder_of(params["ended"]), params["lease"], time.time())
    return {"taken_from": str(before) if before and before.holder != entry.holder else ""}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=False)
    try:
        result = run(module.params)
    except HeldError as error:
        module.fail_json(msg=str(error), held_by=asdict(error.entry.holder))
    except GizziError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
