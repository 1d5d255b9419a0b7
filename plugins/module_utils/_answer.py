# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading an answer of /api/generate: what was said, what is wrong with it, and what helps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._progress import StallWatch

# After as many equal tokens in a row Ollama ends an answer without 'done' (llm/llama_server.go of Ollama).
REPEATS = 30
REPEATED = (
    "the server ended the answer because the model repeated one token. It would do so again, here and elsewhere: ask "
    "for fewer tokens, change the prompt, or serve another model"
)
BROKEN_OFF = (
    "its answer broke off, the stream ended before it was done: see in 'journalctl --namespace=+ollama -u ollama' "
    "whether Ollama was restarted, or its process killed"
)


@dataclass
class Streamed:
    """An answer that comes in pieces.

    Attributes:
        said: what the model answers.
        thought: what it thinks before.
        pieces: whatever it generated, thoughts too.
        arrivals: when each piece came, in seconds of time.monotonic().
        final: the line with ``done``, empty while there is none.
        error: what the server says went wrong in mid-stream.
    """

    said: str = ""
    thought: str = ""
    pieces: list[str] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    final: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    def read(self, lines: Iterable[Mapping[str, Any]], watch: StallWatch) -> None:
        """Read lines to their end or to an error; raises what they raise, and StalledError."""
        for line in lines:
            if "error" in line:
                self.error = str(line["error"])
                return
            said, thought = str(line.get("response") or ""), str(line.get("thinking") or "")
            self.said += said
            self.thought += thought
            # What is thought shows that the model is at work; it is no answer.
            if said or thought:
                self.pieces.append(said or thought)
                self.arrivals.append(time.monotonic())
                watch.progress()
            watch.check()
            if line.get("done"):
                self.final = line

    def fault(self, tokens: int) -> str:
        """Say what is wrong with the answer, empty when nothing is; ``tokens`` is how many it was allowed."""
        if self.error:
            return f"it failed while it answered: {self.error}"
        if not self.final:
            return REPEATED if repeats_one_token(self.pieces) else BROKEN_OFF
        if without_thoughts(self.said).strip():
            return ""
        thought = self.thought or self.said.strip()
        return thought_only(tokens, self.final) if thought else "it gave an empty answer"


def repeats_one_token(pieces: Sequence[str]) -> bool:
    """Tell whether a stream that ended without 'done' ended for that, by its last pieces, blanks aside."""
    last = [piece.strip() for piece in pieces[-REPEATS:]]
    return len(last) == REPEATS and len(set(last)) == 1


def without_thoughts(text: str) -> str:
    """Return an answer without the thoughts that a template puts before it, between <think> and </think>.

    Empty where the thoughts have no end. The client reads answers by the same rule (ollama_client/schema.py).
    """
    start = text.lstrip()
    return start.partition("</think>")[2] if start.startswith("<think>") else text


def thought_only(tokens: int, final: Mapping[str, Any]) -> str:
    """Say what it means that an answer is empty and thought is there.

    ``tokens`` is how many it was allowed, ``final`` the server's last line.
    """
    spent = (
        f"all of its {tokens} tokens went into thoughts and none into"
        if final.get("done_reason") == "length"
        else (f"it only thought within {tokens} tokens, without")
    )
    return (
        f"{spent} an answer, although asked with 'think: false', which it ignores: set 'tokens' higher, give it a "
        "template that uses .Think, or serve another model"
    )
