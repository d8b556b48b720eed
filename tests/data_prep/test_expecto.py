"""Genes around their start sites: windows against a brute-force reading, and every mistake named once."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.tokens import decode
from competition.judging.scoring import score
from data_prep.__main__ import main

HEADER = "id,symbol,seqnames,strand,TSS,CAGE_representative_TSS,type"
PAIRED = str.maketrans("ACGTN", "TGCAN")
GENES = [  # the third is so near to the end that its window sticks out, the last two at the very ends
    ("ENSG00000000003", "TSPAN6", "chr1", "-", 120, 118),
    ("ENSG00000000005", "TNMD", "chr1", "+", 90, 90),
    ("ENSG00000000419", "DPM1", "chr8", "+", 195, 197),
    ("ENSG00000000457", "SCYL3", "chr8", "-", 5, 3),
    ("ENSG00000000460", "C1orf112", "chrX", "+", 50, 50),
    ("ENSG00000000938", "FGR", "chr2", "-", 200, 200),
    ("ENSG00000000971", "CFH", "chr2", "+", 1, 1),
]
RPKM = np.arange(14).reshape(7, 2) / 4


def genome() -> dict[str, str]:
    rng = np.random.default_rng(0)
    return {name: "".join(rng.choice(list("ACGT"), 200)) for name in ("chr1", "chr2", "chr8", "chrX")}


def write_download(folder: Path) -> Path:
    """Write a small download in exactly the public layout."""
    folder.mkdir()
    lines = [",".join([*map(str, gene), "protein_coding"]) for gene in GENES]
    (folder / "geneanno.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    lines = [f"{gene[0]},{a},{b}" for gene, (a, b) in zip(GENES, RPKM, strict=True)]
    (folder / "geneanno.exp.csv").write_text("\n".join(["id,Whole_Blood,Ovary", *lines]) + "\n")
    (folder / "hg19.fa").write_text(
        "".join(f">{k}\n{v[:99]}\n{v[99:198]}\n{v[198:]}\n" for k, v in genome().items())
    )
    return folder


def prepare(folder: Path, output: Path, *options: object) -> int:
    wanted = ("expecto", folder, "--genome", folder / "hg19.fa", "--output", output, *options)
    return main([str(argument) for argument in wanted])


def read_window(gene: tuple, start: int, stop: int, *, tss: int) -> str:
    """Walk along the gene's strand base by base; N outside the chromosome."""
    bases, step, letters = genome()[gene[2]], 1 if gene[3] == "+" else -1, []
    for offset in range(start, stop):
        place = gene[tss] - 1 + step * offset
        letter = bases[place] if 0 <= place < len(bases) else "N"
        letters.append(letter if step > 0 else letter.translate(PAIRED))
    return "".join(letters)


@pytest.mark.parametrize("window", [(-30, 12), (0, 5), (-260, 240)])
@pytest.mark.parametrize(("tss", "column"), [("TSS", 4), ("CAGE_representative_TSS", 5)])
def test_windows_run_along_the_strand_with_the_start_site_at_the_origin(tmp_path, window, tss, column):
    raw, (start, stop) = write_download(tmp_path / "raw"), window
    assert prepare(raw, tmp_path / "c", "--window", start, stop, "--tss", tss) == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.declaration.sequences[0].origin == -start
    genes = {gene[0]: gene for gene in GENES}
    for store in (opened.train, opened.test):
        wanted = [read_window(genes[name], start, stop, tss=column) for name in store.rows["id"]]
        assert decode(store.sequence.tokens) == wanted
        assert (store.sequence.lengths == stop - start).all()


def test_chromosome_8_is_the_test_set_and_the_sex_chromosomes_are_dropped(tmp_path):
    assert prepare(write_download(tmp_path / "raw"), tmp_path / "c", "--window", -20, 10) == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.train.rows["group"].to_list() == ["chr1", "chr1", "chr2", "chr2"]
    assert opened.test.rows["id"].to_list() == ["ENSG00000000419", "ENSG00000000457"]
    wanted = np.log(RPKM[[0, 1, 5, 6]] + 0.0001)
    np.testing.assert_allclose(opened.train.target, wanted, rtol=1e-6)
    assert [vars(target) for target in opened.declaration.targets] == [
        {"name": name, "unit": "ln(RPKM + 1e-4)"} for name in ("Whole_Blood", "Ovary")
    ]
    truth = np.log(RPKM[2:4] + 0.0001)
    frame = pd.DataFrame({"id": opened.test.rows["id"], "Whole_Blood": truth[:, 0], "Ovary": truth[:, 1]})
    assert score(opened, frame)["private"]["mse"] == pytest.approx(0, abs=1e-12)


def test_tissues_and_chromosomes_can_be_chosen(tmp_path):
    options = ("--tissue", "Ovary", "--test-chromosomes", "chr1", "chr2", "--drop", "--window", -20, 10)
    assert prepare(write_download(tmp_path / "raw"), tmp_path / "c", *options) == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.train.rows["group"].to_list() == ["chr8", "chr8", "chrX"]
    np.testing.assert_allclose(opened.train.target[:, 0], np.log(RPKM[2:5, 1] + 0.0001), rtol=1e-6)


