#!/usr/bin/env bash
# Makes the container that runs it a control host, as its user would: ansible-core in a virtual environment.
#   install.sh LINE USER      ansible-core of this line (2.21), and a user with this number
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
update-ca-certificates >/dev/null
python3 -m venv /opt/ansible
PIP_CONFIG_FILE=$project/lab/playbooks/files/pip.conf /opt/ansible/bin/pip install --quiet --disable-pip-version-check \
    --require-hashes --requirement "$project/requirements/ansible-$1.txt"
# The checkout itself is the installed collection, as in the tests' own environment.
collections=$(/opt/ansible/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections
mkdir -p "$collections/etrid"
ln -s "$project" "$collections/etrid/gizzi"
# ssh wants to know who runs it.
getent passwd "$2" >/dev/null || useradd --create-home --uid "$2" control
