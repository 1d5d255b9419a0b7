# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the program that measures a gateway is told: its listeners, and whose requests it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Where a listener on all addresses of a family is reached from its own host.
_OWN = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def arguments(
    ports: Mapping[str, int], listens: Iterable[str], names: Iterable[str], addresses: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Return the values of its options, as its command line has them.

    :param ports: by the names of the listeners.
    :param listens: the families on which each of them listens, as 0.0.0.0 and [::].
    :param names: the hosts that are counted by name.
    :param addresses: theirs, by name, as far as they are known.
    """
    own = [_OWN[listen] for listen in listens]
    return {
        "listeners": [f"{name}={address}:{port}" for name, port in ports.items() for address in own],
        "clients": [f"{name}={','.join(addresses.get(name, []))}".rstrip("=") for name in names],
    }
