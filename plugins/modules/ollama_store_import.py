# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_store_import
short_description: Add models of another store on the same host to an Ollama server's store, without a download
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Each blob gets a second name in the new store (a hard link), which needs no disk. Where that cannot be, because the
    stores are on two filesystems or the file belongs to somebody else, it is copied if there is room.
  - Every blob is hashed before that. A model gets its name when all its blobs are there. Nothing in the old store is
    changed, but the owner and mode of linked files, which are those of both stores.
  - The servers of both stores may run meanwhile.
  - A model that the new store has already is left alone. One that the old store does not have whole is left out.
  - It must run as root.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  from:
    description: The old store.
    type: path
    required: true
  models_dir:
    description: The new store. It is made where it is missing.
    type: path
    required: true
  models:
    description: The models to bring, as C([[host/]namespace/]model[:tag]).
    type: list
    elements: str
    required: true
  owner:
    description: The user that owns the new store.
    type: str
    default: ollama
  group:
    description: The group that owns the new store.
    type: str
    default: ollama
  reserved_disk:
    description: Bytes that must stay free on the new store's disk when blobs are copied.
    type: int
    default: 1000000000
seealso:
  - module: etrid.gizzi.model_bundle_import
"""

EXAMPLES = r"""
- name: Take over a model of the server that install.sh has made
  etrid.gizzi.ollama_store_import:
    from: /usr/share/ollama/.ollama/models
    models_dir: /var/lib/ollama/models
    models: [llama3.1:8b]
"""

RETURN = r"""
models:
  description: The models that were brought, or would be in check mode, as Ollama shows them.
  returned: success
  type: list
  elements: str
linked:
  description: How many blobs got a second name.
  returned: success
  type: int
copied:
  description: How many blobs were copied.
  returned: success
  type: int
left:
  description: Why a model of the old store was not brought, by its name.
  returned: success
  type: dict
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files._accounts import gid_of, uid_of
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._old_store import bring, moving
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping


def imported(params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Bring the models, unless check, and return what the module returns; raise GizziError where that fails."""
    uid, gid = uid_of(params["owner"]), gid_of(params["group"])
    if uid is None or gid is None:
        raise GizziError(f"There is no user {params['owner']} or no group {params['group']} on this host.")
    old, new = Store(Path(params["from"])), Store(Path(params["models_dir"]))
    what = moving(old, new, map(parse_model_name, params["models"]), uid, params["reserved_disk"])
    if what.models and not check:
        bring(old, new, what, uid, gid)
    return {
        "changed": bool(what.models),
        "models": sorted(map(str, what.models)),
        "linked": len(what.linked),
        "copied": len(what.copied),
        "left": {str(name): why for name, why in what.left.items()},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "from": {"type": "path", "required": True},
            "models_dir": {"type": "path", "required": True},
            "models": {"type": "list", "elements": "str", "required": True},
            "owner": {"type": "str", "default": "ollama"},
            "group": {"type": "str", "default": "ollama"},
            "reserved_disk": {"type": "int", "default": 1000000000},
        },
        supports_check_mode=True,
    )
    try:
        result = imported(module.params, module.check_mode)
    except GizziError as error:
        module.fail_json(msg=str(error))
    for name, why in result["left"].items():
        module.warn(f"{name} stays in {module.params['from']}: {why}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
