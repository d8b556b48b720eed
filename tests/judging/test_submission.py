"""A submission is exact, atomic and never replaced; a bad one is refused with every reason at once."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.base.errors import InputError
from competition.base.files import locked
from competition.data.challenge import Challenge, open_challenge
from competition.data.challenge import test_ids as ids_of_test
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.judging.manifest import (
    Manifest,
    declare,
    read_manifest,
    to_json,
    update_manifest,
    write_manifest,
)
from competition.judging.record import score_submission
from competition.judging.scoring import score
from competition.judging.submission import (
    check_submission,
    prepare_submission,
    read_submission,
    write_submission,
)
from competition.submission import main

REPOSITORY = Path(__file__).parents[2]
NUM_ROWS = 50
SCORES = (Score("pearson", "pearson", "maximize", -1, 1, unit="r"),)
IDS = [f"{i:03d}" for i in range(NUM_ROWS)]


def build(folder: Path, *targets: str) -> Challenge:
    challenge = Declaration("toy", tuple(map(Target, targets)), SCORES, ceiling={"pearson": 0.9})
    tokens = np.random.default_rng(0).integers(0, 4, (NUM_ROWS, 8)).astype(np.uint8)
    values = np.random.default_rng(1).normal(size=(NUM_ROWS, len(targets)))
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens, np.full(NUM_ROWS, 8), target=values)
        writer.test.append(tokens, np.full(NUM_ROWS, 8), rows={"id": IDS})
        columns = {name: values[:, i] for i, name in enumerate(targets)}
        writer.write_answers(pd.DataFrame({"id": IDS, **columns, "usage": "private"}))
    return open_challenge(folder)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Challenge:
    return build(tmp_path_factory.mktemp("data") / "toy", "expression")


def predict(num_targets: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(11, 3, (NUM_ROWS, num_targets)).astype(np.float32)


def manifest(**fields: object) -> Manifest:
    required = {
        "challenge": "toy",
        "challenge_digest": "d",
        "solution": "small",
        "run": "one",
        "created": "2030-01-01",
    }
    return Manifest(**{**required, **fields})


def write(path: Path, predictions: np.ndarray | None = None, **fields: object) -> Manifest:
    predictions = predict() if predictions is None else predictions
    submission = prepare_submission(path, IDS, predictions, ["expression"], manifest(**fields))
    write_submission(submission)
    return submission.manifest


# Writing


def test_a_submission_reads_back_to_the_same_float32_bits(tmp_path, toy):
    write(tmp_path / "a.csv")
    np.testing.assert_array_equal(read_submission(tmp_path / "a.csv", toy).astype(np.float32), predict())


def test_a_submission_of_several_targets_reads_back(tmp_path):
    opened = build(tmp_path / "toy", "yeast", "human")
    write_submission(prepare_submission(tmp_path / "a.csv", IDS, predict(2), ["yeast", "human"], manifest()))
    np.testing.assert_array_equal(read_submission(tmp_path / "a.csv", opened).astype("f4"), predict(2))


def test_a_submission_looks_like_the_sample_submission(tmp_path, toy):
    write(tmp_path / "a.csv")
    written = (tmp_path / "a.csv").read_bytes()
    sample = (toy.folder / "public" / "sample_submission.csv").read_bytes()
    assert b"\r" not in written and written.endswith(b"\n")
    ids = [[line.split(b",")[0] for line in text.splitlines()] for text in (written, sample)]
    assert ids[0] == ids[1]


def test_a_manifest_holds_the_digest_of_its_csv(tmp_path):
    returned = write(tmp_path / "a.csv", seed=3)
    assert returned == read_manifest(tmp_path / "a.json")
    assert returned.csv_sha256 == hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()


def test_a_constant_is_written_as_collapsed_with_the_reason(tmp_path):
    written = write(tmp_path / "a.csv", np.full((NUM_ROWS, 1), 11.1))
    assert written.collapsed == "expression is 11.1 in all 50 rows: a constant says nothing about any row"
    assert write(tmp_path / "b.csv").collapsed is None
    assert write(tmp_path / "c.csv", collapsed="diverged").collapsed == "diverged"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_not_written(tmp_path, bad):
    predictions = predict()
    predictions[7] = bad
    with pytest.raises(InputError, match=r"a\.csv was not written: expression is .* in 1 row \(row 7"):
        write(tmp_path / "a.csv", predictions)
    assert not list(tmp_path.iterdir())


def test_a_submission_is_never_replaced_by_another(tmp_path):
    write(tmp_path / "a.csv")
    before = (tmp_path / "a.csv").read_bytes()
    write(tmp_path / "a.csv")  # the same run, finished twice
    with pytest.raises(InputError, match="exists already with other predictions"):
        write(tmp_path / "a.csv", predict(seed=1))
    assert (tmp_path / "a.csv").read_bytes() == before


WRITER = """
import sys, numpy as np
from pathlib import Path
from competition.base.errors import InputError
from competition.judging.manifest import Manifest
from competition.judging.submission import prepare_submission, write_submission
me, folder = int(sys.argv[1]), Path(sys.argv[2])
ids, predictions = [str(i) for i in range(500)], np.random.default_rng(me).normal(size=(500, 1))
for turn in range(10):
    manifest = Manifest("toy", "d", f"writer{me}", str(turn), "2030-01-01")
    for name in (me, "shared"):
        try:
            path = folder / f"{name}-{turn}.csv"
            write_submission(prepare_submission(path, ids, predictions, ["expression"], manifest))
        except InputError:
            assert name == "shared"
