"""Half an hour of a fleet, as series of promtool's tests."""

from __future__ import annotations

from rendering import VALIDATORS

# Prometheus scrapes and evaluates every 30 s in these tests, for half an hour; a sound node has 5 new blocks by then.
STEPS = 60
LOOK = "29m"  # step 58

Series = dict[str, str]
# An alert's name, the labels that tell which one it is, and its summary.
Alert = tuple[str, dict[str, str], str]


def of(job: str, number: int) -> str:
    return f'job="{job}",validator="{number}",instance="validator{number:02d}"'


def up(number: int, job: str = "substrate") -> str:
    return f"up{{{of(job, number)}}}"


def height(number: int, status: str = "best") -> str:
    return f'substrate_block_height{{{of("substrate", number)},chain="flare",status="{status}"}}'


def peers(number: int) -> str:
    return f'substrate_sub_libp2p_peers_count{{{of("substrate", number)},chain="flare"}}'


def syncing(number: int) -> str:
    return f'substrate_sub_libp2p_is_major_syncing{{{of("substrate", number)},chain="flare"}}'


def ollama(name: str, number: int = 1, labels: str = "") -> str:
    return f"{name}{{{of('node', number)}{labels}}}"


def model(name: str) -> str:
    return ollama(name, labels=',model="llama3.1:8b"')


OTHER_UP = 'up{job="substrate",validator="1",instance="192.0.2.1:9616"}'
OTHER_HEIGHT = f'substrate_block_height{{{of("substrate", 1)},chain="relay",status="best"}}'
UPDATE = ollama("gizzi_model_update_unit_success")
UPDATED = ollama("gizzi_model_update_last_success_timestamp_seconds")
MTIME = ollama("node_textfile_mtime_seconds", labels=',file="/var/lib/prometheus/node-exporter/ollama.prom"')
API = 'up{job="gizzi-api",instance="127.0.0.1:8080"}'
LISTENER = {"listener": "ollama", "address": "127.0.0.1:11443"}
GATEWAY = ollama("gizzi_gateway_up", labels=',listener="ollama",address="127.0.0.1:11443"')
LOG_READ = ollama("gizzi_gateway_log_read_timestamp_seconds")
CERTIFICATE = ollama("gizzi_gateway_certificate_expiry_timestamp_seconds", labels=',certificate="ollama"')


def asked(status: str, client: str = "validator02") -> str:
    """Return the count of a client's requests with this status."""
    return ollama("gizzi_gateway_requests_total", labels=f',listener="ollama",client="{client}",status="{status}"')


def always(value: float) -> str:
    return f"{value}x{STEPS}"


def turns(before: float, after: float, step: int) -> str:
    """Return a value that is another one from that step on."""
    return f"{before}x{step - 1} {after}x{STEPS - step}"


def rising(start: int, step: int = 5) -> str:
    return f"{start}+{step}x{STEPS}"


def sound() -> Series:
    """Return everything as it should be: 21 validators, an Ollama on the first one, and the API."""
    series = {API: always(1)}
    for validator in VALIDATORS:
        number = int(str(validator["number"]))
        series |= {
            up(number): always(1),
            height(number): rising(1000),
            height(number, "finalized"): rising(997),
            height(number, "sync_target"): rising(1000),
            peers(number): always(3),
            syncing(number): always(0),
            up(number, "node"): always(1),
            ollama("node_textfile_scrape_error", number): always(0),
        }
    return series | {
        MTIME: rising(0, 30),
        UPDATE: always(1),
        UPDATED: always(0),
        ollama("ollama_up"): always(1),
        model("ollama_model_present"): always(1),
        model("ollama_model_loaded"): always(1),
        ollama("ollama_oom_kills_total"): always(3),
        model("ollama_probe_success"): always(1),
        model("ollama_probe_tokens_per_second"): always(1),
        ollama("ollama_store_free_bytes"): always(10_000_000_000),
        ollama("ollama_store_size_bytes"): always(100_000_000_000),
        GATEWAY: always(1),
        LOG_READ: rising(0, 30),
        CERTIFICATE: always(29 * 60 + 14 * 86400),
        asked("2xx"): rising(100, 4),
        # A fifth is told to wait; one was refused once.
        asked("429"): rising(100, 1),
        asked("401", "validator03"): always(1),
    }


def page_gone(number: int) -> Series:
    """Return what is left of a validator that cannot be scraped any more."""
    ends = f"1000+5x53 stale _x{STEPS - 54}"
    names = (height(number), height(number, "finalized"), height(number, "sync_target"), peers(number), syncing(number))
    return {up(number): turns(1, 0, 54)} | dict.fromkeys(names, ends)


def without(*series: str) -> Series:
    return dict.fromkeys(series, "")


def at(number: int, job: str = "") -> dict[str, str]:
    labels = {"validator": str(number), "instance": f"validator{number:02d}"}
    return labels | ({"job": job} if job else {})


def called(number: int) -> str:
    return f"Validator {number} (validator{number:02d})"
