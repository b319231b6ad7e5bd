"""A short life of the flights project, one operation after the other, for the tests that interrupt it.

`python -m tests.support.story FOLDER` goes on after the last operation that ended; `FOLDER/state.json` then says what
the ledger and the tables hold, in terms that do not depend on how often the story was interrupted.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from headrace.adapters.durable import rename_file, sync_file, sync_folder, write_file
from headrace.endpoints.predictions import find_prediction
from headrace.errors import HeadraceError
from headrace.ports.predictions import is_predictions
from headrace.project.applying import Ended
from headrace.project.fired import latest
from headrace.project.firing import Firing, signals_for
from headrace.project.mending import mend, set_aside
from headrace.project.opened import Environment
from headrace.project.prediction_place import drain_predictions, folder_of, place_of
from headrace.project.triggering import fire_by_hand
from headrace.project.workspace import Workspace
from headrace.runtime.environments import promote
from headrace.runtime.observer import Observer
from tests.support.predictions import batch, log_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.endpoints.predictions import Place
    from headrace.graph.node import RowsNode
    from headrace.ports.records import Snapshot, Version
    from headrace.project.applying import Then

PROJECT = Path(__file__).parents[2] / "src" / "headrace" / "cli" / "demo" / "project"
DATA = ("flights", "weather")
BUTTON = """
from headrace import by_hand

flights.trigger(lateness, on=by_hand(), name="button")
"""


def begin(folder: Path, sample: Path) -> None:
    """Lay out the project with its data waiting outside of the pipeline's sight. `sample` holds one file a month."""
    folder.mkdir(parents=True)
    for file in ("pipeline.py", "headrace.toml"):
        shutil.copy(PROJECT / file, folder / file)
    module = folder / "pipeline.py"
    parted = module.read_text().replace("incremental=True", 'incremental=True, partition_by="origin"', 1)
    module.write_text(parted + BUTTON)
    shutil.copytree(sample, folder / "waiting")


