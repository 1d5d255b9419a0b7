#!/usr/bin/env bash
# Check that every link resolves, without asking another host: in the repository's Markdown files, in those of the
# collection's archive, and in the docs site. A link to the repository's own files on GitHub is looked up in the checkout.
#   links.sh ARCHIVE SITE
set -euo pipefail
cd "$(dirname "$0")/.."
archive=$(realpath "$1") site=$(realpath "$2")
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
tar -xzf "$archive" -C "$built"
check() {
    local what=$1
    shift
    echo "Links of $what:"
    lychee --offline --no-progress --include-fragments --hidden \
      --remap "^https://github.com/etrid/gizzi/blob/main/ file://$PWD/" "$@"
}
mapfile -t pages < <(git ls-files '*.md')
check 'the repository' "${pages[@]}"
check 'the built collection' "$built/**/*.md"
check 'the docs site' "$site/**/*.html"
