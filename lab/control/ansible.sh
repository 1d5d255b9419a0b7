#!/usr/bin/env bash
# An Ansible command on the lab's control host. bin/ansible-playbook and the like in a lab's folder are links to this
# file. It runs in the same folder, with the variables of this environment that Ansible, molecule and the lab read. Who
# kills it here does not end it there, so the scenarios that cut a run off need this machine as their control host.
set -euo pipefail
bin=$(dirname "$0")
command=$(basename "$0")
project=$(cd "$(dirname "$(realpath "$0")")/../.." && pwd)
# The playbooks that make and remove the lab need Docker, so they run on this machine.
if [[ " $*" == *" $project/lab/playbooks/"* ]]; then
    export PATH=${PATH//"$bin:"/}
    exec "$command" "$@"
fi
control=$(sed -n 's/^ *lab_prefix: //p' "$bin/../inventory/hosts.yml")-control
options=()
for name in $(compgen -e | grep -E '^(ANSIBLE|LAB|MOLECULE)_'); do options+=(--env "$name"); done
exec docker exec "${options[@]}" --user "$(id -u):$(id -g)" --workdir "$PWD" "$control" "/opt/ansible/bin/$command" "$@"
