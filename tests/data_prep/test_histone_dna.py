"""Marks and DNA of many cells: rows, shared sequences and both hold-outs, and every mistake named once."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.data.tokens import decode
from competition.judging.scoring import score
from data_prep.__main__ import main

CELLS, NEW_CELLS = ("E003", "E065", "E116"), ("E003", "E071")
GENES, NEW_GENES = (7, 12, 5, 30), (7, 41)


def sequence(gene: int) -> str:
    return "".join(np.random.default_rng(gene).choice(list("ACGTN"), 10_000))


def array(cell: str, genes: tuple[int, ...], width: int = 7) -> np.ndarray:
    """Return (genes, 100, 7): gene id, five marks, expression."""
    rng = np.random.default_rng([int(cell[1:]), len(genes)])
    values = np.empty((len(genes), 100, 7))
    values[:, :, 0], values[:, :, 1:6] = np.array(genes)[:, None], rng.normal(size=(len(genes), 100, 5))
    values[:, :, 6] = rng.normal(size=(len(genes), 1))
    return values[:, :, :width]


def write_download(folder: Path, *, eval_width: int = 6) -> Path:
    """Write a small download in exactly the public layout."""
    folder.mkdir()
    lines = [f"{gene},{sequence(gene)}\n" for gene in sorted({*GENES, *NEW_GENES})]
    (folder / "seq_data.csv").write_text("".join(lines))
    np.savez_compressed(folder / "train.npz", **{cell: array(cell, GENES) for cell in CELLS})
    evaluation = {cell: array(cell, NEW_GENES, eval_width) for cell in NEW_CELLS}
    np.savez_compressed(folder / "eval.npz", **evaluation)
    return folder


def prepare(folder: Path, output: Path, *options: object) -> int:
    return main([str(argument) for argument in ("histone_dna", folder, "--output", output, *options)])


def check_rows(store, part: dict[str, np.ndarray]) -> None:
    """Compare a part's rows, whatever their order, with the arrays they come from."""
    wanted = {f"{cell}_{int(row[0, 0])}": row for cell, values in part.items() for row in values}
    assert sorted(store.rows["id"]) == sorted(wanted)
    sequences = decode(store.sequence.tokens)
    for row, name in enumerate(store.rows["id"]):
        np.testing.assert_array_equal(store.inputs["histone"][row], wanted[name][:, 1:6].T.astype(np.float32))
        assert sequences[store.sequence.index[row]] == sequence(int(name.split("_")[1]))
        if store.target is not None:
            assert store.target[row, 0] == np.float32(wanted[name][0, 6])
    assert len(sequences) == len({name.split("_")[1] for name in wanted})  # each stored once


