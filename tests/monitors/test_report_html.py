"""The page of a report: it is whole, escapes what it tells, and asks for nothing when it is opened."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from headrace.monitors.report import Every
from headrace.monitors.report_html import page
from headrace.monitors.report_svg import Bar, Cell, Point, heat_map, histogram, line_chart
from tests.support.reported import EVIL, report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_VOID = {"meta", "br", "img", "input", "link", "hr"}
_BROWSERS_OWN = ("google.com", "googleapis.com", "gvt1.com")


class Elements(HTMLParser):
    """Every element with its attributes, and the text; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str, name: str | None = None) -> int:
        return sum(each == tag and (name is None or attributes.get("class") == name) for each, attributes in self.found)


@dataclass(frozen=True)
class Opened:
    """What a browser said of a page, and what it asked for."""

    console: Sequence[str]
    asked: Sequence[str]


def opened(file: Path) -> Opened:
    """A page in a real browser, which makes requests of its own that do not count."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    net = file.with_suffix(".net")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    places = [f"--user-data-dir={file.with_suffix('.profile')}", f"--log-net-log={net}"]
    argv = [program, *quiet, *places, "--enable-logging=stderr", "--dump-dom", file.as_uri()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    assert "<body" in done.stdout
    console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
    urls = set(re.findall(r'"url":"([^"]+)"', net.read_text(encoding="utf-8")))
    hosts = {url: urlsplit(url).hostname or "" for url in urls if not url.startswith(("file:", "chrome"))}
    return Opened(console, [url for url, host in hosts.items() if not host.endswith(_BROWSERS_OWN)])


@pytest.mark.parametrize("every", list(Every))
def test_a_browser_opens_it_without_a_complaint_and_without_a_request(tmp_path: Path, every: Every) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(report(every)), encoding="utf-8")
    found = opened(file)
    assert (found.console, found.asked) == ([], [])


def test_that_a_browser_would_tell(tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text('<body><script>console.error("x")</script><img src="http://127.0.0.1:9/x.png">', encoding="utf-8")
    found = opened(file)
    assert len(found.console) == 1
    assert found.asked == ["http://127.0.0.1:9/x.png"]


def test_everything_is_told() -> None:
    found = report()
    elements = Elements(page(found))
    sections = [text for text in elements.texts if text in {"Conditions", "Measures", "Drift", "Columns", "Quality"}]
    assert sections == ["Conditions", "Measures", "Drift", "Columns", "Quality"]
    assert elements.count("rect", "heat") == len(found.reference.columns) * (len(found.windows) - 1)
    assert elements.count("circle", "mark") >= 8
    assert elements.count("path", "bound") == 2
    assert elements.count("path", "band") > 10
    text = " ".join(elements.texts)
    assert "estimated(roc_auc)" in text
    assert f"held: {EVIL}" in text
    assert "distance (" in text
    assert "2,000" in text or "1,9" in text


def test_names_and_values_cannot_break_out() -> None:
    text = page(report())
    elements = Elements(text)
    assert EVIL not in text
    assert "<script" not in text
    assert elements.count("script") == elements.count("link") == elements.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert not re.search(r"url\(|@import|https?://", text)
    assert EVIL in elements.texts


def test_a_report_without_answers_labels_or_notes() -> None:
    found = report(rows=0, labels=False)
    bare = replace(found, watched=replace(found.watched, notes=(), then=(), outcomes=(), state="too few answers"))
    text = " ".join(Elements(page(bare)).texts)
    assert "No window has enough answers to be compared." in text
    assert "Quality" not in text
    assert "None." in text
    assert "only a note" in text
    assert "earliest windows lack some" in " ".join(Elements(page(replace(bare, cut=True))).texts)


def test_many_columns_stay_legible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.monitors.report_html.COLUMNS", 2)
    text = page(report(labels=False))
    assert "The other 3 columns differ less." in text
    assert text.count("reference and window of") == 2


def test_plots_of_one_value_of_none_and_of_equal_ones() -> None:
    one = [Point(0.0, None, None, "a"), Point(None, None, None, "b"), Point(0.0, None, None, "c")]
    for drawing in (
        line_chart(one, ("a", "b"), None, "t"),
        line_chart(one[1:2], ("a", "b"), 3.0, "t"),
        histogram([], [], "t"),
        histogram([Bar(0.0, 0.0, "a")], [(0.5, "a" * 40)], "t"),
        heat_map([], [], []),
        heat_map(["x" * 60], [[Cell(None, marked=False, about="a"), Cell(9.0, marked=True, about="b")]], ["1", "2"]),
    ):
        elements = Elements(drawing)
        assert elements.found[0][0] == "svg"
        assert "nan" not in drawing
        assert "inf" not in drawing


def test_the_data_of_the_page_is_the_data_of_the_json() -> None:
    found = report()
    text = " ".join(Elements(page(found)).texts)
    latest = json.loads(json.dumps(found.to_json()))["windows"][-1]
    assert f"{latest['measured']['psi(distance)']:.4g}" in text
