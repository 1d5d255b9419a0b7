#!/usr/bin/env bash
# Make this machine ready:
#   bootstrap.sh demo     for `make demo`: a running Docker engine, the base images and the lab's Python packages
#   bootstrap.sh tests    also the linters, Prometheus and a browser
# It does only what is missing: a second run takes one second. If it has no permission for a step, it prints the
# command for the user.
set -euo pipefail

purpose=${1:-tests}
project=$(cd "$(dirname "$0")/.." && pwd)
venv=$project/.venv
# make puts the virtual environment first in PATH; a new environment needs the system's Python.
PATH=${PATH//$venv\/bin:/}
engine_log=${TMPDIR:-/tmp}/gizzi-dockerd.log
os_release=${GIZZI_OS_RELEASE:-/etc/os-release}

say() { printf '%s\n' "$*" >&2; }
stop() {
    say "This machine cannot run the lab: $1"
    [ -z "${2:-}" ] || say "  Remedy: $2"
    exit 2
}

# Runs a command as root: directly, or with a sudo that needs no password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        stop "it needs root once, for: $*" "sudo $*"
    fi
}

check_machine() {
    local id='' like=''
    # shellcheck source=/dev/null
    [ ! -r "$os_release" ] || { id=$(. "$os_release" && echo "${ID:-}") && like=$(. "$os_release" && echo "${ID_LIKE:-}"); }
    case " $id $like " in
        *' debian '* | *' ubuntu '*) ;;
        *) stop "its system is '${id:-unknown}', and the packages are Debian's." "use Debian 12 or 13, or Ubuntu 24.04" ;;
    esac
    [ "$(uname -m)" = x86_64 ] ||
        stop "its processor is $(uname -m), and the lab's Ollama is built for x86_64." "use an amd64 machine (production also runs on arm64)"
    grep -qw avx2 /proc/cpuinfo ||
        stop "its processor has no AVX2, which the lab's Ollama needs." "use a processor of 2013 or later"
}

check_debian() {
    case ${LAB_DEBIAN:-} in
        '' | bookworm | trixie) ;;
        *) stop "LAB_DEBIAN is '$LAB_DEBIAN', which is no Debian that the hosts run." "write bookworm (Debian 12) or trixie (Debian 13)" ;;
    esac
}

# Checks a given release as far as possible before anything is installed. lab.artifacts checks the rest.
check_release() {
    [ -n "${OLLAMA_ARCHIVE:-}" ] || return 0
    [ -n "${OLLAMA_VERSION:-}" ] ||
        stop "OLLAMA_ARCHIVE is $OLLAMA_ARCHIVE, but OLLAMA_VERSION does not say which version that is." "add OLLAMA_VERSION=0.34.2, or whichever it is"
    [ -f "$OLLAMA_ARCHIVE" ] ||
        stop "OLLAMA_ARCHIVE is $OLLAMA_ARCHIVE, and there is no such file." "give the path of an ollama-linux-amd64.tar.zst"
}

docker_answers() { docker info >/dev/null 2>&1; }

# Installs the named Debian packages that are missing.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing Debian packages: ${missing[*]}"
    [ -n "${lists_are_new:-}" ] || as_root apt-get update -qq
    lists_are_new=yes
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends "${missing[@]}" >/dev/null
}

start_engine() {
    docker_answers && return 0
    command -v dockerd >/dev/null || install_packages docker.io
    docker_answers && return 0
    say 'Starting the Docker engine'
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker
    elif [ "$(id -u)" -eq 0 ]; then
        # There is no service manager here: the engine runs in its own session until the machine stops.
        # A killed engine leaves its PID file, and another process may now have this number.
        pgrep -x dockerd >/dev/null || rm -f /var/run/docker.pid
        setsid nohup dockerd >"$engine_log" 2>&1 </dev/null &
    else
        stop 'no Docker engine answers, and there is no systemd to start one.' "start dockerd as root"
    fi
    local _
    for _ in $(seq 60); do
        docker_answers && return 0
        sleep 1
    done
    [ ! -r "$engine_log" ] || tail -n 5 "$engine_log" >&2
    stop "the Docker engine does not answer to $(id -un)." "see 'docker info'; to use it without root: sudo usermod -aG docker $(id -un), then log in again"
}

# All systemd hosts on one kernel share its inotify instances. Without enough of them the last hosts start degraded.
raise_inotify() {
    [ "$(sysctl -n fs.inotify.max_user_instances)" -ge 1024 ] || as_root sysctl --quiet --write fs.inotify.max_user_instances=1024
}

