"""Every error that a user can meet: a code, what happened, why, and how to fix it.

The catalogue of codes is `errors.toml`, next to this file. The page `docs/errors/CODE.md` of each code is generated
from it, so that the terminal and the documentation never disagree. A place that raises gives the code and what
happened there; why and how to fix it come from the catalogue unless that place knows better.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What is known of a code before it happens: its title, the usual reason and the usual remedy."""

    code: str
    title: str
    why: str
    fix: str


@cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Every error code, sorted by code."""
    text = Path(__file__).with_name("errors.toml").read_text(encoding="utf-8")
    return {code: CatalogueEntry(code, **entry) for code, entry in sorted(tomllib.loads(text).items())}


class HeadraceError(Exception):
    """An error with a code, what happened, why it happened and how to fix it.

    `what` names the very thing (the file, the column, the node). `why` and `fix` default to the catalogue's text.
    """

    def __init__(self, code: str, what: str, *, why: str | None = None, fix: str | None = None) -> None:
        entry = catalogue()[code]
        self.code = code
        self.what = what
        self.why = entry.why if why is None else why
        self.fix = entry.fix if fix is None else fix
        super().__init__(code, what)

    def __str__(self) -> str:
        return f"{self.code} {self.what}\n  why: {self.why}\n  fix: {self.fix}"

    @property
    def advice(self) -> tuple[str, str]:
        """Why it happened and how to fix it, a line each."""
        return f"why: {self.why}", f"fix: {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.code, self.what, self.why, self.fix)

    def to_json(self) -> dict[str, str]:
        """The error as plain data, for `--json` and for the ledger."""
        return {"code": self.code, "what": self.what, "why": self.why, "fix": self.fix}


def _rebuild(kind: type[HeadraceError], code: str, what: str, why: str, fix: str) -> HeadraceError:
    return kind(code, what, why=why, fix=fix)


class ControlFlow(BaseException):
    """A signal of the runtime. It is no `Exception`, so that a user's `except Exception` cannot swallow it."""


class Cancelled(ControlFlow):
    """The run was cancelled, by Ctrl-C or by `headrace cancel`."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint such as ``did you mean 'departures'?``, or the list of what is known where nothing is near."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not names:
        return "there are none yet"
    shown = ", ".join(names[:8])
    return f"known: {shown}" + (", ..." if len(names) > 8 else "")  # noqa: PLR2004 - as many as are shown


def suggestion(name: str, known: Iterable[str]) -> str:
    """The same hint as the beginning of a sentence."""
    hint = did_you_mean(name, known)
    return hint[:1].upper() + hint[1:]


def article(noun: str) -> str:
    """A noun with its article: "a table", "an endpoint"; features are "a feature view"."""
    if noun == "features":
        return "a feature view"
    return f"{'an' if noun[:1].lower() in set('aeiou') else 'a'} {noun}"
