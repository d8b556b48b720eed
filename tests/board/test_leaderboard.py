"""The board is a view over manifests: it ranks what is sound, shows the rest, and never makes a score up."""

import html
import io
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from competition.base.errors import InputError
from competition.board.board import Board, make_board, read_board, read_boards
from competition.board.entries import entries
from competition.board.page import to_page
from competition.board.remarks import caption, notes
from competition.board.views import cells, headings, to_csv, to_markdown, to_table, write_leaderboard
from competition.data.declaration import Declaration, Score, Target
from competition.judging.manifest import Manifest, declare, to_json, update_manifest, write_manifest
from competition.judging.submission import prepare_submission, write_submission
from competition.judging.uncertainty import pack
from competition.leaderboard import main


def challenge(
    *, direction: str = "maximize", ensembles: bool = True, ceiling: float | None = None
) -> Declaration:
    metric = "pearson" if direction == "maximize" else "mse"
    score = Score("main", metric, direction, -1, 1)
    known = {} if ceiling is None else {"main": ceiling}
    return Declaration("toy", (Target("expression"),), (score,), ensembles=ensembles, ceiling=known)


def manifest(solution: str, value: float | None = None, **fields: object) -> Manifest:
    """A manifest with this private score, and a public one that is 0.01 more."""
    scores = {} if value is None else {"private": {"main": value}, "public": {"main": value + 0.01}}
    common = {
        "challenge": "toy", "challenge_digest": "d", "run": f"{solution}-run", "scores": scores,
        "created": "2030-01-02T03:04:05+00:00", "declared": declare(challenge()),
    }  # fmt: skip
    return Manifest(solution=solution, **{**common, **fields})


def ranks(*manifests: Manifest) -> dict[str, int | None]:
    """Solution -> tier, in the order of the board."""
    return {row.manifest.solution: row.tier for row in make_board("toy", manifests).rows}


def column(board: Board, name: str) -> list[str]:
    return [line[headings(board).index(name)] for line in cells(board)]


def submit(folder: Path, solution: str, value: float | None, **fields: object) -> Path:
    path = folder / "toy" / f"{solution}.csv"
    predictions = np.random.default_rng(len(solution)).normal(size=(5, 1))
    described = manifest(solution, value, **fields)
    write_submission(prepare_submission(path, list("abcde"), predictions, ["expression"], described))
    return path


def test_the_best_comes_first_in_the_declared_direction():
    assert list(ranks(manifest("b", 0.5), manifest("a", 0.9), manifest("c", 0.7))) == ["a", "c", "b"]
    error = {"declared": declare(challenge(direction="minimize"))}
    assert list(ranks(manifest("b", 0.5, **error), manifest("a", 0.9, **error))) == ["b", "a"]


def test_a_leak_marks_the_rows_that_were_warned_of_it_and_is_said_once_under_the_table():
    warned = [manifest(name, 0.5, warnings=["9 rows leak"]) for name in "ab"]
    board = make_board("toy", [*warned, manifest("c", 0.4)])
    assert notes(board) == ["† warning, 2 of 3 submissions: 9 rows leak"]
    assert "- † warning, 2 of 3 submissions: 9 rows leak" in to_markdown(board)
    names = [line[1] for line in cells(board)]
    assert names[:3] == ["a †", "b †", "c"] and "†" not in "".join(names[3:])
    assert to_page([board]).count("†") == 3  # two rows and the note
    assert [entry.warnings for entry in entries(board)][:3] == ["9 rows leak", "9 rows leak", ""]


def test_equal_scores_share_a_tier():
    three = [manifest("a", 0.5), manifest("b", 0.9), manifest("c", 0.9), manifest("d", 0.4)]
    assert ranks(*three) == {"b": 1, "c": 1, "a": 2, "d": 3}


def test_the_board_does_not_depend_on_the_order_of_manifests():
    several = [
        manifest("a", 0.5),
        manifest("b", 0.5),
        manifest("c", None),
        manifest("d", 0.7, kind="control"),
    ]
    texts = {to_markdown(make_board("toy", order)) for order in itertools.permutations(several)}
    assert len(texts) == 1


def test_a_score_is_ranked_by_its_full_precision_and_shown_with_four_decimals():
    board = make_board("toy", [manifest("a", 0.70001), manifest("b", 0.70002)])
    assert [row.manifest.solution for row in board.rows] == ["b", "a"]
    assert column(board, "main") == ["0.7000", "0.7000"]


