"""Use case 2: a validator looks at its own journal. What `gizzi diagnose` does, with the metrics too."""

import subprocess

from ollama_client import Data, OllamaClient, shown_lines

command = ["journalctl", "--unit=flare-node", "--lines=100", "--no-pager"]
logs = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout

with OllamaClient() as client:
    # As data the journal is fenced, cut at its old end if it is too long, and without its secrets.
    journal = Data("journal of flare-node", logs, keep="end")
    answer = client.query("Am I experiencing any issues? What speaks for and against a restart?", data=[journal])
print(shown_lines(answer))
