"""Histone files of DeepChrome's layout: what they hold is found again, and every mistake is named once."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.judging.scoring import score
from data_prep.__main__ import main

GENES = {"train": ["000003", "000005", "000419"], "valid": ["000457"], "test": ["000460", "000938", "000971"]}


def counts(gene: str, cell: str) -> np.ndarray:
    """Return the counts (100, 5) of a gene in a cell."""
    return np.random.default_rng([int(gene), ord(cell[-1])]).integers(0, 30, (100, 5))


def lines(genes: list[str], cell: str) -> list[str]:
    return [
        f"{gene},{row + 1},{','.join(map(str, values))},{int(gene) % 2}"
        for gene in genes
        for row, values in enumerate(counts(gene, cell).tolist())
    ]


def write_cell(folder: Path, cell: str) -> Path:
    """Write the files of one cell in exactly the public layout."""
    where = folder / cell / "classification"
    where.mkdir(parents=True)
    for split, genes in GENES.items():
        (where / f"{split}.csv").write_text("\n".join(lines(genes, cell)) + "\n")
    return where


def prepare(*arguments: object) -> int:
    return main(["deepchrome", *(str(argument) for argument in arguments)])


def check_rows(store, genes: list[str], cell: str) -> None:
    assert store.rows["id"].to_list() == [f"{cell}_{gene}" for gene in genes]
    assert store.rows["group"].to_list() == genes
    np.testing.assert_array_equal(store.inputs["histone"], [counts(gene, cell).T for gene in genes])


def test_one_cell_becomes_a_challenge_whose_answers_are_private(tmp_path):
    write_cell(tmp_path, "E003")
    assert prepare(tmp_path / "E003", "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    check_rows(opened.train, GENES["train"] + GENES["valid"], "E003")
    check_rows(opened.test, GENES["test"], "E003")
    assert opened.train.target[:, 0].tolist() == [1, 1, 1, 1]
    answers = pd.read_csv(tmp_path / "c/private/answers.csv")
    assert answers.label.tolist() == [0, 0, 1]
    assert set(answers.usage) == {"private"}
    assert (
        len(opened.train.sequence.tokens) == len(opened.test.sequence.tokens) == 1
    )  # the N that all rows share


@pytest.mark.parametrize("files", [".", "classification", "three files", "gzip"])
def test_a_cell_may_be_given_as_folder_or_files_plain_or_gzipped(tmp_path, monkeypatch, files):
    where = write_cell(tmp_path, "E003")
    monkeypatch.chdir(where.parent)
    paths = sorted(where.glob("*.csv")) if files == "three files" else [Path(files)]
    if files == "gzip":
        paths = [where]
        for path in sorted(where.glob("*.csv")):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    assert prepare(*paths, "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert sorted(opened.train.rows["id"]) == [f"E003_{g}" for g in GENES["train"] + GENES["valid"]]
    check_rows(opened.test, GENES["test"], "E003")


def test_all_cells_are_scored_by_the_mean_over_them_and_a_gene_stays_in_one_fold(tmp_path):
    for cell in ("E003", "E116"):
        write_cell(tmp_path / "raw", cell)
    assert prepare(tmp_path / "raw", "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert (len(opened.train), len(opened.test)) == (8, 6)
    folds = fold_table(opened.train, opened.declaration, 2).fold
    assert folds[:4].tolist() == folds[4:].tolist()
    right = [0.1, 0.2, 0.9]
    frame = pd.DataFrame({"id": opened.test.rows["id"], "label": right + [-value for value in right]})
    assert score(opened, frame)["private"]["auroc"] == pytest.approx(0.5)


def test_one_cell_can_be_chosen(tmp_path):
    for cell in ("E003", "E116"):
        write_cell(tmp_path / "raw", cell)
    assert prepare(tmp_path / "raw", "--cell", "E116", "--output", tmp_path / "c") == 0
    check_rows(open_challenge(tmp_path / "c").test, GENES["test"], "E116")


def test_a_file_with_a_header_goes_by_names_and_its_column_of_splits(tmp_path):
    names = ["gene_id", "bin", "H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3", "label"]
    rows = [line.split(",") for genes in GENES.values() for line in lines(genes, "toy")]
    frame = pd.DataFrame(rows, columns=names)
    frame.insert(8, "split", [split for split, genes in GENES.items() for _ in range(100 * len(genes))])
    frame = frame[["split", "bin", "gene_id", *reversed(names[2:])]]
    frame.to_csv(tmp_path / "toy.tsv.gz", sep="\t", index=False)
    assert prepare(tmp_path / "toy.tsv.gz", "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    check_rows(opened.train, GENES["train"] + GENES["valid"], "toy")
    check_rows(opened.test, GENES["test"], "toy")


def test_a_file_is_read_in_pieces_that_change_nothing(tmp_path, monkeypatch):
    where = write_cell(tmp_path, "E003")
    assert prepare(where, "--output", tmp_path / "whole") == 0
    monkeypatch.setattr("data_prep.reading.deepchrome_files.CHUNK_GENES", 2)
    assert prepare(where, "--output", tmp_path / "pieces") == 0
    assert open_challenge(tmp_path / "whole").digest == open_challenge(tmp_path / "pieces").digest


@pytest.mark.parametrize("genes_at_once", [1, 1000])
@pytest.mark.parametrize(
    ("line", "new", "words"),
    [
        (205, None, "line 205 (gene 000419) has the bin 6; wanted bin 5 of gene 000419"),
        (300, None, "the last gene, 000419, has 99 lines; wanted 100"),
        (200, None, "line 200 (gene 000419) has the bin 1; wanted bin 100 of gene 000005"),
        (7, "000003,7,1,2,x,4,5,1", "line 7 has the H3K4me1 'x'; wanted a number"),
        (7, "000003,7,1,2,,4,5,1", "line 7 has the H3K4me1 ''; wanted a number"),
        (7, "000003,7,1,2,inf,4,5,1", "line 7 (gene 000003) has the counts [1.0, 2.0, inf,"),
        (7, "000003,7,1,2,3,4,5,2", "has the label 2; wanted 0 or 1"),
        (7, "000003,7,1,2,3,4,5,0", "line 7 (gene 000003) has the label 0; wanted 0 or 1, the same"),
        (7, "000003,7,1,2,3,4,5", "line 7 has 7 columns; wanted 8: gene_id,bin"),
        (7, "000003,7,1,2,3,4,5,1,1", "line 7 has 9 columns; wanted 8"),
        (7, "", "line 7 has 1 columns; wanted 8"),
        (7, "000003,8,1,2,3,4,5,1", "line 7 (gene 000003) has the bin 8; wanted bin 7 of"),
    ],
)
def test_a_mistake_in_a_file_is_named_and_leaves_nothing(
    tmp_path, capsys, monkeypatch, line, new, words, genes_at_once
):
    monkeypatch.setattr("data_prep.reading.deepchrome_files.CHUNK_GENES", genes_at_once)
    path = write_cell(tmp_path / "raw", "E003") / "train.csv"
    rows = path.read_text().splitlines()
    rows[line - 1 : line] = [] if new is None else [new]
    path.write_text("\n".join(rows) + "\n")
    assert prepare(tmp_path / "raw", "--output", tmp_path / "out" / "c") == 2
    error = capsys.readouterr().err
    assert "train.csv" in error and words in error and error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty"),
        (b"gene_id,bin,label\n1,1,1\n", "no column 'H3K27me3'; it has gene_id, bin, label"),
        (gzip.compress("\n".join(lines(["000003"], "E003")).encode())[:60], "damaged or cut off"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, capsys, text, words):
    (tmp_path / "train.csv").write_bytes(text)
    assert prepare(tmp_path / "train.csv", "--output", tmp_path / "out" / "c") == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_missing_files_genes_that_repeat_and_unknown_cells_are_refused(tmp_path, capsys):
    where = write_cell(tmp_path / "raw", "E003")
    assert prepare(tmp_path / "raw", "--cell", "E03", "--output", tmp_path / "c") == 2
    assert "did you mean 'E003'" in capsys.readouterr().err
    (where / "valid.csv").write_bytes((where / "train.csv").read_bytes())
    assert prepare(where, "--output", tmp_path / "c") == 2
    assert "3 duplicate ids (E003_000003" in capsys.readouterr().err
    (where / "valid.csv").unlink()
    assert prepare(where, "--output", tmp_path / "c") == 2
    assert "has no valid.csv" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert prepare(tmp_path / "empty", "--output", tmp_path / "c") == 2
    assert "holds no <cell>/classification/train.csv" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_the_real_sample_becomes_a_challenge(tmp_path):
    folder = os.environ.get("COMPETITION_REAL_DATA")
    if not folder:
        pytest.skip("COMPETITION_REAL_DATA is not set")
    path = Path(folder) / "deepchrome_sample" / "deepchrome_toy.tsv.gz"
    assert prepare(path, "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert (len(opened.train), len(opened.test)) == (20, 9)
    table = pd.read_csv(path, sep="\t")
    assert opened.train.inputs["histone"].sum() == table[table.split != "test"].iloc[:, 3:8].to_numpy().sum()
    assert opened.train.target.sum() * 100 == table.label[table.split != "test"].sum()
