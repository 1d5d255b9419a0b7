# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway's access log in the journal, counted by listener, client and status; and the state between two runs.

What came in the log is data: a line that is no request is counted as such, and each label is one of few known words. A
client is the one whose token was sent; a request without a valid token counts as that of the client whose address it
came from, any other as "unknown".
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

IDENTIFIER = "gizzi_gateway"
# A field that journald itself sets: a line that somebody else wrote under that identifier is not counted.
UNIT = "gizzi-gateway.service"
# What is left in the journal by then is for the next run.
READ_TIMEOUT = 40.0
# A path of the 8 kB that nginx takes, each byte escaped twice or a number of its own, and what the journal adds.
MAX_LINE = 1_000_000
# No request lasts longer; another number is none.
MAX_SECONDS = 7 * 86400.0

UNKNOWN = "unknown"
# These tell something of a client, so each is a class of its own.
OWN_CLASSES = (401, 403, 429)
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", *map(str, OWN_CLASSES))

_CURSOR = re.compile(r"[A-Za-z0-9=;_-]{1,500}")


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
