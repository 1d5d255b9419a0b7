#!/usr/bin/env bash
# A lab fleet without molecule, for the demo and the benchmarks:
#   fleet.sh create NAME      VALIDATORS hosts (default 3) and the stand-in internet, ready for a deployment
#   fleet.sh destroy NAME
# Its inventory is .ansible/lab/NAME/inventory. An older fleet of this name is removed first.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$2
inventory=.ansible/lab/$name/inventory
play() { ansible-playbook --inventory "$inventory" --extra-vars "lab_project=$PWD lab_scenario=$name" "$@"; }
case $1 in
    create)
        play lab/playbooks/create.yml
        play lab/playbooks/prepare.yml "${@:3}"
        ;;
    destroy) play lab/playbooks/destroy.yml ;;
    *) echo "'$1' is neither create nor destroy." >&2 && exit 2 ;;
esac
