# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard of one TCP port: its own nftables table drops packets from strangers, and the sources are accepted.

``installed`` makes a program of this folder's files, which runs on the host itself. So they import one another by
relative names, and otherwise Python's standard library only.
"""

from __future__ import annotations
