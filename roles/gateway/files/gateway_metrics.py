# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write how this host's gateway is to a file for the textfile collector of Prometheus' node_exporter.

    gizzi-gateway-metrics --listener NAME=ADDRESS:PORT --authority FILE --folder DIR [CLIENT[=ADDRESS,ADDRESS]]...

Into the folder go gizzi-gateway.prom and, for the next run, what was counted and up to where. What is not known is left
out. A run that fails leaves the earlier file; gizzi_gateway_log_read_timestamp_seconds shows that it is old, and so it
does while the log cannot be read.

The gateway's access log is read from the journal, and what came in it is data: a line that is no request is counted as
such, and each label is one of few known words. A client is the one whose token was sent; a request without a valid
token counts as that of the client whose address it came from, any other as "unknown".

A certificate is the one that a listener serves, whatever lies on the disk.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import math
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

IDENTIFIER = "gizzi_gateway"
# A field that journald itself sets: a line that somebody else wrote under that identifier is not counted.
UNIT = "gizzi-gateway.service"
CONNECT_TIMEOUT = 10.0
# What is left in the journal by then is for the next run.
READ_TIMEOUT = 40.0
# A path of the 8 kB that nginx takes, each byte escaped twice or a number of its own, and what the journal adds.
MAX_LINE = 1_000_000
MAX_STATE = 1_000_000
MAX_AUTHORITY = 1_000_000
# No request lasts longer; another number is none.
MAX_SECONDS = 7 * 86400.0

UNKNOWN = "unknown"
# These tell something of a client, so each is a class of its own.
OWN_CLASSES = (401, 403, 429)
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", *map(str, OWN_CLASSES))

_CURSOR = re.compile(r"[A-Za-z0-9=;_-]{1,500}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
# Tags of DER.
_VERSION = 0xA0
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


class LogError(Exception):
    """The journal cannot be read; the text says why."""


class Key(NamedTuple):
    """The labels of a count; a NamedTuple, so that it is a key and sorts."""

    listener: str
    client: str
    status: str


@dataclass
class Count:
    """How many requests there were, and how many seconds they took together."""

    requests: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Listener:
    """Where the gateway should listen; name says for what."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """The address as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Known:
    """The words that labels may have: names of listeners and clients, and whose an address is."""

    listeners: frozenset[str]
    clients: frozenset[str]
    addresses: Mapping[str, str]

    def client(self, name: object, address: object) -> str:
        """Return the client that a request counts as."""
        if isinstance(name, str) and name in self.clients:
            return name
        return self.addresses.get(plain_address(address), UNKNOWN) if isinstance(address, str) else UNKNOWN


@dataclass
class State:
    """What was counted so far: up to an entry of the journal, or before the first one since a time.

    ``read`` is when the log was last read, ``since`` and it in seconds since the epoch; ``unreadable`` counts lines
    that are no requests.
    """

    since: float
    read: float
    cursor: str = ""
    unreadable: int = 0
    counts: dict[Key, Count] = field(default_factory=dict)


# --- the log ----------------------------------------------------------------------------


def count(state: State, known: Known, timeout: float = READ_TIMEOUT) -> None:
    """Count what is new in the log, within ``timeout`` seconds; LogError if the journal cannot be read.

    What was counted before an error stays counted.
    """
    with journal(state, timeout) as lines:
        for line in lines:
            try:
                entry = json.loads(line)
                cursor, message = entry["__CURSOR"], entry["MESSAGE"]
            except (ValueError, RecursionError, KeyError, TypeError):
                state.unreadable += 1
                continue
            if isinstance(cursor, str) and _CURSOR.fullmatch(cursor):
                state.cursor = cursor
            add(state, known, message)


@contextmanager
def journal(state: State, timeout: float) -> Iterator[Iterable[bytes]]:
    """Give the log's new lines as journalctl prints them; one that is cut off or too long is left out."""
    where = f"--after-cursor={state.cursor}" if state.cursor else f"--since=@{state.since:.0f}"
    # Without --all, a message of more than 4096 bytes is not shown, and a client could hide by a long path.
    form = ["--quiet", "--no-pager", "--all", "--output=json", "--output-fields=MESSAGE"]
    command = ["journalctl", *form, where, f"SYSLOG_IDENTIFIER={IDENTIFIER}", f"_SYSTEMD_UNIT={UNIT}"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except OSError as error:
        raise LogError(f"journalctl cannot be run: {error.strerror}") from None
    ended = threading.Event()

    def end() -> None:
        ended.set()
        process.kill()

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        with process:
            assert process.stdout is not None
            yield whole_lines(process.stdout)
    finally:
        timer.cancel()
    if process.returncode != 0 and not ended.is_set():
        raise LogError(f"journalctl ended with {process.returncode}")


def whole_lines(stream: Any) -> Iterator[bytes]:
    """Yield the lines of a stream; of one that is too long the beginning, and nothing of a last one without an end."""
    for line in iter(lambda: stream.readline(MAX_LINE), b""):
        if line.endswith(b"\n"):
            yield line
        elif len(line) == MAX_LINE:
            yield line
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)


def add(state: State, known: Known, message: object) -> None:
    """Add a line of the log to the counts; one that is no request is counted as such."""
    try:
        request = json.loads(text_of(message))
        status, seconds = request["status"], request["seconds"]
        listener, client = request["listener"], known.client(request.get("validator"), request.get("address"))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        state.unreadable += 1
        return
    if not is_number(status) or not is_number(seconds) or not 0 <= seconds <= MAX_SECONDS:
        state.unreadable += 1
        return
    # A list is no key.
    listener = listener if isinstance(listener, str) and listener in known.listeners else UNKNOWN
    found = status_class(status)
    if found not in CLASSES:
        state.unreadable += 1
        return
    sums = state.counts.setdefault(Key(listener, client, found), Count())
    sums.requests += 1
    sums.seconds += seconds


def text_of(message: object) -> str:
    """Return a message of the journal, which is a list of bytes where it is not UTF-8."""
    if isinstance(message, list):
        return bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        raise TypeError("a message is text")
    return message


def is_number(value: object) -> bool:
    """Tell whether a value from JSON is a number, which true is not, nor what is infinite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def status_class(status: float) -> str:
    """Return the class of an HTTP status."""
    return str(status) if status in OWN_CLASSES else f"{int(status // 100)}xx"


def plain_address(text: str) -> str:
    """Return an address in its short form, one of IPv4 in IPv6 as IPv4; of anything else, nothing."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


# --- the state --------------------------------------------------------------------------


def parse_state(text: str, known: Known, now: float) -> State:
    """Read what ``format_state`` has written; of anything else nothing is kept, and counting begins now.

    Counts of clients and listeners that are not known any more are dropped.
    """
    try:
        read = json.loads(text)
        state = State(float(read["since"]), float(read["read"]), str(read["cursor"]), int(read["unreadable"]))
        counts = {Key(*map(str, row[:3])): Count(int(row[3]), float(row[4])) for row in read["counts"]}
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, OverflowError):
        return State(now, now)
    if state.cursor and not _CURSOR.fullmatch(state.cursor):
        return State(now, now)
    listeners, clients = {*known.listeners, UNKNOWN}, {*known.clients, UNKNOWN}
    state.counts = {
        key: sums
        for key, sums in counts.items()
        if key.listener in listeners and key.client in clients and key.status in CLASSES
    }
    return state


