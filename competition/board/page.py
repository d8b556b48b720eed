"""A leaderboard as one HTML page for laptop and phone: sortable, intervals drawn, nothing fetched."""

from collections.abc import Sequence
from html import escape

from competition.board.board import Board
from competition.board.entries import Entry, entries
from competition.board.remarks import caption, notes
from competition.board.targets import FEW, target_entries, target_text, target_title
from competition.board.views import COLUMNS, INTERVAL, Column, format_cell, settings

MAIN = ("tier", "solution", "score")  # the fields that a phone shows, too; the score brings its interval
WIDE = ("rescaled", "oof_mean", "public", "parameters", "train_seconds", "created")  # where there is room
STYLE = """
:root { color-scheme: light dark; --text: #1c2128; --soft: #626b77; --page: #fff; --line: #dfe3e8;
  --head: #f4f6f8; --accent: #1d5fae; --band: #8fb4de; --first: #e3eefa; }
@media (prefers-color-scheme: dark) { :root { --text: #dfe3e8; --soft: #98a2ae; --page: #14171b;
  --line: #2c333b; --head: #1d2227; --accent: #7db4f0; --band: #3c6390; --first: #1b3350; } }
* { box-sizing: border-box; }
body { font: 15px/1.4 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem 2rem 4rem; max-width: 1280px;
  color: var(--text); background: var(--page); }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 0; }
nav a { color: var(--accent); margin-right: 1rem; }
p { max-width: 75ch; margin: .3rem 0 .8rem; overflow-wrap: anywhere; } .soft { color: var(--soft); }
small, p.caption { font-size: .82rem; color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .6rem; text-align: right; vertical-align: top; font-weight: normal; }
thead th { position: sticky; top: 0; z-index: 1; background: var(--head); padding: 0; }
tbody { border-top: 1px solid var(--line); } table { border-bottom: 1px solid var(--line); }
.text, .score { text-align: left; } .wide { white-space: nowrap; } .reference { color: var(--soft); }
.name { overflow-wrap: anywhere; min-width: 8rem; }
.tier { width: 1%; white-space: nowrap; text-align: center; font-size: .82rem; color: var(--soft); }
.badge { display: inline-block; min-width: 1.7em; padding: 0 .4em; border-radius: 1em; font-size: 15px;
  color: var(--text); background: var(--head); }
.badge.first { background: var(--first); color: var(--accent); font-weight: 600; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; margin: 0; cursor: pointer;
  text-align: inherit; overflow-wrap: anywhere; }
thead button { width: 100%; padding: .5rem .6rem; font-size: .85rem; color: var(--soft); }
thead button:hover, [aria-sort] button { color: var(--text); }
[aria-sort=ascending] button::after { content: " \\25b2"; font-size: .7em; }
[aria-sort=descending] button::after { content: " \\25bc"; font-size: .7em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; border-radius: 3px; }
.unfold { font-weight: 600; display: flex; } .unfold:hover { color: var(--accent); }
.unfold:focus-visible { outline-offset: 2px; }
.unfold::before { content: "\\25b8"; flex: 0 0 1.1em; color: var(--soft); }
.unfold[aria-expanded=true]::before { content: "\\25be"; }
.name small { display: block; padding-left: 1.34em; }
.score div { display: grid; gap: .1rem .4rem;
  grid-template-columns: minmax(3.9em, auto) minmax(7.3rem, auto) minmax(4rem, 8rem); align-items: center; }
.score b { font-weight: 600; } .reference b { font-weight: normal; } .score small { white-space: nowrap; }
svg { width: 100%; height: 14px; display: block; overflow: visible;
  background: linear-gradient(var(--line), var(--line)) center / 100% 1px no-repeat; }
svg line { stroke: var(--band); stroke-width: 3; stroke-linecap: round; } svg circle { fill: var(--accent); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .6rem 1.2rem;
  margin: 0 0 .5rem; padding-left: 1.2em; text-align: left; }
dt { font-size: .78rem; color: var(--soft); } dd { margin: 0; font-size: .9rem; overflow-wrap: anywhere; }
.more td { padding-top: 0; } dl .shown { display: none; }
@media (max-width: 1000px) { .wide { display: none; } dl .shown { display: block; } }
@media (max-width: 700px) { body { padding: 1rem .8rem 3rem; } th, td, thead button { padding: .5rem .4rem; }
  thead th { padding: 0; } .score { width: 40%; } .score div { grid-template-columns: minmax(7.3rem, 1fr); }
  .score small { white-space: normal; } .unfold[aria-expanded=false] + small { display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
  dl { grid-template-columns: 1fr 1fr; padding-left: .2rem; } }
"""
# A body is an entry: its line, then what unfolds under it. What has no value comes after all that has one,
# then what stands beside the ranking; equal values keep the order of the ranking.
SCRIPT = """
for (const row of document.querySelectorAll(".more")) row.hidden = true;
for (const button of document.querySelectorAll(".unfold")) button.addEventListener("click", () => {
  const row = button.closest("tbody").rows[1];
  row.hidden = !row.hidden;
  button.setAttribute("aria-expanded", String(!row.hidden));
});
for (const table of document.querySelectorAll("table")) {
  const ranking = [...table.tBodies];
  for (const button of table.querySelectorAll("thead button")) button.addEventListener("click", () => {
    const head = button.parentNode, isNumber = !head.classList.contains("text");
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const keys = new Map(ranking.map(body => {
      const text = body.rows[0].cells[head.cellIndex].dataset.value;
      const last = body.classList.contains("reference") ? 2 : text === "" ? 1 : 0;
      return [body, { last, value: last ? 0 : isNumber ? Number(text) : text.toLowerCase() }];
    }));
    const compare = (a, b) => a.last - b.last || sign * ((a.value > b.value) - (a.value < b.value));
    table.append(...[...ranking].sort((a, b) => compare(keys.get(a), keys.get(b))));
  });
}
"""
MARGIN = 4  # per cent of a drawing's width, at both ends
REFERENCE = ' class="reference"'  # of a line that is no submission
CLASSES = {"tier": "tier", "solution": "name", "score": "score"}