def test_a_control_is_shown_in_its_place_without_a_rank():
    found = ranks(manifest("a", 0.5), manifest("mean", 0.6, kind="control"), manifest("b", 0.7))
    assert found == {"b": 1, "mean": None, "a": 2}
    board = make_board("toy", [manifest("mean", 0.6, kind="control")])
    assert cells(board)[0][:3] == ["control", "mean", "0.6000"]


def test_a_collapsed_run_is_shown_last_without_a_rank_or_any_score():
    dead = manifest(
        "dead", 0.99, collapsed="one constant", oof={"main": 0.99}, fold_scores={"main": [0.9, 1.0]}
    )
    board = make_board("toy", [dead, manifest("a", -0.5)])
    assert ranks(dead, manifest("a", -0.5)) == {"a": 1, "dead": None}
    assert cells(board)[1][:8] == ["collapsed", "dead", *"------"]
    assert notes(board) == ["dead dead-run has no score: collapsed: one constant"]


def test_a_collapsed_run_alone_is_no_winner():
    board = make_board("toy", [manifest("dead", 0.99, collapsed="one constant")])
    assert [row.tier for row in board.rows] == [None]
    assert "0.99" not in to_markdown(board)


@pytest.mark.parametrize(
    ("scores", "basis", "value"),
    [
        ({"private": {"main": 0.1}, "all": {"main": 0.2}}, "private", 0.1),
        ({"private": {}, "public": {"main": 0.3}, "all": {"main": 0.2}}, "all", 0.2),
        ({}, "out-of-fold", 0.4),
    ],
)
def test_the_board_ranks_by_private_else_all_else_out_of_fold(scores, basis, value):
    board = make_board("toy", [manifest("a", scores=scores, oof={"main": 0.4})])
    assert (board.basis, board.rows[0].value) == (basis, value)


def test_scores_on_different_rows_are_never_ranked_against_each_other():
    found = ranks(manifest("a", 0.5), manifest("only-oof", oof={"main": 0.9}))
    assert found == {"a": 1, "only-oof": None}


def test_out_of_fold_a_composite_is_stood_in_for_by_its_metric():
    board = make_board("toy", [manifest("a", oof={"pearson": 0.4, "mse": 2.0})])
    assert (board.basis, board.rows[0].value) == ("out-of-fold", 0.4)


def test_another_build_of_the_challenge_is_shown_without_a_rank():
    old = manifest("old", 0.9, challenge_digest="before", created="2029-01-01T00:00:00+00:00")
    board = make_board("toy", [old, manifest("new", 0.5)])
    assert ranks(old, manifest("new", 0.5)) == {"new": 1, "old": None}
    assert notes(board) == ["old old-run has no score: another build of the challenge"]


def scored(solution: str, value: float, answers: str, **fields: object) -> Manifest:
    return manifest(solution, value, answers_digest=answers, **fields)


def test_scores_on_the_same_answers_are_ranked_together_whatever_else_was_edited():
    edited = {"declared": declare(replace(challenge(ceiling=0.9), title="edited")), "challenge_digest": "e"}
    assert ranks(scored("old", 0.9, "a"), scored("new", 0.5, "a", **edited)) == {"old": 1, "new": 2}
    assert ranks(scored("old", 0.9, "a"), scored("new", 0.5, "b", created="2031")) == {"new": 1, "old": None}


@pytest.mark.parametrize("change", [{"metric": "spearman"}, {"subset": "all", "weights": {"all": 2.0}}])
def test_scores_by_another_primary_score_are_not_ranked_together(change):
    toy = challenge()
    declared = declare(replace(toy, scores=(replace(toy.primary, **change),)))
    new = scored("new", 0.5, "a", declared=declared, created="2031")
    assert ranks(scored("old", 0.9, "a"), new) == {"new": 1, "old": None}


def test_out_of_fold_scores_on_the_same_training_rows_are_ranked_together():
    one = manifest("one", oof={"main": 0.5}, train_digest="t", challenge_digest="edited")
    two = manifest("two", oof={"main": 0.6}, train_digest="t")
    other = manifest("other", oof={"main": 0.7}, train_digest="u", created="2029")
    assert ranks(one, two, other) == {"two": 1, "one": 2, "other": None}


