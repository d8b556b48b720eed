"""A row may have several sequences: each has files, flanks and homologs of its own."""

import numpy as np
import pytest

from competition.base.errors import InputError
from competition.data.challenge import open_challenge
from competition.data.challenge import test_sequences as sequences_of_test_rows
from competition.data.challenge_toml import from_toml, to_toml
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.folds import fold_table
from competition.data.homology import homologous_rows
from competition.data.leaks import leaks
from competition.data.store import Store
from competition.data.store_writer import StoreWriter
from competition.data.tokens import decode, encode, reverse_complement
from competition.data.writer import create_challenge

BOTH = (InputSequence("promoter"), InputSequence("terminator"))
FLANK = "TGCATTTTTTTCACATCAGCAGTGACAT"


def declare(**declared) -> Declaration:
    return Declaration("toy", (Target("y"),), (Score.of("mse"),), **{"sequences": BOTH, **declared})


def random_tokens(count: int, seed: int, length: int = 70) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, length)).astype(np.uint8)


def build(folder, train, test=None, **declared):
    """Build a challenge of rows whose tokens (N, L) are given by name, or alone."""
    names = {"sequences": tuple(map(InputSequence, train))}
    with create_challenge(folder, declare(**{**names, **declared})) as writer:
        for part, given in (("train", train), ("test", test)):
            if given is not None:
                lengths = {name: np.full(len(each), each.shape[1]) for name, each in given.items()}
                target = np.arange(len(next(iter(given.values())))) if part == "train" else None
                getattr(writer, part).append(given, lengths, target=target)
    return open_challenge(folder)


def test_sequences_of_each_name_come_back_and_rows_may_share_them(tmp_path):
    writer = StoreWriter(tmp_path / "train", inputs={}, num_targets=1, sequences=BOTH)
    blocks = {"promoter": encode(["ACGT", "GG"]), "terminator": encode(["T", "CCCCC", "A"])}
    writer.append_sequences(*({name: each[i] for name, each in blocks.items()} for i in (0, 1)))
    writer.append_rows({"promoter": [0, 1, 0], "terminator": [2, 2, 1]}, target=np.zeros(3))
    writer.close()
    store, rows = Store(tmp_path / "train", [], BOTH), np.array([2, 0])
    shown = {name: decode(each.tokens[each.of(rows)]) for name, each in store.sequences.items()}
    assert len(store) == 3 and shown == {"promoter": ["ACGT", "ACGT"], "terminator": ["CCCCC", "A"]}
    with pytest.raises(InputError, match=r"several sequences \(promoter, terminator\); wanted rows with one"):
        _ = store.sequence


def test_rows_that_lack_one_of_their_sequences_are_refused(tmp_path):
    writer = StoreWriter(tmp_path / "train", inputs={}, num_targets=1, sequences=BOTH)
    with pytest.raises(AssertionError, match="promoter"):
        writer.append({"promoter": random_tokens(2, 0)}, {"promoter": np.full(2, 70)}, target=np.zeros(2))


def test_one_sequence_is_declared_at_the_top_and_several_in_tables(tmp_path):
    one = declare(sequences=(InputSequence(origin=3, left_flank="AC"),))
    assert "[[sequences]]" not in to_toml(one) and 'origin = 3\nleft_flank = "AC"\n' in to_toml(one)
    for declared in (one, declare(), declare(sequences=(InputSequence("x", 3, "AC", "G", (-3, 9)),))):
        (tmp_path / "challenge.toml").write_text(to_toml(declared))
        assert from_toml(tmp_path / "challenge.toml") == declared
    (tmp_path / "challenge.toml").write_text("origin = 3\n" + to_toml(declare()))
    with pytest.raises(InputError, match=r"both origin and \[\[sequences\]\]"):
        from_toml(tmp_path / "challenge.toml")


@pytest.mark.parametrize(
    ("names", "inputs", "words"),
    [
        (["promoter", "promoter"], [], "a sequence cannot be called 'promoter'"),
        (["promoter", "promoter_length"], [], "a sequence cannot be called 'promoter_length'"),
        (["promoter", "target"], [], "a sequence cannot be called 'target'"),
        (["sequence", "length"], [], "a sequence cannot be called 'length'"),
        (["5' UTR"], [], "a sequence cannot be called"),
        (["promoter"], ["promoter"], "an input cannot be called 'promoter'"),
        (["promoter"], ["promoter_index"], "an input cannot be called 'promoter_index'"),
        (["promoter"], ["sequence"], "an input cannot be called 'sequence'"),
        ([], [], "has no sequences"),
    ],
)
def test_no_two_things_that_a_row_has_share_a_name_or_a_file(names, inputs, words):
    declared = {"sequences": tuple(map(InputSequence, names)), "inputs": dict.fromkeys(inputs, (1,))}
    with pytest.raises(InputError, match=words):
        declare(**declared)


