"""Who answers: the versions that an environment points to, loaded, and followed as the ledger moves.

A version is loaded and tried before it gets a request. What cannot be loaded is told, and whoever answered goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from headrace.endpoints.endpoint import PORTABLE
from headrace.endpoints.lanes import falls_to
from headrace.endpoints.loaded import Loaded, Looked, kind_of
from headrace.endpoints.rollout import Action
from headrace.endpoints.service import Lane
from headrace.errors import HeadraceError, suggestion
from headrace.features.lookup import OnlineView
from headrace.features.online import STORE
from headrace.models.scorer import load_scorer
from headrace.ports.online import online_name
from headrace.project.rollouts import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.endpoints.service import Served
    from headrace.models.scorer import Scorer
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Facts, Snapshot, Version
    from headrace.ports.stores import Stores
    from headrace.project.rollouts import Answering

_ALL = 100


@dataclass(frozen=True, slots=True)
class Answerers:
    """The loaded versions of one endpoint. `share` percent of the entities go to the candidate, if there is one."""

    settled: Loaded
    candidate: Loaded | None = None
    share: int = 0
    shadowed: bool = False
    salt: str = ""

    @property
    def all(self) -> tuple[Loaded, ...]:
        """All of them, the one first that answers what the other does not."""
        return (self.settled,) if self.candidate is None else (self.settled, self.candidate)

    @property
    def entities(self) -> tuple[str, ...]:
        """The fields that name what a request is about."""
        return tuple(each.name for each in self.settled.fields if each.entity)


class LiveTraffic:
    """Implements `headrace.endpoints.service.Lanes` over the ledger. `refresh` may be called from any thread.

    `failed` is told the endpoint and the key of each version that cannot be loaded.
    """

    def __init__(
        self, ledger: Ledger, stores: Stores, environment: str, failed: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._failed = failed
        self._ledger = ledger
        self._stores = stores
        self._environment = environment
        self._live: Mapping[str, Answerers] = {}
        self._scorers: dict[str, Scorer] = {}
        self._views: dict[str, OnlineView] = {}
        self._refreshing = Lock()
        self.problems: Mapping[str, HeadraceError] = {}
        """Why the version that an endpoint points to could not be loaded, by the name of the endpoint."""

    def endpoints(self) -> Sequence[str]:
        """See `Traffic`."""
        return tuple(self._live)

    def route(self, endpoint: str) -> Served:
        """See `Traffic`."""
        return self._answerers(endpoint).settled

    def lane(self, endpoint: str, row: Mapping[str, object]) -> Lane:
        """See `Traffic`."""
        found = self._answerers(endpoint)
        if found.candidate is None or not found.share:
            return Lane(found.settled)
        entity = [row.get(name) for name in found.entities] or sorted(row.items())
        if falls_to(found.share, found.salt, entity):
            return Lane(found.candidate, "canary")
        return Lane(found.settled)

    def divided(self, endpoint: str) -> bool:
        """See `Lanes`."""
        found = self._answerers(endpoint)
        return found.candidate is not None and 0 < found.share < _ALL

    def shadow(self, endpoint: str) -> Lane | None:
        """See `Traffic`."""
        found = self._answerers(endpoint)
        return Lane(found.candidate, "shadow") if found.shadowed and found.candidate is not None else None

    def _answerers(self, endpoint: str) -> Answerers:
        """Raises HR901, HR902."""
        found = self._live.get(endpoint)
        if found is not None:
            return found
        problem = self.problems.get(endpoint)
        if problem is not None:
            raise HeadraceError("HR902", f"{endpoint}: {problem.code} {problem.what}")
        raise HeadraceError("HR901", f"there is no endpoint {endpoint!r}", fix=suggestion(endpoint, self._live))

    def version(self, endpoint: str, key: str) -> Served:
        """See `Traffic`."""
        loaded = self.versions(endpoint)
        for each in loaded:
            if each.key.startswith(key):
                return each
        known = ", ".join(each.key[:12] for each in loaded)
        raise HeadraceError("HR903", f"{endpoint} has no loaded version {key!r}; loaded: {known}")

    def versions(self, endpoint: str) -> Sequence[Served]:
        """See `Traffic`."""
        return self._answerers(endpoint).all

    def refresh(self) -> None:
        """Load what the environment points to now, then let it answer."""
        with self._refreshing:
            snapshot = self._ledger.snapshot(self._environment)
            live: dict[str, Answerers] = {}
            problems: dict[str, HeadraceError] = {}
            for node, found in answering(self._ledger, snapshot).items():
                try:
                    live[node] = self._both(found, snapshot, problems)
                except HeadraceError as error:
                    problems[node] = error
                    self._failed(node, found.settled.key)
                    if node in self._live:
                        live[node] = self._live[node]
            self._live, self.problems = live, problems
            self._forget()

    def _both(self, found: Answering, snapshot: Snapshot, problems: dict[str, HeadraceError]) -> Answerers:
        """The version that is settled and the one that is to take over, which answers nothing until it is loaded."""
        settled = self._loaded(found.settled, snapshot)
        standing, candidate = found.standing, found.candidate
        if standing is None or candidate is None or standing.ended is Action.ABORT:
            return Answerers(settled)
        try:
            loaded = self._loaded(candidate, snapshot)
        except HeadraceError as error:
            problems[candidate.node] = error
            self._failed(candidate.node, candidate.key)
            return Answerers(settled)
        salt = f"{snapshot.environment} {standing.subject.published.entry}"
        return Answerers(settled, loaded, standing.share, standing.shadowed, salt)

    def _loaded(self, version: Version, snapshot: Snapshot) -> Loaded:
        """A version with what it needs. Raises coded errors for what is gone or damaged."""
        model_key = version.inputs[0][1]
        model = self._ledger.live([model_key]).get(model_key)
        if model is None:
            raise HeadraceError("HR950", f"version {model_key[:12]} of {version.inputs[0][0]}")
        scorer = self._scorers.get(version.key)
        if scorer is None:
            scorer = load_scorer(model, version.manifest.outputs.get(PORTABLE), self._stores)
            scorer.score(scorer.reference)  # the first call sets things up, and is no caller's
            self._scorers[version.key] = scorer
        looked = [self._looked(each, snapshot) for each in model.manifest.facts.get("views", ())]
        return Loaded(version, model, scorer, looked)

    def _looked(self, facts: Facts, snapshot: Snapshot) -> Looked:
        online = self._generation(facts["view"], facts["fingerprint"], snapshot)
        if online is None:
            fix = f"Publish it: headrace apply {snapshot.environment}"
            raise HeadraceError("HR470", f"no generation of {facts['view']} of the model's definition", fix=fix)
        generation = online.manifest.outputs[STORE].path
        view = self._views.get(generation)
        if view is None:
            view = self._views[generation] = OnlineView.open(self._stores.online, generation)
        names = tuple((name, facts["prefix"] + name) for name in facts["features"])
        kinds = tuple(kind_of(kind) for kind in online.manifest.facts["entity_types"])
        return Looked(facts["view"], tuple(facts["on"]), names, kinds, view)

    def _generation(self, view: str, fingerprint: str, snapshot: Snapshot) -> Version | None:
        """The generation that the environment points to, if it is of this definition; else the newest one that is."""
        name = online_name(view)
        pointer = snapshot.pointers.get(name)
        pointed = {} if pointer is None else self._ledger.live([pointer])
        for each in (*pointed.values(), *reversed(self._ledger.versions(name))):
            made_from = self._ledger.version(each.inputs[0][1])
            if made_from is not None and made_from.fingerprint == fingerprint:
                return each
        return None

    def _forget(self) -> None:
        """Let go of what no version uses that answers now."""
        loaded = tuple(each for found in self._live.values() for each in found.all)
        versions = {each.key for each in loaded}
        generations = {generation for each in loaded for generation in each.generations.values()}
        self._scorers = {key: scorer for key, scorer in self._scorers.items() if key in versions}
        self._views = {key: view for key, view in self._views.items() if key in generations}
