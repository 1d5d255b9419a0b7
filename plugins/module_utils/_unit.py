# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the environment of Ollama's unit holds, and where it is from: names alone, and never values.

The server hands its whole environment to the llama-server that computes. A variable from elsewhere can break every
answer there, while the server answers and the model loads.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

# With it, llama-server refuses the requests of its own Ollama.
API_KEY = "LLAMA_API_KEY"
UNIT = "ollama.service"
# What the role writes.
UNIT_FILE = "etc/systemd/system/ollama.service"
DROPIN = "etc/systemd/system/ollama.service.d/override.conf"
ENVIRONMENT_FILE = "etc/default/ollama"
OUR_FILES = (UNIT_FILE, DROPIN, ENVIRONMENT_FILE)

MANAGER = "the service manager's environment"
DEFAULT_LISTEN = "127.0.0.1:11434"
MAX_FILE = 1 << 20

# Where systemd looks for drop-ins, the first before the others (systemd.unit(5), System Unit Search Path).
SEARCH_PATH = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "etc/systemd/system.attached",
    "run/systemd/system",
    "run/systemd/system.attached",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
)
# Those of one unit, and those of all services.
DROPIN_FOLDERS = ("ollama.service.d", "service.d")

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
# In a file of variables there may be blanks before the sign.
_NAME_IN_FILE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_SETTINGS = ("Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment")


@dataclass(frozen=True)
class Setting:
    """One line of a unit file about the environment.

    Attributes:
        key: Environment, EnvironmentFile, PassEnvironment or UnsetEnvironment.
        value: what is set; "" takes back what was set before.
        source: the file.
    """

    key: str
    value: str
    source: str


@dataclass(frozen=True)
class Variable:
    """A name, and where it is set."""

    name: str
    source: str


@dataclass(frozen=True)
class Listen:
    """Where a server listens: host (IPv6 in brackets), port, its URL on its own host, on loopback or not."""

    host: str
    url: str
    port: int
    on_loopback: bool


def changes_answers(name: str) -> bool:
    """Tell whether Ollama or its llama-server reads a variable."""
    return name == API_KEY or name.startswith(("LLAMA_ARG_", "OLLAMA_"))


def shown_names(text: str) -> set[str]:
    """Return the names in what ``systemctl show-environment`` prints."""
    return {match[1] for match in map(_NAME.match, text.splitlines()) if match}


def assigned(value: str) -> dict[str, str]:
    """Return the variables of one ``Environment=`` line; systemd's quotes are a shell's."""
    try:
        words = shlex.split(value)
    except ValueError:
        # systemd warns and takes what comes before: too many names are safer than too few.
        words = value.replace('"', " ").replace("'", " ").split()
    return {match[1]: word[match.end() :] for word in words if (match := _NAME.match(word))}


def settings_of(text: str, source: str, keys: Iterable[str] = _SETTINGS) -> list[Setting]:
    """Return the lines with these keys, by default the environment's, in a unit file's section Service, in order."""
    found, section = [], ""
    for line in _whole_lines(text):
        if line.startswith("["):
            section = line
            continue
        key, is_setting, value = line.partition("=")
        if is_setting and section == "[Service]" and key.strip() in keys:
            found.append(Setting(key.strip(), value.strip(), source))
    return found


def environment_file_names(text: str) -> set[str]:
    """Return the names in a file of ``EnvironmentFile=``; a quoted value may go over lines."""
    names, quote = set(), ""
    for line in text.splitlines():
        match = None if quote else _NAME_IN_FILE.match(line.strip())
        if match:
            names.add(match[1])
        if match or quote:
            quote = _open_quote(line.strip()[match.end() :] if match else line, quote)
    return names


def holds_password(url: str) -> bool:
    """Tell whether a proxy's address, with or without a scheme, holds a password."""
    userinfo = url.split("://", 1)[-1].rpartition("@")[0]
    return ":" in userinfo


def parse_listen(listen: str) -> Listen:
    """Return where a server with this OLLAMA_HOST is; one on all addresses is reached on loopback."""
    host, _colon, port = listen.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]")) if is_address(host) else None
    on_loopback = host == "localhost" or (address is not None and address.is_loopback)
    reached = "127.0.0.1" if address is not None and address.is_unspecified else host
    return Listen(host, f"http://{reached}:{port}", int(port), on_loopback)


def is_address(host: str) -> bool:
    """Tell whether a text is an IPv4 address, or an IPv6 address in brackets, as OLLAMA_HOST wants it; no zone."""
    try:
        if host.startswith("[") and host.endswith("]"):
            return "%" not in host and bool(ipaddress.IPv6Address(host[1:-1]))
        return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False