@pytest.mark.parametrize("fields", [{}, {"collapsed": "one constant"}])
def test_a_new_run_without_a_score_leaves_the_board_as_it_was(fields):
    first, second = (scored(name, v, "a", train_digest="t") for name, v in (("a", 0.5), ("b", 0.6)))
    new = manifest("new", oof={"main": 0.9}, train_digest="t", created="2031", **fields)
    assert ranks(first, second, new) == {"b": 1, "a": 2, "new": None}
    assert make_board("toy", [first, second, new]).basis == "private"


def test_a_new_run_on_other_training_rows_is_ranked_out_of_fold_until_it_is_scored():
    old = scored("old", 0.5, "a", train_digest="t", oof={"main": 0.9})
    new = manifest("new", oof={"main": 0.4}, train_digest="u", created="2031")
    assert ranks(old, new) == {"new": 1, "old": None}


def test_a_manifest_of_an_earlier_version_counts_as_another_build():
    assert ranks(manifest("old", 0.9, created="2029"), scored("new", 0.5, "a")) == {"new": 1, "old": None}


def test_an_ensemble_is_ranked_only_where_the_challenge_allows_it():
    assert ranks(manifest("blend", 0.9, kind="ensemble"), manifest("a", 0.5)) == {"blend": 1, "a": 2}
    rules = {"declared": declare(challenge(ensembles=False))}
    found = ranks(manifest("blend", 0.9, kind="ensemble", **rules), manifest("a", 0.5, **rules))
    assert found == {"blend": None, "a": 1}


def test_the_ceiling_is_a_line_of_its_own_where_it_is_known():
    board = make_board("toy", [manifest("a", 0.5, declared=declare(challenge(ceiling=0.98765)))])
    assert cells(board)[0][:3] == ["", "ceiling (noise)", "0.9877"]
    assert len(cells(make_board("toy", [manifest("a", 0.5)]))) == 1


def test_out_of_fold_is_shown_as_the_mean_and_spread_of_the_folds():
    folds = manifest("a", 0.5, fold_scores={"main": [0.6, 0.7, 0.8]}, oof={"main": 0.65})
    single = manifest("b", 0.4, oof={"main": 0.65})
    board = make_board("toy", [folds, single])
    assert column(board, "out-of-fold") == ["0.7000 ± 0.1000", "0.6500"]


def test_cost_and_origin_are_shown_in_words():
    full = manifest(
        "a",
        0.5,
        num_parameters=34_165_681,
        train_seconds=3725.0,
        rows_per_second=1234.0,
        seed=3,
        private_evaluations=7,
        device="1 x H200",
    )
    shown = cells(make_board("toy", [full, manifest("b", 0.4)]))
    assert shown[0][8:] == ["34.2M", "1h02m", "1 x H200", "1.23k", "3", "7", "2030-01-02", "a-run"]
    assert shown[1][8:] == ["-", "-", "-", "-", "-", "-", "2030-01-02", "b-run"]


def test_seeds_of_one_solution_are_lines_of_their_own():
    board = make_board("toy", [manifest("a", 0.5, seed=s, run=f"run{s}") for s in range(3)])
    assert [row.tier for row in board.rows] == [1, 1, 1]
    assert column(board, "run") == ["run0", "run1", "run2"]


def test_the_spread_of_scores_over_seeds_stands_beside_the_seed():
    three = [manifest("a", 0.5 + s / 10, seed=s, run=f"run{s}") for s in range(3)]
    other = manifest("a", 0.1, seed=3, run="other", config={"epochs": 1})
    board = make_board("toy", [*three, other])
    assert column(board, "seeds") == ["2 (of 3: ± 0.1000)", "1 (of 3: ± 0.1000)", "0 (of 3: ± 0.1000)", "3"]


def drawn(
    solution: str, value: float, spread: float, *, seed: int, second: float | None = None, **fields: object
) -> Manifest:
    """A manifest with resamples that wander together and, by spread, apart."""
    common = np.random.default_rng(0).normal(0, 0.05, 1000)
    draws = value + common + np.random.default_rng(seed).normal(0, spread, 1000)
    low_high = {"private": {"main": np.quantile(draws, [0.025, 0.975]).tolist()}}
    scores = {"private": {"main": value, **({} if second is None else {"second": second})}}
    return manifest(
        solution, draws={"private": pack(draws)}, intervals=low_high, **{"scores": scores, **fields}
    )


def test_what_resamples_cannot_tell_apart_shares_a_tier():
    found = ranks(
        drawn("a", 0.8, 0.01, seed=1), drawn("b", 0.799, 0.01, seed=2), drawn("c", 0.7, 0.01, seed=3)
    )
    assert found == {"a": 1, "b": 1, "c": 2}


