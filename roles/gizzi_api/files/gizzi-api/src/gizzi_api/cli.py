# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command gizzi-api: read the settings, serve."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from gizzi_api.app import create_app
from gizzi_api.server import listen, serve
from gizzi_api.settings import Settings


def main() -> None:
    try:
        settings = Settings()  # type: ignore[call-arg]  # the file and the environment bring what it needs
        settings.query.read_token()
    except ValidationError as error:
        for one in error.errors():
            where = ".".join(str(part) for part in one["loc"]) or "settings"
            print(f"gizzi-api: {where}: {one['msg']}", file=sys.stderr)
        sys.exit(2)
    except (SettingsError, OSError, ValueError) as error:
        print(f"gizzi-api: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        socket = listen(settings.host, settings.port)
    except OSError as error:
        print(f"gizzi-api: cannot listen on {settings.host} port {settings.port}: {error}", file=sys.stderr)
        sys.exit(1)
    serve(create_app(settings), settings.log_level).run(sockets=[socket])


if __name__ == "__main__":
    main()
