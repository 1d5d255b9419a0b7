#!/usr/bin/env bash
# What Galaxy's own importer finds in a collection's archive: it is to find nothing.
#   importer.sh ARCHIVE
set -euo pipefail
archive=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python -m galaxy_importer.main "$archive" >log 2>&1 || { cat log >&2; exit 1; }
! grep -E '^(WARNING|ERROR|CRITICAL)' log >&2 || exit 1
tail -n 1 log
