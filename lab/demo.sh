#!/usr/bin/env bash
# The demo: a lab fleet, etrid.gizzi.site on it, a question, and a validator that stalls and recovers.
# An existing demo is used again, also after the Docker engine was stopped or for the other topology.
set -euo pipefail
cd "$(dirname "$0")/.."

topology=$1
export VALIDATORS=${VALIDATORS:-4} LAB_DEBIAN=${LAB_DEBIAN:-bookworm}
lab=.ansible/lab/demo
log=.ansible/demo.log

fail() {
    printf '%s\n' "$@" >&2
    exit 2
}
case $topology in
    centralized | distributed) ;;
    *) fail "TOPOLOGY is '$topology'; it can be centralized (Option A) or distributed (Option B)." ;;
esac
if ! [[ $VALIDATORS =~ ^[0-9]+$ ]] || ((10#$VALIDATORS < 3 || 10#$VALIDATORS > 21)); then
    fail "VALIDATORS is '$VALIDATORS'; it can be 3 to 21: of two that are apart nobody can tell which one lags."
fi

# Runs a step and writes its output to the log; if it fails, shows the end of the log.
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

play() { ansible-playbook --inventory "$lab/inventory" --extra-vars "gizzi_topology=$topology" "$@"; }

# In parallel: the image waits for the network, the files of the stand-in internet for the CPU. Each takes a minute.
build() {
    docker build --quiet --build-arg "DEBIAN=$LAB_DEBIAN" --tag "gizzi-lab-host:$LAB_DEBIAN" lab/images/host &
    PYTHONPATH=. python -m lab.artifacts || return
    wait $!
}

# An existing demo may be stopped, have another number of hosts or another Debian, or run another release.
start() {
    local prefix containers tree hosts=$lab/inventory/hosts.yml
    tree=$(PYTHONPATH=. python -m lab.artifacts)
    prefix=$(sed -n 's/^ *lab_prefix: //p' "$hosts" 2>/dev/null || true)
    mapfile -t containers < <([ -z "$prefix" ] || docker ps --all --quiet --filter "label=org.etrid.gizzi.lab=$prefix")
    if [ "${#containers[@]}" -eq $((10#$VALIDATORS + 2)) ] && grep -qF "lab_tree: $tree" "$hosts" &&
        grep -qF "lab_debian: $LAB_DEBIAN" "$hosts"; then
        docker start "${containers[@]}"
        play lab/playbooks/wait.yml
    else
        lab/fleet.sh create demo --extra-vars lab_block_time=1
    fi
}

# Shows a command and its output on the last validator, as a user there sees them.
on_validator() {
    local terminal=()
    [ ! -t 1 ] || terminal=(--tty --env "TERM=${TERM:-dumb}")
    printf '\n%s$ %s\n' "$last" "$1"
    docker exec "${terminal[@]}" --user ops "$prefix-$last" bash -c "$1"
}

# The same without a terminal, for long lines: they are wrapped between words.
on_validator_folded() {
    printf '\n%s$ %s\n' "$last" "$1"
    docker exec --user ops "$prefix-$last" bash -c "$1" | fold --spaces --width=80
}

# Reads a page of the Gizzi API as the last validator may, by the certificate of the fleet's own authority.
read_api() {
    docker exec "$prefix-$last" curl --silent --fail --cacert /etc/gizzi/fleet-ca.pem "$page$1"
}

# Waits until a page of the Gizzi API has the given text.
wait_for() {
    for _ in $(seq 120); do
        read_api "api/$1" | grep -qE "$2" && return
        sleep 1
    done
    return 1
}

all_healthy() {
    wait_for network/status "\"healthy\": *$((10#$VALIDATORS))[,}]"
}

stall() {
    docker exec "$prefix-validator02" sh -c 'echo "{\"stall\": true}" >/run/flare-node/control.json'
    wait_for validator/2 '"status": *"lagging"'
}

recover() {
    docker exec "$prefix-validator02" rm /run/flare-node/control.json
    all_healthy
}

# Shows the page's title and its first row, the worst validator.
read_page() {
    read_api '' | sed -nE \
        -e 's:.*<title>(.*) · Gizzi network</title>.*:  \1:p' \
        -e 's:.*<tr role="row" class="lagging">.*class="reason">([^<]*)<.*href="/api/validator/[0-9]+">([^<]*)<.*:  ▼ lagging  \2  \1:p'
}

mkdir -p .ansible
: >"$log"
echo "Ollama on a fleet of $VALIDATORS validators, $topology."
echo "Each step's output: $log"
step 'Building what the lab is made of' build
step 'Starting the hosts and the stand-in internet' start
step 'Deploying: etrid.gizzi.site' play playbooks/site.yml
step 'Looking at the result' play lab/playbooks/demo.yml
cat "$lab/summary.txt"

last=$(printf 'validator%02d' "$((10#$VALIDATORS))")
prefix=$(sed -n 's/^ *lab_prefix: //p' "$lab/inventory/hosts.yml")
page=$(sed -n 's/^ *page *//p' "$lab/summary.txt")
on_validator 'gizzi ask "What is the capital of France?"'
echo
step 'Waiting until all are seen healthy' all_healthy
on_validator 'gizzi status | tail -n 1'

echo
step 'validator02 stalls: no new block. Waiting until it is seen' stall
on_validator 'gizzi status'
on_validator_folded 'gizzi health; echo "exit code $?"'
echo 'The rules have judged: the model here, of 135 million parameters, is a toy, and'
echo 'Claude has no key.'
printf '\nThe page %s says:\n' "$page"
read_page

echo
step 'validator02 recovers. Waiting until it is seen' recover
on_validator 'gizzi status | tail -n 1'

cat <<EOF

Look around on a validator:
  docker exec -it --user ops $prefix-$last bash
or on the whole fleet, with playbooks/verify.yml or playbooks/diagnose.yml:
  source .venv/bin/activate
  ansible-playbook -i $lab/inventory playbooks/verify.yml \\
    -e gizzi_topology=$topology
Remove it again:
  make demo-clean
EOF
