# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is piped into a command: data to analyse."""

from __future__ import annotations

import logging
import os
import select
import stat
import sys

from ollama_client.deadline import Deadline
from ollama_client.errors import PromptError
from ollama_client.prompts import Data

log = logging.getLogger(__name__)
MAX_BYTES = 8_000_000
PATIENCE = 10.0  # seconds without a byte
# A session of ssh without a terminal keeps its input open, whether anything comes or not.
PATIENCE_WITH_SSH = 2.0


def piped(seconds: float) -> Data | None:
    """Return what standard input brings, if it is a pipe or a file and brings anything.

    Errors: PromptError for a pipe that stays open and silent, or does not end within so many seconds: an answer without
    its data would be no answer.
    """
    try:
        handle = sys.stdin.fileno()
        mode = os.fstat(handle).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    if stat.S_ISSOCK(mode) and not _ready(handle, PATIENCE_WITH_SSH):
        log.warning("nothing came on standard input for %g s: asking without it", PATIENCE_WITH_SSH)
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return None
    deadline = Deadline(seconds)
    read = bytearray()
    while chunk := _chunk(handle):
        if deadline.remaining() <= 0:
            raise PromptError(
                f"standard input does not end within {seconds:g} s", hint="Cut it, as with journalctl --lines=100."
            )
        read += chunk
        # The end of a long log is what matters.
        del read[:-MAX_BYTES]
    text = read.decode("utf-8", "replace")
    return Data("standard input", text, keep="end") if text.strip() else None


def _chunk(handle: int) -> bytes:
    if not _ready(handle, PATIENCE):
        raise PromptError(
            f"standard input is an open pipe, and nothing came for {PATIENCE:g} s",
            hint="Without data, close it: gizzi … </dev/null",
        )
    return os.read(handle, 65_536)


def _ready(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], seconds)[0])
