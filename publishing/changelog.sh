#!/usr/bin/env bash
# Write the changelog of the version that galaxy.yml names, out of the fragments, in the collection's folder. Where it
# is written already, there is nothing to do. Its date is SOURCE_DATE_EPOCH's.
#   changelog.sh FOLDER
set -euo pipefail
cd "$1"
version=$(sed -n 's/^version: //p' galaxy.yml)
grep -qE "^  '?${version//./\\.}'?:\$" changelogs/changelog.yaml && exit
antsibull-changelog release --version "$version" --date "$(date --utc --date="@$SOURCE_DATE_EPOCH" +%F)" >/dev/null
