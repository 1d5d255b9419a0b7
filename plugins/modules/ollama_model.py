# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Keep a model in an Ollama server's store
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Pulls, updates and removes models of an Ollama server, over its HTTP API.
  - Whether a model is current is decided by digests. One small request to the registry answers it; nothing is
    pulled to find out.
  - A pull fails when the server reports an error in mid-stream, when the stream ends before V(success), and when
    neither the bytes nor the status advance for O(stall_timeout). The model that was there before stays in use,
    and another run resumes the download.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details:
      - Never pulls. It still asks the registry whether it has the model, and checks the disk.
      - Servers before 0.19 store manifests re-serialised. Where that leaves the prediction open, there is a warning.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The model, as C([[host/]namespace/]model[:tag]). Without a tag it is V(latest).
      - A name with a host is pulled from that host, whatever O(registry) says.
    type: str
    required: true
  state:
    description:
      - V(present) pulls the model when it is missing, and leaves it alone otherwise.
      - V(latest) also pulls when the registry holds another one under the same tag.
      - V(absent) deletes it.
    type: str
    choices:
      - present
      - latest
      - absent
    default: present
  digest:
    description:
      - SHA-256 that the model's manifest must have, in hex, with or without C(sha256:).
      - A model with this digest is left alone. Otherwise the registry must offer exactly this digest, or the
        task fails before anything is pulled.
    type: str
  registry:
    description:
      - Base URL of the registry from which the server pulls, as the server and the managed host reach it.
      - A model from another registry than the default is stored under its usual name.
    type: str
    default: https://registry.ollama.ai
  models_dir:
    description:
      - The server's model store. When given, a pull is refused before its first byte unless the missing layers
        fit on the disk and O(reserved_disk) stays free.
      - Also, small layers that an earlier, failed pull left damaged are removed before a pull. Ollama would use them
        unverified.
    type: path
  reserved_disk:
    description: Bytes that must stay free on the disk of O(models_dir) after a pull.
    type: int
    default: 1000000000
  backup_tag:
    description:
      - Tag under which the model that is about to be replaced is kept, for a way back. It replaces the backup
        that had this tag before.
    type: str
  stall_timeout:
    description:
      - Seconds after which a pull fails that moves no bytes and reports no new status.
      - Ollama itself tries a broken part for about 64 seconds before it names the reason. With less than that, the
        reason is lost.
    type: float
    default: 90
  timeout:
    description: Seconds after which a pull fails, however well it proceeds.
    type: float
    default: 7200
seealso:
  - module: etrid.gizzi.ollama_created_model
  - module: etrid.gizzi.ollama_info
  - module: etrid.gizzi.ollama_health
"""

EXAMPLES = r"""
- name: Have a model
  etrid.gizzi.ollama_model:
    name: llama3.1:8b

- name: Update it, and keep the one that ran so far
  etrid.gizzi.ollama_model:
    name: llama3.1:8b
    state: latest
    backup_tag: previous
    models_dir: /var/lib/ollama/models

- name: Pull from a mirror, and accept nothing but this very model
  etrid.gizzi.ollama_model:
    name: mistral
    registry: http://10.0.0.5:8070
    digest: 6577803aa9a036369e481d648a2baebb381ebc6e897f2bb9a766a2aa7bfbc1cf

- name: Remove a model
  etrid.gizzi.ollama_model:
    name: phi3:mini
    state: absent
"""

RETURN = r"""
model:
  description: The model's name as Ollama shows it, with its tag.
  returned: success
  type: str
  sample: llama3.1:8b
digest_before:
  description: SHA-256 of the manifest before the run, V(null) when the model was absent.
  returned: success
  type: str
digest_after:
  description: SHA-256 of the manifest after the run, V(null) when the model is absent. Predicted in check mode.
  returned: success
  type: str
pulled:
  description: Whether a pull ran. In check mode it never does.
  returned: success
  type: bool
