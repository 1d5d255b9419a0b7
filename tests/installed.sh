#!/usr/bin/env bash
# Build the collection and install it into an environment that has ansible-core and nothing else, in the folder named
# (default .ansible/installed); then show that its documentation and playbooks are found there by their full names.
# Likewise the client: sdist, a wheel from that, and the wheel in an environment that has what it pins and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${1:-.ansible/installed}")
rm -rf "$target"
mkdir -p "$target"
python -m venv "$target/venv"
sed -nE 's/^([a-z0-9_.-]+==[^ ]+).*/\1/ip' requirements/dev.txt >"$target/constraints.txt"
"$target/venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$target/constraints.txt" ansible-core
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) PYTHONPATH=. python -m publishing.archive collection . "$target/dist" >/dev/null
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
for playbook in site verify diagnose model_update model_rollback model_update_timer remove; do
    ansible-playbook --inventory localhost, --syntax-check "etrid.gizzi.$playbook" >/dev/null
    echo "ansible-playbook etrid.gizzi.$playbook --syntax-check: ok"
done

client=$target/client
python=$client/bin/python
# Out of the collection, and a copy: building leaves files beside the source.
cp -r collections/ansible_collections/etrid/gizzi/roles/ollama_client/files/ollama-client source
python3 -m venv "$client"
pip=("$python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --require-hashes --requirement source/requirements.txt
(cd source && "$python" -c "from setuptools.build_meta import build_sdist; build_sdist('../dist')" >/dev/null 2>&1)
"${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir dist dist/ollama_client-*.tar.gz
"${pip[@]}" install --no-deps dist/ollama_client-*.whl
"${pip[@]}" check
"$client/bin/gizzi" --help | grep '^  diagnose ' >/dev/null
"$python" -I -c 'from ollama_client import OllamaClient; print(OllamaClient("127.0.0.1"))' >/dev/null
echo 'ollama-client: sdist, wheel, gizzi --help and the import: ok'
