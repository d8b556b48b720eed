"""The simulated genes and histone challenges: their sequences say what their truth says, and no more."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.data.tokens import decode, encode, reverse_complement
from competition.judging.scoring import score
from data_prep import genes, histone
from data_prep.simulation.gene_sequences import DISTAL_MOTIFS, PROMOTER_MOTIFS, draw_bases, draw_genes

CONSENSUS = {motif.name: motif.consensus for motif in (*PROMOTER_MOTIFS, *DISTAL_MOTIFS)}


@pytest.fixture(scope="module")
def few_genes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "genes"
    genes.build(folder, num_train=130)
    return folder


@pytest.fixture(scope="module")
def few_marks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "histone"
    histone.build(folder, num_genes=120)
    return folder


@pytest.mark.parametrize(("module", "size"), [(genes, {"num_train": 70}), (histone, {"num_genes": 100})])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(module, size, tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        module.build(tmp_path / name, seed=seed, **size)
    digests = [open_challenge(tmp_path / name).digest for name in ("one", "again", "other")]
    assert digests[0] == digests[1] != digests[2]


def test_more_genes_leave_the_first_ones_as_they_are(few_genes, tmp_path):
    genes.build(tmp_path / "more", num_train=150)
    for name in ("sequence", "target", "half_life"):
        few, more = (np.load(path / f"public/train/{name}.npy") for path in (few_genes, tmp_path / "more"))
        np.testing.assert_array_equal(few, more[:130])


@pytest.mark.parametrize("name", ["few_genes", "few_marks"])
def test_the_truth_reaches_the_ceiling_that_is_declared(name, request):
    opened = open_challenge(request.getfixturevalue(name))
    truth = pd.read_csv(opened.folder / "private/truth.csv", dtype={"id": str})
    scores = score(opened, truth)["all"]
    for metric, value in opened.declaration.ceiling.items():
        assert scores[metric] == pytest.approx(value, abs=1e-5)


def test_bases_follow_the_content_that_is_asked_for():
    content = np.repeat([[0.2], [0.8]], 20_000, axis=1)
    tokens = draw_bases(content, np.random.default_rng(0))
    assert ((tokens == 1) | (tokens == 2)).mean(1) == pytest.approx([0.2, 0.8], abs=0.02)
    assert np.bincount(tokens[0], minlength=4) / 20_000 == pytest.approx([0.4, 0.1, 0.1, 0.4], abs=0.02)


def test_planted_motifs_are_where_the_table_says(few_genes):
    opened = open_challenge(few_genes)
    planted = pd.read_csv(few_genes / "private/planted.csv")
    rare = planted[(planted.part == "train") & (planted.motif == "REST")]
    assert len(rare) > 20
    for row in rare.itertuples():
        start = genes.LEFT + row.start
        window = np.asarray(opened.train.sequence.tokens[row.gene, start : start + len(CONSENSUS["REST"])])
        both = {decode(window[None])[0], decode(reverse_complement(window[None]))[0]}
        assert CONSENSUS["REST"] in both


def test_a_distal_element_acts_the_less_the_farther_it_is():
    block = next(draw_genes(64, left=70_000, right=25_000, seed=3, purpose="test"))
    (own,) = np.nonzero(block.planted.name == "AP-1")
    assert (np.abs(block.planted.start[own]) >= 2_000).all()
    islands = block.activity[block.planted.gene[own]]
    assert np.isfinite(islands).all()


def test_chromosomes_share_a_fold_and_test_chromosomes_are_never_trained_on(few_genes):
    opened = open_challenge(few_genes)
    folds = fold_table(opened.train, opened.declaration, 4)
    by_chromosome = pd.Series(folds.fold).groupby(opened.train.rows["group"].to_numpy()).nunique()
    assert (by_chromosome == 1).all()
    assert not set(opened.train.rows["group"]) & set(genes.TEST_CHROMOSOMES)
    assert set(opened.test.rows["group"]) <= set(genes.TEST_CHROMOSOMES)


def test_a_gene_is_stored_once_whatever_the_number_of_its_cells(few_marks):
    opened = open_challenge(few_marks)
    assert opened.train.sequence.tokens.shape == (120, 10_000)
    assert len(opened.train) == 120 * histone.NUM_CELLS
    assert opened.train.inputs["histone"].shape == (480, 5, 100)
    folds = fold_table(opened.train, opened.declaration, 4)
    assert (folds.fold.reshape(120, histone.NUM_CELLS) == folds.fold[:: histone.NUM_CELLS, None]).all()


def test_marks_and_sequence_each_tell_what_the_other_does_not(few_marks):
    opened = open_challenge(few_marks)
    marks = np.asarray(opened.train.inputs["histone"])
    tokens = np.asarray(opened.train.sequence.tokens)[np.asarray(opened.train.sequence.index)]
    promoter = np.log1p(marks[:, 3, 40:60].sum(1))
    start, stop = (histone.HALF + position for position in histone.STABLE_REGION)
    stable = np.isin(tokens[:, start:stop], (1, 2)).mean(1)
    label = np.asarray(opened.train.target)[:, 0]
    alone = [np.corrcoef(x, label)[0, 1] for x in (promoter, stable)]
    features = np.stack([promoter, stable, np.ones(len(label))], axis=1)
    together = features @ np.linalg.lstsq(features, label, rcond=None)[0]
    assert min(alone) > 0.2
    assert np.corrcoef(together, label)[0, 1] > max(alone) + 0.05


def test_the_test_rows_of_each_kind_are_what_they_are_called(few_marks):
    opened = open_challenge(few_marks)
    subsets = pd.read_csv(few_marks / "private/subsets.csv", keep_default_na=False)
    trained_genes = set(opened.train.rows["group"])
    trained_cells = {name.partition("_")[0] for name in opened.train.rows["id"]}
    for name, group in subsets.groupby("subset"):
        cells, genes_of = zip(*(text.split("_") for text in group["id"]), strict=True)
        assert bool(set(genes_of) & trained_genes) == (name == "unseen_cells")
        assert bool(set(cells) & trained_cells) == (name == "unseen_genes")


def test_encoding_of_the_consensus_letters_is_complete():
    for consensus in CONSENSUS.values():
        assert (encode([consensus])[0] < 15).all()