bytes_pulled:
  description:
    - Bytes that moved, by the server's progress lines. What an earlier run had downloaded is not counted.
    - The server's first line about a layer comes some 60 ms into its download, and what moved before it is missing
      here.
  returned: success
  type: int
bytes_missing:
  description:
    - Bytes that a pull would still have to move, in check mode and with O(models_dir). V(null) otherwise.
  returned: success
  type: int
backup:
  description: Name under which the replaced model was kept, V(null) when none was replaced or none was to be kept.
  returned: success
  type: str
  sample: llama3.1:previous
seconds:
  description: Duration of the run.
  returned: success
  type: float
"""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._backups import REPLACED_TAG
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import DEFAULT_HOST, parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama, parse_version
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import (
    DEFAULT_REGISTRY,
    Registry,
    parse_digest,
    registry_at,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest

# Since then a server stores a manifest as the registry sent it, byte for byte.
VERBATIM_MANIFESTS = (0, 19, 0)


@dataclass(frozen=True)
class Desired:
    name: ModelName
    state: str
    registry: Registry
    digest: str | None
    store: Store | None
    reserved_disk: int
    backup: ModelName | None
    stall_timeout: float
    timeout: float
    request_timeout: float


@dataclass(frozen=True)
class Outcome:
    digest_before: str | None
    digest_after: str | None
    pulled: bool = False
    bytes_pulled: int = 0
    backup: str | None = None
    bytes_missing: int | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.digest_before != self.digest_after


def sync(desired: Desired, server: Ollama, check_mode: bool) -> Outcome:
    before = installed_digest(server, desired.name)
    if desired.state == "absent":
        if before is not None and not check_mode:
            server.delete(desired.name)
        return Outcome(before, None)
    if is_settled(desired, before):
        return Outcome(before, before)

    manifest = desired.registry.manifest(desired.name, desired.request_timeout)
    if desired.digest and desired.digest not in manifest.digests:
        raise GizziError(
            f"The registry {desired.registry.url} offers {desired.name} with the digest {manifest.digest}, "
            f"not {desired.digest} as asked. Nothing was pulled."
        )
    if before in manifest.digests:
        return Outcome(before, before)
    require_disk(desired, manifest)
    if check_mode:
        return predict(desired, server, before, manifest)
    return replace_model(desired, server, before, manifest)


def installed_digest(server: Ollama, name: ModelName) -> str | None:
    model = server.find(name)
    return model.digest if model else None


def is_settled(desired: Desired, before: str | None) -> bool:
    """Whether the model is as wanted, whatever the registry holds."""
    if before is None:
        return False
    if desired.digest:
        return before == desired.digest
    return desired.state == "present"


def require_disk(desired: Desired, manifest: Manifest) -> None:
    if desired.store is None:
        return
    missing = desired.store.missing_bytes(manifest)
    free = desired.store.free_bytes()
    if free is None:
        raise GizziError(f"The free space under {desired.store.path} cannot be read. Nothing was pulled.")
    if missing + desired.reserved_disk > free:
        raise GizziError(
            f"Not enough disk for {desired.name} under {desired.store.path}: {human_bytes(missing)} are still to be "
            f"pulled and {human_bytes(desired.reserved_disk)} must stay free, but {human_bytes(free)} are free. "
            "Nothing was pulled."
        )


def predict(desired: Desired, server: Ollama, before: str | None, manifest: Manifest) -> Outcome:
    version = server.version()
    missing = desired.store.missing_bytes(manifest) if desired.store else None
    if parse_version(version) >= VERBATIM_MANIFESTS:
        return Outcome(before, manifest.digest, bytes_missing=missing)
    warnings = []
    if before is not None:
        warnings.append(
            f"Ollama {version} re-serialises manifests, so that {desired.name} may be current although its digest "
            "differs from the registry's. A real run finds out by pulling."
        )
    return Outcome(before, manifest.rewritten_digest, bytes_missing=missing, warnings=warnings)


def replace_model(desired: Desired, server: Ollama, before: str | None, manifest: Manifest) -> Outcome:
    name = desired.name
    if desired.store:
        desired.store.drop_damaged(manifest)
    if desired.backup and before:
        # Deleting frees the layers of the older backup; copying over it would leave them behind.
        server.delete(desired.backup)
        server.copy(name, desired.backup)
    # The server knows no registry but its own, except as part of a name.
    elsewhere = desired.registry.host != name.host
    pull_name = name.at_host(desired.registry.host) if elsewhere else name
    insecure = desired.registry.insecure
    try:
        moved = server.pull(
            f"http://{pull_name.full}" if insecure else str(pull_name), insecure, desired.stall_timeout, desired.timeout
        )
    except GizziError as error:
        kept = f"The model that was there before ({before[:12]}) is untouched" if before else "Nothing was installed"
        raise GizziError(f"Pulling {name} failed: {error}. {kept}, and another run resumes the pull.") from error
    if server.find(pull_name) is None:
        server.delete(pull_name)
        raise GizziError(
            f"The pull of {name} ended with 'success', but the server cannot read the model: a layer in its store is "
            "damaged. The pull was undone, and another run fetches the layers anew."
        )
    if elsewhere:
        adopt(server, pull_name, name, before)

    after = installed_digest(server, name)
    if desired.digest and after != desired.digest and after not in manifest.digests:
        raise GizziError(
            f"{name} has the digest {after} after the pull, not {desired.digest} as asked: "
            "the tag moved at the registry during the pull."
        )
    return Outcome(before, after, True, moved, str(desired.backup) if desired.backup and before else None)


def adopt(server: Ollama, pulled: ModelName, name: ModelName, before: str | None) -> None:
    """Give the model its usual name, and drop the one with the registry in it."""
    replaced = name.with_tag(REPLACED_TAG)
    if before:
        server.copy(name, replaced)
    server.copy(pulled, name)
    server.delete(pulled)
    if before:
        server.delete(replaced)


def desired_state(module: AnsibleModule) -> Desired:
    params = module.params
    name = parse_model_name(params["name"])
    backup = name.with_tag(params["backup_tag"]) if params["backup_tag"] else None
    if backup and backup.same_as(name):
        raise GizziError(f"backup_tag: {params['backup_tag']!r} is the tag of the model itself.")
    registry = registry_at(params["registry"])
    return Desired(
        name=name,
        state=params["state"],
        registry=registry if name.host.lower() == DEFAULT_HOST else Registry(f"https://{name.host}"),
        digest=parse_digest(params["digest"]) if params["digest"] else None,
        store=Store(Path(params["models_dir"])) if params["models_dir"] else None,
        reserved_disk=params["reserved_disk"],
        backup=backup,
        stall_timeout=params["stall_timeout"],
        timeout=params["timeout"],
        request_timeout=params["request_timeout"],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "latest", "absent"], "default": "present"},
            "digest": {"type": "str"},
            "registry": {"type": "str", "default": DEFAULT_REGISTRY},
            "models_dir": {"type": "path"},
            "reserved_disk": {"type": "int", "default": 1_000_000_000},
            "backup_tag": {"type": "str"},
            "stall_timeout": {"type": "float", "default": 90},
            "timeout": {"type": "float", "default": 7200},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    try:
        desired = desired_state(module)
        server = Ollama(module.params["url"], module.params["request_timeout"])
        outcome = sync(desired, server, module.check_mode)
    except GizziError as error:
        module.fail_json(msg=str(error))
    name = str(desired.name)
    result = asdict(outcome)
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(
        changed=outcome.changed,
        model=name,
        seconds=round(time.monotonic() - started, 3),
        diff={
            "before": {"name": name, "digest": outcome.digest_before},
            "after": {"name": name, "digest": outcome.digest_after},
        },
        **result,
    )


if __name__ == "__main__":
    main()