# Pulls the image of a Debian, such as trixie. If no image registry answers, makes it from Debian's packages under the
# same name.
make_base_image() {
    local image=debian:$1-slim rootfs
    ! docker image inspect "$image" >/dev/null 2>&1 || return 0
    say "Getting the image $image"
    timeout 120 docker pull --quiet "$image" >/dev/null 2>&1 && return 0
    say '  no image registry answers: making it from Debian packages'
    install_packages debian-archive-keyring mmdebstrap
    rootfs=$(mktemp --suffix=.tar)
    as_root mmdebstrap --quiet --variant=minbase "$1" "$rootfs"
    docker import "$rootfs" "$image" >/dev/null
    as_root rm -f "$rootfs"
}

# The stand-in internet runs on Debian 12, and so do the hosts if nothing else was asked for; the tests need both.
make_base_images() {
    make_base_image bookworm
    [ "$purpose ${LAB_DEBIAN:-}" = 'demo ' ] || make_base_image trixie
}

# The demo's packages are a part of the tests' packages, in the same versions.
make_venv() {
    local stamp=$venv/requirements.sha256 has wanted
    has=$(cat "$stamp" 2>/dev/null || true)
    wanted=$(checksum "$1")
    [ "$has" != "$wanted" ] || return 0
    [ "$1 $has" != "demo $(checksum dev)" ] || return 0
    [ "$has" = "$(checksum demo)" ] || new_venv
    say "Installing Python packages: requirements/$1.txt"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$project/requirements/$1.txt"
    # For all tools of this environment, the checkout itself is the installed collection.
    local collections
    collections=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections
    mkdir -p "$collections/etrid"
    ln -sfn "$project" "$collections/etrid/gizzi"
    echo "$wanted" >"$stamp"
}

checksum() { sha256sum "$project/requirements/$1.txt" | cut -d ' ' -f 1; }

new_venv() {
    local python
    python=$(command -v python3.11 || command -v python3)
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
        stop "$("$python" --version) is not one that ansible-core 2.19 runs on." "install Python 3.11, 3.12 or 3.13"
    say 'Making the virtual environment'
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

# Keeps compiled code for localhost too: a task there compiles as long as on a lab host.
keep_compiled() {
    local packages source=$project/lab/images/host/lab_compiled.py
    packages=$(echo "$venv"/lib/python3.*/site-packages)
    cmp --silent "$source" "$packages/lab_compiled.py" || cp "$source" "$packages/"
    echo "import lab_compiled; lab_compiled.install('$project/.ansible/compiled')" >"$packages/lab_compiled.pth"
}

# Unpacks the named Debian packages below $scratch: if installed, they would start a service.
unpack() {
    scratch=$(mktemp -d)
    download() { (cd "$scratch" && apt-get download -qq -o APT::Sandbox::User=root "$@"); }
    download "$@" 2>/dev/null || { as_root apt-get update -qq && download "$@"; }
    local package
    for package in "$scratch"/*.deb; do dpkg-deb --extract "$package" "$scratch"; done
}

get_prometheus() {
    [ ! -x "$venv/bin/amtool" ] || return 0
    say 'Getting Prometheus and its Alertmanager'
    local scratch
    unpack prometheus prometheus-alertmanager
    rm -rf "$venv/share/alertmanager"
    mkdir -p "$venv/share"
    mv "$scratch/usr/share/prometheus/alertmanager" "$venv/share/"
    (cd "$scratch/usr/bin" && mv prometheus promtool prometheus-alertmanager amtool "$venv/bin/")
    rm -r "$scratch"
}

# nginx and its JavaScript, for the tests of role gateway.
get_nginx() {
    [ ! -x "$venv/bin/nginx" ] || return 0
    say 'Getting nginx'
    local scratch
    unpack nginx libnginx-mod-http-js
    mkdir -p "$venv/lib/nginx"
    mv "$scratch/usr/lib/nginx/modules/ngx_http_js_module.so" "$venv/lib/nginx/"
    mv "$scratch/usr/sbin/nginx" "$venv/bin/"
    rm -r "$scratch"
}

# The browser for the tests of the page. Ubuntu has it only as a snap, so there Playwright installs its own.
get_browser() {
    # shellcheck source=/dev/null
    if [ "$(. "$os_release" && echo "$ID")" != ubuntu ]; then
        install_packages chromium
    elif [ ! -d "${XDG_CACHE_HOME:-$HOME/.cache}/ms-playwright" ]; then
        as_root "$venv/bin/playwright" install-deps chromium >/dev/null
        "$venv/bin/playwright" install chromium >/dev/null
    fi
}

case $purpose in
    demo | tests) ;;
    *) stop "'$purpose' is nothing to make it ready for." "lab/bootstrap.sh demo, or tests" ;;
esac
check_release
check_debian
check_machine
install_packages ca-certificates openssh-client openssl procps python3 python3-venv util-linux zstd
start_engine
raise_inotify
# In parallel: the two steps wait for different things.
make_base_images &
images=$!
if [ "$purpose" = demo ]; then make_venv demo; else make_venv dev; fi
keep_compiled
wait "$images" || exit
if [ "$purpose" = tests ]; then
    install_packages shellcheck
    get_prometheus
    get_nginx
    get_browser
fi
