"""Who answers: the versions that an environment points to, loaded, and followed as the ledger moves.

A version is loaded and tried before it gets a request. What cannot be loaded is told, and whoever answered goes on.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from headrace.endpoints.endpoint import PORTABLE, Endpoint
from headrace.endpoints.loaded import Loaded, Looked, kind_of
from headrace.errors import HeadraceError, suggestion
from headrace.features.lookup import OnlineView
from headrace.features.online import STORE, online_name
from headrace.models.scorer import load_scorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.endpoints.service import Served
    from headrace.models.scorer import Scorer
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Facts, Snapshot, Version
    from headrace.ports.stores import Stores


class LiveTraffic:
    """Implements `headrace.endpoints.service.Traffic` over the ledger. `refresh` may be called from any thread."""

    def __init__(self, ledger: Ledger, stores: Stores, environment: str) -> None:
        self._ledger = ledger
        self._stores = stores
        self._environment = environment
        self._live: Mapping[str, Loaded] = {}
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
        loaded = self._live.get(endpoint)
        if loaded is not None:
            return loaded
        problem = self.problems.get(endpoint)
        if problem is not None:
            raise HeadraceError("HR902", f"{endpoint}: {problem.code} {problem.what}")
        raise HeadraceError("HR901", f"there is no endpoint {endpoint!r}", fix=suggestion(endpoint, self._live))

    def version(self, endpoint: str, key: str) -> Served:
        """See `Traffic`."""
        loaded = self.route(endpoint)
        if not loaded.key.startswith(key):
            raise HeadraceError("HR903", f"{endpoint} has no loaded version {key!r}; loaded: {loaded.key[:12]}")
        return loaded

    def versions(self, endpoint: str) -> Sequence[Served]:
        """See `Traffic`."""
        return (self.route(endpoint),)

    def refresh(self) -> None:
        """Load what the environment points to now, then let it answer."""
        with self._refreshing:
            snapshot = self._ledger.snapshot(self._environment)
            pointed = self._ledger.live(sorted(set(snapshot.pointers.values())))
            live: dict[str, Loaded] = {}
            problems: dict[str, HeadraceError] = {}
            for node, key in sorted(snapshot.pointers.items()):
                if key not in pointed or pointed[key].kind != Endpoint.kind:
                    continue
                try:
                    live[node] = self._loaded(pointed[key], snapshot)
                except HeadraceError as error:
                    problems[node] = error
                    if node in self._live:
                        live[node] = self._live[node]
            self._live, self.problems = live, problems
            self._forget()

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
        loaded = tuple(self._live.values())
        versions = {each.key for each in loaded}
        generations = {generation for each in loaded for generation in each.generations.values()}
        self._scorers = {key: scorer for key, scorer in self._scorers.items() if key in versions}
        self._views = {key: view for key, view in self._views.items() if key in generations}
