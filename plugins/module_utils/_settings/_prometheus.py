# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Prometheus lacks of that which the Gizzi API needs: targets of validators, and their metrics.

``values`` are those of role gizzi_api, with the computed ones; ``pages`` is section ``urls`` of module host_state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FACT = "gizzi_fact"
# So many names of validators and values of the label are shown.
_SHOWN = 25


@dataclass(frozen=True)
class Seen:
    """What Prometheus has, by the value of the label that has the validator's number.

    Attributes:
        facts: the facts that have a series.
        readable: the values whose target could be read at the last scrape.
    """

    facts: Mapping[str, frozenset[str]]
    readable: frozenset[str]


def addresses(values: Mapping[str, Any]) -> list[str]:
    """Return the URLs to ask: what is scraped, and the configuration where the role brings targets for it."""
    return [_query_url(values), *([_config_url(values)] if values["prometheus_dir"] else [])]


def missing(values: Mapping[str, Any], pages: Mapping[str, Any]) -> list[str]:
    """Return what is missing, a text for each kind, with the validators and what to do; empty where all is there."""
    answer = pages[_query_url(values)]
    seen = _seen(values, answer)
    if seen is None:
        return [_no_answer(values, answer)]
    return [*_without_target(values, seen, pages), *_without_metrics(values, seen)]


def _query_url(values: Mapping[str, Any]) -> str:
    facts = " or ".join(
        # An expression may end with a comment.
        f'label_replace(({one["expression"]}\n), "{FACT}", "{one["fact"]}", "", "")'
        for one in values["facts"]
    )
    query = f"max by ({values['validator_label']}, {FACT}) ({facts})"
    return f"{values['prometheus_url'].rstrip('/')}/api/v1/query?query={quote(query, safe='')}"


def _config_url(values: Mapping[str, Any]) -> str:
    return f"{values['prometheus_url'].rstrip('/')}/api/v1/status/config"


def _seen(values: Mapping[str, Any], page: Mapping[str, Any]) -> Seen | None:
    """Return what the answer has; None where it is not Prometheus' answer to the query."""
    facts: dict[str, set[str]] = {}
    readable = set()
    try:
        for series in page["json"]["data"]["result"]:
            label = str(series["metric"].get(values["validator_label"], ""))
            fact = str(series["metric"][FACT])
            facts.setdefault(label, set()).add(fact)
            if fact == "up" and float(series["value"][1]) == 1:
                readable.add(label)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return Seen({label: frozenset(found) for label, found in facts.items()}, frozenset(readable))


def _no_answer(values: Mapping[str, Any], page: Mapping[str, Any]) -> str:
    asked = f"GET {_query_url(values).partition('?')[0]}"
    reason = str(page.get("unseen", "")).removeprefix(asked).lstrip(": ")
    return (
        f"Prometheus at {values['prometheus_url']} (gizzi_api_prometheus_url) does not answer the query for the "
        f"validators' metrics: {reason or 'what answers there is not Prometheus'}. Start it, write its address, or "
        "correct gizzi_api_settings if it refuses an expression of yours. To go without the Gizzi API, set "
        "gizzi_api_state: absent."
    )


def _without_target(values: Mapping[str, Any], seen: Seen, pages: Mapping[str, Any]) -> Iterator[str]:
    lacking = [one for one in values["validators"] if "up" not in seen.facts.get(str(one["number"]), ())]
    if not lacking or _targets_come(values, pages):
        return
    label, job = values["validator_label"], json.dumps(values["node_job"], ensure_ascii=False)
    known = {str(one["number"]) for one in values["validators"]}
    others = sorted(value for value, facts in seen.facts.items() if "up" in facts and value not in known)
    if any(others):
        values_now = _listed([json.dumps(one, ensure_ascii=False) for one in others if one])
        now = f"Other values of the label under this job: {values_now}."
    elif others:
        now = "Targets of this job have no such label."
    else:
        now = "" if seen.facts else "Nothing is scraped under this job."
    named = _listed([f'{one["name"]} ({label}="{one["number"]}")' for one in lacking])
    yield "\n".join(
        part
        for part in (f"Prometheus has no target under job {job} for {named}.", now, *_remedy(values, lacking[0]))
        if part
    )


def _remedy(values: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    """Return the lines with which Prometheus scrapes the validators."""
    job = json.dumps(values["node_job"], ensure_ascii=False)
    further = (
        "If the nodes are scraped already, set gizzi_api_node_job and gizzi_api_validator_label, or let Prometheus "
        "make the label: see docs/production.md, Nodes with other labels."
    )
    if values["prometheus_dir"]:
        return [
            "Add these lines to scrape_configs of prometheus.yml and reload Prometheus; the role writes the targets:",
            f"  - job_name: {job}",
            f"    file_sd_configs: [{{files: [{json.dumps(_targets_file(values))}], refresh_interval: 30s}}]",
            further,
        ]
    host = f"[{one['address']}]" if ":" in one["address"] else one["address"]
    return [
        f"Give job {job} a target for each, as in these lines for {one['name']}:",
        f'  - targets: ["{host}:{values["node_port"]}"]',
        f'    labels: {{{values["validator_label"]}: "{one["number"]}", instance: {json.dumps(one["name"])}}}',
        further,
    ]


def _without_metrics(values: Mapping[str, Any], seen: Seen) -> Iterator[str]:
    """Yield what Prometheus does not find on pages that it can read. A node that is down has no metrics."""
    found = []
    for fact in values["facts"]:
        lacking = [
            one["name"]
            for one in values["validators"]
            if str(one["number"]) in seen.readable and fact["fact"] not in seen.facts[str(one["number"])]
        ]
        if lacking:
            found.append(f"{' '.join(fact['expression'].split())} of {_listed(lacking)}")
    if found:
        yield (
            f"Prometheus reads these validators, and finds no {'; no '.join(found)}. If the nodes have other names for "
            "their metrics, set gizzi_api_settings: prometheus.preset to etrid, or expressions."
        )


def _targets_file(values: Mapping[str, Any]) -> str:
    return f"{values['prometheus_dir']}/targets/substrate.yml"


def _targets_come(values: Mapping[str, Any], pages: Mapping[str, Any]) -> bool:
    """Return whether Prometheus reads the role's targets under the job of the nodes: then they come with the role."""
    if not values["prometheus_dir"]:
        return False
    # Imported here: only the control host runs this, and a managed host need not have PyYAML.
    from ansible.module_utils.common.yaml import yaml_load
    from yaml import YAMLError

    try:
        config = yaml_load(pages[_config_url(values)]["json"]["data"]["yaml"])
        if _takes(config.get("scrape_config_files"), f"{values['prometheus_dir']}/scrape.yml"):
            return True
        return any(
            _takes(source.get("files"), _targets_file(values))
            for job in config.get("scrape_configs") or []
            if job.get("job_name") == values["node_job"]
            for source in job.get("file_sd_configs") or []
        )
    except (AttributeError, KeyError, TypeError, ValueError, YAMLError):
        return False


def _takes(patterns: Any, path: str) -> bool:
    return any(PurePosixPath(path).match(str(pattern)) for pattern in patterns or [])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