def test_a_tie_is_by_the_interval_of_the_difference_or_by_the_declared_bayes_factor():
    made = [drawn(name, value, 0.01, seed=seed) for name, value, seed in (("a", 0.8, 1), ("b", 0.785, 2))]
    dream = declare(replace(challenge(), tie_bayes_factor=3.0))
    by_factor = [replace(each, declared=dream) for each in made]
    older = [replace(each, declared={"scores": dream["scores"]}) for each in made]  # says nothing of ties
    assert [ranks(*each) for each in (made, by_factor, older)] == [
        {"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1},
    ]  # fmt: skip
    assert "(the 95 % interval of the difference includes 0)" in caption(make_board("toy", made))
    assert "(Bayes factor under 3)" in caption(make_board("toy", by_factor))


def test_the_declared_tie_break_orders_a_tier_and_nothing_else():
    second = Score.of("mse", "second")
    declared = declare(replace(challenge(), scores=(*challenge().scores, second), tie_break="second"))
    made = [
        drawn(name, value, 0.01, seed=seed, declared=declared, second=other)
        for seed, (name, value, other) in enumerate(
            [("a", 0.8, 3.0), ("b", 0.7995, 1.0), ("c", 0.799, None), ("d", 0.5, 0.1)], start=1
        )
    ]
    assert ranks(*made) == {"b": 1, "a": 1, "c": 1, "d": 2}
    assert list(ranks(*made)) == ["b", "a", "c", "d"]
    assert "second orders a tier" in caption(make_board("toy", made))


def test_the_interval_stands_beside_the_score():
    board = make_board("toy", [drawn("a", 0.8, 0.01, seed=1), manifest("b", 0.5)])
    low, high = map(float, column(board, "95 %")[0].split(" to "))
    assert low < 0.8 < high
    assert column(board, "95 %")[1] == "-"


def test_controls_close_the_board_and_set_the_zero_of_its_scale():
    controls = {"permuted": {"private": {"main": 0.1}}, "mean": {"private": {}}}
    known = manifest("a", 0.55, controls=controls, declared=declare(challenge(ceiling=1.0)))
    board = make_board("toy", [known])
    assert [line[:3] for line in cells(board)[2:]] == [
        ["control", "permuted", "0.1000"],
        ["control", "mean", "-"],
    ]
    assert column(board, "rescaled") == ["1.000", "0.500", "0.000", "-"]


def test_where_less_is_better_the_lowest_control_is_the_zero():
    controls = {"mean": {"private": {"main": 2.0}}, "permuted": {"private": {"main": 4.0}}}
    declared = declare(challenge(direction="minimize", ceiling=0.5))
    board = make_board("toy", [manifest("a", 1.25, controls=controls, declared=declared)])
    assert column(board, "rescaled") == ["1.000", "0.500", "0.000", "-1.333"]


# Files


def test_a_board_is_read_from_a_folder_of_submissions(tmp_path):
    submit(tmp_path, "a", 0.5)
    submit(tmp_path, "bb", 0.6)
    board = read_board(tmp_path / "toy")
    assert [row.manifest.solution for row in board.rows] == ["bb", "a"]
    assert board.broken == ()


def spoil_csv(path: Path) -> None:
    path.write_text(path.read_text().replace("a,", "a,1"))


def spoil_manifest(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def claim_another_challenge(path: Path) -> None:
    update_manifest(path, challenge="other")


def declare_nothing(path: Path) -> None:
    update_manifest(path, declared={})


def declare_a_score_without_a_metric(path: Path) -> None:
    update_manifest(path, declared={"scores": [{"name": "mse"}]})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_csv, "bad.csv is not the file that it describes"),
        (Path.unlink, "bad.csv is missing"),
        (spoil_manifest, "bad.json is not a manifest"),
        (declare_a_score_without_a_metric, "bad.json is not a manifest: declared is"),
        (claim_another_challenge, "is of challenge 'other'"),
        (declare_nothing, "declares no scores"),
    ],
)
def test_a_broken_submission_is_named_and_never_ranked(tmp_path, spoil, reason):
    submit(tmp_path, "good", 0.5)
    spoil(submit(tmp_path, "bad", 0.9))
    board = read_board(tmp_path / "toy")
    assert [row.manifest.solution for row in board.rows] == ["good"]
    assert reason in notes(board)[0] and notes(board)[0].startswith("left out: bad.json")