def format_state(state: State) -> str:
    """Return the counts as ``parse_state`` reads them."""
    rows = [[*key, sums.requests, sums.seconds] for key, sums in sorted(state.counts.items())]
    plain = {"since": state.since, "read": state.read, "cursor": state.cursor, "unreadable": state.unreadable}
    return json.dumps({**plain, "counts": rows})


# --- the listeners and their certificates -----------------------------------------------


def served(listener: Listener) -> bytes | None:
    """Return the certificate that a listener serves, in DER; None if it does not answer.

    Nothing is asked for, so that the gateway writes nothing to its log.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An expired certificate is to be seen too; nothing is sent to whoever answers.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        connection = socket.create_connection((listener.host, listener.port), CONNECT_TIMEOUT)
        with connection, context.wrap_socket(connection) as secured:
            return secured.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        print(f"listener {listener.name} at {listener.address}: {error}", file=sys.stderr)
        return None


def read_authority(path: Path) -> list[bytes]:
    """Return the certificates of a PEM file in DER, none if there is no such file or it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_AUTHORITY).decode("ascii", "replace")
        parts = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
        return [ssl.PEM_cert_to_DER_cert(part) for part in parts]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        print(f"authority {path}: {error}", file=sys.stderr)
        return []


def expiry(der: bytes) -> float | None:
    """Return when a certificate in DER expires, in seconds since the epoch; None for anything else."""
    try:
        # A certificate is a sequence, and so is its first part: [version], serial number, algorithm, issuer, validity.
        (_tag, signed), *_rest = elements(der)
        (_tag, fields), *_rest = elements(signed)
        _number, _algorithm, _issuer, (_tag, validity), *_rest = (one for one in elements(fields) if one[0] != _VERSION)
        _begin, (tag, content) = elements(validity)
        until = datetime.strptime(content.decode("ascii"), _TIMES[tag]).replace(tzinfo=timezone.utc)
    except (ValueError, KeyError):
        return None
    return until.timestamp()


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element in DER; ValueError where one is cut off."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + length]
        at += length