def write(path: Path, text: str) -> None:
    """Write a file at once and on the disk: a power cut is to test the project, not the story."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    write_file(draft, text.encode())
    rename_file(draft, path)


def arrive(folder: Path, month: str) -> None:
    """Let the files of a month appear, each at once."""
    for name in DATA:
        target = folder / "data" / name
        target.mkdir(parents=True, exist_ok=True)
        waiting = folder / "waiting" / name / f"{month}.csv.gz"
        if waiting.exists():
            rename_file(waiting, target / waiting.name)
            for changed in (waiting.parent, target.parent, folder):
                sync_folder(changed)


def edit(folder: Path) -> None:
    """Change one line of the pipeline."""
    module = folder / "pipeline.py"
    write(module, module.read_text().replace("LATE_AFTER = 15", "LATE_AFTER = 20"))


def apply(folder: Path, environment: str) -> None:
    """One apply; a step that fails is a failure of the story."""
    with Workspace.open(folder) as workspace:
        applied = workspace.apply(workspace.question(environment), Observer())
    assert not applied.failed, applied.failed


def mended(folder: Path) -> None:
    """Give the flight that is there twice a name of its own. The same file a second time changes nothing."""
    file = folder / "mended.parquet"
    with Workspace.open(folder) as workspace:
        opened = Environment(workspace, "prod")
        if not file.exists():
            rows = set_aside(opened, "departures").head(1).with_columns(pl.lit("ZZ1-EWR-2013-01-31").alias("flight_id"))
            rows.write_parquet(file.with_suffix(".draft"))
            sync_file(file.with_suffix(".draft"))
            rename_file(file.with_suffix(".draft"), file)
        mend(workspace, opened, "departures", file)


def answered(folder: Path, *numbers: str) -> None:
    """Let a server log an answer of each id, unless an interrupted story has it on the disk already."""
    with Workspace.open(folder) as workspace:
        missing = [each for each in numbers if not _is_logged(place_of(workspace, "prod"), each)]
        with log_in(folder_of(workspace.settings.state, "prod")) as log:
            for each in missing:
                log.append(batch([each]))


def _is_logged(place: Place, prediction: str) -> bool:
    try:
        find_prediction(place, prediction)
    except HeadraceError as error:
        if error.code != "HR931":
            raise
        return False
    return True


def drained(folder: Path) -> None:
    """Move what the log has sealed into the table of predictions."""
    with Workspace.open(folder) as workspace:
        drain_predictions(workspace, "prod")


def fired(folder: Path) -> None:
    """Fire a trigger by hand, once, and do what it asks for, as a supervisor does."""
    with Workspace.open(folder) as workspace:

        def ask(_: str, only: frozenset[str], then: Then) -> None:
            applied = workspace.apply(workspace.question("prod", only=only), Observer())
            assert not applied.failed, applied.failed
            then(Ended(0, {"run": applied.run, "made": list(applied.made)}))

        firing = Firing(workspace, "prod", ask, lambda _: None)
        firing.look({})
        (button,) = firing.triggers
        if not _fires(workspace) and not signals_for(workspace, "prod", [button]):
            fire_by_hand(workspace, "prod", button, "the story")
        for _ in range(3):  # it fires, is settled, and has nothing left to do
            firing.look({})


def _fires(workspace: Workspace) -> list[list[object]]:
    """Each fire of the trigger, and whether something came of it."""
    records = latest(workspace.ledger, "prod", "button", 9)
    return [[each.reason, each.outcome is not None] for each in records if each.fired]


def promoted(folder: Path) -> None:
    """Promote; a story that was interrupted after its promotion has nothing left to promote."""
    with Workspace.open(folder) as workspace:
        try:
            promote(workspace.graph, workspace.ledger, "dev", "prod")
        except HeadraceError as error:
            if error.code != "HR712":
                raise


def collected(folder: Path) -> None:
    """Compact the tables, and collect everything that nothing needs."""
    with Workspace.open(folder) as workspace:
        workspace.compact()
        workspace.collect(timedelta(0))


STORY: tuple[Callable[[Path], None], ...] = (
    lambda folder: arrive(folder, "2013-01"),
    lambda folder: apply(folder, "prod"),
    mended,
    lambda folder: arrive(folder, "2013-02"),
    lambda folder: answered(folder, "one", "two"),
    drained,
    fired,
    lambda folder: apply(folder, "prod"),
    edit,
    lambda folder: apply(folder, "dev"),
    lambda folder: answered(folder, "three"),
    drained,
    promoted,
    collected,
)


def tell(folder: Path) -> None:
    """Do what is left of the story, then write down the state."""
    mark = folder / "done"
    for number, operation in enumerate(STORY):
        if number >= int(mark.read_text() if mark.exists() else 0):
            operation(folder)
            write(mark, str(number + 1))
    write(folder / "state.json", json.dumps(state(folder), indent=1, sort_keys=True))


def state(folder: Path) -> dict[str, object]:
    """Rows, keys, decisions and pointers; the chain is verified on the way, and no lease may be left."""
    with Workspace.open(folder) as workspace:
        workspace.ledger.verify()
        return {**digests(workspace), "predictions": _predictions(workspace), "fires": _fires(workspace)}


def digests(workspace: Workspace) -> dict[str, object]:
    """What an environment holds, but for what was answered: pointers, keys, decisions, leases, rows."""
    ledger = workspace.ledger
    versions = [version for version in ledger.versions() if not is_predictions(version.node)]
    return {
        "pointers": {name: _pointers(ledger.snapshot(name)) for name in ledger.environments()},
        "versions": sorted(version.key for version in versions),
        "decisions": sorted(
            [decision.node, decision.key, decision.passed] for decision in ledger.decisions([v.key for v in versions])
        ),
        "leases": [lease.node for lease in ledger.leases()],
        "rows": {version.key: _rows(workspace, version) for version in versions},
    }


def _pointers(snapshot: Snapshot) -> dict[str, str]:
    """The pointers to versions whose keys do not depend on which segments an answer went into."""
    return {node: key for node, key in snapshot.pointers.items() if not is_predictions(node)}


def _predictions(workspace: Workspace) -> list[str]:
    """The ids of what was answered, by the table that holds them; nothing may wait in the log."""
    place = place_of(workspace, "prod")
    assert list(place.segments.all()) == []
    version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["scores.predictions"])
    assert version is not None
    workspace.stores.verify(version.manifest.outputs["rows"])
    found: list[str] = workspace.stores.tables.scan(version.manifest.outputs["rows"]).collect()["id"].to_list()
    return sorted(found)


def _rows(workspace: Workspace, version: Version) -> list[object]:
    """How many rows each table of a version has, and a digest of them that ignores their order."""
    workspace.stores.manifests.get(version.key)
    for ref in version.manifest.outputs.values():
        workspace.stores.verify(ref)
    node = workspace.graph[version.node]
    if not hasattr(node, "read"):
        return [version.manifest.facts.get(name) for name in ("metrics", "entities", "served")]
    reader: RowsNode = node  # type: ignore[assignment]
    frame = reader.read(version, workspace.stores).collect()
    return [frame.height, int(frame.hash_rows(seed=1).sum())]


if __name__ == "__main__":
    tell(Path(sys.argv[1]))
