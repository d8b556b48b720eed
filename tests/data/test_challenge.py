"""A challenge folder is complete or absent, says what it is, and notices when it was changed."""

import hashlib
import resource
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.base.errors import InputError
from competition.data.challenge import open_challenge
from competition.data.challenge_toml import from_toml, to_toml
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.find import find_challenge
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from competition.metrics.registry import METRICS

SCORE = Score.of("pearson")


def declare(**declared) -> Declaration:
    return Declaration(**{"name": "toy", "targets": (Target("y", "bins"),), "scores": (SCORE,), **declared})


def fill(writer, sequences=("ACGT", "GG"), **columns) -> None:
    tokens, lengths = encode(list(sequences))
    writer.train.append(tokens, lengths, **{"target": np.arange(len(sequences), dtype=float), **columns})


def contents(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_challenge_comes_back_as_it_was_written(tmp_path):
    declared = declare(
        inputs={"mark": (2, 3)},
        sequences=(InputSequence(left_flank="ACG", origin=2),),
        ensembles=False,
        ceiling={"pearson": 0.9},
    )
    mark = np.arange(12, dtype=float).reshape(2, 2, 3)
    with create_challenge(tmp_path / "toy", declared) as writer:
        fill(writer, inputs={"mark": mark}, rows={"id": ["a", "b"], "group": ["g", "h"]})
        writer.test.append(*encode(["TTTT"]), inputs={"mark": mark[:1]})
    opened = open_challenge(tmp_path / "toy")
    whole = tuple(replace(each, window=(-2, 2)) for each in declared.sequences)
    assert replace(opened.declaration, files={}) == replace(declared, sequences=whole)
    np.testing.assert_array_equal(opened.train.inputs["mark"], mark)
    np.testing.assert_array_equal(opened.train.target, [[0], [1]])
    assert opened.train.rows["group"].to_list() == ["g", "h"]
    assert opened.test.rows["id"].to_list() == ["0"]
    assert opened.test.target is None


def test_the_sample_submission_has_every_test_id_and_target(tmp_path):
    with create_challenge(tmp_path / "toy", declare(targets=(Target("y"), Target("z")))) as writer:
        fill(writer, target=np.zeros((2, 2)))
        writer.test.append(*encode(["A", "C"]), rows={"id": ["x", "NA"]})
    sample = pd.read_csv(tmp_path / "toy/public/sample_submission.csv", dtype=str, keep_default_na=False)
    assert sample.to_dict("list") == {"id": ["x", "NA"], "y": ["0.0", "0.0"], "z": ["0.0", "0.0"]}


def test_a_challenge_may_have_no_test_rows(toy_challenge, tmp_path):
    folder = toy_challenge(tmp_path / "toy", num_test=0)
    assert open_challenge(folder).test is None
    assert not (folder / "public/sample_submission.csv").exists()


def test_answers_and_other_tables_are_private_and_the_rest_is_public(toy_challenge, tmp_path):
    folder = toy_challenge(tmp_path / "toy", num_groups=3, inputs={"mark": (2,)})
    private = {p.name for p in (folder / "private").iterdir()}
    assert private == {"answers.csv", "subsets.csv", "checksums.toml"}
    listed = open_challenge(folder).declaration.files
    found = {str(p.relative_to(folder / "public")) for p in (folder / "public").rglob("*.*")}
    assert set(listed) == found - {"challenge.toml"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / "public" / name).read_bytes()).hexdigest() == digest
    assert not any("answers" in name or name == "test/target.npy" for name in found)


def test_the_same_rows_give_the_same_bytes(toy_challenge, tmp_path):
    one, two = (contents(toy_challenge(tmp_path / name, num_groups=3)) for name in ("one", "two"))
    assert one == two


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("error", [Interrupted(), OSError(28, "No space left on device")])
def test_a_challenge_that_is_not_finished_leaves_nothing_behind(tmp_path, error):
    with (
        pytest.raises((Interrupted, InputError)),
        create_challenge(tmp_path / "data/toy", declare()) as writer,
    ):
        fill(writer)
        raise error
    assert not list((tmp_path / "data").iterdir())


