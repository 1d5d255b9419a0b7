# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge a model on its server: it loads, answers and is not worse, and the validator on the same host still works."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils import _node
from ansible_collections.etrid.gizzi.plugins.module_utils._derived_state import sync
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._health import Probe
from ansible_collections.etrid.gizzi.plugins.module_utils._health import Wanted as WantedHealth
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import can_complete
from ansible_collections.etrid.gizzi.plugins.module_utils._update import figures
from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import evaluate, evaluate_fairly, worse
from ansible_collections.etrid.gizzi.plugins.module_utils._update.loading import Loader
from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import next_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._node import Node
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import Evaluation
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.wanted import Result, Wanted

QUESTION = "Answer with one word. What is the capital of France?"
TOKENS = 16


@dataclass(frozen=True)
class Judge:
    """Judges models of one server. Every method raises GizziError with the problem."""

    wanted: Wanted
    server: Ollama
    result: Result
    # Measured tokens per second of the derived models, by name.
    speeds: dict[str, float | None] = field(default_factory=dict)

    def answers(self, name: ModelName, digest: str | None) -> float | None:
        """Check that a model with this digest (None for any) loads and answers; return its tokens per second."""
        timeout = self.wanted.answer_timeout
        wanted = WantedHealth(name, digest, None, QUESTION, timeout, timeout, 0, TOKENS)
        report = Probe(self.server, wanted).run()
        if report.failed:
            raise GizziError(report.failed.message)
        return report.tokens_per_second

    def load(self, name: ModelName, others: Sequence[ModelName], anew: bool = False) -> None:
        """Load a model, and unload older models under the other names."""
        loader = Loader(self.server, name, others, self.wanted.answer_timeout)
        if anew or not loader.holds():
            self.result.changed = True
            loader.exchange(anew)

    def evaluated(self, name: ModelName, digest: str, whole: bool) -> Evaluation | None:
        """Return the kept evaluation of the model in use, or evaluate it; None for a model that generates no text.

        A damaged model is not evaluated: the result would also count for the repaired model.
        """
        if not can_complete(self.server.abilities(name)):
            return None
        key = figures.key_of(digest, self.server.version(), self.wanted.prompts)
        found = figures.known(key)
        if found is None and whole:
            found = evaluate(self.server, name, self.wanted.prompts, self.wanted.prompt_timeout)
            self._keep(key, found)
        return found

    def judge(self, name: ModelName, digest: str, others: Sequence[ModelName], before: Evaluation | None) -> None:
        """Load a model instead of others, and compare it with the previous one, whose evaluation is ``before``."""
        node = self._node()
        with said("the new model does not load"):
            self.load(name, others, anew=self.wanted.verify_blobs)
        meanwhile = self._node(node)
        with said("the new model does not answer"):
            self.answers(name, digest)
        if before is not None:
            self._compare(name, digest, before)
        # Read it again: the first new block may have been made before the validator stalled.
        after = self._node(meanwhile)
        if node and after and after.peers * 2 < node.peers:
            raise GizziError(
                "the validator beside the server has lost its peers while the model was loaded: "
                f"{after.peers} are left of {node.peers}"
            )

    def judge_derived(self) -> None:
        """Make each model derived from the new one, under the tag for unjudged models, and check that it answers."""
        for derived in self.wanted.derived:
            name = next_name(derived.name)
            with said(f"{derived.name}, derived from the new model"):
                sync(derived.desired(name, next_name(self.wanted.name), self.wanted.answer_timeout), self.server, False)
                self.speeds[str(derived.name)] = self.answers(name, None)

    def node_is_readable(self) -> None:
        """Check that the metrics of the validator on the same host can be read."""
        self._node()

    def _compare(self, name: ModelName, digest: str, before: Evaluation) -> None:
        least = (before.speed or 0) * self.wanted.minimum_speed
        with said("the new model cannot be evaluated"):
            after = evaluate_fairly(self.server, name, self.wanted.prompts, self.wanted.prompt_timeout, least)
        self.result.note_after(after)
        problems = worse(after, before, self.wanted.minimum_speed)
        if problems:
            raise GizziError(f"the new model is worse: {'; '.join(problems)}")
        self._keep(figures.key_of(digest, self.server.version(), self.wanted.prompts), after)

    def _keep(self, key: str, found: Evaluation) -> None:
        try:
            figures.keep(key, found, {model.digest for model in self.server.models()})
        except GizziError as error:
            self.result.warnings.append(str(error))

    def _node(self, before: Node | None = None) -> Node | None:
        """Read the validator on the same host until its height is above ``before``; None where none is configured."""
        url = self.wanted.validator_metrics
        if not url:
            return None
        above = before.height if before else None
        try:
            return _node.read_above(url, above, self.wanted.validator_timeout, self.wanted.request_timeout)
        except GizziError as error:
            raise GizziError(f"the validator beside the server: {error}") from error


@contextmanager
def said(what: str) -> Iterator[None]:
    """Put ``what`` in front of an error's message."""
    try:
        yield
    except GizziError as error:
        raise GizziError(f"{what}: {error}") from error
