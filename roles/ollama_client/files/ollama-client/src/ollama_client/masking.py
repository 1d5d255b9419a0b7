# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not leave this host in a prompt, or reach a terminal in an answer."""

from __future__ import annotations

import re

MASK = "[masked]"

# Each pattern's group `secret`, or the whole match, is replaced. Hashes, which journals of nodes are full of, stay.
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
        r"\bauthorization\b[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?(?P<secret>[^\s\"',;]+)",
        r"\bbearer\s+(?P<secret>[A-Za-z0-9._~+/=-]{6,})",
        r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:(?P<secret>[^\s/@]+)@",
        # name=value, name: value, "name": "value", --name value
        r"(?:\b|_)(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|node[_-]?key|suri|"
        r"seed|mnemonic|(?:seed|secret|recovery|mnemonic)[ _-]phrase)[\"']?(?:\s*[:=]\s*|\s+is\s+)"
        r"(?P<secret>\"[^\"]+\"|'[^']+'|(?:[a-z]{3,8} ){11,23}[a-z]{3,8}\b|[^\s\"',;&}]+)",
        r"--(?:password|token|suri|node-key|api-key)[ =](?P<secret>\"[^\"]+\"|'[^']+'|\S+)",
        r"\bsecret key uri\b\W*(?P<secret>[^\s`]+)",
        r"\bsk-[A-Za-z0-9_-]{16,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{20,}\b",
        r"\bhvs\.[A-Za-z0-9_-]{20,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    )
)

# Escape sequences of terminals whole, then whatever else is no text: controls, invisible and reordering characters.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def mask(text: str) -> str:
    """Return the text with every secret that it commonly comes with replaced by ``[masked]``."""
    for pattern in _SECRETS:
        text = pattern.sub(_masked, text)
    return text


def _masked(match: re.Match[str]) -> str:
    if "secret" not in match.re.groupindex:
        return MASK
    start, end = match.span("secret")
    whole, offset = match[0], match.start()
    return whole[: start - offset] + MASK + whole[end - offset :]


def plain(text: str) -> str:
    """Return the text without anything that a terminal would obey or a reader would not see."""
    return _UNSEEN.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n")))
