#!/usr/bin/env bash
# Make a release twice, the second time in another place, time zone and umask, and from files that lie in another order:
# both are to be the same bytes. Then the links, what Galaxy's importer finds, every pinned package in the list of
# packages, the licences and the workflows.
set -euo pipefail
unset VERSION
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet --no-local . "$work/clone"
(
    cd "$work/clone"
    umask 077
    TZ=Asia/Tokyo PYTHONHASHSEED=7 publishing/release.sh "$work/second" >/dev/null
) &
other=$!
publishing/release.sh "$work/first"
wait "$other"
diff --brief --recursive "$work/first" "$work/second"
echo 'Two releases of one commit: the same bytes'

archive=$(echo "$work"/first/*[0-9].tar.gz)
mkdir "$work/site"
tar -xzf "${archive%.tar.gz}-docs.tar.gz" -C "$work/site"
publishing/links.sh "$archive" "$work/site"
# make lint has seen what ansible-lint finds.
GALAXY_IMPORTER_RUN_ANSIBLE_LINT=false publishing/importer.sh "$archive"

pins() { git grep -hoE '^[A-Za-z0-9_.-]+==[^ ;]+' HEAD -- 'roles/*/files/*/requirements.txt' | sed 's/^.*://'; }
for pin in $(pins | sort -u); do
    grep -q "\"purl\": \"pkg:pypi/${pin/==/@}\"" "${archive%.tar.gz}.cdx.json" || { echo "The list of packages lacks $pin" >&2; exit 1; }
done
reuse lint --quiet || { reuse lint >&2; exit 1; }
zizmor --offline --quiet .github
