# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One server's whole update of one model: look, keep, evaluate, pull, load, judge, then clean up or restore.

A new model has its own tag ``next`` until it is judged, so the public tag always names a judged model. The tags are
the whole state of an unfinished update, so the next run can finish a run that was interrupted anywhere:

* ``next`` differs from the model in use: it is pulled, but not judged;
* ``next`` is the model in use: it is judged and in use; the derived models or the cleanup are missing;
* ``failed``: the model that a rollback has replaced.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._derived_state import sync
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._fetch import Fetch
from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import look_at
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._model_state import offered, require_disk
from ansible_collections.etrid.gizzi.plugins.module_utils._silence import BusyError, UnseenError
from ansible_collections.etrid.gizzi.plugins.module_utils._update.judging import Judge, said
from ansible_collections.etrid.gizzi.plugins.module_utils._update.plan import Sight
from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import (
    failed_name,
    kept_of,
    next_name,
    previous_name,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._update.wanted import (
    CHECKED,
    PREVIOUS,
    PULLED,
    DerivedResult,
    Result,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._weights import Memory, named

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import Look
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model, Ollama
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import Evaluation
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import Kept
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.wanted import Wanted


class UnfitError(GizziError):
    """The server is not fit for an update, and is not changed; the message has the reason."""


class Update:
    """One update; run() returns its result, or raises GizziError where the server does not answer."""

    def __init__(self, wanted: Wanted, server: Ollama) -> None:
        self._wanted = wanted
        self._server = server
        self._name = wanted.name
        self._next = next_name(wanted.name)
        self.result = Result(str(wanted.name))
        self._judge = Judge(wanted, server, self.result)
        # Whether the new model is in use already, since this run or an interrupted one.
        self._moved = False

    def run(self) -> Result:
        """Run the update; problems are in the verdict."""
        started = time.monotonic()
        try:
            if self._wanted.state == PREVIOUS:
                self._go_to_previous()
            else:
                self._go_to_latest()
        except UnfitError as error:
            self._end("unhealthy", str(error))
        if not self._wanted.check_mode and self.result.verdict not in ("unhealthy", "refused"):
            kept = self._look()
            self.result.digest_after = kept.model.digest if kept.model else None
            self.result.kept = [one.name for one in kept.previous_models]
        self.result.seconds = round(time.monotonic() - started, 1)
        return self.result

    def _go_to_latest(self) -> None:
        kept = self._look()
        self._note_before(kept)
        look = look_at(self._name, self._wanted.store, kept.model, self._wanted.verify_blobs)
        if kept.model is None:
            raise UnfitError(f"The server does not have {self._name}: run the playbook etrid.gizzi.site.")
        try:
            manifest = self._offered(kept, look)
        except GizziError as error:
            self._end("failed", str(error))
            return
        sight = self._sight(kept, manifest)
        action, reason = sight.action(self._wanted.keep)
        if look.broken:
            action, reason = "update", _damage(look)
        if action == "none":
            self._end("current", reason)
            return
        if self._wanted.check_mode or self._wanted.until == CHECKED:
            self._predict(action, reason, sight, look, manifest)
            return
        if self._wanted.until == PULLED and action != "update":
            self._end("pulled", reason)
        elif action == "sweep":
            self._settle()
            self._end("swept", reason)
        elif action == "load":
            self._reload(reason)
        else:
            self._update(reason, action, sight, look, manifest)

    def _update(self, reason: str, action: str, sight: Sight, look: Look, manifest: Manifest | None) -> None:
        """Pull, judge and clean up, up to the wanted step; restore the previous model after a failure."""
        self._moved = action == "finish"
        try:
            before = None
            if action == "update" and manifest:
                to_pull = look.broken or not sight.is_wanted(sight.kept.next)
                if to_pull:
                    self._require_fit(look, manifest)
                before = self._evaluated(sight.kept.model, whole=not look.broken)
                if to_pull:
                    self._pull(sight.kept, look, manifest)
            if self._wanted.until == PULLED:
                self._end("pulled", reason)
                return
            self._judge_next(before)
            self._promote(previous_name(self._name, _now()))
            self._finish()
        except UnfitError:
            raise
        except GizziError as error:
            self._go_back(str(error))
            return
        self._end("updated", reason)

    def _go_to_previous(self) -> None:
        """Restore the newest previous model that differs from the model in use."""
        kept = self._look()
        self._note_before(kept)
        half = self._is_half_back(kept)
        source = kept.model if half else kept.previous
        if source is None:
            why = (
                f"{self._name} has no previous model that differs from the one in use: there is nothing to go back to."
            )
            self._end("refused", why)
            return
        reason = f"back to {kept.previous_models[0].name if half and kept.previous_models else source.name}"
        self.result.digest_wanted = source.digest
        if self._wanted.check_mode or self._wanted.until == CHECKED:
            self._end("planned", reason)
            self.result.changed = self._wanted.check_mode
            return
        try:
            if kept.next is None or kept.next.digest != source.digest:
                self._delete(self._next)
                self._copy(parse_model_name(source.name), self._next)
            self._moved = half
            self._judge_next(None)
            self._promote(failed_name(self._name))
            self._finish()
        except GizziError as error:
            self._go_back(str(error))
            return
        self._end("rolled_back", reason)

    @staticmethod
    def _is_half_back(kept: Kept) -> bool:
        """Return whether a rollback was interrupted when its model was in use: an update has another previous model."""
        if kept.next is None or kept.model is None or kept.next.digest != kept.model.digest:
            return False
        return kept.previous is None or (kept.failed is not None and kept.failed.digest != kept.model.digest)

    # Reading the state.

    def _look(self) -> Kept:
        mirror = self._wanted.mirror
        hosts = [self._wanted.registry.host, *([mirror.at.host] if mirror else [])]
        return kept_of(self._name, self._server.models(), hosts)

    def _note_before(self, kept: Kept) -> None:
        """Note the model that was in use before the update, which an earlier run may have started."""
        model = kept.model
        if model and kept.next and kept.next.digest == model.digest and kept.previous:
            model = kept.previous
        self.result.digest_before = model.digest if model else None
        self.result.digest_after = kept.model.digest if kept.model else None

    def _offered(self, kept: Kept, look: Look) -> Manifest | None:
        """Ask the registry for the manifest; not for a pinned model that is complete in the store."""
        pinned = self._wanted.digest
        self.result.digest_wanted = pinned
        if pinned and kept.model and kept.model.digest == pinned and not look.broken:
            return None
        manifest = offered(self._wanted.pull(), look)
        self.result.digest_wanted = pinned or manifest.digest
        return manifest

    def _sight(self, kept: Kept, manifest: Manifest | None) -> Sight:
        memory = Memory(self._server)
        memory.look()
        there = [model for model in (kept.model, kept.next) if model]
        return Sight(
            kept,
            manifest.digests if manifest else {self._wanted.digest or ""},
            manifest.content if manifest else None,
            {model.name: self._content(model) for model in there},
            {entry.digest for entry in named(memory.entries, self._name)},
            memory.is_loaded(kept.model) if kept.model else None,
        )

    def _content(self, model: Model) -> tuple[str, ...] | None:
        store = self._wanted.store
        manifest = store.manifest(parse_model_name(model.name)) if store else None
        return manifest.content if manifest and manifest.digest == model.digest else None

    def _predict(self, action: str, reason: str, sight: Sight, look: Look, manifest: Manifest | None) -> None:
        """Report the next action and whether it is possible; check mode loads no model for this."""
        if action == "update" and manifest and (look.broken or not sight.is_wanted(sight.kept.next)):
            self._require_fit(look, manifest)
        self._end("planned", reason)
        self.result.changed = self._wanted.check_mode

    def _require_fit(self, look: Look, manifest: Manifest) -> None:
        """Check the server before it is changed; raise UnfitError for a problem."""
        store = self._wanted.store
        if store:
            self.result.bytes_missing = store.missing_bytes(manifest, look.damaged)
        try:
            # A damaged model need not answer.
            if not look.broken and not self._wanted.check_mode:
                with said("the model in use does not answer"):
                    self._judge.answers(self._name, None)
            self._judge.node_is_readable()
            look.hash(manifest, self._wanted.verify_blobs)
            require_disk(self._wanted.pull(), look, manifest)
        except GizziError as error:
            raise UnfitError(str(error)) from error

    def _evaluated(self, model: Model | None, whole: bool) -> Evaluation | None:
        try:
            found = self._judge.evaluated(self._name, model.digest, whole) if model else None
        except (BusyError, UnseenError) as error:
            raise UnfitError(f"the model in use cannot be evaluated: {error}") from error
        if found:
            self.result.note_before(found)
        return found

    # Changing the state.

    def _pull(self, kept: Kept, look: Look, manifest: Manifest) -> None:
        """Pull the new model under the tag ``next``; the model in use stays."""
        before = kept.model.digest if kept.model else None
        self.result.changed = True
        fetched = Fetch(self._wanted.pull(), look, self._server, before, manifest, beside=True).run()
        self.result.bytes_pulled = fetched.moved
        self.result.warnings += fetched.warnings
        arrived = self._server.find(fetched.name)
        if self._wanted.digest and (arrived is None or arrived.digest not in manifest.digests):
            raise GizziError(f"the tag moved during the pull: what came is not {self._wanted.digest}, as asked")
        self._delete(self._next)
        self._copy(fetched.name, self._next)
        self._delete(fetched.name)

    def _judge_next(self, before: Evaluation | None) -> None:
        """Judge the model under the tag ``next``; if it is in use, it is judged already: judge its derived models."""
        unjudged = self._server.find(self._next)
        if unjudged is None:
            raise GizziError(f"{self._next}, which was to be judged, is gone")
        if not self._moved:
            others = [self._name, *(derived.name for derived in self._wanted.derived)]
            self._judge.judge(self._next, unjudged.digest, others, before)
        self._judge.judge_derived()

    def _promote(self, aside: ModelName) -> None:
        """Copy the replaced model to the tag ``aside``, and put the judged model into use."""
        kept = self._look()
        if kept.next is None or (kept.model and kept.model.digest == kept.next.digest):
            return
        if kept.model and kept.model.digest not in {one.digest for one in kept.previous_models}:
            self._copy(self._name, aside)
        self._moved = True
        self._copy(self._next, self._name)

    def _finish(self) -> None:
        """Load the model in use under its own name, make its derived models again, and clean up."""
        ours = [self._next, *(next_name(derived.name) for derived in self._wanted.derived)]
        with said("the new model, in use, does not load"):
            self._judge.load(self._name, ours, anew=self._wanted.verify_blobs)
        self._make()
        self._settle()

    def _make(self) -> None:
        """Make the derived models of the model in use again."""
        self.result.derived = []
        for derived in self._wanted.derived:
            with said(str(derived.name)):
                outcome = sync(
                    derived.desired(derived.name, self._name, self._wanted.answer_timeout), self._server, False
                )
            self.result.changed |= outcome.changed
            self.result.warnings += outcome.warnings
            self.result.derived.append(
                DerivedResult(
                    str(derived.name),
                    "rebuilt" if outcome.changed else "current",
                    f"made from {self._name}",
                    outcome.digest_before,
                    outcome.digest_after,
                    self._judge.speeds.get(str(derived.name)),
                )
            )

    def _reload(self, reason: str) -> None:
        """Load the weights of the store; there is no previous model to restore."""
        try:
            self._judge.node_is_readable()
            self._judge.load(self._name, [derived.name for derived in self._wanted.derived], anew=True)
            self.result.speed_after = self._judge.answers(self._name, None)
        except GizziError as error:
            self._end("failed", str(error))
            return
        self._end("reloaded", reason)

    def _go_back(self, reason: str) -> None:
        """Put the previous model into use again, and remove the new one."""
        try:
            kept = self._look()
            source = (kept.failed if self._wanted.state == PREVIOUS else kept.previous) if self._moved else None
            if source:
                self._copy(parse_model_name(source.name), self._name)
            ours = [self._next, *(next_name(derived.name) for derived in self._wanted.derived)]
            self._judge.load(self._name, ours)
            self._judge.answers(self._name, None)
            if source:
                self._make()
            self._settle()
        except GizziError as error:
            self._end("failed", f"{reason}. And it could not go back: {error}")
            return
        self._end("restored", reason)

    def _settle(self) -> None:
        """Remove what is not needed. Delete the tag ``next`` last: until then the next run can finish this one."""
        there = {model.name for model in self._server.models()}
        kept = self._look()
        for model in kept.superfluous(self._wanted.keep):
            self._delete(parse_model_name(model.name))
        for name in [*(next_name(derived.name) for derived in self._wanted.derived), self._next]:
            if str(name) in there:
                # Unload it while it has a name. The model in use may be in memory too, if a client asks it.
                if named(self._server.loaded(), name):
                    self._server.unload(name)
                self._delete(name)
        try:
            if self._wanted.store and self._wanted.store.orphans():
                self.result.changed = True
                self.result.freed = self._wanted.store.drop_orphans()
        except GizziError as error:
            # The model works, so this is only a warning.
            self.result.warnings.append(str(error))

    def _copy(self, source: ModelName, destination: ModelName) -> None:
        self.result.changed = True
        self._server.copy(source, destination)

    def _delete(self, name: ModelName) -> None:
        if self._server.delete(name):
            self.result.changed = True
            self.result.removed.append(str(name))

    def _end(self, verdict: str, reason: str) -> None:
        self.result.verdict, self.result.reason = verdict, reason


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def _damage(look: Look) -> str:
    """Return each damaged or missing blob with the reason."""
    reasons = [
        (digest, look.blobs[digest].reason if digest in look.blobs else "it is missing") for digest in look.broken
    ]
    return "; ".join(f"{look.name}: the blob {digest}: {reason}" for digest, reason in reasons)
