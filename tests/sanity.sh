#!/usr/bin/env bash
# ansible-test sanity. It wants a real path that ends in ansible_collections/etrid/gizzi, and fetches a pip installer;
# Python's own ensurepip stands in for that, so that the run works without the internet.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
collection=$work/ansible_collections/etrid/gizzi
mkdir -p "$collection" "$work/home/.ansible/test/cache"
git ls-files -z --cached --others --exclude-standard | tar --create --null --ignore-failed-read --files-from=- | tar --extract --directory "$collection"
cat >"$work/home/.ansible/test/cache/get_pip_24_2.py" <<'PIP'
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pip==24.2"])
PIP
version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
cd "$collection"
HOME=$work/home ansible-test sanity --local --requirements --python "$version" --color no