def test_a_full_disk_is_one_clear_error(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # no file may be longer
    try:
        with (
            pytest.raises(InputError, match=r"toy could not be written: .*File too large"),
            create_challenge(tmp_path / "toy", declare()) as writer,
        ):
            fill(writer, ["ACGT" * 100] * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_an_existing_challenge_stays_unless_it_is_to_be_replaced(toy_challenge, tmp_path):
    folder = toy_challenge(tmp_path / "toy")
    before = contents(folder)
    with pytest.raises(InputError, match=r"toy exists already; wanted a new folder, or --overwrite"):
        toy_challenge(folder, seed=1)
    with pytest.raises(Interrupted), create_challenge(folder, declare(), overwrite=True):
        raise Interrupted
    assert contents(folder) == before
    with create_challenge(folder, declare(), overwrite=True) as writer:
        fill(writer)
    assert len(open_challenge(folder).train) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_folder_that_is_no_challenge_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years")
    with (
        pytest.raises(InputError, match="home is not a challenge, so it is not replaced"),
        create_challenge(tmp_path / "home", declare(), overwrite=True) as writer,
    ):
        fill(writer)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize(
    "name", ["train/target.npy", "test/sequence.npy", "train/rows.csv", "sample_submission.csv"]
)
def test_a_changed_file_is_named_and_so_is_a_missing_one(toy_challenge, tmp_path, name):
    path = toy_challenge(tmp_path / "toy") / "public" / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=rf"{name} has changed since the challenge was built: sha256 \w+.*wanted"
    ):
        open_challenge(tmp_path / "toy")
    open_challenge(tmp_path / "toy", verify=False)
    path.unlink()
    with pytest.raises(InputError, match=rf"{name} is missing; build the challenge again"):
        open_challenge(tmp_path / "toy", verify=False)


def test_a_folder_without_a_whole_declaration_is_no_challenge(toy_challenge, tmp_path):
    declaration = toy_challenge(tmp_path / "toy") / "public/challenge.toml"
    declaration.write_text(to_toml(declare()))
    with pytest.raises(InputError, match="lists no files; build the challenge again"):
        open_challenge(tmp_path / "toy")
    declaration.unlink()
    with pytest.raises(InputError, match=r"toy is not a challenge: it has no public/challenge\.toml"):
        open_challenge(tmp_path / "toy")


def test_the_digest_of_the_training_rows_follows_them_alone(toy_challenge, tmp_path):
    changes = ({}, {"source": "edited", "ceiling": {"pearson": 0.9}}, {"num_test": 8}, {"num_train": 32})
    paths = [toy_challenge(tmp_path / str(i), **each) for i, each in enumerate(changes)]
    plain, edited, tested, trained = (open_challenge(path).declaration.train_digest for path in paths)
    assert plain == edited == tested != trained


def test_the_digest_tells_two_builds_apart(toy_challenge, tmp_path):
    digests = [open_challenge(toy_challenge(tmp_path / str(seed), seed=seed)).digest for seed in (0, 1)]
    digests.append(open_challenge(toy_challenge(tmp_path / "again", seed=0)).digest)
    assert digests[0] == digests[2] != digests[1]


def test_training_rows_need_targets_and_test_rows_must_not_bring_them(tmp_path):
    with (
        pytest.raises(InputError, match="train: no targets"),
        create_challenge(tmp_path / "toy", declare()) as writer,
    ):
        writer.train.append(*encode(["ACGT"]))
    with (
        pytest.raises(InputError, match="test: the rows bring targets"),
        create_challenge(tmp_path / "toy", declare()) as writer,
    ):
        fill(writer)
        writer.test.append(*encode(["ACGT"]), target=np.zeros(1))


def test_a_part_without_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="train: no rows"), create_challenge(tmp_path / "toy", declare()):
        pass
    with (
        pytest.raises(InputError, match="test: no rows"),
        create_challenge(tmp_path / "toy", declare()) as writer,
    ):
        fill(writer)
        assert writer.test.num_rows == 0


def test_private_tables_have_the_declared_columns(tmp_path):
    for name, frame in (("answers", {"id": [], "y": []}), ("subsets", {"subset": [], "id": []})):
        with pytest.raises(AssertionError), create_challenge(tmp_path / "toy", declare()) as writer:
            getattr(writer, f"write_{name}")(pd.DataFrame(frame))


def test_an_unknown_challenge_is_named_beside_those_there_are(toy_challenge, tmp_path):
    toy_challenge(tmp_path / "toy")
    with pytest.raises(InputError, match=r"no challenge 'tyo'.*promoters, toy"):
        find_challenge("tyo", tmp_path)


