# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages: templates in which every text is escaped, and shown without what cannot be seen."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from gizzi_api.shown import shown

__all__ = ["template"]


def _safe(value: object) -> object:
    # Markup is a string too: what a macro makes of its parts, each of which was shown before.
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("gizzi_api", "page"),
    autoescape=True,
    finalize=_safe,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


def template(name: str) -> jinja2.Template:
    """Return the template ``name`` of this folder; its ``render`` makes the page."""
    return _templates.get_template(name)
