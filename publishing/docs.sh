#!/usr/bin/env bash
# Make the docs site of the checkout as it is, and check its links and those of the Markdown files.
#   docs.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "$1")
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH PYTHONPATH=$PWD
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/source"
git ls-files -z --cached --others --exclude-standard |
    tar --create --null --ignore-failed-read --files-from=- | tar --extract --directory "$stage/source"
publishing/changelog.sh "$stage/source"
archive=$(python -m publishing.archive collection "$stage/source" "$stage")
publishing/site.sh "$archive" "$folder"
publishing/links.sh "$archive" "$folder"
