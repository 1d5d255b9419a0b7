#!/usr/bin/env bash
# Write the changelog of a version, commit it and tag it. Where the tag is this commit already, there is nothing to do.
#   prepare.sh 1.0.0
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
stop() {
    printf '%s\n' "$1" >&2
    exit 1
}
[[ $version =~ ^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$ ]] || stop "VERSION is '$version', and is to be three numbers, as 1.0.0 is."
if tagged=$(git rev-parse --quiet --verify "refs/tags/v$version^{commit}"); then
    [ "$tagged" = "$(git rev-parse HEAD)" ] ||
        stop "The tag v$version is another commit than the one that is checked out. Check that one out: git switch --detach v$version"
    exit
fi
[ -z "$(git status --porcelain)" ] ||
    stop 'Some files are not committed. Commit them or put them away (git stash), then try again.'
sed -i "s/^version: .*/version: $version/" galaxy.yml
SOURCE_DATE_EPOCH=$(date +%s) publishing/changelog.sh .
git add --all
git commit --quiet --message "Release $version"
git tag --annotate --message "etrid.gizzi $version" "v$version"
echo "Committed and tagged v$version. To publish it: git push --follow-tags"
