# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML, without a template language: what is shown is escaped where it is put in."""

from __future__ import annotations

from html import escape

__all__ = ["frame", "text"]


def text(value: object) -> str:
    return escape(str(value), quote=True)


def frame(title: str, body: str, *, script: bool = False, head: str = "") -> str:
    source = '<script src="/static/page.js" defer></script>' if script else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/page.css">
{head}{source}
</head>
<body>
{body}
</body>
</html>
"""
