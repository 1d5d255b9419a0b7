"""Print a template of a role as Ansible renders it: ``render.py ROLE TEMPLATE <variables.json``.

A process of its own, because Ansible's plugin loader changes how every collection is imported.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

PROJECT = Path(__file__).parents[2]


def main() -> None:
    name, template = sys.argv[1:]
    role = PROJECT / "roles" / name
    init_plugin_loader()
    loader = DataLoader()
    own = loader.load_from_file(str(role / "vars" / "main.yml"), trusted_as_template=True)
    variables = {
        **own,
        **json.load(sys.stdin),
        "role_path": str(role),
        "ansible_search_path": [str(role)],
    }
    lookup = trust_as_template(f"{{{{ lookup('ansible.builtin.template', '{template}') }}}}")
    sys.stdout.write(Templar(loader, variables).template(lookup))


if __name__ == "__main__":
    main()