def test_a_folder_of_broken_submissions_alone_is_a_board_without_rows(tmp_path):
    spoil_manifest(submit(tmp_path, "bad", 0.9))
    board = read_board(tmp_path / "toy")
    assert board.rows == () and "left out: bad.json" in to_markdown(board)


def test_a_challenge_without_a_test_set_has_a_board_of_out_of_fold_scores(tmp_path):
    write_manifest(tmp_path / "toy" / "a.csv", manifest("a", oof={"main": 0.5}))
    board = read_board(tmp_path / "toy")
    assert (board.basis, board.rows[0].tier, board.broken) == ("out-of-fold", 1, ())


def test_test_scores_without_predictions_are_not_believed(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a.json").write_text(to_json(manifest("a", 0.99)))
    assert read_board(tmp_path / "toy").rows == ()


def test_markdown_is_a_table_that_cells_cannot_break(tmp_path):
    submit(tmp_path, "a|b", 0.5)
    text = to_markdown(read_board(tmp_path / "toy"))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {17}
    assert "a\\|b" in text


def test_the_leaderboard_file_covers_every_challenge_and_is_a_pure_function(tmp_path):
    submit(tmp_path, "a", 0.5)
    write_manifest(tmp_path / "alpha" / "x.csv", manifest("x", oof={"main": 0.5}, challenge="alpha"))
    (tmp_path / "empty").mkdir()
    first = write_leaderboard(tmp_path).read_bytes()
    assert write_leaderboard(tmp_path).read_bytes() == first
    headlines = [line for line in first.decode().splitlines() if line.startswith("## ")]
    assert headlines == ["## alpha", "## toy"]


def test_an_unknown_challenge_is_an_error_with_a_suggestion(tmp_path):
    submit(tmp_path, "a", 0.5)
    with pytest.raises(InputError, match="did you mean 'toy'"):
        read_boards(tmp_path, "toys")


@pytest.mark.parametrize(("width", "absent"), [(240, None), (120, "device"), (60, "parameters")])
def test_a_narrow_terminal_leaves_columns_out_and_never_a_score(width, absent):
    table = to_table(make_board("toy", [manifest("a", 0.5, device="cpu", run="r" * 20)]), width)
    shown = [column.header for column in table.columns]
    assert shown[:4] == ["tier", "solution", "main", "95 %"]
    assert absent not in shown and (len(shown) == 16) == (absent is None)


@pytest.mark.parametrize("width", [80, 300])
def test_no_length_of_a_name_pushes_a_score_out_of_a_terminal(width):
    long = drawn("x" * 90, 0.8, 0.01, seed=1, device="d" * 40, run="one")
    table = to_table(make_board("toy", [long, manifest("control", 0.5, kind="control")]), width)
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    shown = console.file.getvalue()
    assert "…" not in shown and "0.8000" in shown and " to " in shown
    assert shown.count("x") == 90


def test_the_command_line_shows_and_writes(tmp_path, capsys):
    submit(tmp_path, "a", 0.51234)
    spoil_csv(submit(tmp_path, "bad", 0.9))
    assert main(["toy", "--submissions", str(tmp_path), "--write"]) == 0
    shown = capsys.readouterr().out
    assert "0.5123" in shown and "left out: bad.json" in shown
    assert (tmp_path / "LEADERBOARD.md").exists()
    assert main(["nothing", "--submissions", str(tmp_path)]) == 2


def test_no_submissions_are_said_and_no_error(tmp_path, capsys):
    assert main(["--submissions", str(tmp_path / "none")]) == 0
    assert "no submissions yet" in capsys.readouterr().out


def test_scores_in_a_manifest_keep_every_digit(tmp_path):
    path = submit(tmp_path, "a", 1 / 3)
    assert json.loads(path.with_suffix(".json").read_text())["scores"]["private"]["main"] == 1 / 3


# What tells rows of one solution apart


def settings(*manifests: Manifest) -> dict[str, dict[str, object]]:
    """Run -> the settings in which it differs."""
    return {entry.run: dict(entry.settings) for entry in entries(make_board("toy", manifests))}


def test_rows_of_one_solution_show_the_settings_in_which_they_differ():
    common = {"batch_size": 32, "window": [0, 112]}
    short = manifest("a", 0.5, run="short", config={**common, "epochs": 4, "heads": [8, 4]})
    long = manifest("a", 0.6, run="long", config={**common, "epochs": 8, "heads": [8, 2]})
    board = make_board("toy", [short, long, manifest("b", 0.4, config={"epochs": 2})])
    assert column(board, "solution") == ["a\nepochs=8, heads=[8,2]", "a\nepochs=4, heads=[8,4]", "b"]
    assert "| a<br>epochs=8, heads=[8,2] |" in to_markdown(board)
    assert "<small>epochs=8, heads=[8,2]</small>" in to_page([board])
    assert settings(short, long) == {
        "long": {"epochs": 8, "heads": [8, 2]},
        "short": {"epochs": 4, "heads": [8, 4]},
    }


def test_runs_that_differ_by_their_seed_alone_show_no_settings():
    seeds = [manifest("a", 0.5, seed=s, run=f"run{s}", config={"epochs": 4}) for s in range(2)]
    assert settings(*seeds) == {"run0": {}, "run1": {}}


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("source_digest", "0123456789abcdef", {"source": "012345"}),
        ("num_folds", 10, {"folds": 10}),
        ("precision", "bf16", {"precision": "bf16"}),
        ("num_processes", 4, {"processes": 4}),
        ("init", "runs/big/a/first", {"init": "first"}),
        ("exclude_homologs_of", "big", {"exclude_homologs_of": "big"}),
        ("command", "python -m competition.run solutions/a --published", {"published": True}),
    ],
)
def test_what_a_run_came_from_tells_it_apart_as_well(field, value, shown):
    found = settings(manifest("a", 0.5, run="one"), manifest("a", 0.5, run="two", **{field: value}))
    assert found == {"one": {}, "two": shown}


