"""The command gizzi: in this process, or as its users run it, in one of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ollama_client import Settings
from ollama_client.cli.app import app
from typer.testing import CliRunner, Result

# A process that a script starts in the background ignores Ctrl-C, and so would its children.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from ollama_client.cli.app import main; main()",
]


def configure(settings: Settings) -> None:
    """Write the file that the command will read."""
    Path(os.environ["GIZZI_CONFIG"]).write_text(toml(settings.model_dump(mode="json", exclude_unset=True)))


def gizzi(*arguments: str) -> Result:
    """Run the command here."""
    return CliRunner().invoke(app, list(arguments), prog_name="gizzi")


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Run the command in a process of its own."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], text=True, env=variables, **(streams | options))


def finished(*arguments: str, **options: Any) -> tuple[int, str, str]:
    """Run it to its end; return its exit status, standard output and standard error."""
    given = options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    with process(*arguments, **options) as running:
        out, err = running.communicate(given, timeout=30)
    return running.returncode, out, err


def on_a_terminal(
    *arguments: str,
    columns: int = 80,
    rows: int = 24,
    seconds: float = 20.0,
    enough: Callable[[], bool] = lambda: False,
) -> tuple[int, str]:
    """Run it on a terminal; return its exit status and all that it wrote there.

    Ctrl-C is pressed when there is ``enough``, or after ``seconds``.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    written = b""
    with subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=variables) as running:
        os.close(theirs)
        end = time.monotonic() + seconds
        # A terminal whose other side is gone gives an error in place of an end.
        with suppress(OSError):
            while True:
                if select.select([ours], [], [], 0.1)[0]:
                    written += os.read(ours, 10_000)
                if enough() or time.monotonic() > end:
                    running.send_signal(signal.SIGINT)
                    enough, end = bool, time.monotonic() + 20
    os.close(ours)
    return running.returncode, written.decode()


def toml(table: dict[str, Any], path: str = "") -> str:
    """Write settings as TOML."""
    text = "".join(
        f"{key} = {json.dumps(one, ensure_ascii=False)}\n"
        for key, one in table.items()
        if not _nested(one) and one is not None
    )
    for key, one in table.items():
        if isinstance(one, dict):
            text += f"[{path}{key}]\n{toml(one, f'{path}{key}.')}"
        elif _nested(one):
            text += "".join(f"[[{path}{key}]]\n{toml(item)}" for item in one)
    return text


def _nested(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
