# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One update at a time on a server: a run continues if its control host stops, and the next run waits for its end."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_folder
from ansible_collections.etrid.gizzi.plugins.module_utils._update import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "under-way"
PAUSE = 0.5


@contextmanager
def alone(timeout: float) -> Iterator[None]:
    """Lock the server for this run; raise GizziError if another run keeps the lock longer than timeout seconds.

    The lock is a file in the folder of the evaluation figures, which only root can open.
    """
    try:
        with suppress(FileExistsError):
            figures.FOLDER.mkdir(0o700)
        with opened_folder(figures.FOLDER) as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(NAME, flags, 0o600, dir_fd=folder)
    except OSError as error:
        raise GizziError(f"{figures.FOLDER} cannot be opened: {error.strerror}. Run this task as root.") from error
    try:
        deadline = time.monotonic() + timeout
        while not _is_ours(file):
            if time.monotonic() > deadline:
                raise GizziError(
                    "An earlier update of this server is still under way, of a run that has ended: see with "
                    f"'fuser -v {figures.FOLDER / NAME}', and wait for it or end it."
                )
            time.sleep(PAUSE)
        yield
    finally:
        os.close(file)


def _is_ours(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