def test_runs_from_other_weights_are_no_seeds_of_one_recipe():
    board = make_board("toy", [manifest("a", 0.5, seed=0), manifest("a", 0.4, seed=1, run="x", init="first")])
    assert column(board, "seeds") == ["0", "1"]


def ensemble(run: str, method: str, *members: str) -> Manifest:
    named = [dict(zip(("solution", "run"), member.split("-"), strict=True)) for member in members]
    return manifest(
        "ensemble", 0.5, run=run, kind="ensemble", config={"method": method, "members": named, "shift": [run]}
    )


def test_ensembles_are_told_apart_by_method_and_members_under_their_shortest_names():
    found = settings(
        ensemble("x", "mean", "a-1", "b-1"),
        ensemble("y", "mean", "a-1", "b-2"),
        ensemble("z", "rank mean", "a-1"),
    )
    assert found == {
        "x": {"method": "mean", "members": ["a", "b-1"]},
        "y": {"method": "mean", "members": ["a", "b-2"]},
        "z": {"method": "rank mean", "members": ["a"]},
    }


def test_in_a_terminal_settings_stand_under_the_name_and_make_no_column_wide():
    many = [manifest("a", 0.5, run=f"r{n}", config={f"option_{i}": n for i in range(9)}) for n in range(2)]
    table = to_table(make_board("toy", many), 100)
    lines = [line for cell in table.columns[1].cells for line in cell.split("\n")]
    assert max(map(len, lines)) <= 40
    assert all(f"option_{i}=1" in " ".join(lines) for i in range(9))


# For programs


def read_csv(*boards: Board) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(boards)))


def test_the_csv_holds_plain_numbers_with_all_digits_and_nothing_where_nothing_is_known():
    full = manifest(
        "a", 1 / 3, num_parameters=1368, train_seconds=6.25, rows_per_second=1234.5, seed=3,
        private_evaluations=7, fold_scores={"main": [0.6, 0.7, 0.8]},
        intervals={"private": {"main": [0.1 + 0.2, 0.4]}},
    )  # fmt: skip
    table = read_csv(make_board("toy", [full, manifest("b", 0.25)]))
    numbers = ["tier", "score", "score_low", "score_high", "oof_mean", "oof_sd", "public", "private"]
    numbers += ["parameters", "train_seconds", "rows_per_second", "seed", "private_evaluations"]
    assert (table[numbers].dtypes.map(lambda kind: kind.kind).isin(["i", "f"])).all()
    assert table.loc[0, numbers].tolist() == pytest.approx(
        [1, 1 / 3, 0.1 + 0.2, 0.4, 0.7, 0.1, 1 / 3 + 0.01, 1 / 3, 1368, 6.25, 1234.5, 3, 7], abs=1e-15
    )
    absent = ["score_low", "oof_mean", "parameters", "train_seconds", "seed", "private_evaluations"]
    assert table.loc[1, absent].isna().all()
    assert pd.to_datetime(table["created"]).dt.year.tolist() == [2030, 2030]


