"""The model node: trained on what serving would have had, judged by the platform, published only through its gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from headrace.graph.node import Node
from headrace.models import gate
from headrace.models.making import make_model
from headrace.models.predictor import Predictor
from headrace.models.spec import ModelSettings, model_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.graph.node import Options
    from headrace.models.training import Estimator, Trainer, TrainingSet
    from headrace.ports.records import Decision, Manifest, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.tables.table import Table


class Model(Node):
    """A model: made from a label table and feature views by the user's function, which it can be called like."""

    kind: ClassVar[str] = "model"
    verb: ClassVar[str] = "retrain"

    def __init__(
        self,
        name: str,
        labels: Table,
        function: Trainer,
        *,
        options: Options | None = None,
        **settings: Unpack[ModelSettings],
    ) -> None:
        self.spec = model_spec(labels, settings)
        self.function = function
        self.gated = self.apart = bool(self.spec.gate)
        views = dict.fromkeys(each.view for each in self.spec.features)
        super().__init__(name, (labels, *views), options)

    def __call__(self, data: TrainingSet) -> Estimator:
        """Train, as the plain function does."""
        return self.function(data)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The training function."""
        return (self.function,)

    def settings(self) -> Mapping[str, object]:
        """Everything declared but the gate, which decides what is published and not what is made."""
        return self.spec.fingerprinted()

    def make(self, step: Step, context: Context) -> Manifest:  # noqa: ARG002 - the context holds all it needs
        """Train on the pinned inputs, score the hold-out, and store the model with its predictions and metrics."""
        return make_model(self.name, self.spec, self.function, context)

    def decision_key(self, candidate: Version, champion: Version | None) -> str:
        """The key of the decision: the gate, the two versions and the held-out rows."""
        return gate.decision_key(self.spec.gate, candidate, champion)

    def decide(self, candidate: Version, champion: Version | None, context: Context) -> Decision:
        """Judge the candidate by the gate, against the champion on the same rows."""
        return gate.decide(self.spec.gate, candidate, champion, context.stores)

    def predictor(self, version: Version, stores: Stores) -> Predictor:
        """A version, loaded and ready to predict. Raises HR521 to HR524 when it cannot be trusted to be that."""
        return Predictor.of(version, stores)