def to_page(boards: Sequence[Board]) -> str:
    """Return the page as text."""
    view = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f"{view}<title>Leaderboard</title><style>{STYLE}</style>"
    start = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><h1>Leaderboard</h1>'
    links = "".join(f'<a href="#board{i}">{escape(board.challenge)}</a>' for i, board in enumerate(boards))
    contents = f"<nav>{links}</nav>" if len(boards) > 1 else ""
    sections = [_section(board, f"board{i}") for i, board in enumerate(boards)]
    return "\n".join([start, contents, *sections, f"<script>{SCRIPT}</script></body></html>\n"])


def _section(board: Board, name: str) -> str:
    lines = entries(board)
    known = [column for column in COLUMNS if any(_value(entry, column) for entry in lines)]
    columns = [column for column in known if column.field in (*MAIN, *WIDE)]
    heads = "".join(_head(column, board) for column in columns)
    details = [column for column in known if column.field not in (*MAIN, "score_low")]
    scale = _scale(lines)
    bodies = [_body(entry, columns, details, f"{name}-{i}", scale) for i, entry in enumerate(lines)]
    table = "\n".join([f"<table><thead><tr>{heads}</tr></thead>", *bodies, "</table>"])
    better = "higher is better" if board.direction == "maximize" else "lower is better"
    title = f'<h2>{escape(board.challenge)}</h2><p class="soft">{escape(board.score)}, {better}</p>'
    listed = "".join(f'<p class="soft">{escape(note)}</p>' for note in notes(board))
    below = f'{listed}<p class="caption">{escape(caption(board))}</p>'
    targets = _targets(board) if board.by_target else ""
    return f'<section id="{name}">{title}\n{table}\n{below}{targets}</section>'


def _targets(board: Board) -> str:
    """Return the table of several targets: a column each where they are few, or else a line each."""
    found = target_entries(board)
    cells = list(zip(*(_target_column(board, column) for column in zip(*found, strict=True)), strict=True))
    submissions = [line[0] for line in found]
    targets = [Entry("target", None, name, {}, None, run=name) for name in board.by_target]
    few = len(targets) <= FEW
    rows, columns = (submissions, targets) if few else (targets, submissions)
    table = _grid(
        "solution" if few else "target", rows, columns, cells if few else list(zip(*cells, strict=True))
    )
    return f'<h3>{escape(target_title(board))}</h3><div style="overflow-x: auto">{table}</div>'


def _target_column(board: Board, column: Sequence[Entry]) -> list[str]:
    """Return the cells of one target; the best submission's is marked."""
    known = [entry.score for entry in column if entry.run and entry.score is not None]
    best = (max if board.direction == "maximize" else min)(known, default=None)
    cells = []
    for entry in column:
        score, *interval = target_text(entry).split("\n")
        marked = f"<b>{score}</b>" if entry.run and entry.score is not None and entry.score == best else score
        below = "".join(f"<br><small>{text}</small>" for text in interval)
        value = "" if entry.score is None else str(entry.score)
        cells.append(f'<td data-value="{value}">{marked}{below}</td>')
    return cells