@pytest.mark.parametrize("window", [(5, 5), (5,), (0.0, 5.0), ("a", "b")])
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(InputError, match=r"x has the window \(.*\); wanted \[start, stop\)"):
        declare(sequences=(InputSequence("x", window=window),))


def test_rows_that_share_a_homolog_of_any_of_their_sequences_share_a_fold(tmp_path):
    """Rows 0 and 9 share a promoter, 9 and 5 the other strand of a terminator: all three are together."""
    train = {"promoter": random_tokens(40, 0), "terminator": random_tokens(40, 1, 60)}
    train["promoter"][9], train["terminator"][5] = train["promoter"][0], train["terminator"][9]
    train["terminator"][[5]] = reverse_complement(train["terminator"][[5]])
    opened = build(tmp_path / "toy", train)
    key = fold_table(opened.train, opened.declaration, 2).key
    assert key[0] == key[9] == key[5] and len(np.unique(key)) == 38
    alone = build(tmp_path / "alone", {"promoter": train["promoter"]})
    assert len(np.unique(fold_table(alone.train, alone.declaration, 2).key)) == 39


def test_a_homolog_among_the_other_sequences_of_a_row_joins_them_too(tmp_path):
    promoter, terminator = random_tokens(40, 1), random_tokens(40, 2)
    terminator[7] = promoter[31]
    opened = build(tmp_path / "toy", {"promoter": promoter, "terminator": terminator})
    key = fold_table(opened.train, opened.declaration, 4).key
    assert key[7] == key[31] and len(np.unique(key)) == 39


def test_constant_flanks_of_each_sequence_are_no_homology(tmp_path):
    flank = np.tile(encode([FLANK])[0], (40, 1))
    train = {
        "promoter": np.concatenate([flank, random_tokens(40, 0)], axis=1),
        "terminator": np.concatenate([random_tokens(40, 1, 60), flank], axis=1),
    }
    opened = build(tmp_path / "toy", train)
    assert len(np.unique(fold_table(opened.train, opened.declaration, 2).key)) == 40


def test_groups_join_rows_beside_their_sequences(tmp_path):
    train = {"promoter": random_tokens(20, 0), "terminator": random_tokens(20, 1)}
    train["terminator"][1] = train["terminator"][0]
    opened = build(tmp_path / "toy", train)
    opened.train.rows["group"] = ["x", "y", "y", *map(str, range(17))]
    key = fold_table(opened.train, opened.declaration, 2).key
    assert key[0] == key[1] == key[2] and len(np.unique(key)) == 18


def test_a_sequence_that_all_rows_share_leaves_one_group_and_the_error_says_why(tmp_path):
    train = {"promoter": random_tokens(20, 0), "terminator": np.tile(random_tokens(1, 1), (20, 1))}
    opened = build(tmp_path / "toy", train)
    with pytest.raises(InputError, match="only 1 groups in 20 rows; rows that share one of their sequences"):
        fold_table(opened.train, opened.declaration, 2)


def test_a_test_row_leaks_where_any_of_its_sequences_is_known(tmp_path):
    train = {"promoter": random_tokens(40, 0), "terminator": random_tokens(40, 1)}
    test = {"promoter": random_tokens(10, 2), "terminator": random_tokens(10, 3)}
    test["promoter"][0], test["terminator"][1] = train["promoter"][7], train["terminator"][8]
    test["promoter"][2] = test["promoter"][1]  # of a row that leaks, by another sequence
    opened = build(tmp_path / "toy", train, test)
    [line] = leaks(opened, fold_table(opened.train, opened.declaration, 2))
    assert line.startswith("2 of 10 test rows share a homology cluster with rows in training")


@pytest.mark.parametrize("near_duplicates", [True, False])
def test_rows_are_excluded_where_any_of_their_sequences_has_a_homolog_in_the_other_challenge(
    tmp_path, near_duplicates
):
    source = {"promoter": random_tokens(30, 0), "terminator": random_tokens(30, 1)}
    target = random_tokens(20, 2)
    target[3], target[4] = source["terminator"][11], source["promoter"][12]
    one = build(tmp_path / "one", source, near_duplicates=near_duplicates)
    other = build(tmp_path / "other", {"sequence": target})
    assert np.flatnonzero(homologous_rows(one, other)).tolist() == [11, 12]
    assert np.flatnonzero(homologous_rows(other, one)).tolist() == [3, 4]


def test_test_rows_with_several_sequences_are_not_known_by_one(tmp_path):
    rows = {"promoter": random_tokens(4, 0), "terminator": random_tokens(4, 1)}
    with pytest.raises(InputError, match="several sequences"):
        sequences_of_test_rows(build(tmp_path / "toy", rows, rows))
