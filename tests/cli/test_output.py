"""Columns, plain data, colours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest

from headrace.cli.output import (
    Output,
    Style,
    columns,
    counted,
    decimal,
    moment,
    number,
    painted_by_sign,
    plain,
    short,
    size,
)
from headrace.errors import HeadraceError


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_end() -> None:
    rows = [("a", "1", ""), ("bbb", "22", "x")]
    assert columns(rows, ("name", "n", ""), right=[1]) == ["name   n", "a      1", "bbb   22  x"]
    assert columns([]) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (b"\x00\xff", "00ff"),
        (Decimal(6), 6),
        (Decimal("6.50"), "6.50"),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
        (timedelta(minutes=1), 60.0),
        ({"a": {2, 1}, "b": (True, None)}, {"a": [1, 2], "b": [True, None]}),
    ],
)
def test_plain_data(value: object, expected: object) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB")])
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_small_spellings() -> None:
    assert moment("2024-01-02T03:04:05.678901+00:00") == "2024-01-02 03:04:05"
    assert moment(None) == ""
    assert number(0.12345678) == "0.123457"
    assert number(None) == "not defined"
    assert short("a" * 64) == "a" * 12
    assert short(None) == ""
    assert [counted(1, "row"), counted(2000, "row")] == ["1 row", "2,000 rows"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1 + 0.2, "0.3"), (99_999.99, "100000"), (123_456.78, "123456.78"), (-1_234_567.0, "-1234567"), (1e15, "1e+15")],
)
def test_numbers_of_rows(value: float, text: str) -> None:
    assert decimal(value) == text


def test_what_a_terminal_would_obey_is_shown_instead(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(Style())
    out.data("a\x1b[2Jb", "c\rd\te\nf", "g\u202eh", "ü 漢 👩\u200d🔬")
    out.error(HeadraceError("HR412", "orders: \x1b[31m"))
    said = capsys.readouterr()
    assert said.out == "a\\x1b[2Jb\nc\\rd\te\nf\ng\\u202eh\nü 漢 👩\u200d🔬\n"
    assert "error HR412: orders: \\x1b[31m\n" in said.err
    assert "\x1b" not in said.err


def test_a_line_has_the_colour_of_its_sign() -> None:
    assert painted_by_sign("  + a  new") == "\x1b[32m  + a  new\x1b[0m"
    assert painted_by_sign("      + a detail") == "      + a detail"
    assert painted_by_sign("4 to make") == "4 to make"


def test_colours_on_a_terminal_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", terminal)
    Output(Style()).data("  + a")
    Output(Style(color=False)).data("  + b")
    monkeypatch.setenv("NO_COLOR", "")
    Output(Style()).data("  + c")
    assert terminal.getvalue() == "\x1b[32m  + a\x1b[0m\n  + b\n  + c\n"


def test_no_colours_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Style()).data("  + a")
    assert capsys.readouterr().out == "  + a\n"


def test_quiet_leaves_talk_out_and_data_in(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(Style(quiet=True))
    out.say("talk")
    out.data("data")
    out.error(HeadraceError("HR801", "no project"))
    printed = capsys.readouterr()
    assert printed.out == "data\n"
    assert printed.err.startswith("error HR801: no project\n  why: ")
    assert "\n  fix: " in printed.err


def test_an_error_is_json_on_stdout_as_well_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Style(as_json=True)).error(HeadraceError("HR801", "no project", why="w", fix="f"))
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"error": {"code": "HR801", "what": "no project", "why": "w", "fix": "f"}}
    assert "HR801" in printed.err
