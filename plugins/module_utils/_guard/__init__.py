# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard of one TCP port: strangers are dropped in an nftables table of its own, the sources are let in.

The files of this folder also run on the host itself, from the program that ``installed`` makes of them. So they import
one another by relative names, and nothing but Python's own library.
"""

from __future__ import annotations