# The declaration


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "pearsn"}, r"unknown metric 'pearsn'; did you mean 'pearson'\?"),
        ({"metric": "rmse"}, "unknown metric 'rmse'"),
        ({"direction": "up"}, "score 'pearson' has direction 'up'; wanted maximize or minimize"),
        ({"subset": "hihg"}, r"unknown subset 'hihg'; did you mean 'high'\?"),
        ({"weights": {"all": 1.0, "lov": 2.0}}, "did you mean 'low'"),
    ],
)
def test_a_score_that_cannot_be_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        declare(scores=(replace(SCORE, **changes),), subsets={"high": "rows", "low": "rows"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targets": ()}, "challenge 'toy' has no targets; wanted at least one"),
        ({"scores": ()}, "has no scores; wanted at least one"),
        ({"subsets": {"snv": "couples"}}, "subset 'snv' is of kind 'couples'; wanted rows or pairs"),
        ({"targets": (Target("y"), Target("y"))}, "targets are called y, y; wanted each name once"),
        ({"scores": (SCORE, SCORE)}, "scores are called pearson, pearson; wanted each name once"),
        ({"tie_break": "spearmn"}, "unknown score for tie_break 'spearmn'"),
        ({"tie_bayes_factor": 0.5}, "tie_bayes_factor is 0.5; wanted a number from 1"),
        ({"tie_bayes_factor": "3"}, "tie_bayes_factor is '3'; wanted a number from 1"),
        ({"tie_bayes_factor": float("nan")}, "tie_bayes_factor is nan; wanted a number from 1"),
        ({"inputs": {"target": (1,)}}, "an input cannot be called 'target'"),
        ({"inputs": {"sequence": (1,)}}, "an input cannot be called 'sequence'"),
        ({"inputs": {"half-life": (1,)}}, "an input cannot be called 'half-life'"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        declare(**changes)


NAMES = st.text("abcß ", min_size=1, max_size=6)
NUMBERS = st.floats(allow_nan=False)
SHAPES = st.lists(st.integers(1, 9), max_size=3).map(tuple)
SUBSETS = st.dictionaries(NAMES, st.sampled_from(["rows", "pairs"]), max_size=3)


FLANKS = st.text("ACGT", max_size=4)
WINDOWS = st.none() | st.tuples(st.integers(-9, 0), st.integers(1, 9))
SEQUENCES = st.builds(
    InputSequence,
    st.just("sequence") | st.text("xyz", min_size=1),
    st.integers(0, 99),
    FLANKS,
    FLANKS,
    WINDOWS,
)


@st.composite
def challenges(draw) -> Declaration:
    subsets = draw(SUBSETS)
    known = st.sampled_from(["all", *subsets])
    scores = st.builds(
        Score, NAMES, st.sampled_from(list(METRICS)), st.sampled_from(["maximize", "minimize"]),
        NUMBERS, NUMBERS, unit=NAMES, subset=known, weights=st.dictionaries(known, NUMBERS, max_size=2),
    )  # fmt: skip
    targets = st.builds(Target, NAMES, st.text(max_size=4))
    chosen = draw(st.lists(scores, min_size=1, max_size=3, unique_by=lambda score: score.name))
    return Declaration(
        draw(NAMES),
        tuple(draw(st.lists(targets, min_size=1, max_size=3, unique_by=lambda target: target.name))),
        tuple(chosen), tie_break=draw(st.sampled_from(["", *(score.name for score in chosen)])),
        title=draw(st.text(max_size=10)), source=draw(st.text(max_size=10)), 
        sequences=tuple(draw(st.lists(SEQUENCES, min_size=1, max_size=3, unique_by=lambda each: each.name))),
        inputs=draw(st.dictionaries(st.text("abc", min_size=1), SHAPES, max_size=3)),
        subsets=subsets, ensembles=draw(st.booleans()), near_duplicates=draw(st.booleans()),
        row_weights=draw(st.booleans()),
        ceiling=draw(st.dictionaries(NAMES, NUMBERS, max_size=2)),
        tie_bayes_factor=draw(st.none() | st.floats(1, 1e6)),
        files=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
    )  # fmt: skip


@given(challenges())
def test_a_declaration_survives_a_round_trip(tmp_path_factory, challenge):
    path = tmp_path_factory.getbasetemp() / "challenge.toml"
    path.write_text(to_toml(challenge), encoding="utf-8")
    assert from_toml(path) == challenge


GOOD = """name = "x"
origin = 3
[[targets]]
name = "y"
[[scores]]
name = "a"
metric = "mse"
direction = "minimize"
low = 0
high = inf
[rules]
ensembles = false
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("origin", "orgin", r"unknown key in .*challenge\.toml 'orgin'; did you mean 'origin'\?"),
        ("metric", "metrics", r"'metrics'; did you mean 'metric'\?"),
        ("ensembles", "ensmbles", r"'ensmbles'; did you mean 'ensembles'\?"),
        ('name = "x"', "", r"challenge\.toml: a declaration has no 'name'"),
        ("low = 0", "", r"challenge\.toml: a score has no 'low'"),
        ('[[targets]]\nname = "y"', "", "challenge 'x' has no targets"),
        ("origin = 3", "inputs = 3", "is not a declaration of a challenge"),
        ('[[targets]]\nname = "y"', "targets = 3", "is not a declaration of a challenge"),
        ("origin = 3", "origin = ", "is not valid TOML"),
    ],
)
def test_a_malformed_declaration_is_refused_with_its_place(tmp_path, old, new, words):
    path = tmp_path / "challenge.toml"
    path.write_text(GOOD)
    assert from_toml(path).ensembles is False
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=words):
        from_toml(path)
