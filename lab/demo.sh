#!/usr/bin/env bash
# The demo: scenario `centralized` or `distributed`, created and converged by molecule, and a summary at the end.
# A demo that is there already is used again, also after its engine was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."

topology=$1
export VALIDATORS=${VALIDATORS:-4}
lab=.ansible/lab/$topology
log=.ansible/demo-$topology.log

fail() {
    printf '%s\n' "$@" >&2
    exit 2
}
case $topology in
    centralized | distributed) ;;
    *) fail "TOPOLOGY is '$topology'; it can be centralized (Option A) or distributed (Option B)." ;;
esac
if ! [[ $VALIDATORS =~ ^[0-9]+$ ]] || ((10#$VALIDATORS < 2 || 10#$VALIDATORS > 21)); then
    fail "VALIDATORS is '$VALIDATORS'; it can be 2 to 21."
fi

# Runs a step with its output in the log; on failure shows the log's end.
step() {
    local what=$1 start=$SECONDS
    shift
    printf '%-58s ' "$what"
    if ! "$@" >>"$log" 2>&1; then
        printf 'failed\n\n'
        tail -n 40 "$log"
        fail '' "The whole log: $log" "To begin anew: make demo-clean demo"
    fi
    printf '%4d s\n' $((SECONDS - start))
}

# Molecule skips what it created before. What it created may be stopped, be another number of hosts, or run another release.
start_again() {
    local prefix containers tree
    tree=$(PYTHONPATH=. python -m lab.artifacts)
    prefix=$(sed -n 's/^ *lab_prefix: //p' "$lab/inventory/hosts.yml" 2>/dev/null || true)
    mapfile -t containers < <([ -z "$prefix" ] || docker ps --all --quiet --filter "label=org.etrid.gizzi.lab=$prefix")
    if [ "${#containers[@]}" -eq $((VALIDATORS + 2)) ] && grep -qF "lab_tree: $tree" "$lab/inventory/hosts.yml"; then
        docker start "${containers[@]}"
    else
        molecule destroy --scenario-name "$topology"
    fi
}

# Shows a command and what it prints on the last validator, as somebody there sees it.
on_validator() {
    local terminal=()
    [ ! -t 1 ] || terminal=(--tty --env "TERM=${TERM:-dumb}")
    printf '\n%s$ %s\n' "$last" "$1"
    docker exec "${terminal[@]}" --user ops "$container" bash -c "$1"
}

mkdir -p .ansible
: >"$log"
echo "Ollama on a fleet of $VALIDATORS validators, $topology. Each step's output: $log"
step 'Looking for an earlier demo' start_again
step 'Starting the hosts and the stand-in internet' molecule create --scenario-name "$topology"
step 'Waiting for the hosts' ansible-playbook --inventory "$lab/inventory" lab/playbooks/wait.yml
step 'Deploying: etrid.gizzi.site' molecule converge --scenario-name "$topology"
step 'Looking at the result' ansible-playbook --inventory "$lab/inventory" \
    --extra-vars "gizzi_topology=$topology" lab/playbooks/demo.yml
cat "$lab/summary.txt"

last=$(printf 'validator%02d' "$((10#$VALIDATORS))")
container=$(sed -n 's/^ *lab_prefix: //p' "$lab/inventory/hosts.yml")-$last
on_validator 'gizzi ask "What is the capital of France?"'
on_validator 'gizzi status'
on_validator 'gizzi status | gizzi ask "Is every validator of this network healthy?"'

cat <<EOF

The lab's model, of 135 million parameters, is a toy: what counts is the table.

Look around:
  docker exec -it --user ops $container bash
  source .venv/bin/activate
  ansible-playbook -i $lab/inventory playbooks/verify.yml -e gizzi_topology=$topology
  ansible-playbook -i $lab/inventory playbooks/diagnose.yml -e gizzi_topology=$topology
Remove it again:
  make demo-clean
EOF