@pytest.mark.parametrize("eval_width", [6, 7])
def test_rows_of_eval_are_test_rows_without_answers(tmp_path, eval_width):
    raw = write_download(tmp_path / "raw", eval_width=eval_width)
    assert prepare(raw, tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.declaration.sequences[0].origin == 5_000
    check_rows(opened.train, {cell: array(cell, GENES) for cell in CELLS})
    check_rows(opened.test, {cell: array(cell, NEW_GENES) for cell in NEW_CELLS})
    assert pd.read_csv(tmp_path / "c/private/answers.csv").expression.isna().all()
    sample = pd.read_csv(tmp_path / "c/public/sample_submission.csv")
    assert sample.id.to_list() == ["E003_7", "E003_41", "E071_7", "E071_41"]
    subsets = pd.read_csv(tmp_path / "c/private/subsets.csv").set_index("subset").id
    assert subsets.to_dict() == {"unseen_genes": "E003_41", "unseen_cells": "E071_7", "both": "E071_41"}


def test_a_gene_shares_its_fold_in_all_cells(tmp_path):
    assert prepare(write_download(tmp_path / "raw"), tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    frame = pd.DataFrame({"gene": opened.train.rows["group"]})
    frame["fold"] = fold_table(opened.train, opened.declaration, 2).fold
    assert frame.groupby("gene").fold.nunique().eq(1).all()


def test_answers_that_are_given_are_scored_and_others_stay_unknown(tmp_path):
    raw, answers = write_download(tmp_path / "raw"), tmp_path / "answers.csv"
    pd.DataFrame({"id": ["E071_7", "E003_41", "E003_7"], "expression": [1.5, -2, 0]}).to_csv(
        answers, index=False
    )
    assert prepare(raw, tmp_path / "c", "--answers", answers) == 0
    opened = open_challenge(tmp_path / "c")
    frame = pd.DataFrame({"id": opened.test.rows["id"], "expression": [0.0, -2.0, 2.5, 9.0]})
    assert score(opened, frame)["private"]["mse"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("num_genes", "num_cells"), [(1, 1), (2, 0), (0, 2)])
def test_held_out_genes_and_cells_are_in_no_training_row(tmp_path, num_genes, num_cells):
    raw, options = (
        write_download(tmp_path / "raw"),
        ("--hold-out-genes", num_genes, "--hold-out-cells", num_cells),
    )
    (raw / "eval.npz").unlink()
    assert prepare(raw, tmp_path / "c", *options) == 0
    opened = open_challenge(tmp_path / "c")
    seen = {cell: set() for cell in CELLS}
    for name in opened.train.rows["id"]:
        seen[name.split("_")[0]].add(int(name.split("_")[1]))
    cells = [cell for cell in CELLS if seen[cell]]
    genes = seen[cells[0]]
    assert (len(cells), len(genes)) == (3 - num_cells, 4 - num_genes)
    inside = {cell: array(cell, GENES)[[gene in genes for gene in GENES]] for cell in cells}
    check_rows(opened.train, inside)
    everything = {f"{cell}_{gene}" for cell in CELLS for gene in GENES}
    assert set(opened.test.rows["id"]) == everything - set(opened.train.rows["id"])
    subsets = pd.read_csv(tmp_path / "c/private/subsets.csv")
    for subset, name in subsets[["subset", "id"]].itertuples(index=False):
        unseen = (name.split("_")[0] not in cells, int(name.split("_")[1]) not in genes)
        assert (
            subset
            == {(False, True): "unseen_genes", (True, False): "unseen_cells", (True, True): "both"}[unseen]
        )
    assert len(subsets) == len(opened.test)
    truth = pd.DataFrame(
        [(f"{cell}_{int(row[0, 0])}", row[0, 6]) for cell in CELLS for row in array(cell, GENES)],
        columns=["id", "expression"],
    )
    scores = score(opened, truth[truth.id.isin(opened.test.rows["id"])])["private"]
    assert scores["mse"] == pytest.approx(0, abs=1e-12)
    assert ("mse_both" in scores) == (num_genes * num_cells > 1)  # one row alone has no score


def test_the_seed_chooses_what_is_held_out(tmp_path):
    raw, digests = write_download(tmp_path / "raw"), []
    for number, seed in enumerate((0, 0, 1, 2)):
        assert prepare(raw, tmp_path / str(number), "--hold-out-genes", 2, "--seed", seed) == 0
        digests.append(open_challenge(tmp_path / str(number)).digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hold-out-genes", 4), "has 4 genes; wanted fewer"),
        (("--hold-out-cells", 3), "has 3 cells; wanted fewer"),
        (("--hold-out-cells", -1), "wanted 0 or more"),
        (("--hold-out-cells", 1, "--answers", "a.csv"), "--answers are for eval.npz"),
        (("--answers", "none.csv"), "none.csv does not exist"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, capsys, options, words):
    assert prepare(write_download(tmp_path / "raw"), tmp_path / "out" / "c", *options) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*") if (tmp_path / "out").exists() else [])


def changed(place: tuple, value: float) -> np.ndarray:
    values = array("E065", GENES)
    values[place] = value
    return values


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (array("E065", GENES, 6), "cell E065 has an array (4, 100, 6); wanted (genes, 100, 7)"),
        (array("E065", GENES)[:, :99], "cell E065 has an array (4, 99, 7)"),
        (array("E065", GENES)[0], "cell E065 has an array (100, 7)"),
        (array("E065", GENES).astype("U8"), "cell E065 has an array of <U8; wanted numbers"),
        (np.array([None, 1]), "cannot be read as an .npz file of numbers: Object arrays"),
        (changed((2, 50, 0), 6), "cell E065: gene 5 has different ids in its bins"),
        (changed((2, slice(None), 0), 7), "cell E065: gene 7 has more than one place"),
        (changed((2, slice(None), 0), 5.5), "gene 5.5 has an id that is not a whole number"),
        (changed((2, slice(None), 0), 99), "gene 99 has no sequence in"),
        (changed((1, 3, 2), np.nan), "gene 12 has marks that are not finite"),
        (changed((1, 3, 6), np.inf), "gene 12 has an expression that is not finite"),
        (changed((1, 3, 6), 0), "gene 12 has different expression in its bins"),
    ],
)
def test_a_wrong_array_is_named_by_cell_and_gene_and_leaves_nothing(tmp_path, capsys, bad, words):
    raw = write_download(tmp_path / "raw")
    np.savez(raw / "train.npz", E003=array("E003", GENES), E065=bad)
    assert prepare(raw, tmp_path / "out" / "c") == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("seed", range(3))
def test_a_gene_without_a_sequence_is_named_by_its_cell_be_it_held_out_or_not(tmp_path, capsys, seed):
    raw = write_download(tmp_path / "raw")
    np.savez(raw / "train.npz", E003=array("E003", GENES), E065=changed((2, slice(None), 0), 99))
    assert prepare(raw, tmp_path / "c", "--hold-out-cells", 1, "--seed", seed) == 2
    assert capsys.readouterr().err.startswith("error: cell E065: gene 99 has no sequence in")


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (
            "seq_data.csv",
            lambda data: data.replace(b"\n12,", b"\n12,A"),
            "line 3 has a sequence of 10,001 base",
        ),
        ("seq_data.csv", lambda data: data.replace(b"G", b"-"), "line 1 has '-' at position"),
        ("seq_data.csv", lambda data: data.replace(b"\n12,", b"\n7,"), "line 3 has gene 7 again"),
        ("seq_data.csv", lambda data: b"gene,seq\n" + data, "line 1 begins with 'gene'; wanted gene id"),
        ("seq_data.csv", lambda data: data[:0], "is empty"),
        ("seq_data.csv", lambda data: gzip.compress(data)[:5000], "damaged or cut off"),
        ("seq_data.csv", None, "cannot be read"),
        ("train.npz", lambda data: data[: len(data) // 2], "cannot be read as an .npz"),
        ("train.npz", lambda data: data[100:], "cannot be read as an .npz"),
        ("train.npz", None, "cannot be read as an .npz"),
        ("eval.npz", None, "has no eval.npz; wanted it, or --hold-out-genes"),
    ],
)
def test_a_file_that_is_damaged_or_missing_is_refused(tmp_path, capsys, file, change, words):
    path = write_download(tmp_path / "raw") / file
    data = path.read_bytes()
    path.unlink()
    if change is not None:
        path.write_bytes(change(data))
    assert prepare(tmp_path / "raw", tmp_path / "out" / "c") == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*") if (tmp_path / "out").exists() else [])


def test_a_single_array_is_no_collection_of_cells(tmp_path, capsys):
    raw = write_download(tmp_path / "raw")
    with (raw / "train.npz").open("wb") as file:
        np.save(file, array("E003", GENES))
    assert prepare(raw, tmp_path / "c") == 2
    assert "is a single array" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,value\nE003_7,1\n", "no column 'expression'"),
        ("id,expression\nE003_7,high\n", "line 2 has the expression 'high'; wanted a finite number"),
        ("id,expression\nE003_7,1\nE003_8,1\n", "line 3 has the id 'E003_8'; wanted an id of eval.npz"),
        ("id,expression\nE003_7,1\nE003_7,1\n", "line 3 has the id 'E003_7'; wanted each id once"),
    ],
)
def test_wrong_answers_are_refused(tmp_path, capsys, text, words):
    (tmp_path / "a.csv").write_text(text)
    raw = write_download(tmp_path / "raw")
    assert prepare(raw, tmp_path / "out" / "c", "--answers", tmp_path / "a.csv") == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))