def expiries(listeners: Mapping[Listener, bytes | None], authority: Sequence[bytes]) -> dict[str, float]:
    """Return when certificates expire: by the listeners' names that which expires first, and the authority's."""
    found: dict[str, float] = {}
    named = [(listener.name, der) for listener, der in listeners.items() if der]
    for name, der in [*named, *(("authority", der) for der in authority)]:
        when = expiry(der)
        if when is None:
            print(f"certificate of {name}: it has no time at which it expires", file=sys.stderr)
        else:
            found[name] = min(when, found.get(name, math.inf))
    return found


# --- the file ---------------------------------------------------------------------------


def render(state: State, up: Mapping[Listener, bool], expire: Mapping[str, float]) -> str:
    """Return the metrics in Prometheus' text format; what is not known is left out."""
    lines: list[str] = []

    def metric(name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> None:
        lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
        for labels, number in samples:
            pairs = ",".join(f'{label}="{value}"' for label, value in labels.items())
            lines.append(f"{name}{{{pairs}}} {number:.15g}" if pairs else f"{name} {number:.15g}")

    places = [({"listener": one.name, "address": one.address}, answers) for one, answers in up.items()]
    metric("gizzi_gateway_up", "gauge", "Whether a listener answers.", places)
    ends = [({"certificate": name}, when) for name, when in sorted(expire.items())]
    text = "When a listener's certificate, or the authority, expires."
    metric("gizzi_gateway_certificate_expiry_timestamp_seconds", "gauge", text, ends)
    counts = [(key._asdict(), sums) for key, sums in sorted(state.counts.items())]
    text = f"Requests by status; 4xx without {', '.join(map(str, OWN_CLASSES))}."
    metric("gizzi_gateway_requests_total", "counter", text, [(labels, sums.requests) for labels, sums in counts])
    text = "Seconds that they took."
    metric("gizzi_gateway_request_seconds_total", "counter", text, [(labels, sums.seconds) for labels, sums in counts])
    text = "Lines of the log that are no requests."
    metric("gizzi_gateway_log_unreadable_total", "counter", text, [({}, state.unreadable)])
    metric("gizzi_gateway_log_read_timestamp_seconds", "gauge", "When the log was read last.", [({}, state.read)])
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file at once, readable by everybody: a reader finds the old or the new one and never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(handle, 0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise


def read(path: Path) -> str:
    """Return the beginning of a file's text, empty if there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_STATE)
    except FileNotFoundError:
        return ""


def parse_listener(text: str) -> Listener:
    """Read NAME=ADDRESS:PORT, an address of IPv6 in brackets; ValueError for anything else."""
    name, _equals, where = text.partition("=")
    host, _colon, port = where.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not _NAME.fullmatch(name) or not 0 < int(port) < 65536:
        raise ValueError(text)
    return Listener(name, str(address), int(port))


def parse_client(text: str) -> tuple[str, list[str]]:
    """Read NAME or NAME=ADDRESS,ADDRESS; ValueError for anything else."""
    name, _equals, addresses = text.partition("=")
    found = [plain_address(address) for address in addresses.split(",") if address]
    if not _NAME.fullmatch(name) or not all(found):
        raise ValueError(text)
    return name, found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gizzi-gateway-metrics", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--listener", action="append", required=True, type=parse_listener, help="NAME=ADDRESS:PORT")
    parser.add_argument("--authority", required=True, type=Path, help="certificate of the fleet's authority")
    parser.add_argument("--folder", required=True, type=Path, help="where gizzi-gateway.prom is written")
    parser.add_argument("clients", nargs="*", type=parse_client, metavar="client", help="NAME or NAME=ADDRESS,ADDRESS")
    arguments = parser.parse_args(argv)

    known = Known(
        frozenset(listener.name for listener in arguments.listener),
        frozenset(name for name, _addresses in arguments.clients),
        {address: name for name, addresses in arguments.clients for address in addresses},
    )
    now = time.time()
    path = arguments.folder / "state.json"
    state = parse_state(read(path), known, now)
    try:
        count(state, known)
        state.read = now
    except LogError as error:
        print(error, file=sys.stderr)
    write(path, format_state(state))
    certificates = {listener: served(listener) for listener in arguments.listener}
    up = {listener: der is not None for listener, der in certificates.items()}
    expire = expiries(certificates, read_authority(arguments.authority))
    write(arguments.folder / "gizzi-gateway.prom", render(state, up, expire))
    return 0


if __name__ == "__main__":
    sys.exit(main())