def test_the_csv_tells_by_kind_what_a_line_is():
    controls = {"permuted": {"private": {"main": 0.1}}}
    declared = declare(challenge(ceiling=0.9))
    made = [
        manifest("a", 0.5, controls=controls, declared=declared),
        manifest("c", 0.3, kind="ensemble", controls=controls, declared=declared),
        manifest("dead", 0.3, collapsed="one constant", controls=controls, declared=declared),
    ]
    table = read_csv(make_board("toy", made)).set_index("solution")
    assert table["kind"].to_dict() == {
        "ceiling (noise)": "ceiling", "a": "solution", "c": "ensemble", "dead": "solution",
        "permuted": "control",
    }  # fmt: skip
    assert table.loc["permuted", "score"] == 0.1 and table.loc["ceiling (noise)", "rescaled"] == 1
    assert table["collapsed"].tolist() == [False, False, False, True, False]
    assert table.loc["dead", "note"] == "collapsed: one constant" and np.isnan(table.loc["dead", "score"])


def test_the_csv_names_the_settings_so_that_a_program_reads_them_back():
    two = [manifest("a", 0.5, run=f"r{n}", config={"heads": [n, 8], "rate": 0.1 * n}) for n in (1, 3)]
    table = read_csv(make_board("toy", two)).set_index("run")
    assert json.loads(table.loc["r3", "settings"]) == two[1].config


def test_csv_has_a_line_for_every_entry_of_every_board(tmp_path):
    submit(tmp_path, "a", 0.5)
    write_manifest(tmp_path / "alpha" / "x.csv", manifest("x", oof={"main": 0.7}, challenge="alpha"))
    files = [f"--{kind}={tmp_path / f'board.{kind}'}" for kind in ("csv", "html")]
    assert main(["--submissions", str(tmp_path), *files]) == 0
    table = pd.read_csv(tmp_path / "board.csv")
    shown = table[["challenge", "scored_by", "basis", "direction", "solution", "score"]].to_numpy().tolist()
    assert shown == [
        ["alpha", "main", "out-of-fold", "maximize", "x", 0.7],
        ["toy", "main", "private", "maximize", "a", 0.5],
    ]
    assert (tmp_path / "board.html").read_text().startswith("<!doctype html>")


# The page


