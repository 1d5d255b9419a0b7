#!/usr/bin/env bash
# Make the docs site of a collection's archive: the guides, the READMEs of the roles, and the reference of modules and
# roles. It can be read without a network.
#   site.sh ARCHIVE FOLDER
set -euo pipefail
archive=$(realpath "$1") target=$(realpath -m "$2")
site=$(realpath "$(dirname "$0")")/site
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
collection=$work/ansible_collections/etrid/gizzi
mkdir -p "$collection" "$work/source/reference"
tar -xzf "$archive" -C "$collection"
export ANSIBLE_COLLECTIONS_PATH=$work ANSIBLE_HOME=$work/home
# antsibull-docs writes only where others cannot.
chmod 755 "$work/source/reference"
antsibull-docs --config-file "$site/antsibull-docs.cfg" collection --use-current --squash-hierarchy --fail-on-error \
  --cleanup everything --dest-dir "$work/source/reference" etrid.gizzi >/dev/null
cp -r "$collection/." "$site"/*.rst "$work/source/"
rm -rf "$target"
mkdir -p "$target"
sphinx-build --quiet --fail-on-warning --keep-going --conf-dir "$site" --doctree-dir "$work/doctrees" --builder html \
  "$work/source" "$target"
outside=$(grep -rlE --include='*.html' '<(script|link|img|iframe)[^>]* (src|href)="(https?:)?//' "$target" || true)
[ -z "$outside" ] || { echo "These pages load parts from other hosts: $outside" >&2; exit 1; }
