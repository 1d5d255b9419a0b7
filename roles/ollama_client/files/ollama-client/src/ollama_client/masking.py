# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not leave this host in a prompt, or reach a terminal in an answer."""

from __future__ import annotations

import re

MASK = "[masked]"

# The start of a token: after what cannot be a part of one, or after an escaped end of line in JSON.
_START = r"(?:(?<![\w-])|(?<=\\n)|(?<=\\r)|(?<=\\t))"
# A quote, as often escaped as the JSON that holds it is itself held by JSON; up to the next of its kind.
_QUOTED = r"(?P<quote>\\{0,15}[\"'`])(?P<secret>[^\n]*?)(?:(?<!\\)(?P=quote)|(?=\n|\Z))"
# A comma ends a value only before a blank, a quote or the next name.
_BARE = r"(?P<bare>(?:[^\s\"'`,;&}\\]|[,;&}](?![\s\"'`\\]|[\w.-]{1,40}[:=]|\Z)|\\(?!\\{0,15}[\"'`]))+)"
_VALUE = rf"(?:{_QUOTED}|{_BARE})"
_LINE = rf"(?:{_QUOTED}|(?P<bare>[^\s\"'`\\,][^\n\"'`\\]*))"
_PHRASE = r"(?P<phrase>(?:[a-z]{3,8}[ \t]+){11,23}[a-z]{3,8}\b)"
_IS = r"\\{0,15}[\"'`]?[ \t]*(?::=|=>|[:=])[ \t]*"
_NAMES = (
    r"(?:passw(?:or)?d|passphrase|secret|token|(?:secret|api|access|account|private|signing|encryption|auth|master|node)"
    r"[_-]?(?:access[_-]?)?key|credentials?|(?:seed|secret|recovery|mnemonic)[ _-]?phrase|mnemonic"
    r"|(?<![^\W_])(?:pass|pwd|suri|seed|auth|session(?:[_-]?id)?))"
)

