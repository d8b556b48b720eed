"""Xpresso's arrays and its source table: both become the same rows, and every mistake is named once."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.tokens import decode
from competition.judging.scoring import score
from data_prep.__main__ import main

FEATURES = ["UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"]
SIZES = {"train": 5, "valid": 2, "test": 3}


def gene(number: int) -> str:
    return f"ENSG{number:011d}"


def promoter(number: int) -> str:
    return "".join(np.random.default_rng(number).choice(list("ACGTN"), 20_000))


def one_hot(sequence: str) -> np.ndarray:
    return np.array(list(sequence))[:, None] == np.array(list("ACGT"))


def make_arrays() -> dict[str, dict[str, np.ndarray]]:
    """Return what the three files hold: data, promoter, label, geneName."""
    rng, files, first = np.random.default_rng(0), {}, 0
    for name, size in SIZES.items():
        numbers = range(first, first + size)
        files[name] = {
            "data": rng.normal(size=(size, 8)),
            "promoter": np.stack([one_hot(promoter(number)) for number in numbers]),
            "label": rng.normal(size=size),
            "geneName": np.array([gene(number).encode() for number in numbers], dtype=object),
        }
        first += size
    return files


def write_h5(folder: Path, files: dict) -> Path:
    h5py = pytest.importorskip("h5py")
    folder.mkdir()
    for name, arrays in files.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for key, values in arrays.items():
                file.create_dataset(key, data=values)
    return folder


def prepare(path: Path, output: Path, *options: object) -> int:
    return main([str(argument) for argument in ("xpresso", path, "--output", output, *options)])


def test_the_arrays_become_training_rows_and_private_test_rows(tmp_path):
    files = make_arrays()
    assert prepare(write_h5(tmp_path / "raw", files), tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.declaration.sequences[0].origin == 10_000
    assert opened.train.rows["id"].to_list() == [gene(number) for number in range(7)]
    assert decode(opened.train.sequence.tokens) == [promoter(number) for number in range(7)]
    assert decode(opened.test.sequence.tokens) == [promoter(number) for number in range(7, 10)]
    features = np.concatenate([files["train"]["data"], files["valid"]["data"]])
    np.testing.assert_array_equal(opened.train.inputs["half_life"], features.astype(np.float32))
    labels = np.concatenate([files["train"]["label"], files["valid"]["label"]])
    np.testing.assert_array_equal(opened.train.target[:, 0], labels.astype(np.float32))
    frame = pd.DataFrame({"id": opened.test.rows["id"], "expression": files["test"]["label"]})
    scores = score(opened, frame)
    assert scores["private"]["pearson_r2"] == pytest.approx(1)
    assert scores["public"] == {}


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_promoters_of_other_number_types_and_fixed_width_names_are_read_alike(tmp_path, kind):
    files = make_arrays()
    assert prepare(write_h5(tmp_path / "raw", files), tmp_path / "c") == 0
    for arrays in files.values():
        arrays["promoter"] = arrays["promoter"].astype(kind)
        arrays["geneName"] = arrays["geneName"].astype("S")
    assert prepare(write_h5(tmp_path / "other", files), tmp_path / "d") == 0
    assert open_challenge(tmp_path / "c").digest == open_challenge(tmp_path / "d").digest


def test_blocks_change_nothing(tmp_path, monkeypatch):
    raw, table = write_h5(tmp_path / "raw", make_arrays()), write_table(tmp_path / "t.txt")
    for rows in (2, 256):
        monkeypatch.setattr("data_prep.reading.xpresso_h5.BLOCK_ROWS", rows)
        assert prepare(raw, tmp_path / f"h5-{rows}") == 0
        assert prepare(table, tmp_path / f"table-{rows}", "--test-genes", 3) == 0
    for kind in ("h5", "table"):
        assert len({open_challenge(tmp_path / f"{kind}-{rows}").digest for rows in (2, 256)}) == 1


def spoil(files: dict, key: str, values: np.ndarray | None, *place: object) -> None:
    """Change the second file: replace an array or one place of it, or take it away."""
    if values is None:
        del files["valid"][key]
    elif place:
        files["valid"][key][place] = values
    else:
        files["valid"][key] = values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("label", None), "valid.h5 has no label; it has data, geneName, promoter"),
        (("data", np.zeros((2, 6))), "data is (2, 6); wanted (2, 8)"),
        (("promoter", np.zeros((2, 10_500, 4), bool)), "promoter is (2, 10500, 4); wanted (2, 20000, 4)"),
        (("label", np.zeros((2, 1))), "label is (2, 1); wanted (2,)"),
        (("label", np.zeros(3)), "label is (3,); wanted (2,)"),
        (("label", np.array([b"high", b"low"])), "wanted numbers"),
        (("label", np.nan, 1), f"gene {gene(6)} has label that is not finite"),
        (("data", np.inf, 1, 3), f"gene {gene(6)} has data that is not finite"),
        (("promoter", True, 1, 17), f"gene {gene(6)} has several bases at position 17"),
        (("promoter", np.full((2, 20_000, 4), 2)), f"gene {gene(5)} has a promoter that is not of 0 and 1"),
        (("geneName", gene(0).encode(), 0), f"1 duplicate ids ({gene(0)})"),
    ],
)
def test_wrong_arrays_are_named_and_leave_nothing(tmp_path, capsys, change, words):
    files = make_arrays()
    spoil(files, *change)
    raw = write_h5(tmp_path / "raw", files)
    assert prepare(raw, tmp_path / "out" / "c") == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_a_test_gene_that_is_a_training_gene_too_is_refused(tmp_path, capsys):
    files = make_arrays()
    files["test"]["geneName"][2] = gene(6).encode()
    assert prepare(write_h5(tmp_path / "raw", files), tmp_path / "c") == 2
    assert f"test.h5 has gene {gene(6)}, as training rows have" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"nonsense", None])
def test_a_damaged_or_missing_file_is_named(tmp_path, capsys, content):
    raw = write_h5(tmp_path / "raw", make_arrays())
    (raw / "test.h5").unlink()
    if content is not None:
        (raw / "test.h5").write_bytes(content)
    assert prepare(raw, tmp_path / "out" / "c") == 2
    error = capsys.readouterr().err
    assert "test.h5 cannot be read as HDF5" in error
    assert not list((tmp_path / "out").glob("*"))


def test_without_h5py_the_error_says_what_to_install(tmp_path, capsys, monkeypatch):
    (tmp_path / "raw").mkdir()
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert prepare(tmp_path / "raw", tmp_path / "c") == 2
    assert "pip install 'expression-competition[h5]'" in capsys.readouterr().err


def make_table(count: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"ENSID": [gene(number) for number in range(count)]})
    table["EXPRESSION"] = rng.gamma(0.5, 10, count).round(3)
    for name in FEATURES:
        table[name] = rng.random(count).round(4) if name.endswith("GC") else rng.integers(0, 9_000, count)
    table["PROMOTER"] = [promoter(number) for number in range(count)]
    return table


def write_table(path: Path, table: pd.DataFrame | None = None) -> Path:
    """Write the table in exactly the public layout."""
    (make_table() if table is None else table).to_csv(path, sep="\t", index=False)
    return path


def test_the_table_is_scaled_by_its_training_rows(tmp_path):
    raw = write_table(tmp_path / "Roadmap_FantomAnnotations.InputData.pM10Kb.txt.gz")
    assert prepare(raw, tmp_path / "c", "--test-genes", 3) == 0
    opened = open_challenge(tmp_path / "c")
    assert (len(opened.train), len(opened.test)) == (9, 3)
    table = make_table().set_index("ENSID")
    logged = [name for name in table if name == "EXPRESSION" or name.endswith(("LEN", "DENSITY"))]
    numbers = table[["EXPRESSION", *FEATURES]].astype(float)
    numbers[logged] = np.log10(numbers[logged] + 0.1)
    train = numbers.loc[opened.train.rows["id"]]
    scaled = (numbers - train.mean()) / train.std(ddof=0)
    for store in (opened.train, opened.test):
        rows = scaled.loc[store.rows["id"]]
        np.testing.assert_allclose(store.inputs["half_life"], rows[FEATURES], rtol=1e-5, atol=1e-6)
        assert decode(store.sequence.tokens) == table.PROMOTER[store.rows["id"]].to_list()
    np.testing.assert_allclose(
        opened.train.target[:, 0], scaled.EXPRESSION[opened.train.rows["id"]], rtol=1e-5
    )
    frame = scaled.loc[opened.test.rows["id"], ["EXPRESSION"]].reset_index()
    assert score(opened, frame.set_axis(["id", "expression"], axis=1))["private"]["mse"] == pytest.approx(0)
    note = (tmp_path / "c/public/README.md").read_text()
    assert "README.md" in opened.declaration.files
    cells = next(line.split("|")[1:5] for line in note.splitlines() if "| EXPRESSION" in line)
    assert [float(cell) for cell in cells[2:]] == pytest.approx(
        [train.EXPRESSION.mean(), train.EXPRESSION.std(ddof=0)]
    )


def test_the_seed_draws_the_test_genes(tmp_path):
    raw, chosen = write_table(tmp_path / "t.txt"), []
    for number, seed in enumerate((1, 1, 2, 3)):
        assert prepare(raw, tmp_path / str(number), "--test-genes", 4, "--seed", seed) == 0
        chosen.append(tuple(open_challenge(tmp_path / str(number)).test.rows["id"]))
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1


def replace(line: int, column: str, value: str):
    """Return a change of one cell of the table; line 1 is the header."""

    def change(text: str) -> str:
        rows = [row.split("\t") for row in text.split("\n")]
        rows[line - 1][rows[0].index(column)] = value
        return "\n".join("\t".join(row) for row in rows)

    return change


def cut_column(text: str) -> str:
    return "\n".join(
        line.partition("\t")[2] if number == 3 else line for number, line in enumerate(text.split("\n"))
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace(1, "CDSGC", "CDS_GC"), "has no column CDSGC, separated by TAB; it has ENSID, EXPRESSION"),
        (replace(4, "CDSLEN", "long"), "line 4 has the CDSLEN 'long'; wanted a number from 0"),
        (replace(4, "EXPRESSION", "-1"), "line 4 has the EXPRESSION '-1'; wanted a number from 0"),
        (replace(4, "CDSGC", "nan"), "line 4 has the CDSGC 'nan'; wanted a finite number"),
        (
            replace(4, "ENSID", gene(0)),
            f"line 4 has the ENSID '{gene(0)}'; wanted each gene once, it was in line 2",
        ),
        (replace(4, "ENSID", ""), "line 4 has the ENSID ''"),
        (replace(4, "PROMOTER", "ACGT"), "line 4 has a sequence of 4 bases; wanted 20,000"),
        (replace(4, "PROMOTER", "ACG-" * 5_000), "line 4 has '-' at position 3 of its sequence"),
        (cut_column, "line 4 has 10 columns; wanted 11"),
        (lambda text: text.partition("\n")[0] + "\n", "has no genes"),
        (lambda text: text[:0], "has no genes"),
    ],
)
def test_a_mistake_in_the_table_is_named_by_its_line_and_leaves_nothing(tmp_path, capsys, change, words):
    path = write_table(tmp_path / "t.txt")
    path.write_text(change(path.read_text()))
    assert prepare(path, tmp_path / "out" / "c", "--test-genes", 3) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_a_feature_that_does_not_vary_cannot_be_scaled(tmp_path, capsys):
    path = write_table(tmp_path / "t.txt", make_table().assign(UTR3GC=0.5))
    assert prepare(path, tmp_path / "c", "--test-genes", 3) == 2
    assert "UTR3GC is the same in every training row" in capsys.readouterr().err


def test_a_cut_table_too_many_test_genes_and_a_missing_path_are_refused(tmp_path, capsys):
    path = write_table(tmp_path / "t.txt")
    assert prepare(path, tmp_path / "c") == 2
    assert "--test-genes 1000" in capsys.readouterr().err
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(path.read_bytes())[:9_000])
    assert prepare(tmp_path / "cut.txt.gz", tmp_path / "c", "--test-genes", 3) == 2
    assert "damaged or cut off" in capsys.readouterr().err
    assert prepare(tmp_path / "none", tmp_path / "c") == 2
    assert "none does not exist" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
