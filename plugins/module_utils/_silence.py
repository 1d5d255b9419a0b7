# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it means that a server gives no token: it works for others, it hangs, or neither can be seen from here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import is_full
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import cpu_behind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

Answer = TypeVar("Answer")

# The share of a processor from which on a process is at work; one that waits takes next to nothing.
AT_WORK = 0.05


class UnhealthyError(GizziError):
    """A layer that fails; its text says what to do about it, and status what the layer is."""

    status = "fail"


class BusyError(UnhealthyError):
    """The server is at work for others, and does not get to the question."""

    status = "busy"


class UnseenError(UnhealthyError):
    """Whether the server is at work or hangs cannot be seen from here."""

    status = "unknown"


class Silence:
    """Looks at a server's processes before a question, and once more when there was no token."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = cpu_behind(url)

    def error(self, name: ModelName, seconds: float, whole: float) -> UnhealthyError:
        """Return what so many seconds without a first token mean; it was asked for ``whole`` seconds."""
        now = cpu_behind(self._url)
        if self._before is None or now is None:
            return UnseenError(
                f"{name} gave no token for {seconds:.3g} s, and whether the server is busy with other questions or "
                f"hangs cannot be seen from here: run the same check as root on the server itself."
            )
        taken = sum(max(0.0, spent - self._before.get(pid, 0.0)) for pid, spent in now.items())
        if taken < seconds * AT_WORK:
            return UnhealthyError(stalled(name, seconds, "before its first token"))
        return BusyError(
            f"{name} gave no token for {seconds:.3g} s, in which its process took {taken:.1f} s of processor time: the "
            f"server is busy with other questions. It was asked for {whole:.3g} s. Ask again later, or raise the "
            "timeout; its weights are not the reason."
        )


def ask_until(ask: Callable[[float], Answer], patience: float, deadline: float) -> Answer:
    """Ask, and again while that ends with BusyError or UnseenError, until a time of time.monotonic().

    ask: gets the seconds that it may wait for the first token.
    patience: how long that is, in seconds; for the last time what is left, up to half as much again.
    """
    wait = min(patience, deadline - time.monotonic())
    while True:
        try:
            return ask(wait)
        except (BusyError, UnseenError):  # noqa: PERF203  # It is what the loop is for.
            left = deadline - time.monotonic()
            # In a short time nobody can tell what works from what waits.
            if left < patience / 2:
                raise
            wait = left if left < 1.5 * patience else patience


def refused(error: BadStatusError, what: str) -> UnhealthyError:
    """Say what it means that a server answers with an error; one that is full says nothing of the model."""
    return (BusyError if is_full(error) else UnhealthyError)(f"{what}: {error}.")


def stalled(name: ModelName, silence: float, where: str) -> str:
    """Say what it means that a server says nothing and does nothing for so many seconds."""
    return (
        f"{name} loads but stalls: silence for {silence:.3g} s {where}. Look for a starved or stopped runner "
        "('ps aux | grep -e llama-server -e ollama', 'systemctl status ollama') and restart the service."
    )
