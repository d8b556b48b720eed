"""A leaderboard as one HTML page: sortable, intervals drawn, nothing fetched from anywhere."""

import html
from collections.abc import Sequence
from typing import NamedTuple

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: .5rem 0 2rem; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { cursor: pointer; background: #f4f4f4; position: sticky; top: 0; }
th[aria-sort=ascending]::after { content: " \\2191"; } th[aria-sort=descending]::after { content: " \\2193"; }
td.text, th.text { text-align: left; } tr.aside { color: #777; font-style: italic; }
p { max-width: 60rem; } svg { vertical-align: middle; }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #ddd; }
  th { background: #24272c; } th, td { border-color: #333; } tr.aside { color: #999; } }
"""
# Sort by numbers where a cell has one, by text otherwise; lines beside the ranking stay at the end.
SCRIPT = """
for (const head of document.querySelectorAll("th")) head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => {
    const cell = row.cells[column], number = parseFloat(cell.dataset.value ?? cell.textContent);
    return isNaN(number) ? cell.textContent : number;
  };
  const compare = (a, b) => typeof a === typeof b ? (a > b) - (a < b) : typeof a === "number" ? -1 : 1;
  [...body.rows].sort((a, b) => a.classList.contains("aside") - b.classList.contains("aside")
    || (down ? -1 : 1) * compare(value(a), value(b))).forEach(row => body.append(row));
});
"""
WIDTH, HEIGHT = 140, 14  # of a drawn interval, in pixels


class Section(NamedTuple):
    """One challenge: its table as text, and the interval and value of each line, where it has them."""

    title: str
    caption: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    spans: Sequence[tuple[float, float, float] | None]  # low, value, high
    notes: Sequence[str]
    text_columns: Sequence[str]
    drawn: str  # the heading whose cells get the drawing


def to_page(sections: Sequence[Section]) -> str:
    """Return the page as text."""
    parts = [_section(section) for section in sections]
    view = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"{view}<title>Leaderboard</title><style>{STYLE}</style>"
    start = f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body>"
    return "\n".join([start, *parts, f"<script>{SCRIPT}</script></body></html>\n"])


def _section(section: Section) -> str:
    known = [span for span in section.spans if span is not None]
    low, high = (min(s[0] for s in known), max(s[2] for s in known)) if known else (0.0, 1.0)
    heads = "".join(f"<th{_kind(name, section)}>{html.escape(name)}</th>" for name in section.headings)
    rows = "\n".join(
        _row(line, span, section, low, high) for line, span in zip(section.lines, section.spans, strict=True)
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in section.notes)
    title, caption = html.escape(section.title), html.escape(section.caption)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return f"<h2>{title}</h2><p>{caption}</p>\n{table}{notes}"


def _kind(name: str, section: Section) -> str:
    return ' class="text"' if name in section.text_columns else ""


def _row(
    line: Sequence[str], span: tuple[float, float, float] | None, section: Section, low: float, high: float
) -> str:
    cells = []
    for name, text in zip(section.headings, line, strict=True):
        shown = html.escape(text)
        if name == section.drawn and span is not None:
            cells.append(f'<td data-value="{span[0]:.9g}">{_draw(span, low, high)} {shown}</td>')
        else:
            cells.append(f"<td{_kind(name, section)}>{shown}</td>")
    aside = "" if line[0].isdigit() else ' class="aside"'
    return f"<tr{aside}>{''.join(cells)}</tr>"


def _draw(span: tuple[float, float, float], low: float, high: float) -> str:
    """Draw an interval and its value on the scale of all."""
    room, middle = (high - low) or 1.0, HEIGHT / 2
    first, dot, last = (4 + (value - low) / room * (WIDTH - 8) for value in span)
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="interval">'
        f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{middle}" y2="{middle}" stroke="#4a7ebb" '
        f'stroke-width="3"/>'
        f'<circle cx="{dot:.1f}" cy="{middle}" r="4" fill="#1f4e8c"/></svg>'
    )
