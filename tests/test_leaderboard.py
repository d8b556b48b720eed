"""The board is a view over manifests: it ranks what is sound, shows the rest, and never makes a score up."""

import itertools
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import Challenge, Score, Target
from competition.errors import InputError
from competition.judging.manifest import Manifest, declare, to_json, update_manifest, write_manifest
from competition.judging.page import to_page
from competition.judging.uncertainty import pack
from competition.leaderboard import (
    Board,
    caption,
    cells,
    headings,
    main,
    make_board,
    notes,
    read_board,
    read_boards,
    to_markdown,
    to_section,
    to_table,
    write_leaderboard,
)
from competition.submission import write_submission


def challenge(
    *, direction: str = "maximize", ensembles: bool = True, ceiling: float | None = None
) -> Challenge:
    metric = "pearson" if direction == "maximize" else "mse"
    score = Score("main", metric, direction, -1, 1)
    known = {} if ceiling is None else {"main": ceiling}
    return Challenge("toy", (Target("expression"),), (score,), ensembles=ensembles, ceiling=known)


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
    write_submission(path, list("abcde"), predictions, ["expression"], manifest(solution, value, **fields))
    return path


def test_the_best_comes_first_in_the_declared_direction():
    assert list(ranks(manifest("b", 0.5), manifest("a", 0.9), manifest("c", 0.7))) == ["a", "c", "b"]
    error = {"declared": declare(challenge(direction="minimize"))}
    assert list(ranks(manifest("b", 0.5, **error), manifest("a", 0.9, **error))) == ["b", "a"]


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
        looks=7,
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
    assert "(the 95 % interval of the difference holds 0)" in caption(make_board("toy", made))
    assert "(Bayes factor under 3)" in caption(make_board("toy", by_factor))


def test_the_declared_tie_break_orders_a_tier_and_nothing_else():
    second = Score("second", "mse", "minimize", 0, float("inf"))
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
    controls = {"dealt": {"private": {"main": 0.1}}, "mean": {"private": {}}}
    known = manifest("a", 0.55, controls=controls, declared=declare(challenge(ceiling=1.0)))
    board = make_board("toy", [known])
    assert [line[:3] for line in cells(board)[2:]] == [
        ["control", "dealt", "0.1000"],
        ["control", "mean", "-"],
    ]
    assert column(board, "rescaled") == ["1.000", "0.500", "0.000", "-"]


def test_where_less_is_better_the_lowest_control_is_the_zero():
    controls = {"mean": {"private": {"main": 2.0}}, "dealt": {"private": {"main": 4.0}}}
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


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_csv, "bad.csv is not the file that it describes"),
        (Path.unlink, "bad.csv is missing"),
        (spoil_manifest, "bad.json is not a manifest"),
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


class Reader(HTMLParser):
    """Collect what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.links, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_holds_every_cell_draws_intervals_and_fetches_nothing():
    board = make_board("toy", [drawn("a<b", 0.8, 0.01, seed=1), manifest("plain", 0.5)])
    page = Reader()
    page.feed(to_page([to_section(board)]))
    text = " ".join(page.texts)
    assert all(cell in text for line in cells(board) for cell in line if cell)
    assert (page.tags.count("svg"), page.tags.count("table"), page.links) == (1, 1, [])
    assert "http" not in to_page([to_section(board)])


def test_the_drawn_interval_spans_the_low_the_value_and_the_high():
    board = make_board("toy", [drawn("a", 0.8, 0.01, seed=1)])
    ((low, value, high),) = to_section(board).spans
    assert low < value < high and value == 0.8


def test_csv_has_a_line_for_every_line_of_every_board(tmp_path):
    submit(tmp_path, "a", 0.5)
    files = [f"--{kind}={tmp_path / f'board.{kind}'}" for kind in ("csv", "html")]
    assert main(["toy", "--submissions", str(tmp_path), *files]) == 0
    table = pd.read_csv(tmp_path / "board.csv")
    assert table.loc[0, ["challenge", "scored by", "solution", "score"]].tolist() == ["toy", "main", "a", 0.5]
    assert (tmp_path / "board.html").read_text().startswith("<!doctype html>")
