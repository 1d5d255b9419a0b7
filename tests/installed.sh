#!/usr/bin/env bash
# Build the collection and install it into an environment that has ansible-core and nothing else, in the folder named
# (default .ansible/installed); then show that its documentation and playbooks are found there by their full names.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${1:-.ansible/installed}")
rm -rf "$target"
mkdir -p "$target"
python -m venv "$target/venv"
sed -nE 's/^([a-z0-9_.-]+==[^ ]+).*/\1/ip' requirements/dev.txt >"$target/constraints.txt"
"$target/venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$target/constraints.txt" ansible-core
ansible-galaxy collection build --force --output-path "$target/dist" . >/dev/null
export PATH=$target/venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$target/collections
unset VIRTUAL_ENV
cd "$target"
ansible-galaxy collection install --offline --collections-path collections dist/etrid-gizzi-*.tar.gz >/dev/null
for kind in module role; do
    names=$(ansible-doc --type "$kind" --list etrid.gizzi --json | python -c 'import json, sys; print("\n".join(json.load(sys.stdin)))')
    [ -n "$names" ] || { echo "ansible-doc shows no $kind" >&2; exit 1; }
    for name in $names; do
        ansible-doc --type "$kind" "$name" >/dev/null
        echo "ansible-doc --type $kind $name: ok"
    done
done
for playbook in site verify diagnose remove; do
    ansible-playbook --inventory localhost, --syntax-check "etrid.gizzi.$playbook" >/dev/null
    echo "ansible-playbook etrid.gizzi.$playbook --syntax-check: ok"
done