def _grid(
    corner: str, rows: Sequence[Entry], columns: Sequence[Entry], cells: Sequence[Sequence[str]]
) -> str:
    """Lay out cells under buttons that sort by them."""
    buttons = "".join(
        f'<th scope="col"><button type="button">{_name(each)}</button></th>' for each in columns
    )
    head = f'<th scope="col" class="text"><button type="button">{corner}</button></th>{buttons}'
    bodies = [
        f'<tbody{"" if row.run else REFERENCE}><tr><td class="name text" '
        f'data-value="{escape(row.solution)}">{_name(row)}</td>{"".join(line)}</tr></tbody>'
        for row, line in zip(rows, cells, strict=True)
    ]
    return "\n".join([f"<table><thead><tr>{head}</tr></thead>", *bodies, "</table>"])


def _name(entry: Entry) -> str:
    below = settings(entry)
    return escape(entry.solution) + (f"<br><small>{escape(below)}</small>" if below else "")


def _scale(lines: Sequence[Entry]) -> tuple[float, float]:
    """Return the lowest and the highest end of the intervals."""
    ends = [end for entry in lines for end in (entry.score_low, entry.score_high) if end is not None]
    return (min(ends), max(ends)) if ends else (0.0, 1.0)


def _value(entry: Entry, column: Column) -> str:
    """Return what a cell is sorted by, with every digit; nothing where it is not known."""
    value = getattr(entry, column.field)
    return "" if value is None else str(value)


def _class(column: Column) -> str:
    wide, text = "wide" if column.field in WIDE else "", "text" if column.is_text else ""
    return " ".join(filter(None, [CLASSES.get(column.field, ""), text, wide]))


def _head(column: Column, board: Board) -> str:
    text = f"{board.score}, {INTERVAL}" if column.field == "score" else column.heading
    button = f'<button type="button">{escape(text)}</button>'
    return f'<th scope="col" class="{_class(column)}">{button}</th>'


def _body(
    entry: Entry, columns: Sequence[Column], details: Sequence[Column], name: str, scale: tuple[float, float]
) -> str:
    cells = "".join(_cell(entry, column, name, scale) for column in columns)
    if not entry.run:
        return f"<tbody{REFERENCE}><tr>{cells}</tr></tbody>"
    listed = "".join(_detail(entry, column) for column in details)
    more = f'<tr class="more" id="{name}"><td colspan="{len(columns)}"><dl>{listed}</dl></td></tr>'
    return f"<tbody><tr>{cells}</tr>{more}</tbody>"


def _cell(entry: Entry, column: Column, name: str, scale: tuple[float, float]) -> str:
    inside = escape(format_cell(entry, column))
    if column.field == "tier" and entry.tier is not None:
        inside = f'<span class="badge{" first" if entry.tier == 1 else ""}">{inside}</span>'
    elif column.field == "solution" and entry.run:
        button = f'<button type="button" class="unfold" aria-expanded="false" aria-controls="{name}">'
        inside = f"{button}{inside}</button><small>{escape(settings(entry))}</small>"
    elif column.field == "score":
        inside = f"<div><b>{inside}</b>{_interval(entry, scale)}</div>"
    return f'<td class="{_class(column)}" data-value="{escape(_value(entry, column))}">{inside}</td>'


def _interval(entry: Entry, scale: tuple[float, float]) -> str:
    """Write an interval, and draw it with its value on the scale of all."""
    low, value, high = entry.score_low, entry.score, entry.score_high
    if low is None or value is None or high is None:
        return "<small></small><span></span>"
    room = (scale[1] - scale[0]) or 1.0
    first, dot, last = (MARGIN + (x - scale[0]) / room * (100 - 2 * MARGIN) for x in (low, value, high))
    text = f"{low:.4f} to {high:.4f}"
    return (
        f'<small>{text}</small><svg role="img" aria-label="{text}">'
        f'<line x1="{first:.2f}%" x2="{last:.2f}%" y1="7" y2="7"/>'
        f'<circle cx="{dot:.2f}%" cy="7" r="4"/></svg>'
    )


def _detail(entry: Entry, column: Column) -> str:
    """Format a detail under an entry; a wide screen, which has a column for it, leaves it out."""
    shown = ' class="shown"' if column.field in WIDE else ""
    return f"<div{shown}><dt>{escape(column.heading)}</dt><dd>{escape(format_cell(entry, column))}</dd></div>"
