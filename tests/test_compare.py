"""Two submissions are compared on the same resamples, and by the rows where they differ."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.compare import compare, disagreements, main
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import decode
from competition.data.writer import create_challenge
from competition.judging.answers import read_answers
from competition.judging.bootstrap import paired_gain
from competition.judging.uncertainty import pack, resample_scores, tiers, unpack

NUM_ROWS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A challenge whose answers are all private."""
    folder, rng = tmp_path_factory.mktemp("data") / "toy", np.random.default_rng(0)
    tokens = rng.integers(0, 4, (NUM_ROWS, 80)).astype(np.uint8)
    ids = [f"r{i}" for i in range(NUM_ROWS)]
    scores = (Score.of("pearson", "r"), Score.of("mse", "error"))
    with create_challenge(folder, Declaration("toy", (Target("y"),), scores)) as writer:
        writer.train.append(tokens, np.full(NUM_ROWS, 80), target=rng.normal(size=NUM_ROWS))
        writer.test.append(tokens, np.full(NUM_ROWS, 80), rows={"id": ids})
        writer.write_answers(pd.DataFrame({"id": ids, "y": rng.normal(size=NUM_ROWS), "usage": "private"}))
    return folder


@pytest.fixture(scope="module")
def sides(folder):
    answers, rng = read_answers(folder), np.random.default_rng(1)
    return (
        answers,
        answers.truth + 2 * rng.normal(size=(NUM_ROWS, 1)),
        answers.truth + rng.normal(size=(NUM_ROWS, 1)),
    )


def test_the_better_one_gains_in_every_score_whichever_way_it_points(sides):
    lines = compare(*sides, "private").set_index("score")
    assert (lines["gain of B"] > 0).all() and (lines["low"] > 0).all()
    assert lines.loc["error", "A"] > lines.loc["error", "B"]
    backwards = compare(sides[0], sides[2], sides[1], "private").set_index("score")
    np.testing.assert_allclose(backwards["gain of B"], -lines["gain of B"])
    np.testing.assert_allclose(backwards["high"], -lines["low"])
    np.testing.assert_allclose(backwards["Bayes factor"], lines["Bayes factor"])


def test_gains_are_those_of_the_paired_bootstrap(sides):
    answers, first, second = sides
    line = compare(answers, first, second, "private").set_index("score").loc["r"]
    plain = paired_gain("pearson", answers.truth, first, second, higher_is_better=True)
    assert line["gain of B"] == pytest.approx(plain.value)
    assert line["low"] == pytest.approx(plain.low, abs=0.03)


def test_the_rows_that_differ_most_come_first_with_their_sequences(folder, sides):
    answers, first, _ = sides
    second = first.copy()
    second[[7, 30]] += [[9.0], [-20.0]]
    opened = open_challenge(folder)
    rows = disagreements(opened, answers, first, second, "private", 2)
    assert rows["id"].tolist() == ["r30", "r7"]
    whole = decode(np.asarray(opened.test.sequence.tokens[[30, 7]]))
    assert [text.removesuffix("...") for text in rows["sequence"]] == [text[:60] for text in whole]
    assert "truth" not in rows


def test_of_the_rows_that_differ_only_the_public_ones_show_their_truth(folder, sides):
    answers, first, second = sides
    public = np.arange(NUM_ROWS) % 3 == 0
    whole = replace(answers.subsets["all"], public=public)
    answers = replace(answers, subsets={"all": whole})
    found = {
        usage: disagreements(open_challenge(folder), answers, first, second, usage, 1000).set_index("id")
        for usage in ("public", "private", "all")
    }
    truth = pd.Series(np.where(public, answers.truth[:, 0], np.nan), answers.ids)
    assert set(found["public"].index) == set(answers.ids[public])
    assert set(found["private"].index) == set(answers.ids[~public]) and "truth" not in found["private"]
    for usage in ("public", "all"):
        assert found[usage]["truth"].equals(truth[found[usage].index].rename("truth").rename_axis("id"))


@pytest.mark.parametrize("tie_bayes_factor", [None, 3.0])
def test_who_is_better_is_who_leads_by_a_tier(sides, tie_bayes_factor):
    answers, first, _ = sides
    answers = replace(answers, declaration=replace(answers.declaration, tie_bayes_factor=tie_bayes_factor))
    rng, found = np.random.default_rng(2), []
    for noise in np.linspace(0, 2.5, 9):
        second = first + noise * rng.normal(size=first.shape)
        line = compare(answers, first, second, "private").iloc[0]
        draws = resample_scores(answers, [first, second], "private")["r"]
        best_first = sorted(zip((line["A"], line["B"]), draws, strict=True), key=lambda each: -each[0])
        ranked = [unpack(pack(each)) for _, each in best_first]
        led = tiers(ranked, maximize=True, tie_bayes_factor=tie_bayes_factor) == [1, 2]
        assert line["better"] == ("" if not led else "A" if line["A"] > line["B"] else "B")
        if tie_bayes_factor is None:
            assert led == (line["low"] > 0 or line["high"] < 0)
        found.append(led)
    assert True in found and False in found


def write(path: Path, answers, prediction: np.ndarray, target: str = "y") -> str:
    pd.DataFrame({"id": answers.ids, target: prediction[:, 0]}).to_csv(path, index=False)
    return str(path)


def test_the_command_line_says_who_is_better_or_that_nobody_can_tell(folder, sides, tmp_path, capsys):
    answers, first, second = sides
    a, b = write(tmp_path / "a.csv", answers, first), write(tmp_path / "b.csv", answers, second)
    near = write(tmp_path / "c.csv", answers, first + 1e-3 * second)
    assert main([a, b, "--challenge", str(folder)]) == 0
    assert "B is better than A" in capsys.readouterr().out
    assert main([a, a, "--challenge", str(folder)]) == 0
    assert "neither is significantly better" in capsys.readouterr().out
    assert main([b, near, "--challenge", str(folder)]) == 0
    assert "A is better than B" in capsys.readouterr().out


def test_answers_that_are_not_known_compare_nothing(folder, sides, tmp_path, capsys):
    a = write(tmp_path / "a.csv", sides[0], sides[1])
    assert main([a, a, "--challenge", str(folder), "--usage", "public"]) == 2
    assert "no answer of it is known" in capsys.readouterr().err


def test_public_answers_are_compared_by_unless_private_ones_are_asked_for_which_is_counted(
    toy_challenge, tmp_path, capsys
):
    folder = toy_challenge(tmp_path / "toy", num_test=60)
    answers, rng = read_answers(folder), np.random.default_rng(0)
    noise = rng.normal(size=(3, *answers.truth.shape))
    a, b, c = (
        write(tmp_path / f"{name}.csv", answers, answers.truth + each, "expression")
        for name, each in zip("abc", noise, strict=True)
    )
    log = folder / "private" / "evaluations.log"

    def run(*words: str) -> str:
        assert main([*words, "--challenge", str(folder), "--rows", "60"]) == 0
        return capsys.readouterr().out

    shown = run(a, b)
    assert "toy, public answers" in shown and "private-set" not in shown and not log.exists()
    is_public = answers.subsets["all"].public
    listed = {line.split()[0] for line in shown.splitlines() if line.strip().startswith("test")}
    assert listed == set(answers.ids[is_public])
    for number, (files, usage) in enumerate([((a, b), "private"), ((b, a), "all"), ((c, c), "all")]):
        wanted = 2 if number < 2 else 3  # the same predictions tell nothing new
        assert f"counted as private-set evaluations: {wanted} so far" in run(*files, "--usage", usage)
        assert len(log.read_text().splitlines()) == wanted
