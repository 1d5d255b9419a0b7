# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program gizzi-guard: restores guards at boot and when somebody flushes the firewall, and lists them.

gizzi-guard restore NAME
gizzi-guard watch
gizzi-guard list
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Callable

from .._errors import GizziError
from .definitions import definition_path, definitions
from .host import Host, look
from .plan import carry_out, close, make_plan
from .state import guards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .values import Guard

# include/uapi/linux/netlink.h and linux/netfilter/nfnetlink.h: the kernel reports every change of nftables to this
# group. This includes changes by an iptables that uses nftables.
NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NFNLGRP_NFTABLES = 7
# Seconds. Changes mostly come in groups: the rules are checked QUIET after the last one, at the latest after PATIENCE.
QUIET = 0.3
PATIENCE = 1.0
# Seconds between two checks: the kernel does not report changes by an iptables that does not use nftables.
EVERY = 60.0
# Seconds before the first retry after a failure; each further pause is twice as long.
SOON = 1.0


def say(*lines: str) -> None:
    """Write lines to the journal."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


class Events:
    """The kernel's messages about changes to nftables."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        # A socket without an address receives nothing.
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self._socket.setblocking(False)

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most this number of seconds; return whether there was one."""
        readable, _writable, _failed = select.select([self._socket], [], [], max(seconds, 0))
        if not readable:
            return False
        try:
            while self._socket.recv(1 << 16):
                pass
        except BlockingIOError:
            pass
        except OSError as error:
            # ENOBUFS: the socket has lost messages. It is enough to know that something has changed.
            if error.errno != errno.ENOBUFS:
                raise
        return True


def restore(host: Host, wanted: Guard, between: Callable[[], None] | None = None) -> list[str]:
    """Restore one guard's rules; return the problems that keep its sources out.

    GizziError when strangers are not dropped. The caller has the lock. ``between`` is called before each step.
    """
    seen = look(host)
    if seen.tables is None:
        raise GizziError("nft is not installed: apt-get install nftables")
    close(host, wanted, seen)
    problems = list(make_plan(seen, wanted.name, wanted).problems)
    try:
        if not problems:
            carry_out(host, wanted.name, wanted, look(host), between)
    except GizziError as error:
        problems.append(str(error))
    return problems


def restore_all(host: Host, events: Events) -> list[str]:
    """Restore the rules of every guard; return all problems.

    If somebody flushes rules during this work, the tables that drop strangers are restored before the next step.
    """

    def shut() -> None:
        if events.wait(0):
            close_all(host)

    with host.locked():
        defined, unreadable = definitions(host)
        problems = list(unreadable.values())
        for name, wanted in defined.items():
            problems += [f"{name}: {problem}" for problem in _problems_of(host, wanted, shut)]
    return problems


def _problems_of(host: Host, wanted: Guard, between: Callable[[], None]) -> list[str]:
    try:
        return restore(host, wanted, between)
    except GizziError as error:
        return [str(error)]


def close_all(host: Host) -> None:
    """Restore only the tables that drop strangers; errors are reported later by ``restore_all``.

    The caller has the lock.
    """
    try:
        seen = look(host)
        for wanted in definitions(host)[0].values():
            close(host, wanted, seen)
    except GizziError:
        pass


def watch(host: Host, events: Events, clock: Callable[[], float] = time.monotonic) -> None:
    """Restore all guards now and after every change of rules, without end; retry after a failure."""
    said: list[str] | None = None
    pause = EVERY
    while True:
        problems = restore_all(host, events)
        # Report the same problems only once.
        if problems != said:
            say(*(problems or ["all guards hold"]))
            pause = SOON
        said = problems
        if not events.wait(pause if problems else EVERY):
            pause = min(2 * pause, EVERY)
            continue
        with host.locked():
            close_all(host)
        until = clock() + PATIENCE
        while clock() < until and events.wait(QUIET):
            pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 1 when a guard does not work."""
    words = list(sys.argv[1:] if argv is None else argv)
    host = Host()
    try:
        if words == ["watch"]:
            watch(host, Events())
        elif words == ["list"]:
            sys.stdout.write(json.dumps(guards(host), indent=2) + "\n")
        elif len(words) == 2 and words[0] == "restore":
            with host.locked():
                wanted = definitions(host)[0].get(words[1])
                if wanted is None:
                    raise GizziError(f"{definition_path(words[1])} does not define a guard")
                say(*restore(host, wanted))
        else:
            raise GizziError("usage: gizzi-guard restore NAME | watch | list")
    except GizziError as error:
        say(str(error))
        return 1
    return 0
