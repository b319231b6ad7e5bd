"""From a verb's function to a command: the options that all verbs share, errors, interruption, exit codes."""

from __future__ import annotations

import inspect
import os
import select
import sys
import tempfile
import traceback
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.main import get_command

from headrace.cli.exits import Exit
from headrace.cli.output import Style
from headrace.cli.session import Session
from headrace.errors import Cancelled, HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.core import TyperCommand

Function = Any  # a verb: Callable[[Session, ...], int | None]

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="Work on the project in DIR, not on the one around this folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no hints.")]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="Print without colours, as with NO_COLOR set.")]


@dataclass(frozen=True, slots=True)
class Shared:
    """The options that every verb takes, before or after its name."""

    project: Path | None = None
    as_json: bool = False
    quiet: bool = False
    no_color: bool = False

    def joined(self, other: Shared) -> Shared:
        """What stood before the verb and what stood after it, taken together; after it counts more."""
        return Shared(
            other.project or self.project,
            self.as_json or other.as_json,
            self.quiet or other.quiet,
            self.no_color or other.no_color,
        )

    def session(self) -> Session:
        """A session of this kind."""
        return Session(Style(self.as_json, self.quiet, not self.no_color), self.project)


def shared_options(
    context: typer.Context,
    project: ProjectOption = None,
    as_json: JsonOption = False,  # noqa: FBT002 - typer reads options from the signature
    quiet: QuietOption = False,  # noqa: FBT002
    no_color: NoColorOption = False,  # noqa: FBT002
) -> None:
    """Keep the options that stand before the verb."""
    context.obj = Shared(project, as_json, quiet, no_color)


def command_of(name: str, function: Function) -> TyperCommand:
    """The command of a verb's function: its own parameters, and the shared ones."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name)(_with_shared_options(function))
    command: Any = get_command(app)
    return command  # type: ignore[no-any-return]  # an app with one command gives that command


def _with_shared_options(function: Function) -> Callable[..., int]:
    hints = get_type_hints(function, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    groups.pop("cli", None)
    own = [
        option
        for each in list(inspect.signature(function).parameters.values())[1:]
        for option in _options(each, hints[each.name])
    ]
    common = _common_parameters()
    names = [each.name for each in common]

    def run(context: typer.Context, **arguments: Any) -> int:  # noqa: ANN401 - whatever the verb takes
        before = context.obj if isinstance(context.obj, Shared) else Shared()
        shared = before.joined(Shared(**{name: arguments.pop(name) for name in names}))
        for name, kind in groups.items():
            arguments[name] = kind(**{each.name: arguments.pop(each.name) for each in fields(kind)})
        return perform(shared.session(), partial(function, **arguments))

    first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    run.__signature__ = inspect.Signature([first, *own, *common])  # type: ignore[attr-defined]  # read by typer
    run.__annotations__ = {"context": typer.Context}
    run.__doc__ = function.__doc__
    return run


def _options(parameter: inspect.Parameter, hint: object) -> list[inspect.Parameter]:
    """A parameter as typer reads it; one whose type is a data class of options stands for those."""
    if not (isinstance(hint, type) and is_dataclass(hint)):
        return [parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)]
    hints = get_type_hints(hint, include_extras=True)
    return [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields(hint)
    ]


def _common_parameters() -> list[inspect.Parameter]:
    hints = get_type_hints(shared_options, include_extras=True)
    given = inspect.signature(shared_options).parameters.values()
    return [
        each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for each in given
        if each.name != "context"
    ]


def perform(session: Session, verb: Callable[[Session], int | None]) -> int:
    """Run a verb and answer its exit code. Errors are printed, whatever they are."""
    try:
        code = verb(session)
        sys.stdout.flush()
    except HeadraceError as error:
        session.out.error(error)
        _print_traceback_if_wanted()
        return Exit.ERROR
    except (KeyboardInterrupt, Cancelled) as error:
        how = "Cancelled" if isinstance(error, Cancelled) else "Interrupted"
        session.out.say("", f"{how}. What is finished stays; run the same command to go on.")
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: a bug must not look like a user's mistake
        if isinstance(error, BrokenPipeError) and _is_unread():
            _stop_writing()
            return Exit.DONE
        session.out.error(_bug(session, error))
        return Exit.ERROR
    finally:
        session.close()
    return Exit.DONE if code is None else code


def _print_traceback_if_wanted() -> None:
    if os.environ.get("HEADRACE_DEBUG") == "1":
        traceback.print_exc()


def _is_unread() -> bool:
    """Whether nobody reads standard output any more. Any other pipe that is broken is no reason to end well."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _stop_writing() -> None:
    """The reader of a pipe has seen enough: let nothing more be written, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(session: Session, error: Exception) -> HeadraceError:
    """An unexpected exception as a coded error; its traceback goes to a file, or to stderr with HEADRACE_DEBUG=1."""
    what = f"{type(error).__name__}: {error}"
    if os.environ.get("HEADRACE_DEBUG") == "1":
        traceback.print_exc()
        return HeadraceError("HR820", what)
    file = _crash_file(session)
    file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return HeadraceError("HR820", what, fix=f"Report it with the traceback in {file}.")


def _crash_file(session: Session) -> Path:
    """A new file for a traceback: with the project's logs, or in the temporary folder where there is no project."""
    workspace = session.__dict__.get("workspace")
    folder = Path(tempfile.gettempdir()) if workspace is None else workspace.settings.logs
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="crash-", suffix=".log", dir=folder)
    except OSError:  # the project may be what cannot be written
        handle, name = tempfile.mkstemp(prefix="crash-", suffix=".log")
    os.close(handle)
    return Path(name)
