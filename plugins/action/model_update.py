# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decisions of a fleet's update that concern several servers, made on the control host without a connection.

It uses only results that the playbook's earlier tasks have registered; no value from a host is used as a path or
address.
"""

from __future__ import annotations

import time
import typing as t
from datetime import datetime, timezone

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _update_certificates as certificates
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _update_report as report
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _update_run as run

if t.TYPE_CHECKING:
    Variables = t.Mapping[str, t.Any]

STEPS = ("asked", "plan", "order", "turns", "report")


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            {
                "step": {"type": "str", "required": True, "choices": list(STEPS)},
                "playbook": {"type": "str", "default": "model_update", "choices": ["model_update", "model_rollback"]},
                "metrics": {"type": "str", "default": ""},
            }
        )
        look = Look(task_vars or {}, arguments["playbook"], bool(self._task.check_mode))
        try:
            if arguments["step"] == "report":
                return {"changed": False, **look.report(arguments["metrics"])}
            found: dict[str, t.Any] = getattr(look, arguments["step"])()
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": False, **found}


class Look:
    """The run's state from a task's variables; each step is a method that returns its part of the result."""

    def __init__(self, variables: Variables, playbook: str, check_mode: bool) -> None:
        self._variables = variables
        self._playbook = playbook
        self._check_mode = check_mode
        self._all = list(variables["ansible_play_hosts_all"])
        self._settings = variables["__update"]
        self._fleet = variables["__fleet"]

    def _of(self, host: str, name: str) -> t.Any:
        """Return a registered variable of a host, an empty mapping where it is not set."""
        return self._variables["hostvars"][host].get(name) or {}

    def _models(self, host: str) -> list[dict[str, t.Any]]:
        return list(self._fleet["hosts"][host]["models"])

    def asked(self) -> dict[str, t.Any]:
        """Return the models to ask the registry about, each once, and each host's models for a rollback."""
        models = [model for host in self._all for model in self._models(host)]
        own = {host: [str(one["name"]) for one in run.pulled_models(self._models(host)).values()] for host in self._all}
        named = [str(name) for name in self._settings["model_rollback_models"]]
        return {
            "models": run.asked_models(models),
            "pulled": {host: named or names for host, names in own.items()},
            "started": time.time(),
        }

    def plan(self) -> dict[str, t.Any]:
        """Return the planned actions on each server."""
        rows = {host: self._planned(host) for host in self._all}
        busy = {
            host: [self._call(host, row) for row in found if row["action"] in run.WORK] for host, found in rows.items()
        }
        checks = {host: [call for call in calls if call["action"] != "sweep"] for host, calls in busy.items()}
        return {"rows": rows, "calls": busy, "checks": checks, "todo": [host for host in self._all if busy[host]]}

    def _planned(self, host: str) -> list[dict[str, t.Any]]:
        models = self._models(host)
        if self._playbook == "model_rollback":
            looks = self._of(host, "__update_looked").get("results", [])
            return run.rollback_plan(looks, bool(self._settings["model_rollback_models"]), models)
        hashed = self._of(host, "__update_hashed") if self._settings["verify_blobs"] else None
        about = self._fleet["hosts"][host]
        sources = [about["ollama"]["registry"], *filter(None, [about["mirror"]])]
        info, keep = self._of(host, "__update_info"), self._settings["keep"]
        return run.plan(info, hashed, self._offered(), models, keep, sources)

    def _offered(self) -> t.Mapping[str, t.Any]:
        """Return what the registry has answered."""
        return self._variables.get("__update_offered") or {}

    def _call(self, host: str, row: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return the module's options for a server's model."""
        parts = ("model", "action", "derived")
        mirror = self._fleet["hosts"][host]["mirror"]
        return {
            "host": host,
            **{part: row[part] for part in parts},
            "digest": row["digest_wanted"] if row["pinned"] else None,
            "damaged": bool(row["damaged"]),
            "mirror": mirror,
            "manifest": run.manifest_of(self._offered(), row["model"]) if mirror else "",
        }

    def order(self) -> dict[str, t.Any]:
        """Return the servers that are not fit with the reasons, and the first server, in the inventory's order."""
        found = {
            host: run.unfit(self._of(host, "__update_checked"), self._of(host, "__update_capacity"))
            for host in self._variables["ansible_play_hosts"]
        }
        fit = [host for host in self._variables["groups"]["all"] if host in found and not found[host][0]]
        unfit = {host: list(why) for host, why in found.items() if why[0]}
        return {"unfit": unfit, "first": run.first_of(fit, self._settings["canary"] or self._fleet["mirror"])}

    def turns(self) -> dict[str, t.Any]:
        """Return the actions of this batch: pulls, on all servers in parallel, and turns, one server after the other.

        After an earlier failure or a lost lock there are none.
        """
        lock = self._variables.get("__update_lock") or {}
        stopped = f"the lock is lost: {lock['msg']}" if lock.get("msg") else run.why_stopped(self._settled().values())
        batch = [] if stopped or self._check_mode else list(self._variables["ansible_play_batch"])
        calls = {host: list(self._of(host, "__update_plan")["calls"][host]) for host in batch}
        # For a single server, a pull before its turn saves no time.
        pulls = {host: [call for call in found if call["action"] == "update"] for host, found in calls.items()}
        return {
            "stopped": stopped,
            "pulls": pulls if len(batch) > 1 else {},
            "turns": [call for found in calls.values() for call in found],
        }

    def _settled(self) -> dict[tuple[str, str], t.Any]:
        """Return the module's results of all turns until now, by host and model."""
        done = {}
        for host in self._variables["groups"].get("gizzi_update_todo", []):
            for result in self._of(host, "__update_settled").get("results", []):
                if not result.get("skipped"):
                    done[result["item"]["host"], result["item"]["model"]] = result
        return done

    def report(self, metrics_before: str) -> dict[str, t.Any]:
        """Return the result as rows, as a table, as a Markdown page and as metrics."""
        done, lost = self._settled(), set(self._all) - set(self._variables["ansible_play_hosts"])
        stopped = next(filter(None, (self._of(host, "__update_turn").get("stopped") for host in self._all)), "")
        rows = [row for host in self._all for row in self._rows(host, done, host in lost, stopped)]
        ending = self._ending()
        failed = [row["host"] for row in ending if row["verdict"] == "failed"]
        now, summary, said = time.time(), report.summary(rows), report.message(rows)
        if failed:
            said += f" The certificates of {', '.join(failed)} could not be renewed."
        started = min((self._of(host, "__update_asked").get("started", now) for host in self._all), default=now)
        document = {
            "playbook": f"etrid.gizzi.{self._playbook}",
            "time": datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
            "topology": self._fleet["topology"],
            "check": self._check_mode,
            "success": set(summary) <= report.GOOD and not failed,
            "message": said,
            "seconds": round(now - started, 1),
            "summary": summary,
            "results": rows,
            "certificates": ending,
        }
        return {
            "document": document,
            "text": report.table(document) + "".join(f"{line}\n" for line in certificates.certificate_lines(ending)),
            "markdown": report.markdown(self._playbook, document) + certificates.certificates_in_markdown(ending),
            "metrics": report.metrics(document, int(now), metrics_before),
        }

    def _ending(self) -> list[dict[str, str]]:
        """Return the gateways whose certificates end soon, and what came of that."""
        rows = [
            certificates.certificate_row(
                host,
                self._of(host, "__update_certificate"),
                self._of(host, "__update_renewal"),
                bool(self._of(host, "gateway_certificate")),
                self._check_mode,
            )
            for host in self._fleet["certificates"]
            if self._of(host, "__update_certificate")
        ]
        return [row for row in rows if row]

    def _rows(
        self, host: str, done: t.Mapping[tuple[str, str], t.Any], lost: bool, stopped: str
    ) -> list[dict[str, t.Any]]:
        plan, order = self._of(host, "__update_plan"), self._of(host, "__update_order")
        checks = self._of(host, "__update_checked").get("results", [])
        why, gone = order.get("unfit", {}).get(host, ("", False))
        return report.host_rows(
            host,
            plan.get("rows", {}).get(host, []),
            {one["item"]["model"]: one for one in checks},
            {one["item"]["model"]: one for one in self._of(host, "__update_pulled").get("results", [])},
            {model: result for (name, model), result in done.items() if name == host},
            (str(why), bool(gone)),
            stopped,
            self._check_mode,
            lost,
        )
