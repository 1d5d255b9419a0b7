#!/usr/bin/env bash
# Runs the web server and the registry behind it; when one of them ends, the container ends.
set -euo pipefail

# This lab's own copy of the manifests, in which tests move tags. A restart keeps it.
mkdir -p /srv/manifests /run/lab
if [ -z "$(ls -A /srv/manifests)" ]; then
    cp -r /srv/lab/registry/manifests/. /srv/manifests/
fi

version=$(python3 -c 'import json; print(json.load(open("/srv/lab/release.json"))["ollama_version"])')
ln -sfn "/srv/lab/www/ollama/ollama/releases/download/v$version" /srv/newest

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'exit 0' TERM INT
python3 /opt/internet/registry.py &
nginx -g 'daemon off;' &
wait -n
exit 1