class Reader(HTMLParser):
    """Collect what a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.links, self.texts, self.values = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        self.values += [value for name, value in attrs if name == "data-value"]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_holds_every_cell_draws_intervals_and_fetches_nothing():
    board = make_board("toy", [drawn("a<b", 0.8, 0.01, seed=1), manifest("plain", 0.5)])
    page = Reader(to_page([board]))
    text = " ".join(page.texts)
    assert all(cell in text for line in cells(board) for cell in line if cell)
    assert (page.tags.count("svg"), page.tags.count("table"), page.links) == (1, 1, [])
    assert "http" not in to_page([board]) and "initial-scale=1" in to_page([board])


def test_boards_are_linked_from_the_top_of_their_page():
    two = [make_board(name, [manifest("a", 0.5)]) for name in ("x", "y")]
    page = to_page(two)
    assert [f'id="{link[1:]}"' in page for link in Reader(page).links] == [True, True]


def test_the_drawn_interval_spans_the_low_the_value_and_the_high():
    board = make_board("toy", [drawn("a", 0.8, 0.01, seed=1), drawn("b", 0.5, 0.01, seed=2)])
    page, (best, worst) = to_page([board]), entries(board)
    drawings = re.findall(r'x1="(.*?)%" x2="(.*?)%".*?cx="(.*?)%"', page)
    at = [float(place) for low, high, dot in drawings for place in (low, dot, high)]
    wanted = [x for e in (best, worst) for x in (e.score_low, e.score, e.score_high)]
    scale = np.polyfit(wanted, at, 1)
    np.testing.assert_allclose(at, np.polyval(scale, wanted), atol=0.02)
    assert scale[0] > 0 and min(at) >= 0 and max(at) <= 100


def test_cells_of_the_page_sort_by_their_numbers_and_not_by_their_text():
    sizes = [342, 1368, 34_000_000]
    made = [manifest(f"m{n}", 0.5, num_parameters=n, train_seconds=n / 7) for n in sizes]
    values = Reader(to_page([make_board("toy", made)])).values
    assert {str(n) for n in sizes} | {str(n / 7) for n in sizes} <= set(values)


CHROMIUM = shutil.which("chromium")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to show a page in")
FRAME = '<iframe id="{name}" width="{width}" height="900" srcdoc="{page}"></iframe>'
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--blink-settings=preferredColorScheme=0",  # dark
)  # fmt: skip


def ask_browser(folder: Path, page: str, script: str, widths: dict[str, int]) -> object:
    """Show a page in dark frames of these widths; return what a script returns that knows them by name."""
    frames = "".join(FRAME.format(name=name, width=w, page=html.escape(page)) for name, w in widths.items())
    names = ", ".join(f"{name} = document.getElementById('{name}').contentWindow" for name in widths)
    ask = f"onload = () => {{ const {names}; document.title = JSON.stringify((() => {{ {script} }})()); }}"
    (folder / "host.html").write_text(f"<!doctype html><title></title>{frames}<script>{ask}</script>")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [CHROMIUM, *QUIET, profile, "--dump-dom", (folder / "host.html").as_uri()]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return json.loads(html.unescape(re.search("<title>(.*?)</title>", said, re.DOTALL)[1]))


def wide_board() -> Board:
    """A board of long names, many settings and large numbers, which text would sort in another order."""
    shapes = {"small": (342, 6.0), "middle": (1368, 161.0), "big": (34_000_000, 59.0)}
    made = [
        drawn(
            "a_solution_with_a_long_name", 1234.5 + len(name), 5.0, seed=size, run=f"20300102-030405-{name}",
            num_parameters=size, train_seconds=seconds, device="Intel(R) Xeon(R) Processor, 2 threads",
            config={f"option_number_{i}": f"{name}{i}" for i in range(6)},
            fold_scores={"main": [999.5, 1234.25]}, created=f"2030-01-02T03:04:{size % 60:02}+00:00",
            controls={"label-permutation control": {"private": {"main": 0.1}}},
            declared=declare(challenge(ceiling=2000.0)),
        )
        for name, (size, seconds) in shapes.items()
    ]  # fmt: skip
    return make_board("toy", made)


@in_a_browser
def test_a_header_that_is_pressed_sorts_by_numbers_and_a_name_unfolds_the_rest(tmp_path):
    found = ask_browser(
        tmp_path, to_page([wide_board()]),
        """
        const page = laptop.document, cells = number => [...page.querySelectorAll("tbody tr:first-child")]
          .map(row => row.cells[number].textContent);
        const press = name => {
          const button = [...page.querySelectorAll("thead button")].find(each => each.textContent === name);
          button.focus(); button.click();
          const head = button.parentNode;
          return [page.activeElement === button, head.ariaSort, cells(head.cellIndex)];
        };
        const more = page.querySelector(".more"), name = page.querySelector(".unfold"), before = more.hidden;
        name.click();
        const unfolded = [before, more.hidden, name.ariaExpanded];
        return [press("parameters"), press("training"), press("training"), unfolded];
        """,
        {"laptop": 1280},
    )  # fmt: skip
    assert found[0] == [True, "ascending", ["342", "1.37k", "34M", "", ""]]
    assert found[1] == [True, "ascending", ["6s", "59s", "2m41s", "", ""]]
    assert found[2] == [True, "descending", ["2m41s", "59s", "6s", "", ""]]
    assert found[3] == [True, False, "true"]


@in_a_browser
def test_laptop_and_phone_show_the_ranking_and_its_dots_in_the_dark_without_scrolling_sideways(
    tmp_path,
):
    found = ask_browser(
        tmp_path, to_page([wide_board()]),
        """
        const light = (window, selector, name) => {
          const shade = window.getComputedStyle(window.document.querySelector(selector))[name];
          return shade.match(/[0-9]+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0) / 3;
        };
        return [laptop, phone].map(window => [
          window.document.documentElement.scrollWidth - window.document.documentElement.clientWidth,
          [...window.document.querySelectorAll("th")].filter(e => e.offsetWidth).map(e => e.textContent),
          Math.abs(light(window, "circle", "fill") - light(window, "body", "backgroundColor")),
        ]);
        """,
        {"laptop": 1280, "phone": 390},
    )  # fmt: skip
    (laptop, wide_headings, laptop_contrast), (phone, narrow_headings, phone_contrast) = found
    assert (laptop, phone) == (0, 0)
    assert narrow_headings == ["tier", "solution", "main, 95 %"] == wide_headings[:3]
    assert wide_headings[3:] == ["rescaled", "out-of-fold", "parameters", "training", "date"]
    assert min(laptop_contrast, phone_contrast) > 100
