# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command gizzi-api: read the settings, serve."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from gizzi_api import __version__
from gizzi_api.app import create_app
from gizzi_api.server import listen, serve
from gizzi_api.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, Settings
from gizzi_api.shown import shown

DESCRIPTION = f"""\
Serve the state of a network of Substrate validators: JSON for programs, a web page for people. It is read from
Prometheus.

The settings are in a TOML file: {DEFAULT_CONFIG}, or the file that {CONFIG_VARIABLE} names. A variable of the
environment replaces a setting of the file, for example GIZZI_API_PORT=8081 or
GIZZI_API_PROMETHEUS__URL=http://192.0.2.1:9090.
"""
EXAMPLE = f"""\
example:
  cat >api.toml <<END
  [prometheus]
  url = "http://127.0.0.1:9090"
  [thresholds]
  max_lag = 10
  max_finality_lag = 50
  min_peers = 3
  stall_seconds = 120
  stale_seconds = 90
  [[validators]]
  number = 1
  name = "validator01"
  END
  {CONFIG_VARIABLE}=api.toml gizzi-api
  curl http://127.0.0.1:8080/api/network/status

The package's README.md explains every setting, and http://127.0.0.1:8080/docs every route.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it.

    Exit status: 1 when the address cannot be listened on, 2 for a wrong argument or setting.
    """
    parser = argparse.ArgumentParser(
        prog="gizzi-api", description=DESCRIPTION, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"gizzi-api {__version__}")
    parser.parse_args(arguments)
    settings = read_settings()
    try:
        socket = listen(settings.host, settings.port)
    except OSError as error:
        _end(
            1,
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; "
            "set host (GIZZI_API_HOST) and port (GIZZI_API_PORT) to an address of this machine and a free port",
        )
    serve(create_app(settings), settings.log_level).run(sockets=[socket])


def read_settings() -> Settings:
    """Return the settings; a problem ends the program with status 2, each named on standard error with its remedy."""
    path = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))
    missing = [] if path.exists() else [_missing(path)]
    if missing and CONFIG_VARIABLE in os.environ:
        _end(2, *missing)
    if unknown := _unknown_variables():
        _end(2, *missing, *unknown)
    try:
        settings = Settings()  # type: ignore[call-arg]  # the file and the environment bring what it needs
    except ValidationError as error:
        _end(2, *missing, *(_problem(one, path) for one in error.errors(include_url=False)))
    except SettingsError as error:
        _end(2, f"{error}: in the environment a table or a list is JSON")
    except OSError as error:
        _end(2, f"cannot read the settings file {path}: {error.strerror}; let the user that runs this read it")
    except ValueError as error:
        _end(2, f"the settings file {path} is not TOML: {error}")
    try:
        settings.query.read_token()
    except OSError as error:
        _end(
            2,
            f"query.token_file: cannot read {settings.query.token_file}: {error.strerror}; "
            "write the token into it, or leave the setting out, and nobody may query",
        )
    except ValueError as error:
        _end(2, f"{error}; write the token into it, or leave the setting out, and nobody may query")
    return settings


def _end(status: int, *problems: str) -> NoReturn:
    for problem in problems:
        print(f"gizzi-api: {shown(problem)}", file=sys.stderr)
    sys.exit(status)


def _missing(path: Path) -> str:
    return (
        f"there is no settings file {path}: write it (gizzi-api --help shows one), or name another one in "
        f"{CONFIG_VARIABLE}"
    )


def _unknown_variables() -> list[str]:
    """Problems with the environment that pydantic-settings passes over: a variable of ours that sets nothing."""
    prefix = Settings.model_config["env_prefix"]
    return [
        f"{name}: there is no such setting; there are {', '.join(_known(()))}"
        for name in sorted(os.environ)
        if name.upper().startswith(prefix)
        # GIZZI_API__… is the client's table `api`.
        and not name.upper().startswith(f"{prefix}_")
        and name.upper() != CONFIG_VARIABLE
        and name.upper().removeprefix(prefix).lower().split("__")[0] not in Settings.model_fields
    ]


def _problem(one: ErrorDetails, path: Path) -> str:
    """What is wrong with a setting, what it is, and where to set it."""
    parts = one["loc"]
    where = ".".join(map(str, parts)) or "settings"
    value = one["input"]
    text = one["msg"].removeprefix("Value error, ")
    if one["type"] == "extra_forbidden":
        return f"{where}: there is no such setting; there are {', '.join(_known(parts[:-1]))}"
    if isinstance(value, str | int | float):
        # An address may hold a password.
        text += f", and it is {'…' if '@' in str(value) else repr(value)[:80]}"
    variable = (
        ""
        if any(isinstance(part, int) for part in parts)
        else f", or as GIZZI_API_{'__'.join(map(str, parts)).upper()}"
    )
    return f"{where}: {text}; set it in {path}{variable if parts else ''}"


def _known(parts: Sequence[int | str]) -> list[str]:
    """The settings of the table at ``parts``."""
    table: type[BaseModel] = Settings
    for part in parts:
        if isinstance(part, str):
            kind = table.model_fields[part].annotation
            table = (*get_args(kind), kind)[0]
    return list(table.model_fields)


if __name__ == "__main__":
    main()