# Each rule: words of which one must be in the text, in small letters, and what to look for. What it finds goes, or its
# groups do. None takes more time than the text is long: no two repeats of a pattern can share a text between them.
# Hashes, numbers of blocks and identities of peers, which journals of nodes are full of, stay. The same rules stand in
# plugins/module_utils/_masking.py and in ollama_client/masking.py: neither can import the other.
_RULES = (
    (
        ("private key",),
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        re.DOTALL,
    ),
    (("digest username",), r"\bdigest username=(?P<secret>[^\n]*)", re.IGNORECASE),
    (("authorization", "cookie"), rf"\b(?:authorization|cookie){_IS}{_LINE}", re.IGNORECASE),
    (("bearer ",), r"\bbearer[ \t]+(?P<secret>[\w.~+/=-]{6,})", re.IGNORECASE),
    # Who asks is as secret as the password: it may be a token. The name of an Ethereum peer is none.
    (("://",), r"(?<!enode)://(?P<secret>[^\s/\"'`<>\\]+)@", 0),
    (
        ("pass", "pwd", "secret", "token", "key", "credential", "phrase", "mnemonic", "suri", "seed", "auth", "sess"),
        rf"{_NAMES}(?:{_IS}|[ \t]+is[ \t]+)(?:{_PHRASE}|{_VALUE})",
        re.IGNORECASE,
    ),
    (
        ("--",),
        rf"(?<![\w-])--(?:[a-z0-9]{{1,20}}-){{0,4}}(?:password|passphrase|token|secret|suri|key)[ =]{_VALUE}",
        re.IGNORECASE,
    ),
    (("-u ", "--user", "-u="), rf"(?<!\S)(?:-u|--user)[ =][\"']?[^\s:\"']{{0,64}}:{_VALUE}", 0),
    (("secret key uri",), r"\bsecret key uri[ \t:`'\"]{1,4}(?P<secret>[^\s`]+)", re.IGNORECASE),
    (("hooks.slack.com/",), r"hooks\.slack\.com/\w{1,20}/(?P<secret>[\w/+-]+)", 0),
    (("webhook.office.com/",), r"webhook\.office\.com/(?P<secret>\S+)", 0),
    (("discord", "telegram"), r"(?:/webhooks/|/bot\d{5,16}:)(?P<secret>[\w/-]{20,})", 0),
    (("sk-", "pk-"), rf"{_START}sk-[\w-]{{16,}}", 0),
    (("sk_", "rk_"), rf"{_START}[sr]k_(?:test|live|prod)_\w{{10,}}", 0),
    (("akia", "asia", "abia", "acca", "a3t"), rf"{_START}(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{{16}}\b", 0),
    (("gh", "github_pat_"), rf"{_START}(?:gh[pousr]_[A-Za-z0-9]{{20,}}|github_pat_\w{{22,}})", 0),
    (("gl",), rf"{_START}gl(?:pat|ptt|dt|cbt|rt|ft|ffct|imt|agent|oas|soat)-[\w.-]{{16,}}", 0),
    (("gr1348941",), rf"{_START}GR1348941[\w-]{{16,}}", 0),
    (("xox", "xapp-"), rf"{_START}(?:xox[a-z](?:\.xox[a-z])?|xapp)-[\w-]{{8,}}", 0),
    (("hvs.", "hvb.", "hvr."), rf"{_START}hv[bsr]\.[\w-]{{20,}}", 0),
    (("eyj",), rf"{_START}(?:ops_|glc_|sntrys_)?eyJ[\w-]{{8,}}(?:(?:[.][\w-]*){{1,4}}|[\w+/=-]{{40,}})", 0),
    (("aiza", "ya29."), rf"{_START}(?:AIza[\w-]{{35}}|ya29\.[\w-]{{20,}})", 0),
    (("age-secret-key-",), r"AGE-SECRET-KEY-1[A-Z0-9]{20,}", 0),
    (("sg.", "pypi-", "q~"), rf"{_START}(?:SG\.[\w=.-]{{40,}}|pypi-[\w-]{{50,}}|[\w~.]{{3}}\dQ~[\w~.-]{{31,34}})", 0),
    (("a3-",), rf"{_START}A3-[A-Z0-9]{{6}}-(?:[A-Z0-9]{{11}}|[A-Z0-9]{{6}}-[A-Z0-9]{{5}})(?:-[A-Z0-9]{{5}}){{3}}", 0),
    (
        (),
        rf"{_START}(?:(?:hf|npm|pnu|gsk|rdme|r8|glsa|sntryu|sgp|lin_api|rubygems|ntn|do[opr]_v1|shp(?:at|ca|pa|ss)"
        r"|pscale_(?:tkn|oauth|pw)|sm_[aps]at|shippo_(?:live|test)|duffel_(?:live|test)|fo1|fm1[ar]|fm2)_[\w=.+/-]{16,}"
        r"|(?:tskey-(?:auth|api|client)|pplx|pul|PMAK|tk-us|xkeysib|sq0(?:atp|csp)|API|NR(?:AK|II|JS)|v1\.0)-[\w-]{19,}"
        r"|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{30,}|dt0[a-z]\d{2}\.[\w-]{20,}\.\w{30,}|dapi[a-f0-9]{32}"
        r"|sha256~[\w-]{40,}|AKCp[A-Za-z0-9]{60,}|LTAI[A-Za-z0-9]{16,}|ATATT3[\w=-]{60,}|EAA[A-Za-z0-9]{100,})",
        0,
    ),
)
_COMPILED = tuple((words, re.compile(pattern, flags)) for words, pattern, flags in _RULES)

# Escape sequences of terminals whole, then whatever else is no text: controls, invisible and reordering characters, and
# halves of characters. One that has no end hides no more than its line.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def mask(text: str) -> str:
    """Return the text with every secret that it commonly comes with replaced by ``[masked]``."""
    small = text.lower()
    for words, pattern in _COMPILED:
        if not words or any(word in small for word in words):
            text = pattern.sub(_masked, text)
    return text


def _masked(found: re.Match[str]) -> str:
    kept, place = "", found.start()
    for group in ("phrase", "secret", "bare"):
        if group in found.re.groupindex and found.start(group) >= 0:
            start, end = found.span(group)
            kept += found.string[place:start] + MASK
            place = end
    return kept + found.string[place : found.end()] if kept else MASK


def plain(text: str) -> str:
    """Return the text without anything that a terminal would obey or a reader would not see."""
    return _UNSEEN.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n")))
