# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an update says of the gateways' certificates."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown, shown_in_markdown

if t.TYPE_CHECKING:
    Row = dict[str, str]

_END = re.compile(r"^notAfter=(.+)$", re.MULTILINE)


def certificate_row(
    host: str, look: t.Mapping[str, t.Any], renewal: t.Mapping[str, t.Any], own: bool, check_mode: bool
) -> Row | None:
    """Return what to say of a certificate; None where it does not end soon.

    :param look: the result of ``openssl x509 -enddate -checkend``.
    :param renewal: ``problem``, why it was not renewed, empty where it was; empty where nobody has tried.
    :param own: whether the operator has given it.
    """
    found = _END.search(look.get("stdout", ""))
    if look.get("rc") == 0:
        return None
    if look.get("rc") != 1 or not found:
        return _row(host, "", "unseen", "it cannot be read; verify says more")
    ends = found[1].strip()
    if renewal.get("problem"):
        return _row(host, ends, "failed", str(renewal["problem"]))
    if renewal:
        return _row(host, ends, "planned" if check_mode else "renewed", "")
    if own:
        return _row(host, ends, "due", "renew it, change gateway_certificate and gateway_key, and run etrid.gizzi.site")
    return _row(host, ends, "due", "run etrid.gizzi.site where the authority's key is")


def _row(host: str, ends: str, verdict: str, reason: str) -> Row:
    return {"host": host, "ends": ends, "verdict": verdict, "reason": reason}


def certificate_lines(rows: t.Iterable[Row]) -> list[str]:
    """Return a line for each row."""
    return [shown(_line(row)) for row in rows]


def _line(row: Row) -> str:
    until = f", until {row['ends']}" if row["ends"] else ""
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"The certificate of the gateway of {row['host']}{until}: {row['verdict']}{reason}"


def certificates_in_markdown(rows: t.Iterable[Row]) -> str:
    """Return the lines as a list of a Markdown page."""
    return "".join(f"- {shown_in_markdown(line)}\n" for line in certificate_lines(rows))
