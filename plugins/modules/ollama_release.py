# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_release
short_description: Download and unpack a release of Ollama beside the others
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Downloads the archive of one release for the host's processor, checks its checksum and the free space of the disk,
    and unpacks it below O(root). Nothing is switched or restarted.
  - The release appears in its folder only when it is complete. That is, it has C(bin/ollama), and from Ollama 0.30 on
    C(lib/ollama/llama-server), without which the server answers but no model does. A failed run leaves nothing.
  - Libraries for GPUs (CUDA, ROCm, MLX, Vulkan) are not unpacked.
  - A complete release that is there is not changed, and needs no request. What interrupted runs have left is removed.
  - Downloads use the proxies of the environment.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
    details:
      - Reads C(sha256sum.txt), compares the size of the archive with the disk, and says in RV(missing_package) which
        package the host needs.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  version:
    description: The release, without a leading C(v).
    type: str
    required: true
  root:
    description: The folder of the releases. Each is in a folder named after its version.
    type: path
    default: /opt/ollama
  release_url:
    description: >-
      Base address of the releases. Below it are C(v<version>/sha256sum.txt) and the archives that it names. Plain
      C(http) is accepted only together with O(checksum).
    type: str
    default: https://github.com/ollama/ollama/releases/download
  checksum:
    description: SHA-256 of the archive, in hex. Empty takes it from the release's own C(sha256sum.txt).
    type: str
    default: ""
  reserved_disk:
    description: Bytes that must stay free on the disk of O(root).
    type: int
    default: 10000000000
  timeout:
    description: Seconds that the download may take.
    type: float
    default: 7200
  stall_timeout:
    description: Seconds that it may be silent.
    type: float
    default: 60
requirements:
  - zstd on the managed host, for an archive that is packed with it
seealso:
  - module: etrid.gizzi.ollama_answers
"""

EXAMPLES = r"""
- name: Install the release beside the one that runs
  etrid.gizzi.ollama_release:
    version: 0.34.2
"""

RETURN = r"""
path:
  description: The folder of the release.
  returned: success
  type: str
  sample: /opt/ollama/0.34.2
archive:
  description: The archive, V(null) when the release was there.
  returned: success
  type: str
  sample: ollama-linux-amd64.tar.zst
checksum:
  description: The SHA-256 of the archive, V(null) when the release was there.
  returned: success
  type: str
missing_package:
  description: The package that the host needs for this archive and does not have, empty when there is none.
  returned: success
  type: str
  sample: zstd
archive_size:
  description: The bytes of the archive, V(null) when the release was there.
  returned: success
  type: int
unpacked_size:
  description: The bytes that were unpacked, V(null) when the release was there, and in check mode.
  returned: success
  type: int
"""

import platform
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._release import (
    Wanted,
    check_wanted,
    drop_leftovers,
    fetch,
    find_archive,
    install,
    leftovers,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._release_parts import missing_parts


def bring(wanted: Wanted, zstd: str | None, machine: str, check_mode: bool) -> dict[str, object]:
    """Have the release below its root, and return what the module returns.

    zstd is the path of that program, None when the host lacks it; machine is the processor, as ``uname -m`` names it.
    """
    check_wanted(wanted)
    result: dict[str, object] = {"path": str(wanted.target), "missing_package": ""}
    nothing = dict.fromkeys(("archive", "checksum", "archive_size", "unpacked_size"))
    if not missing_parts(wanted.target, wanted.version):
        left = leftovers(wanted.root)
        if not check_mode:
            drop_leftovers(wanted.root)
        return {**result, **nothing, "changed": bool(left)}
    archive = find_archive(wanted, machine)
    result.update(nothing, changed=True, archive=archive.name, checksum=archive.checksum)
    if check_mode:
        missing = "zstd" if archive.zstd and not zstd else ""
        return {**result, "missing_package": missing, "archive_size": fetch(wanted, archive, check_mode)[1]}
    if archive.zstd and not zstd:
        raise GizziError(f"{archive.name} is packed with zstd, which this host lacks: install the package zstd.")
    return {**result, **install(wanted, archive, zstd or "")}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/opt/ollama"},
            "release_url": {"type": "str", "default": "https://github.com/ollama/ollama/releases/download"},
            "checksum": {"type": "str", "default": ""},
            "reserved_disk": {"type": "int", "default": 10_000_000_000},
            "timeout": {"type": "float", "default": 7200},
            "stall_timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    wanted = Wanted(**{**module.params, "root": Path(module.params["root"])})
    try:
        result = bring(wanted, module.get_bin_path("zstd"), platform.machine(), module.check_mode)
    except GizziError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
