"""What the pages of reports are put together from: one HTML file that asks for nothing else. Every text is escaped."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WHOLE: Final = 1e9


def document(title: str, subtitle: str, made: str, sections: Iterable[str]) -> str:
    """The whole file: light or dark as the reader's system is. `subtitle` and the sections are HTML; `made` as well."""
    template = Template((files("headrace.monitors") / "report_page" / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title), subtitle=subtitle, made=made, sections="\n".join(filter(None, sections))
    )


def spelled_number(value: float | None) -> str:
    """A number in a few digits; nothing for none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) < _WHOLE and value == round(value) else f"{value:.4g}"


def section(title: str, about: str, body: str) -> str:
    """A part of the page under a heading. `body` is HTML."""
    told = f'<p class="about">{escape(about)}</p>' if about else ""
    return f"<section><h2>{title}</h2>{told}{body}</section>"


def figure(name: str, about: str, drawing: str) -> str:
    """A drawing, which is HTML, with its name and a few words about it."""
    return f"<figure><figcaption>{escape(name)} <small>{escape(about)}</small></figcaption>{drawing}</figure>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Rows of texts under their heads; the columns in `numbers` are aligned to the right."""
    right = set(numbers)

    def line(tag: str, cells: Sequence[str]) -> str:
        last = len(cells) - 1
        kinds = ("n" if at in right else "text" if at == last else "" for at in range(len(cells)))
        styled = (f'<{tag} class="{kind}">' if kind else f"<{tag}>" for kind in kinds)
        return "".join(f"{begin}{escape(cell)}</{tag}>" for begin, cell in zip(styled, cells, strict=True))

    head = f"<thead><tr>{line('th', heads)}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'