"""


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, str(me), str(tmp_path)], cwd=REPOSITORY) for me in (1, 2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 2 * (2 * 10 + 10)
    for path in tmp_path.glob("*.csv"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert read_manifest(path.with_suffix(".json")).csv_sha256 == digest


# The manifest


def test_a_manifest_survives_json_with_every_field_and_unknown_key(tmp_path):
    full = manifest(
        kind="ensemble", seed=1, config={"window": [0, 112], "x": None}, oof={"pearson": 1 / 3},
        fold_scores={"pearson": [0.1, 0.2]}, scores={"all": {"pearson": 0.1 + 0.2}}, train_seconds=1.5,
        weights={"fold0/weights.safetensors": "abc"}, extra={"from_the_future": [1, {"a": 2}]},
    )  # fmt: skip
    write_manifest(tmp_path / "a.csv", full)
    assert read_manifest(tmp_path / "a.json") == full
    assert json.loads((tmp_path / "a.json").read_text())["from_the_future"] == [1, {"a": 2}]


def test_a_manifest_takes_what_a_config_and_numpy_bring(tmp_path):
    config = {"rate": np.float32(0.5), "limit": float("inf"), "path": Path("x"), "window": (0, 112)}
    write_manifest(tmp_path / "a.csv", manifest(config=config, oof={"pearson": np.float64(0.25)}))
    found = read_manifest(tmp_path / "a.json")
    assert found.config == {"rate": 0.5, "limit": "inf", "path": "x", "window": [0, 112]}
    assert found.oof == {"pearson": 0.25}


def test_a_score_that_is_not_finite_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(manifest(oof={"pearson": float("nan")}))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"solution": None}, "solution is None"),
        ({"seed": True}, "seed is True"),
        ({"scores": {"all": {"pearson": "0.9"}}}, "scores is {'all'"),
        ({"scores": {"all": 0.9}}, "scores is {'all'"),
        ({"fold_scores": {"pearson": 0.9}}, "fold_scores is {'pearson'"),
        ({"kind": "winner"}, "kind is 'winner'; wanted solution, control, ensemble"),
        ({"scores": {"all": {"pearson": float("nan")}}}, "NaN is not a score"),
    ],
)
def test_a_manifest_with_a_wrong_value_is_refused(tmp_path, change, complaint):
    document = json.loads(to_json(manifest()))
    (tmp_path / "a.json").write_text(json.dumps(document | change))
    with pytest.raises(InputError, match=f"a.json is not a manifest: .*{complaint}"):
        read_manifest(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"challenge": "toy"}', "\x00\xff", "[" * 50_000])
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="is not a manifest"):
        read_manifest(tmp_path / "a.json")


def test_an_unknown_kind_is_refused_in_code_too():
    with pytest.raises(InputError, match="did you mean 'control'"):
        manifest(kind="controls")


def test_updates_at_once_keep_each_others_fields(tmp_path):
    write(tmp_path / "a.csv", extra={"future": 1})
    changes = [{"notes": "n"}, {"scores": {"all": {"pearson": 0.5}}}, {"device": "cpu"}, {"seed": 7}] * 5
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda change: update_manifest(tmp_path / "a.csv", **change), changes))
    found = read_manifest(tmp_path / "a.json")
    assert (found.notes, found.device, found.seed, found.extra) == ("n", "cpu", 7, {"future": 1})
    assert found.scores == {"all": {"pearson": 0.5}}


def test_a_lock_leaves_nothing_behind_and_opens_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path):
            raise KeyError
    assert not list(tmp_path.iterdir())


def test_what_a_board_needs_of_a_challenge_is_declared(toy):
    score = {"name": "pearson", "metric": "pearson", "direction": "maximize", "unit": "r", "subset": "all"}
    known = {
        "scores": [score],
        "ceiling": {"pearson": 0.9},
        "ensembles": True,
        "tie_break": "",
        "tie_bayes_factor": None,
    }
    assert declare(toy.declaration) == known


# Scoring a submission


def test_the_scorer_writes_the_scores_into_the_manifest(tmp_path, toy):
    write(tmp_path / "a.csv", challenge_digest=toy.digest)
    found = score_submission(tmp_path / "a.csv", toy)
    frame = pd.DataFrame({"id": IDS, "expression": predict()[:, 0]})
    scored = read_manifest(tmp_path / "a.json")
    assert (scored.scores, scored.intervals) == (found.report.scores, found.intervals)
    assert scored.scores["private"] == pytest.approx(score(toy, frame)["private"], rel=1e-6)


def test_a_file_that_changed_after_it_was_submitted_is_not_scored(tmp_path, toy):
    write(tmp_path / "a.csv", challenge_digest=toy.digest)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="not the file that its manifest describes"):
        score_submission(tmp_path / "a.csv", toy)


def test_a_submission_to_another_challenge_is_not_scored(tmp_path, toy):
    write(tmp_path / "a.csv", challenge="other")
    with pytest.raises(InputError, match="of challenge 'other'; wanted 'toy'"):
        score_submission(tmp_path / "a.csv", toy)


def test_a_submission_is_scored_after_the_declaration_was_edited(tmp_path, toy):
    write(tmp_path / "a.csv", challenge_digest="before", declared={"scores": []})
    write(tmp_path / "b.csv", challenge_digest=toy.digest)
    for name in "ab":
        score_submission(tmp_path / f"{name}.csv", toy)
    before, now = (read_manifest(tmp_path / f"{name}.json") for name in "ab")
    assert before.answers_digest == now.answers_digest != ""
    assert before.declared == now.declared == declare(toy.declaration)


def test_a_collapsed_submission_is_not_scored(tmp_path, toy):
    write(tmp_path / "a.csv", np.ones((NUM_ROWS, 1)), challenge_digest=toy.digest)
    with pytest.raises(InputError, match="a constant says nothing"):
        score_submission(tmp_path / "a.csv", toy)
    assert read_manifest(tmp_path / "a.json").scores == {}


# Checking


def good() -> pd.DataFrame:
    return pd.DataFrame({"id": IDS, "expression": predict()[:, 0]})


def text(frame: pd.DataFrame, **cells: str) -> pd.DataFrame:
    """The frame as text with some cells replaced: text(frame, r7="oops") changes row 7."""
    frame = frame.astype({"expression": str})
    for row, value in cells.items():
        frame.loc[int(row[1:]), "expression"] = value
    return frame


def test_a_good_submission_has_no_problem_in_any_order(toy):
    assert check_submission(good(), toy) == []
    assert check_submission(good().sample(frac=1, random_state=0)[["expression", "id"]], toy) == []


BAD = {
    "missing": (good().drop(index=[3, 7]), ["2 missing ids (003, 007)"]),
    "unknown": (pd.concat([good(), good().tail(1).assign(id="x")]), ["1 unknown id (x)"]),
    "duplicate": (pd.concat([good(), good().head(4)]), ["4 duplicate ids (000, 001, 002, ...)"]),
    "numbers for ids": (good().assign(id=range(NUM_ROWS)), ["50 missing ids (000,", "50 unknown ids (0,"]),
    "nan": (text(good(), r3="nan"), ["is empty or NaN in 1 row (row 3: 'nan')"]),
    "empty": (text(good(), r3="", r4=" "), ["is empty or NaN in 2 rows"]),
    "infinite": (text(good(), r3="-inf", r4="1e999"), ["infinite in 2 rows (row 3: '-inf', row 4: '1e999')"]),
    "text": (text(good(), r3="high", r9="1,5"), ["not a number in 2 rows (row 3: 'high', row 9: '1,5')"]),
    "constant": (good().assign(expression=11.1), ["a constant says nothing about any row"]),
    "column": (
        good().rename(columns={"expression": "Expresion"}).assign(weight=1),
        ["did you mean 'Expresion'?"],
    ),
    "id column": (good().rename(columns={"id": "ID"}), ["column 'id' is missing; did you mean 'ID'?"]),
    "extra column": (
        good().assign(weight=1),
        ["unknown column (weight)", "wanted the columns id,expression"],
    ),
    "no rows": (good().head(0), ["there are no rows"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_submission_is_refused_with_its_reason(tmp_path, toy, name):
    frame, reasons = BAD[name]
    problems = check_submission(frame, toy)
    assert all(any(reason in problem for problem in problems) for reason in reasons), problems
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=r"a\.csv was refused: "):
        read_submission(tmp_path / "a.csv", toy)


def test_every_problem_is_listed_at_once(toy):
    frame = pd.concat([text(good(), r3="high", r4="", r5="inf").drop(index=7), good().tail(2)])
    problems = "; ".join(check_submission(frame.assign(id=frame.id.replace("010", "x"), note=1), toy))
    for part in ("unknown column (note)", "duplicate ids (048", "missing ids (007, 010)", "unknown id (x)"):
        assert part in problems
    for part in ("not a number in 1 row", "empty or NaN in 1 row", "infinite in 1 row"):
        assert part in problems


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cannot be read as a table"),
        (b"id,expression\n1,2\n3,4,5\n", "cannot be read as a table"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "cannot be read as a table"),
        (b"id;expression\n1;2\n", "column 'id' is missing"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, toy, content, complaint):
    (tmp_path / "a.csv").write_bytes(content)
    assert complaint in check_submission(tmp_path / "a.csv", toy)[0]


def test_a_file_that_is_not_there_is_a_problem(tmp_path, toy):
    assert "does not exist" in check_submission(tmp_path / "a.csv", toy)[0]


def test_ids_stay_text_and_digits_stay_exact(tmp_path, toy):
    frame = good().assign(expression=good().expression.astype(float) + 1e-9)
    frame.to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(read_submission(tmp_path / "a.csv", toy)[:, 0], frame["expression"])


def test_a_challenge_without_a_test_set_has_nothing_to_submit(toy):
    with pytest.raises(InputError, match="has no test set"):
        ids_of_test(toy._replace(test=None))


def test_the_command_line_lists_the_problems_and_exits_with_1(tmp_path, toy, capsys):
    good().drop(index=3).assign(expression=1).to_csv(tmp_path / "a.csv", index=False)
    arguments = ["check", str(tmp_path / "a.csv"), "--challenge", str(toy.folder)]
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("refused: 2 problems")
    good().to_csv(tmp_path / "a.csv", index=False)
    assert main(arguments) == 0
    assert main([*arguments[:-1], "nowhere"]) == 2
