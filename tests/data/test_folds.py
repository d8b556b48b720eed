"""Folds are a function of a row's group: not of its place, its neighbours or the number of rows."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.base.errors import InputError
from competition.data import folds
from competition.data.challenge import open_challenge
from competition.data.cores import Sequences
from competition.data.declaration import Declaration, Score, Target
from competition.data.flanks import constant_flanks
from competition.data.folds import fold_table, validation_mask
from competition.data.groups import homology_clusters
from competition.data.tokens import encode, reverse_complement
from competition.data.writer import create_challenge

SCORES = (Score.of("pearson"),)


def random_tokens(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, 80)).astype(np.uint8)


def build(folder: Path, tokens: np.ndarray, *, near_duplicates: bool = True, **columns: list[str]):
    challenge = Declaration("toy", (Target("y"),), SCORES, near_duplicates=near_duplicates)
    rows = {"id": [f"r{i}" for i in range(len(tokens))], **columns} if columns else None
    with create_challenge(folder, challenge) as writer:
        lengths = np.full(len(tokens), tokens.shape[1])
        writer.train.append(tokens, lengths, target=np.zeros(len(tokens)), rows=rows)
    return open_challenge(folder)


def table(
    tmp_path: Path,
    tokens: np.ndarray,
    num_folds: int | None = 4,
    name: str = "toy",
    *,
    ignore=False,
    **columns,
):
    opened = build(tmp_path / name, tokens, **columns)
    cache = opened.folder / "cache"
    return fold_table(opened.train, opened.declaration, num_folds, ignore_declared=ignore, cache=cache)


def test_folds_do_not_depend_on_the_order_of_rows(tmp_path):
    tokens, order = random_tokens(300), np.random.default_rng(1).permutation(300)
    straight, shuffled = table(tmp_path, tokens), table(tmp_path, tokens[order], name="other")
    np.testing.assert_array_equal(straight.fold[order], shuffled.fold)


def test_a_sequence_keeps_its_fold_in_another_challenge_and_on_the_other_strand(tmp_path):
    tokens = random_tokens(300)
    other = np.concatenate([random_tokens(200, seed=9), reverse_complement(tokens[:50])])
    here, there = table(tmp_path, tokens), table(tmp_path, other, name="other")
    np.testing.assert_array_equal(here.fold[:50], there.fold[200:])


def test_relatives_and_declared_groups_share_a_fold(tmp_path):
    tokens = random_tokens(200)
    tokens[5, :30] = tokens[120, 40:70]
    group = [f"g{i}" for i in range(200)]
    group[120] = group[33] = "shared"
    found = table(tmp_path, tokens, group=group)
    assert found.fold[5] == found.fold[120] == found.fold[33]
    assert found.key[5] == found.key[120] == found.key[33]


def test_near_duplicates_may_be_left_alone_by_declaration(tmp_path):
    tokens = random_tokens(200)
    tokens[5, :30] = tokens[120, 40:70]
    assert len(np.unique(table(tmp_path, tokens, near_duplicates=False).key)) == 200


def test_a_group_keeps_its_fold_whatever_else_is_there(tmp_path):
    group = [f"gene{i // 4}" for i in range(200)]
    all_rows = table(tmp_path, random_tokens(200), group=group)
    some = table(tmp_path, random_tokens(80, seed=3), group=group[:80], name="other")
    np.testing.assert_array_equal(all_rows.fold[:80], some.fold)


def test_folds_are_of_about_equal_size(tmp_path):
    sizes = np.bincount(table(tmp_path, random_tokens(8_000), 8).fold, minlength=8)
    assert abs(sizes - 1_000).max() < 5 * np.sqrt(1_000)


def test_declared_folds_are_taken_as_they_are(tmp_path):
    fold = list("abca" * 50)
    for asked, name in ((3, "three"), (None, "unsaid")):
        found = table(tmp_path, random_tokens(200), asked, name, fold=fold)
        np.testing.assert_array_equal(found.fold, [{"a": 0, "b": 1, "c": 2}[x] for x in fold])
        assert (found.num_folds, found.text) == (3, "3 declared folds")


def test_without_declared_folds_there_are_four(tmp_path):
    unsaid = table(tmp_path, random_tokens(200), None)
    assert unsaid.digest == table(tmp_path, random_tokens(200), 4, "four").digest
    assert unsaid.text == "4 folds"


@pytest.mark.parametrize("asked", [None, 3])
def test_where_declared_folds_are_ignored_they_change_nothing(tmp_path, asked):
    ignored = table(tmp_path, random_tokens(200), asked, ignore=True, fold=list("abcab" * 40))
    assert ignored.digest == table(tmp_path, random_tokens(200), asked, "other").digest
    assert ignored.text == f"{asked or 4} folds (the 3 declared ones are ignored)"


@pytest.mark.parametrize(
    ("num_folds", "columns", "words"),
    [
        (1, {}, ["--folds 1", "at least 2"]),
        (99, {}, ["--folds 99", "only 40 groups"]),
        (36, {}, ["no group falls into fold"]),
        (
            4,
            {"fold": list("ab" * 20)},
            ["--folds 4: the rows declare 2 folds (a, b)", "--folds 2, or --ignore-"],
        ),
        (None, {"fold": ["a"] * 40}, ["a single fold (a)", "--ignore-folds"]),
        (
            None,
            {"fold": [str(i) for i in range(40)]},
            ["declare 40 folds (0, 1,", "--folds 40, or --ignore-"],
        ),
        (2, {"fold": list("ab" * 20), "group": ["x", "x"] * 20}, ["'x' is split", "'r0'", "'r1'"]),
    ],
)
def test_folds_that_cannot_be_had_are_refused(tmp_path, num_folds, columns, words):
    with pytest.raises(InputError) as error:
        table(tmp_path, random_tokens(40), num_folds, **columns)
    assert all(word in str(error.value) for word in words)


def test_a_validation_split_holds_out_whole_groups_and_differs_by_fold():
    key = np.repeat(np.random.default_rng(0).integers(0, 2**63, 500).astype(np.uint64), 4)
    one, two = (validation_mask(key, fold=fold, fraction=0.1, seed=0) for fold in (0, 1))
    assert abs(one.mean() - 0.1) < 0.01
    assert not np.intersect1d(key[one], key[~one]).size
    assert (one != two).any()


def test_a_validation_split_needs_two_groups():
    with pytest.raises(InputError, match="at least two groups"):
        validation_mask(np.zeros(10, dtype=np.uint64), fold=0, fraction=0.1, seed=0)


def test_groups_of_large_tables_are_kept_and_a_damaged_file_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(folds, "CACHED_ROWS", 10)
    opened = build(tmp_path / "toy", random_tokens(100))
    cache = opened.folder / "cache"
    fresh = fold_table(opened.train, opened.declaration, 4, cache=cache)
    [file] = cache.iterdir()
    kept = file.read_bytes()
    monkeypatch.setattr(folds, "_find_groups", lambda *_: pytest.fail("it was to be read back"))
    np.testing.assert_array_equal(
        fold_table(opened.train, opened.declaration, 4, cache=cache).fold, fresh.fold
    )
    monkeypatch.undo()
    monkeypatch.setattr(folds, "CACHED_ROWS", 10)
    file.write_bytes(bytes([kept[0] ^ 1]) + kept[1:])
    np.testing.assert_array_equal(
        fold_table(opened.train, opened.declaration, 4, cache=cache).fold, fresh.fold
    )
    assert file.read_bytes() == kept


def real(name: str) -> pd.DataFrame:
    folder = os.environ.get("COMPETITION_REAL_DATA")
    if not folder:
        pytest.skip("COMPETITION_REAL_DATA is not set")
    return pd.read_csv(Path(folder) / name, sep="\t", dtype={"dream_id": str})


def test_real_random_promoters_fall_into_tiny_clusters():
    rows = real("yeast_gpra/yeast_gpra_complex.tsv.gz")
    tokens, lengths = encode(list(rows.sequence[rows.experiment == "HQ_pTpA_Glu"]))
    family = homology_clusters([Sequences(tokens, lengths)]).number
    assert constant_flanks(tokens, lengths) == (17, 13)
    assert np.bincount(family).max() <= 3


def test_real_overlapping_tiles_of_one_gene_are_relatives():
    rows = real("yeast_native_tiles/yeast_native_tiles.tsv.gz")
    family = homology_clusters([Sequences(*encode(list(rows.sequence)))]).number
    split = pd.Series(family).groupby(rows.group.to_numpy()).nunique() > 1
    assert split.mean() < 0.005
