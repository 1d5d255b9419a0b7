# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx, as antsibull-docs sphinx-init writes them, without what asks the internet."""

project = "etrid.gizzi"
copyright = "2026, Ëtrid"  # noqa: A001  (Sphinx names it so)
title = html_title = "etrid.gizzi"
html_short_title = "etrid.gizzi"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
root_doc = "index"
# The pages lie as in the collection, so the links between them are the same.
include_patterns = [
    "index.rst",
    "ansible.rst",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "roles/**/README.md",
    "reference/*.rst",
]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # a page that begins with "##" is one of a role's
nitpicky = True
default_role = "any"

html_theme = "sphinx_rtd_theme"
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
