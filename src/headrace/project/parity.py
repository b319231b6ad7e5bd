"""Whether the features that an endpoint answered with are those that training would see for the same moments."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING

from headrace.endpoints.answers import SIZE, Wanted, answers
from headrace.endpoints.endpoint import Endpoint
from headrace.endpoints.parity_report import ParityReport
from headrace.endpoints.replay import LookedUp, replay
from headrace.errors import HeadraceError, article, suggestion
from headrace.features.online import STORE
from headrace.features.packed import HEADER_KEY, Header
from headrace.features.unpacked import unpacked
from headrace.ports.online import online_name
from headrace.ports.predictions import predictions_name
from headrace.project.prediction_place import place_of
from headrace.project.publish_lag import micros_of, publish_lag
from headrace.runtime.environments import existing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from headrace.endpoints.log_lines import Prediction
    from headrace.features.join import ViewRows
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Snapshot, Version
    from headrace.ports.stores import Stores
    from headrace.project.workspace import Workspace

_KEPT = 4
"""Of how many versions the rows are kept in memory."""
_BEGINNING = -(1 << 63)


def check_parity(
    workspace: Workspace,
    endpoint: str,
    environment: str,
    *,
    last: int | None = None,
    since: timedelta | None = None,
    size: int = SIZE,
) -> ParityReport:
    """Replay the logged answers of an endpoint, `size` at a time. Changes nothing, and scores nothing.

    Args:
        workspace: The project.
        endpoint: The name of the endpoint.
        environment: Where it answered.
        last: Only so many answers, the latest ones.
        since: Only answers that are no older.
        size: How many answers are in memory at once.

    Raises:
        HeadraceError: HR609 for an unknown environment, HR830 for an unknown endpoint, HR480 for a node that is none,
            HR470 to HR472 when the online store cannot be read, HR630 to HR632 when rows are damaged.
    """
    ledger = workspace.ledger
    snapshot = existing(ledger, environment)
    _refuse_others(ledger, snapshot, endpoint)
    report = ParityReport(snapshot.environment, endpoint)
    start = None if since is None else micros_of((workspace.clock.now() - since).isoformat())
    with workspace.shared():  # what is replayed must not be collected meanwhile
        past = RecordedPast(ledger, workspace.stores, snapshot)
        for batch in answers(place_of(workspace, environment), Wanted(endpoint, start, last), size):
            report.count(batch)
            for looked, members in _by_look_up(ledger, batch, report):
                report.add(looked.view, replay(members, looked, past))
        found = [publish_lag(workspace, environment, view) for view in _views(ledger, snapshot, endpoint)]
    report.lags = [each for each in found if each is not None]
    return report


def _refuse_others(ledger: Ledger, snapshot: Snapshot, endpoint: str) -> None:
    """Raise HR830 or HR480 for what is no endpoint of the environment, now or before."""
    if predictions_name(endpoint) in snapshot.pointers:
        return
    key = snapshot.pointers.get(endpoint)
    version = None if key is None else ledger.version(key)
    if version is None:
        hint = suggestion(endpoint, snapshot.pointers)
        raise HeadraceError("HR830", f"{snapshot.environment} has no node {endpoint!r}", fix=hint)
    if version.kind != Endpoint.kind:
        raise HeadraceError("HR480", f"{endpoint} is {article(version.kind)}")


def _views(ledger: Ledger, snapshot: Snapshot, endpoint: str) -> list[str]:
    """The views that the endpoint looks up now."""
    key = snapshot.pointers.get(endpoint)
    version = None if key is None else ledger.version(key)
    model = None if version is None else ledger.version(version.inputs[0][1])
    return [] if model is None else list(dict.fromkeys(each.view for each in _looked_up(model)))


def _looked_up(model: Version) -> list[LookedUp]:
    return [LookedUp.of(facts) for facts in model.manifest.facts.get("views", ())]


def _by_look_up(
    ledger: Ledger, batch: Sequence[Prediction], report: ParityReport
) -> Iterable[tuple[LookedUp, Sequence[Prediction]]]:
    """The answers that looked a view up, by how their models ask for it. Others are counted in the report."""
    looked: dict[str, list[LookedUp] | None] = {}
    found: Mapping[LookedUp, list[Prediction]] = defaultdict(list)
    for each in batch:
        if each.model not in looked:
            model = ledger.version(each.model)
            looked[each.model] = None if model is None else _looked_up(model)
        asked = looked[each.model]
        report.unknown += asked is None
        for view in asked or ():
            if view.view in each.seen:
                found[view].append(each)
    return found.items()


class RecordedPast:
    """Implements `headrace.endpoints.replay.Past` over the ledger and the stores, for one environment."""

    def __init__(self, ledger: Ledger, stores: Stores, snapshot: Snapshot) -> None:
        self._ledger = ledger
        self._stores = stores
        self._snapshot = snapshot
        self._rows: OrderedDict[str, ViewRows] = OrderedDict()
        self._headers: dict[tuple[str, str], Header | None] = {}
        self._moves: dict[tuple[str, str], list[tuple[int, Version]]] = {}
        self._filled: dict[str, str | None] = {}

    def present(self, looked: LookedUp) -> str | None:
        """See `Past`."""
        moves = self._moved(looked)
        return moves[-1][1].key if moves else None

    def filled(self, generation: str) -> str | None:
        """See `Past`."""
        if generation not in self._filled:
            version = self._ledger.version(generation)
            self._filled[generation] = None if version is None or not version.inputs else version.inputs[0][1]
        return self._filled[generation]

    def pointed(self, looked: LookedUp, at: int, filled: str) -> str:
        """See `Past`."""
        moves = self._moved(looked)
        place = bisect_right(moves, at, key=lambda move: move[0])
        version = self._ledger.version(filled)
        if not place or version is None or moves[place - 1][1].made_at < version.made_at:
            return filled
        return moves[place - 1][1].key

    def rows(self, looked: LookedUp, version: str) -> ViewRows | None:
        """See `Past`."""
        if version in self._rows:
            self._rows.move_to_end(version)
            return self._rows[version]
        found = self._ledger.live([version]).get(version)
        header = self._header(looked)
        if found is None or header is None:
            return None
        self._rows[version] = unpacked(header, self._stores.tables.scan(found.manifest.outputs["features"]))
        if len(self._rows) > _KEPT:
            self._rows.popitem(last=False)
        return self._rows[version]

    def _moved(self, looked: LookedUp) -> list[tuple[int, Version]]:
        """When the environment pointed to which version of this definition, oldest first; those that are live."""
        place = looked.view, looked.definition
        if place not in self._moves:
            moves = self._history(looked.view)
            live = self._ledger.live(sorted({key for _, key in moves}))
            versions = [(at, live[key]) for at, key in moves if key in live]
            self._moves[place] = [each for each in versions if each[1].fingerprint == looked.definition]
        return self._moves[place]

    def _history(self, view: str) -> list[tuple[int, str]]:
        """Every move of the pointer to a view; what a branch began with comes first."""
        moves = self._ledger.history(self._snapshot.environment, view)
        began = moves[0].previous if moves else self._snapshot.pointers.get(view)
        first = [] if began is None else [(_BEGINNING, began)]
        return [*first, *((micros_of(each.at), each.key) for each in moves if each.key is not None)]

    def _header(self, looked: LookedUp) -> Header | None:
        """What a generation of the definition says of it, as long as there is one."""
        place = looked.view, looked.definition
        if place not in self._headers:
            self._headers[place] = self._read_header(looked)
        return self._headers[place]

    def _read_header(self, looked: LookedUp) -> Header | None:
        for each in reversed(self._ledger.versions(online_name(looked.view))):
            made_from = self._ledger.version(each.inputs[0][1])
            if made_from is not None and made_from.fingerprint == looked.definition:
                generation = each.manifest.outputs[STORE].path
                (content,) = self._stores.online.get(generation, [HEADER_KEY])
                return Header.decoded(content, generation)
        return None