def test_a_long_table_is_cut_in_blocks_that_change_nothing(tmp_path, monkeypatch):
    raw = write_download(tmp_path / "raw")
    assert prepare(raw, tmp_path / "whole", "--window", -20, 10) == 0
    monkeypatch.setattr("data_prep.expecto.BLOCK_BASES", 1)
    assert prepare(raw, tmp_path / "pieces", "--window", -20, 10) == 0
    assert open_challenge(tmp_path / "whole").digest == open_challenge(tmp_path / "pieces").digest


def gct(names: list[str]) -> str:
    rows = [f"{name}\tsymbol\t{i}.5\t{i}" for i, name in enumerate(names)]
    head = ["#1.2", f"{len(names)}\t2", "Name\tDescription\tAdipose - Subcutaneous\tWhole Blood"]
    return "\n".join([*head, *rows]) + "\n"


def test_a_gtex_file_is_joined_by_gene_id_without_its_version(tmp_path, capsys):
    raw, path = write_download(tmp_path / "raw"), tmp_path / "gene_median_tpm.gct.gz"
    names = ["ENSG00000000005.5", "ENSG99999999999.1", "ENSG00000000003.14", "ENSG00000000003.14_PAR_Y",
             "ENSG00000000419.12", "ENSG00000000457.13"]  # fmt: skip
    path.write_bytes(gzip.compress(gct(names).encode()))
    assert prepare(raw, tmp_path / "c", "--expression", path, "--window", -20, 10) == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.train.rows["id"].to_list() == ["ENSG00000000003", "ENSG00000000005"]
    np.testing.assert_allclose(opened.train.target, np.log([[2.5001, 2.0001], [0.5001, 0.0001]]), rtol=1e-6)
    assert opened.declaration.targets[0].unit == "ln(TPM + 1e-4)"
    assert "3 genes of 7 have no expression" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#1.3\n" + gct(["A"])[5:], "begins with '#1.3'; wanted '#1.2'"),
        (gct(["A"]).replace("1\t2\n", "4\t2\n"), "line 2 says '4"),
        (gct(["A"]).replace("0.5", "low"), "line 4 has the Adipose - Subcutaneous 'low'"),
        (gct(["A", "A.1"]), "gene A comes twice"),
        (gct(["A"]), "none of the genes is in the annotation"),
        ("#1.2\n", "not a table"),
    ],
)
def test_a_wrong_gtex_file_is_refused(tmp_path, capsys, text, words):
    raw, path = write_download(tmp_path / "raw"), tmp_path / "x.gct"
    path.write_text(text)
    assert prepare(raw, tmp_path / "out" / "c", "--expression", path, "--window", -20, 10) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("geneanno.csv", "strand", "Strand", "no column 'strand'; it has id, symbol"),
        ("geneanno.csv", "chr1,+", "chr1,?", "line 3 (ENSG00000000005) has the strand '?'; wanted + or -"),
        ("geneanno.csv", "90,90", "90,x", "has the CAGE_representative_TSS 'x'; wanted a position"),
        ("geneanno.csv", "90,90", "90,201", "has the CAGE_representative_TSS 201; wanted 1..200"),
        ("geneanno.csv", "90,90", "90,0", "wanted 1..200, the length of chr1"),
        ("geneanno.csv", "TNMD,chr1", "TNMD,chr9", "line 3 (ENSG00000000005) is on 'chr9', which"),
        ("geneanno.csv", "G00000000005", "G00000000003", "line 3 (ENSG00000000003) has the id"),
        ("geneanno.exp.csv", "G00000000005", "G00000000006", "line 3 is gene 'ENSG00000000006'"),
        ("geneanno.exp.csv", "ENSG00000000971,3.0,3.25\n", "", "6 genes, geneanno.csv has 7"),
        ("geneanno.exp.csv", "05,0.5", "05,none", "line 3 has the Whole_Blood 'none'; wanted a finite"),
        ("geneanno.exp.csv", "05,0.5", "05,-0.5", "line 3 has the Whole_Blood '-0.5'"),
        ("geneanno.exp.csv", "05,0.5,0.75", "05,0.5", "line 3 has the Ovary ''"),
        ("hg19.fa", ">chr1", "chr1", "does not begin with '>'"),
        ("hg19.fa", ">chr1\n" + genome()["chr1"][:90], ">chr1\n" + genome()["chr1"][:89] + "*",
         "chr1 has '*' at base 90"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_files_is_named_and_leaves_nothing(tmp_path, capsys, file, old, new, words):
    raw = write_download(tmp_path / "raw")
    text = (raw / file).read_text()
    assert old in text
    (raw / file).write_text(text.replace(old, new))
    assert prepare(raw, tmp_path / "out" / "c", "--window", -20, 10) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--window", 5, 10), "wanted START <= 0 < STOP"),
        (("--tissue", "Ovari"), "did you mean 'Ovary'"),
        (("--test-chromosomes", "8"), "unknown test chromosome '8'"),
        (("--test-chromosomes", "chr1", "chr2", "chr8"), "no gene is left for training"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, capsys, options, words):
    assert prepare(write_download(tmp_path / "raw"), tmp_path / "c", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
