"""The entry point: finds the verb, imports what that verb needs and nothing else."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import headrace
from headrace.cli.calling import (
    JsonOption,
    NoColorOption,
    ProjectOption,
    QuietOption,
    command_of,
    shared_options,
)
from headrace.cli.exits import MEANINGS, Exit
from headrace.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb's function is, below `headrace.cli.verbs`, and what it does in a few words."""

    module: str
    about: str


SECTIONS: dict[str, dict[str, Verb]] = {
    "Begin": {
        "init": Verb("begin", "Begin a small working project."),
        "demo": Verb("begin", "See it work: a year of real flights, from raw files to a gated model."),
    },
    "Work": {
        "check": Verb("work", "Look for mistakes before anything is made."),
        "plan": Verb("work", "Show what apply would do, and why. Changes nothing."),
        "apply": Verb("work", "Make what is out of date, and publish it."),
        "backfill": Verb("backfill", "Make batches of a table again, part by part, and publish all of it at once."),
        "retrain": Verb("work", "Make a node again although nothing it is made from changed."),
    },
    "Look": {
        "status": Verb("look", "What each environment has, and which runs are in flight."),
        "why": Verb("look", "Where a version comes from, down to files and rows."),
        "show": Verb(
            "rows", "The columns and first rows of a node, the metrics of a model, or the last windows of a monitor."
        ),
        "query": Verb("rows", "Ask the tables of an environment in SQL."),
        "quarantine": Verb("quarantine", "The rows that broke a contract: how many by rule, then the first."),
        "diff": Verb("compare", "How two environments, or two versions, differ: node by node and row by row."),
        "profile": Verb("compare", "What the columns of a node hold: types, nulls, quantiles, top values, histograms."),
        "replay": Verb("replay", "Run the pipeline over its own history, and compare retraining policies."),
    },
    "Move": {
        "accept": Verb("move", "Let a changed schema of a source be published, that its rule has stopped."),
        "promote": Verb("move", "Let one environment point to what another one has. Computes nothing."),
        "rollback": Verb("move", "Go back to an earlier version, and stay there until released."),
        "release": Verb("move", "Let a node that was rolled back advance again."),
    },
    "Serve": {
        "serve": Verb("serve", "Answer requests with the models of an environment."),
        "parity": Verb(
            "parity", "Compare the features that an endpoint answered with and those that training would see."
        ),
        "up": Verb("up", "Look after an environment: apply new data, serve, and roll out, until told to stop."),
        "notify": Verb("notify", "List who is told of what happens, or send a test."),
        "triggers": Verb(
            "triggers",
            "What makes nodes besides new data: each schedule and trigger, its last fire, and its next time.",
        ),
        "trigger": Verb("triggers", "Fire a trigger by hand: `headrace up` then makes its node."),
        "monitors": Verb("monitors", "What the monitors of an environment see in the latest answers."),
        "rollout": Verb("rollout", "Where a roll-out stands, or take its next step by hand."),
    },
    "Runs": {
        "runs": Verb("runs", "The latest runs and how they ended."),
        "logs": Verb("runs", "What the steps of a run printed."),
        "cancel": Verb("runs", "Ask a run to stop."),
    },
    "Care": {
        "gc": Verb("care", "Show what nothing needs any more; remove it with --yes."),
        "doctor": Verb("care", "Check the installation, the ledger and the stored data."),
        "backup": Verb("care", "Write a copy of the ledger while others go on working."),
        "restore": Verb("care", "Fill an empty ledger from a backup."),
    },
}
VERBS = {name: verb for section in SECTIONS.values() for name, verb in section.items()}


class Verbs(TyperGroup):
    """The group of all verbs: each is imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the group's interface
        """Every verb, in the order of the help text."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        """Import the module of a verb and make its command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"headrace.cli.verbs.{VERBS[cmd_name].module}")
        return command_of(cmd_name, getattr(module, cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """The command of the first argument; for an unknown one, the nearest that exists."""
        if args[0] not in VERBS:
            ctx.fail(f"there is no verb {args[0]!r}: {did_you_mean(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """List the verbs by section, without importing them."""
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, verb.about) for name, verb in verbs.items()])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """List the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


app = typer.Typer(
    cls=Verbs,
    name="headrace",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - a callback of typer
    if wanted:
        typer.echo(f"headrace {headrace.__version__}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _options(
    context: typer.Context,
    *,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    no_color: NoColorOption = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Raw data to a live model, as one graph of immutable versions.

    `headrace plan` shows what would change and why, `headrace apply` does it. Data goes to stdout, talk to stderr.
    Every verb takes --json, --quiet, --no-color and --project; `headrace VERB --help` has an example.
    """
    shared_options(context, project, as_json, quiet, no_color)


def run(arguments: Sequence[str]) -> int:
    """Run one command in this process; answers its exit code."""
    try:
        code = get_command(app).main(args=list(arguments), prog_name="headrace", standalone_mode=False)
    except typer.TyperException as error:
        error.show()  # type: ignore[attr-defined]  # those that the parser raises have it
        return Exit.USAGE
    return Exit.DONE if code is None else int(code)


def main() -> None:
    """The console script `headrace`."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before a verb began, or after it ended
        code = Exit.INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
