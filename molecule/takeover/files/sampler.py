"""Asks the Ollama on loopback for its version every 50 ms, and notes when it does not answer.

Each gap is one line of /root/gaps: the seconds from the last answer before it to the first after it. /root/answers has
the number of answers.
"""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

GAPS = Path("/root/gaps")
ANSWERS = Path("/root/answers")
URL = "http://127.0.0.1:11434/api/version"
PAUSE = 0.05
# A busy machine may answer late, which is no gap. A server that is stopped refuses at once.
PATIENCE = 30


def main() -> None:
    """Ask until somebody stops this."""
    answers, answered, missed = 0, time.monotonic(), False
    GAPS.touch()
    while True:
        try:
            urllib.request.urlopen(URL, timeout=PATIENCE).close()
        except OSError:
            missed = True
        else:
            now = time.monotonic()
            if missed:
                with GAPS.open("a") as gaps:
                    gaps.write(f"{now - answered:.3f}\n")
            answers, answered, missed = answers + 1, now, False
            ANSWERS.write_text(f"{answers}\n")
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
