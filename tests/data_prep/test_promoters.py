"""The simulated assay measures what its model says, and its answers are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.tokens import decode, encode, reverse_complement
from competition.judging.scoring import score
from data_prep.promoters import build
from data_prep.simulation.assay import START, STOP, construct
from data_prep.simulation.thermodynamics import energies, expression, site_weights
from data_prep.simulation.yeast_factors import FACTORS
from data_prep.standards.yeast_construct import INSERT_BASES

BY_NAME = {factor.name: factor for factor in FACTORS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "promoters"
    build(folder, num_train=300)
    return folder


def background(seed: int = 0, count: int = 200) -> np.ndarray:
    return construct(np.random.default_rng(seed).integers(0, 4, (count, INSERT_BASES), dtype=np.uint8))


def with_site(tokens: np.ndarray, word: str, start: int) -> np.ndarray:
    changed = tokens.copy()
    changed[:, start : start + len(word)] = encode([word])[0]
    return changed


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    build(tmp_path / "again", num_train=300)
    build(tmp_path / "other", num_train=300, seed=1)
    digests = [open_challenge(path).digest for path in (folder, tmp_path / "again", tmp_path / "other")]
    assert digests[0] == digests[1] != digests[2]


def test_more_rows_leave_the_first_ones_as_they_are(folder, tmp_path):
    build(tmp_path / "more", num_train=400)
    for name in ("sequence", "target"):
        few, more = (np.load(path / f"public/train/{name}.npy") for path in (folder, tmp_path / "more"))
        np.testing.assert_array_equal(few, more[:300])


def test_the_truth_reaches_the_ceiling_that_is_declared(folder):
    opened = open_challenge(folder)
    truth = pd.read_csv(folder / "private/truth.csv", dtype={"id": str})
    scores = score(opened, truth)["all"]
    for name in ("pearson", "spearman", "mse", "pearson_score", "spearman_score", "pearson_SNVs"):
        assert scores[name] == pytest.approx(opened.declaration.ceiling[name], abs=1e-6)


def test_training_labels_are_noisy_and_often_whole(folder):
    opened = open_challenge(folder)
    label = np.asarray(opened.train.target)[:, 0]
    truth = expression(np.asarray(opened.train.sequence.tokens), START, STOP)
    assert label.min() >= 0
    assert label.max() <= 17
    assert 0.35 < (label % 1 == 0).mean() < 0.65
    assert 0.9 < np.corrcoef(truth, label)[0, 1] < 0.995


def test_planted_sites_are_where_the_table_says(folder):
    opened = open_challenge(folder)
    planted = pd.read_csv(folder / "private/planted.csv", dtype={"id": str})
    planted = planted[(planted.part == "train") & (planted.factor == "Gcn4")]
    whole = decode(np.asarray(opened.train.sequence.tokens))
    words = []
    for row in planted.itertuples():
        word = whole[int(row.id)][row.start : row.stop]
        words.append(word if row.strand == "+" else decode(reverse_complement(encode([word])[0]))[0])
    assert np.mean([word == "TGACTCA" for word in words]) > 0.9


def test_pairs_differ_as_their_subset_says(folder):
    opened = open_challenge(folder)
    tokens = np.asarray(opened.test.sequence.tokens)
    subsets = pd.read_csv(folder / "private/subsets.csv")
    for subset, most in (("SNVs", 1), ("motif_perturbation", 17), ("motif_tiling", 17)):
        pairs = subsets[subsets.subset == subset]
        differ = (tokens[pairs.id] != tokens[pairs.reference.astype(int)]).sum(1)
        assert differ.max() <= most
        assert (tokens[pairs.id][:, :START] == tokens[0, :START]).all()
        if subset == "SNVs":
            assert (differ == 1).all()


def test_a_pair_is_on_one_side_of_public_and_private(folder):
    usage = pd.read_csv(folder / "private/answers.csv").usage
    pairs = pd.read_csv(folder / "private/subsets.csv").dropna()
    assert (usage[pairs.id].to_numpy() == usage[pairs.reference.astype(int)].to_numpy()).all()
    assert 0.08 < (usage == "public").mean() < 0.2


def test_no_test_sequence_is_a_training_sequence(folder):
    opened = open_challenge(folder)
    inserts = [
        {row.tobytes() for row in np.asarray(part.sequence.tokens)[:, START:STOP]} for part in opened[1:3]
    ]
    assert not inserts[0] & inserts[1]


def test_an_activator_raises_and_a_repressor_lowers_expression():
    tokens = background()
    plain = expression(tokens, START, STOP)
    assert expression(with_site(tokens, "TGACTCA", START + 10), START, STOP).mean() > plain.mean() + 3
    assert expression(with_site(tokens, "TAGCCGCCGA", STOP - 20), START, STOP).mean() < plain.mean() - 1


def test_where_a_site_lies_decides_what_it_does():
    tokens = background()
    far, near = (
        expression(with_site(tokens, "TGACTCA", at), START, STOP).mean() for at in (START + 10, STOP - 10)
    )
    assert far > near + 3


def test_more_sites_help_less_and_less():
    tokens = background()
    values = [expression(tokens, START, STOP).mean()]
    for start in (START + 2, START + 14, START + 26):
        tokens = with_site(tokens, "TGACTCA", start)
        values.append(expression(tokens, START, STOP).mean())
    gains = np.diff(values)
    assert gains[0] > gains[2] > 0


def test_a_site_costs_nothing_in_its_consensus_and_is_found_on_either_strand():
    factor = BY_NAME["Reb1"]
    tokens = with_site(background(count=1), "TTACCCG", 40)
    weights = site_weights(tokens, factor)
    assert weights[0, 0].argmax() == 40
    flipped = site_weights(reverse_complement(tokens), factor)
    assert flipped[0, 1].argmax() == tokens.shape[1] - 40 - 7
    assert flipped[0, 1].max() == pytest.approx(weights[0, 0].max())
    assert energies(factor)[0].argmin() == 3
