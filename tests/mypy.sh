#!/usr/bin/env bash
# mypy --strict over the plugins, under the name by which Ansible imports them, and over the lab, what
# makes releases, and the programs.
set -euo pipefail
cd "$(dirname "$0")/.."
link=.ansible/mypy/ansible_collections/etrid
mkdir -p "$link"
ln -sfn "$PWD" "$link/gizzi"
MYPYPATH=.ansible/mypy mypy --package ansible_collections.etrid.gizzi.plugins
MYPYPATH=. mypy --package lab --package publishing
MYPYPATH=roles/gizzi_api/files/gizzi-api/src mypy --package gizzi_api
MYPYPATH=roles/ollama_client/files/ollama-client/src mypy --package ollama_client
mkdir -p .ansible/mypy/installed
ln -sfn "$PWD/plugins/module_utils/_runner.py" .ansible/mypy/installed/runner.py
MYPYPATH=.ansible/mypy/installed:roles/release/files:roles/ollama/files mypy roles/ollama/files/ollama_metrics.py
MYPYPATH=roles/release/files:roles/gateway/files mypy roles/gateway/files/gateway_metrics.py
