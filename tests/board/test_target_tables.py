"""Several targets on a board: a table under it, lines of the CSV, and nothing where there is one target."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from competition.board.board import Board, make_board
from competition.board.page import to_page
from competition.board.targets import FEW, target_entries
from competition.board.views import to_csv, to_markdown, to_table, to_target_table
from competition.data.declaration import Declaration, Score, Target
from competition.judging.manifest import Manifest, TargetScores, declare

SHIFT = 0.001  # of an interval's ends


def of_one(value: float) -> TargetScores:
    ends = [value - SHIFT, value + SHIFT]
    controls = {"mean": {"private": {"main": 0.0}}}
    return {
        "oof": {"main": value / 2}, "scores": {"private": {"main": value}},
        "intervals": {"private": {"main": ends}}, "controls": controls,
    }  # fmt: skip


def manifest(solution: str, values: list[float], *, metric: str = "pearson", **fields: object) -> Manifest:
    """A manifest of targets t0, t1, ... with these private scores."""
    names = [f"t{number}" for number in range(len(values))]
    declared = declare(Declaration("toy", tuple(map(Target, names)), (Score.of(metric, "main"),)))
    targets = dict(zip(names, map(of_one, values), strict=True)) if len(values) > 1 else {}
    common = {
        "targets": targets, "scores": {"private": {"main": float(np.mean(values))}}, "declared": declared,
        "controls": {"mean": {"private": {"main": 0.0}}}, "run": f"{solution}-run",
        "created": "2030-01-02T03:04:05+00:00",
    }  # fmt: skip
    return Manifest("toy", "d", solution, **{**common, **fields})


def board(*manifests: Manifest) -> Board:
    return make_board("toy", manifests)


def shown(made: Board, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(to_target_table(made, width))
    return console.file.getvalue()


def test_each_target_has_the_submissions_in_the_order_of_their_mean():
    made = board(manifest("a", [0.9, 0.1]), manifest("b", [0.7, 0.5]))
    assert [[entry.solution for entry in line] for line in target_entries(made)] == [
        ["b", "b"], ["a", "a"], ["mean", "mean"],
    ]  # fmt: skip
    (first, second), _, (control, _) = target_entries(made)
    assert (first.score, first.score_low, first.oof_mean) == (0.7, 0.7 - SHIFT, 0.35)
    assert (second.score, second.tier, control.kind, control.score) == (0.5, None, "control", 0)


def test_few_targets_are_columns_with_their_intervals():
    made = board(manifest("a", [0.9, 0.1]))
    line = next(line for line in to_markdown(made).split("of each target")[1].splitlines() if "| a |" in line)
    assert line == "| a | 0.9000<br>0.8990 to 0.9010 | 0.1000<br>0.0990 to 0.1010 |"
    assert all(text in shown(made) for text in ("t0", "t1", "0.9000", "0.0990 to 0.1010"))


@pytest.mark.parametrize(("metric", "worst", "best"), [("pearson", 1, 3), ("mse", 3, 1)])
def test_of_many_targets_the_worst_the_median_and_the_best_are_shown(metric, worst, best):
    values = [0.5, 0.1, 0.4, 0.9, 0.2]
    text = to_markdown(board(manifest("a", values, metric=metric))).split("of each target")[1]
    assert len(values) > FEW and "worst target | median | best target" in text
    assert f"| a | {values[worst]:.4f}<br>t{worst} | 0.4000 | {values[best]:.4f}<br>t{best} |" in text


def test_a_board_of_one_target_has_no_word_of_targets():
    made = board(manifest("a", [0.9]))
    assert made.by_target == {}
    assert not any("target" in text for text in (to_markdown(made), to_csv([made]), to_page([made])))


def test_a_submission_scored_before_targets_were_is_there_without_a_score():
    old = manifest("old", [0.3, 0.3], targets={}, created="2029")
    made = board(manifest("new", [0.9, 0.1]), old)
    _, (entry, _), _ = target_entries(made)
    assert (entry.solution, entry.score, entry.note) == ("old", None, "no score of this target")
    assert "| old | - | - |" in to_markdown(made)


def test_a_submission_without_a_place_on_the_board_has_no_score_of_a_target():
    dead = manifest("dead", [0.9, 0.9], collapsed="one constant")
    _, (entry, _), _ = target_entries(board(manifest("a", [0.5, 0.4]), dead))
    assert (entry.solution, entry.score, entry.oof_mean) == ("dead", None, None)


def test_the_csv_has_the_lines_of_each_target_after_those_of_the_mean():
    several, single = board(manifest("a", [0.9, 0.1])), board(manifest("a", [0.9]))
    table = pd.read_csv(io.StringIO(to_csv([several, single])), keep_default_na=False)
    assert table["target"].tolist() == ["", "", "t0", "t0", "t1", "t1", "", ""]
    found = table[(table["target"] != "") & (table["solution"] == "a")].set_index("target")
    assert found["score"].astype(float).to_dict() == {"t0": 0.9, "t1": 0.1}
    assert found["score_high"].astype(float).to_dict() == {"t0": 0.9 + SHIFT, "t1": 0.1 + SHIFT}
    assert (found["tier"] == "").all()
    plain = pd.read_csv(io.StringIO(to_csv([single])))
    assert list(table.columns) == [*plain.columns, "target"]


@pytest.mark.parametrize("count", [2, FEW + 1])
def test_the_page_holds_every_score_of_every_target_and_marks_the_best_submission_of_each(count):
    first, second = np.random.default_rng(0).random((2, count)).round(4)
    page = to_page([board(manifest("a<", list(first)), manifest("b", list(second)))])
    table = page.split("of each target")[1]
    for one, other in zip(first, second, strict=True):
        assert f"<b>{max(one, other):.4f}</b>" in table and f">{min(one, other):.4f}<" in table
        assert f"<b>{min(one, other):.4f}</b>" not in table
    assert "a&lt;" in table and "a<" not in table
    heads = table.split("</thead>")[0].count('<th scope="col"')
    assert heads == 1 + (count if count <= FEW else 3)  # submissions and the control


def test_a_narrow_terminal_shows_every_score_of_a_few_targets():
    text = shown(board(manifest("a_name_that_is_long", [0.91, 0.82, 0.73, 0.64])), width=80)
    assert all(score in text for score in ("0.9100", "0.8200", "0.7300", "0.6400")) and "…" not in text


def test_the_table_of_the_mean_is_as_it_was():
    single, several = board(manifest("a", [0.5])), board(manifest("a", [0.9, 0.1]))
    texts = []
    for made in (single, several):
        console = Console(width=300, file=io.StringIO())
        console.print(to_table(made, 300))
        texts.append(console.file.getvalue())
    assert texts[0] == texts[1]
