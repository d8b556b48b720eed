"""Predictions from outside enter the board; a part of them is scored on the answers it has."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition import compare
from competition.base.errors import InputError
from competition.board.board import read_board
from competition.data.challenge import Challenge, open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.judging.answers import Subset, has_answers, read_answers
from competition.judging.external import read_entry
from competition.judging.manifest import read_manifest
from competition.judging.scoring import match, score
from competition.judging.submission import check_submission
from competition.score import main

NUM_ROWS = 40
pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def toy(toy_challenge, tmp_path: Path) -> Challenge:
    """A challenge whose test rows are by turns two public and two private, in pairs."""
    return open_challenge(toy_challenge(tmp_path / "data" / "toy", num_test=NUM_ROWS))


def predict(seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=NUM_ROWS)
    return pd.DataFrame({"id": [f"test{i}" for i in range(NUM_ROWS)], "expression": values})


def scored(home: Path, file: str, *more: str) -> int:
    folders = [f"--{name}={home / name}" for name in ("data", "submissions")]
    return main([str(home / file), "--challenge", "toy", *folders, *more])


def write_json(path: Path, frame: pd.DataFrame) -> bytes:
    path.write_text(json.dumps(dict(zip(frame.id, frame.expression, strict=True))))
    return path.read_bytes()


def part(frame: pd.DataFrame, usage: str) -> pd.DataFrame:
    return frame[(np.arange(NUM_ROWS) % 4 < 2) == (usage == "public")]


# From outside


def test_predictions_from_outside_become_a_scored_submission_on_the_board(toy, tmp_path):
    before = write_json(tmp_path / "theirs.json", predict())
    assert scored(tmp_path, "theirs.json", "--record", "--as", "Peppa") == 0
    (row,) = read_board(tmp_path / "submissions" / "toy").rows
    manifest = row.manifest
    assert (row.tier, manifest.solution, manifest.kind, manifest.versions) == (1, "Peppa", "solution", {})
    assert manifest.scores == score(toy, predict()) and manifest.private_evaluations == 1
    assert "Peppa" in (tmp_path / "submissions" / "LEADERBOARD.md").read_text()
    written = tmp_path / "submissions" / "toy" / f"Peppa-{manifest.run}.csv"
    assert check_submission(written, toy) == []
    assert (tmp_path / "theirs.json").read_bytes() == before


def test_a_leak_of_the_test_set_marks_predictions_from_outside(tmp_path):
    folder = tmp_path / "data" / "leaky"
    tokens = np.random.default_rng(0).integers(0, 4, (NUM_ROWS, 60)).astype(np.uint8)
    with create_challenge(
        folder, Declaration("leaky", (Target("expression"),), (Score.of("mse"),))
    ) as writer:
        writer.train.append(tokens, np.full(NUM_ROWS, 60), target=tokens.mean(1))
        writer.test.append(tokens[:9], np.full(9, 60))
    predict()[:9].assign(id=range(9)).to_csv(tmp_path / "theirs.csv", index=False)
    entry = read_entry(tmp_path / "theirs.csv", open_challenge(folder), "Peppa", tmp_path / "submissions")
    [warning] = entry.manifest.warnings
    assert warning.startswith("9 of 9 test rows share a homology cluster with rows in training")


def test_the_same_predictions_of_a_team_are_one_row_in_whatever_form_they_come(tmp_path):
    write_json(tmp_path / "a.json", predict())
    predict()[::-1].to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    write_json(tmp_path / "other.json", predict(seed=1))
    assert scored(tmp_path, "a.json") == 0
    for file, team in (("a.json", "one"), ("b.tsv", "one"), ("other.json", "one"), ("a.json", "two")):
        assert scored(tmp_path, file, "--record", "--as", team) == 0
    rows = read_board(tmp_path / "submissions" / "toy").rows
    assert sorted(row.manifest.solution for row in rows) == ["one", "one", "two"]
    assert max(row.manifest.private_evaluations for row in rows) == 2  # the same predictions count once


@pytest.mark.parametrize("team", ["", ".", "../up", "a/b", "a b", "-a", ".hidden", "a\n", "x" * 65, "é|"])
def test_a_team_is_called_by_a_name_that_is_safe_for_a_file(tmp_path, capsys, team):
    write_json(tmp_path / "a.json", predict())
    assert scored(tmp_path, "a.json", "--record", f"--as={team}") == 2
    assert "wanted letters, digits" in capsys.readouterr().err
    assert not (tmp_path / "submissions").exists()


@pytest.mark.parametrize("name", ["a.json", "b.csv"])
def test_a_record_without_a_manifest_names_how_to_make_one(tmp_path, capsys, name):
    write_json(tmp_path / "a.json", predict())
    predict().to_csv(tmp_path / "b.csv", index=False)
    assert scored(tmp_path, name, "--record") == 2
    assert f"{name} has no manifest" in (said := capsys.readouterr().err) and "--as TEAM" in said


def test_a_record_of_a_file_with_a_manifest_is_written_there(tmp_path):
    write_json(tmp_path / "a.json", predict())
    assert scored(tmp_path, "a.json", "--record", "--as", "one") == 0
    (path,) = (tmp_path / "submissions" / "toy").glob("*.csv")
    before = read_manifest(path.with_suffix(".json"))
    path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace("pearson", "other"))
    assert main([str(path), f"--data={tmp_path / 'data'}", "--record"]) == 0
    assert read_manifest(path.with_suffix(".json")).scores == before.scores


@pytest.mark.parametrize("more", [("--record", "--usage", "public"), ("--usage", "private"), ()])
def test_what_is_no_whole_record_is_refused(tmp_path, capsys, more):
    write_json(tmp_path / "a.json", predict())
    assert scored(tmp_path, "a.json", "--as", "one", *more) == 2
    assert "wanted --record [--as TEAM]" in capsys.readouterr().err


def test_a_part_of_the_rows_is_no_submission(tmp_path, capsys):
    write_json(tmp_path / "a.json", part(predict(), "public"))
    assert scored(tmp_path, "a.json", "--record", "--as", "one") == 2
    assert "20 missing ids" in capsys.readouterr().err
    assert not (tmp_path / "submissions").exists()


# A part of the answers


@pytest.mark.parametrize("usage", ["public", "private"])
def test_a_part_is_scored_as_the_whole_is_on_it(toy, tmp_path, capsys, usage):
    write_json(tmp_path / "a.json", part(predict(), usage))
    assert scored(tmp_path, "a.json", "--usage", usage, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"] == {usage: score(toy, predict())[usage]}
    assert list(found["intervals"]) == [usage]


def test_public_scores_are_no_look_at_the_private_answers(toy, tmp_path):
    write_json(tmp_path / "a.json", predict())
    assert scored(tmp_path, "a.json", "--usage", "public") == 0
    assert not (toy.folder / "private" / "evaluations.log").exists()
    assert scored(tmp_path, "a.json", "--usage", "private") == 0
    assert len((toy.folder / "private" / "evaluations.log").read_text().splitlines()) == 1


def test_a_file_without_private_rows_is_told_of_the_option(tmp_path, capsys):
    write_json(tmp_path / "a.json", part(predict(), "public"))
    assert scored(tmp_path, "a.json") == 2
    assert "20 missing ids (test2, test3, test6, ...); every public row is there: --usage public" in (
        capsys.readouterr().err
    )
    for rows in (part(predict(), "public")[1:], part(predict(), "private")):
        write_json(tmp_path / "b.json", rows)
        assert scored(tmp_path, "b.json") == 2
        assert "--usage" not in capsys.readouterr().err


def test_every_public_row_must_be_there(tmp_path, capsys):
    write_json(tmp_path / "a.json", part(predict(), "public")[1:])
    assert scored(tmp_path, "a.json", "--usage", "public") == 2
    assert "1 missing id (test0)" in capsys.readouterr().err


def test_a_part_needs_the_references_of_its_pairs(toy):
    answers, predictions = read_answers(toy), part(predict(), "private")
    assert np.isnan(match(answers, predictions, "private")).sum() == NUM_ROWS / 2
    pairs = answers.subsets["variants"]
    mixed = Subset(pairs.rows, np.roll(pairs.references, 1), np.zeros_like(pairs.public))
    with pytest.raises(InputError, match="20 missing ids"):
        match(replace(answers, subsets={**answers.subsets, "variants": mixed}), predictions, "private")


def test_two_parts_are_compared_on_their_rows(toy, tmp_path, capsys):
    write_json(tmp_path / "a.json", part(predict(), "public"))
    write_json(tmp_path / "b.json", predict(seed=1))
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--challenge", str(toy.folder)]
    assert compare.main([*files, "--usage", "public"]) == 0
    assert f"{score(toy, predict())['public']['pearson']:.4f}" in capsys.readouterr().out
    assert compare.main([*files, "--usage", "private"]) == 2
    assert "--usage public" in capsys.readouterr().err


# Nothing to score by


@pytest.mark.parametrize("more", [(), ("--record", "--as", "one")])
def test_where_the_answers_are_elsewhere_it_is_said_who_can_score(toy, tmp_path, capsys, more):
    write_json(tmp_path / "a.json", predict())
    (toy.folder / "private").rename(tmp_path / "elsewhere")
    assert scored(tmp_path, "a.json", *more) == 2
    said = capsys.readouterr().err
    assert "only the organiser scores" in said and "competition.submission check" in said
    assert not has_answers(toy) and not (tmp_path / "submissions").exists()


def test_a_challenge_without_a_test_set_has_nothing_to_score(toy_challenge, tmp_path, capsys):
    folder = toy_challenge(tmp_path / "untested", num_test=0)
    write_json(tmp_path / "a.json", predict())
    path = str(tmp_path / "a.json")
    for program, files in ((main, [path]), (compare.main, [path, path])):
        assert program([*files, "--challenge", str(folder)]) == 2
        assert capsys.readouterr().err == "error: challenge 'toy' has no test set: nothing to score\n"
