"""Print a template of role gizzi_api as Ansible renders it: ``render.py TEMPLATE <variables.json``.

A process of its own, because Ansible's plugin loader changes how every collection is imported.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[2] / "roles" / "gizzi_api"


def main() -> None:
    init_plugin_loader()
    loader = DataLoader()
    defaults = loader.load_from_file(str(ROLE / "defaults" / "main.yml"))
    variables = {**defaults, **json.load(sys.stdin), "ansible_search_path": [str(ROLE)]}
    lookup = trust_as_template(f"{{{{ lookup('ansible.builtin.template', '{sys.argv[1]}') }}}}")
    sys.stdout.write(Templar(loader, variables).template(lookup))


if __name__ == "__main__":
    main()