class Host:
    """The files of a host that systemd makes the unit's environment of; root is ``/`` but in tests."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listen(self) -> Listen:
        """Return where the server that the role has configured listens; Ollama's default where it has not."""
        values = self._assignments(DROPIN)
        listen = values.get("OLLAMA_HOST", "")
        return parse_listen(listen if re.fullmatch(r".+:\d{1,5}", listen) else DEFAULT_LISTEN)

    def own_names(self) -> set[str]:
        """Return the names that the role's files set."""
        names = {*self._assignments(UNIT_FILE), *self._assignments(DROPIN)}
        return names | environment_file_names(self._read(ENVIRONMENT_FILE))

    def foreign_settings(self, known: Iterable[str] = ()) -> list[Setting]:
        """Return what drop-ins of others say of the environment; known are paths that systemd names itself."""
        return [
            setting for path in self._foreign_dropins(known) for setting in settings_of(self._read(path), f"/{path}")
        ]

    def names_in(self, setting: Setting) -> set[str]:
        """Return the names that a setting sets, hands on, or takes away."""
        if setting.key == "Environment":
            return set(assigned(setting.value))
        if setting.key != "EnvironmentFile":
            return set(setting.value.split())
        path = setting.value.lstrip("-").lstrip("/")
        if path == ENVIRONMENT_FILE:
            return set()
        files = sorted(self._root.glob(path)) if path else []
        return set().union(*(environment_file_names(self._read(str(file.relative_to(self._root)))) for file in files))

    def _foreign_dropins(self, known: Iterable[str]) -> list[str]:
        """Return the drop-ins that count: of two of one name only the one in the folder that goes first."""
        paths = [
            str(path.relative_to(self._root))
            for unit in DROPIN_FOLDERS
            for folder in SEARCH_PATH
            for path in sorted((self._root / folder / unit).glob("*.conf"))
        ]
        by_name: dict[str, str] = {}
        for path in [*paths, *(path.lstrip("/") for path in known)]:
            by_name.setdefault(path.rpartition("/")[2], path)
        return sorted((path for path in by_name.values() if path != DROPIN), key=lambda path: path.rpartition("/")[2])

    def _assignments(self, path: str) -> dict[str, str]:
        values: dict[str, str] = {}
        for setting in settings_of(self._read(path), path):
            if setting.key == "Environment":
                values.update(assigned(setting.value))
        return values

    def _read(self, path: str) -> str:
        """Return a file's text; "" when it is not there. These folders are root's alone."""
        file = self._root / path
        try:
            with file.open("rb") as opened:
                return opened.read(MAX_FILE).decode("utf-8", "replace")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return ""


def names_set_by(host: Host, environment: Iterable[str], overrides: Mapping[str, object]) -> set[str]:
    """Return the names that the role is about to set: its own, and those in its overrides of section Service."""
    names = {"HOME", *environment}
    for key in _SETTINGS[:3]:
        values = overrides.get(key, [])
        for value in values if isinstance(values, list) else [values]:
            names |= host.names_in(Setting(key, str(value), ""))
    return names


def foreign_variables(host: Host, settings: Iterable[Setting], shown: Iterable[str], own: set[str]) -> list[Variable]:
    """Return what others set that would change the answers, and the role does not set itself: to be unset."""
    found = dict.fromkeys(shown, MANAGER)
    for setting in settings:
        if setting.key != "UnsetEnvironment":
            found.update(dict.fromkeys(host.names_in(setting), setting.source))
    return [Variable(name, found[name]) for name in sorted(found) if changes_answers(name) and name not in own]


def conflicts(host: Host, settings: Iterable[Setting], own: set[str]) -> list[str]:
    """Return, for people and with the remedy, where a drop-in of others changes what the role sets."""
    problems = []
    for setting in settings:
        if not setting.value and setting.key != "PassEnvironment":
            problems.append(
                f"{setting.source} empties {setting.key}=, and with it what the role sets. Take that line out."
            )
        names = sorted(host.names_in(setting) & own)
        if names:
            problems.append(
                f"{setting.source} has {setting.key}= for {' and '.join(names)}, which the role sets itself. Take it "
                "out there, and set it by the role's variables."
            )
    return problems


def _whole_lines(text: str) -> Iterator[str]:
    """Join lines that a backslash continues, and leave comments out, also those in between (systemd.syntax(7))."""
    whole = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        yield (whole + line).strip()
        whole = ""
    if whole:
        yield whole.strip()


def _open_quote(text: str, quote: str) -> str:
    """Return the quote that is open at the end of a text which begins within ``quote``, "" when none is."""
    skip = False
    for letter in text:
        if skip:
            skip = False
        elif letter == "\\" and quote != "'":
            skip = True
        elif quote and letter == quote:
            quote = ""
        elif not quote and letter in "\"'":
            quote = letter
    return quote
