#!/usr/bin/env bash
# Make a release of the commit that is checked out, into a folder (default dist): the collection's archive, the list of
# its Python packages, the docs site, and the checksums of them. The same commit gives the same bytes.
#   release.sh [FOLDER]
# With VERSION=1.0.0 it first writes the changelog of that version, commits and tags it; a tag that is there is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:-dist}")
[ -z "${VERSION:-}" ] || publishing/prepare.sh "$VERSION"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH PYTHONPATH=$PWD

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# What is committed, and nothing else that lies about.
mkdir "$stage/source"
git archive HEAD | tar -x -C "$stage/source"
publishing/changelog.sh "$stage/source"
rm -rf "$folder"
archive=$(python -m publishing.archive collection "$stage/source" "$folder")
name=$(basename "$archive" .tar.gz)
python -m publishing.sbom "$stage/source" "$folder/$name.cdx.json"
publishing/site.sh "$archive" "$stage/$name-docs"
python -m publishing.archive folder "$stage/$name-docs" "$folder/$name-docs.tar.gz"
cd "$folder"
sha256sum "$name"* | tee SHA256SUMS
