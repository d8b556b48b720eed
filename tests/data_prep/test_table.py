"""A table becomes a challenge: split by homology, whatever its files look like, and each mistake is said."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.data.leaks import leaks
from data_prep.__main__ import main

BASES = np.array(list("ACGT"))


def prepare(*arguments: object) -> int:
    return main(["table", *(str(argument) for argument in arguments)])


def families(count: int, members: int = 3, seed: int = 0) -> pd.DataFrame:
    """Return rows of so many unrelated sequences, each with variants of one base in twenty."""
    rng, rows = np.random.default_rng(seed), []
    for family in range(count):
        parent = rng.integers(0, 4, 80)
        for member in range(members):
            bases = np.where(rng.random(80) < 0.05, rng.integers(0, 4, 80), parent)
            rows.append({"id": f"{seed}.{family}.{member}", "sequence": "".join(BASES[bases])})
    return pd.DataFrame(rows).assign(expression=lambda frame: rng.normal(size=len(frame)).round(3))


def write(path: Path, table: pd.DataFrame, **options) -> Path:
    table.to_csv(path, index=False, **options)
    return path


def sides(folder: Path) -> pd.Series:
    """Return what each row is for, by its id: train, public or private."""
    opened = open_challenge(folder)
    train = pd.Series("train", index=opened.train.rows["id"])
    if opened.test is None:
        return train
    answers = pd.read_csv(folder / "private" / "answers.csv", index_col="id", dtype=str)
    return pd.concat([train, answers["usage"]])


def family(ids) -> pd.Index:
    return pd.Index(ids).str.rpartition(".").get_level_values(0)


def test_a_test_set_is_whole_families_near_the_share_asked_for(tmp_path, capsys):
    file = write(tmp_path / "t.csv", families(150))
    asked = ("--test-fraction", 0.3, "--public-fraction", 0.5, "--output", tmp_path / "c")
    assert prepare(file, *asked) == 0
    side = sides(tmp_path / "c")
    assert side.groupby(family(side.index)).nunique().max() == 1
    assert 0.2 < (side != "train").mean() < 0.4 and 0.3 < (side[side != "train"] == "public").mean() < 0.7
    opened = open_challenge(tmp_path / "c")
    assert f"test split: {len(opened.test)} of 450 rows" in capsys.readouterr().out
    assert leaks(opened, fold_table(opened.train, opened.declaration, 10)) == []  # and every fold has rows


def test_a_row_added_to_a_table_moves_no_other_row_between_training_and_test(tmp_path):
    few = families(60)
    many = pd.concat([families(40, seed=1), few]).sample(frac=1, random_state=0)
    for name, table in (("few", few), ("many", many)):
        file = write(tmp_path / f"{name}.csv", table)
        assert prepare(file, "--test-fraction", 0.3, "--output", tmp_path / name) == 0
    before, after = sides(tmp_path / "few"), sides(tmp_path / "many")
    assert before.to_dict() == after[before.index].to_dict() and before.nunique() == 2


def test_a_group_is_on_one_side_of_a_test_split(tmp_path):
    table = families(60).assign(group=lambda frame: family(frame["id"]).str[2:].astype(int) % 20)
    file = write(tmp_path / "t.csv", table)
    assert prepare(file, "--test-fraction", 0.4, "--output", tmp_path / "c") == 0
    group = table.set_index("id")["group"]
    side = sides(tmp_path / "c")
    assert side.groupby(group[side.index].to_numpy()).nunique().max() == 1 and side.nunique() == 2


def test_training_rows_homologous_to_declared_test_rows_are_dropped_and_counted(tmp_path, capsys):
    usage = np.where(np.arange(90) % 7 == 0, "private", "train")
    table = families(30).assign(usage=usage)
    file = write(tmp_path / "t.csv", table)
    assert prepare(file, "--drop-test-homologs", "--output", tmp_path / "c") == 0
    tested = set(family(table["id"][usage == "private"]))
    known = family(table["id"]).isin(tested) & (usage == "train")
    assert sides(tmp_path / "c").index.isin(table["id"][~known]).all()
    opened = open_challenge(tmp_path / "c")
    assert len(opened.train) == 90 - (usage == "private").sum() - known.sum()
    assert f"dropped {known.sum()} of {(usage == 'train').sum()} training rows" in capsys.readouterr().out


def test_answers_of_declared_test_rows_can_be_made_public(tmp_path):
    file = write(tmp_path / "t.csv", families(60).assign(lab=["a", "b", "c"] * 60))
    assert prepare(file, "--test", "lab=a", "--public-fraction", 0.5, "--output", tmp_path / "c") == 0
    assert set(sides(tmp_path / "c")) == {"train", "public", "private"}


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({}, ("--test-fraction", 1.5), "--test-fraction 1.5: wanted a number between 0 and 1"),
        ({}, ("--test-fraction", "nan"), "wanted a number between 0 and 1"),
        ({}, ("--public-fraction", 0.5), "no row is a test row"),
        ({}, ("--drop-test-homologs",), "no row is a test row; add --test or --test-fraction"),
        ({"usage": "train"}, ("--test-fraction", 0.1), "'usage' says that already"),
        ({"lab": "a"}, ("--test", "lab=a", "--test-fraction", 0.1), "--test says that already"),
        ({"group": "a"}, ("--test-fraction", 0.1), "in 1 clusters that stay whole"),
        ({"lab": "a"}, ("--test", "lab=b"), "--test lab=b: no row of"),
        ({}, ("--left-flank", "XYZ"), "--left-flank XYZ has 'X' at position 0"),
        ({}, ("--right-flank", "ACGT-"), "--right-flank ACGT- has '-'"),
        ({}, ("--origin", 99999), "--origin sequence=99999: the longest sequence has 80 bases"),
    ],
)
def test_what_a_table_does_not_hold_is_refused_when_the_challenge_is_built(
    tmp_path, capsys, columns, options, words
):
    file = write(tmp_path / "t.csv", families(4).assign(**columns))
    assert prepare(file, "--output", tmp_path / "out" / "c", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("target", "name", "values"),
    [
        ("log2(y+1)", "log2_y", np.log2([1, 2, 4, 8])),
        ("log1p(y)", "log1p_y", np.log1p([0, 1, 3, 7])),
        ("log2(r/d)", "log2(r/d)", [5, 6, 7, 8]),  # the name of a column
        ("zscore(y)", "zscore_y", (np.array([0, 1, 3, 7]) - 4 / 3) / np.std([0, 1, 3])),
        ("zscore(log1p(y))", "zscore_log1p_y",
         (np.log1p([0, 1, 3, 7]) - np.log1p([0, 1, 3]).mean()) / np.log1p([0, 1, 3]).std()),
    ],
)  # fmt: skip
def test_a_target_may_be_a_logarithm_or_a_z_score_by_the_training_rows(tmp_path, target, name, values):
    table = families(2, 2).assign(usage=["train"] * 3 + ["private"], y=[0, 1, 3, 7])
    file = write(tmp_path / "t.csv", table.assign(**{"log2(r/d)": [5, 6, 7, 8]}))
    assert prepare(file, "--target", target, "--output", tmp_path / "c") == 0
    opened, answers = open_challenge(tmp_path / "c"), pd.read_csv(tmp_path / "c" / "private" / "answers.csv")
    np.testing.assert_allclose([*opened.train.target[:, 0], *answers[name]], values, rtol=1e-5)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
def test_a_separator_is_found_whatever_the_name_of_the_file(tmp_path, name, separator):
    table = families(3).assign(note="a, b")
    file = write(tmp_path / name, table, sep=separator)
    assert prepare(file, "--output", tmp_path / "c") == 0
    target = open_challenge(tmp_path / "c").train.target[:, 0]
    np.testing.assert_allclose(target, table["expression"], rtol=1e-6)


def test_several_files_are_one_table_and_those_of_an_option_are_for_that(tmp_path):
    first, second, third = (families(5, seed=seed) for seed in (1, 2, 3))
    files = [write(tmp_path / f"{seed}.csv", table) for seed, table in enumerate((first, second, third))]
    assert prepare(*files[:2], "--test", files[2], "--output", tmp_path / "c") == 0
    assert (
        prepare("--train", files[0], "--train", files[1], "--test", files[2], "--output", tmp_path / "d") == 0
    )
    side = sides(tmp_path / "c")
    assert side.equals(sides(tmp_path / "d")) and list(side.index) == [
        *first["id"],
        *second["id"],
        *third["id"],
    ]
    assert (side[third["id"]] == "private").all() and (side[: len(first) * 2] == "train").all()


def test_a_file_needs_only_the_columns_of_what_its_rows_are_for(tmp_path):
    train = write(tmp_path / "a.csv", families(3).assign(fold=[0, 1, 2] * 3, reads=1))
    test = write(tmp_path / "b.csv", families(3, seed=1).assign(kind="native"))
    options = ("--weight", "reads", "--subset", "kind", "--output")
    assert prepare("--train", train, "--test", test, *options, tmp_path / "c") == 0
    assert open_challenge(tmp_path / "c").declaration.subsets == {"native": "rows"}
    other = write(tmp_path / "d.csv", families(3, seed=2).assign(usage="train", reads=1, fold=1, kind=""))
    assert prepare(other, "--test", test, *options, tmp_path / "e") == 0
    assert sides(tmp_path / "e").value_counts().to_dict() == {"train": 9, "private": 9}


def test_rows_of_files_without_ids_are_numbered_through(tmp_path):
    files = [write(tmp_path / f"{seed}.csv", families(2, seed=seed).drop(columns="id")) for seed in (0, 1)]
    assert prepare(*files, "--output", tmp_path / "c") == 0
    assert open_challenge(tmp_path / "c").train.rows["id"].tolist() == [str(row) for row in range(12)]


def test_rows_from_standard_input_are_those_of_the_file(tmp_path, monkeypatch, capsys):
    file = write(tmp_path / "t.tsv", families(40), sep="\t")
    asked = ("--test-fraction", 0.3, "--name", "t", "--output")
    assert prepare(file, *asked, tmp_path / "c") == 0
    for name, expected in (("d", 0), ("e", 2)):
        with file.open() as stream:
            monkeypatch.setattr("sys.stdin", stream)
            assert prepare("-", *asked, tmp_path / name, *(["--target", "y"] if expected else [])) == expected
    assert open_challenge(tmp_path / "c").digest == open_challenge(tmp_path / "d").digest
    (tmp_path / "bad.csv").write_text("sequence,expression\nACGT,x\n")
    with (tmp_path / "bad.csv").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert prepare("-", "--name", "t", "--output", tmp_path / "f") == 2
    assert "error: standard input: line 2 has the expression 'x'" in capsys.readouterr().err


def test_rows_without_a_target_or_a_sequence_are_skipped_on_request_and_counted(tmp_path, capsys):
    table = families(4).assign(usage=["train"] * 9 + ["private"] * 3).astype({"expression": str})
    table.loc[[0, 4, 10], "expression"] = ["", "NA", "None"]
    table.loc[5, "sequence"] = ""
    file = write(tmp_path / "t.csv", table)
    assert prepare(file, "--skip-missing", "--output", tmp_path / "c") == 0
    assert set(sides(tmp_path / "c").index) == set(table["id"].drop([0, 4, 5, 10]))
    assert "skipped 3 rows without a target and 1 without a sequence" in capsys.readouterr().out
    file = write(tmp_path / "u.csv", table[table["sequence"] != ""])
    assert prepare(file, "--output", tmp_path / "d") == 2
    assert "line 2 has the expression ''; wanted a finite number; to leave out such rows: --skip-missing" in (
        capsys.readouterr().err
    )


def test_rows_of_one_id_are_averaged_renamed_or_refused(tmp_path, capsys):
    table = families(4).assign(depth=np.arange(12) % 5)
    again = table.iloc[[1, 7, 1]].assign(expression=[1, 2, 3.5], depth=[2, 4, 6])
    file = write(tmp_path / "t.csv", pd.concat([table, again]))
    asked = ("--input", "reads=depth", "--output")
    assert prepare(file, "--duplicate-ids", "mean", *asked, tmp_path / "c") == 0
    wanted = pd.concat([table, again]).groupby("id", sort=False)[["expression", "depth"]].mean()
    opened = open_challenge(tmp_path / "c").train
    assert opened.rows["id"].tolist() == wanted.index.tolist()
    np.testing.assert_allclose(opened.target[:, 0], wanted["expression"], rtol=1e-6)
    np.testing.assert_allclose(opened.inputs["reads"][:, 0], wanted["depth"], rtol=1e-6)
    assert "averaged 5 rows of 2 ids" in capsys.readouterr().out
    assert prepare(file, "--duplicate-ids", "rename", *asked, tmp_path / "d") == 0
    new = [f"{table['id'][1]}_2", f"{table['id'][7]}_2", f"{table['id'][1]}_3"]
    assert open_challenge(tmp_path / "d").train.rows["id"].tolist() == [*table["id"], *new]
    assert prepare(file, *asked, tmp_path / "e") == 2
    assert "3 duplicate ids" in capsys.readouterr().err


def test_rows_of_one_id_and_two_sequences_are_not_averaged(tmp_path, capsys):
    file = write(tmp_path / "t.csv", families(2).assign(id="a"))
    assert prepare(file, "--duplicate-ids", "mean", "--output", tmp_path / "c") == 2
    assert "line 3 has the id 'a' of an earlier row but another sequence" in capsys.readouterr().err


def write_fasta(path: Path, table: pd.DataFrame, width: int = 60) -> Path:
    lines = (f">{name} x\n" + "\n".join(s[i : i + width] for i in range(0, len(s), width)) for name, s in
             zip(table["id"], table["sequence"], strict=True))  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path


def test_sequences_of_a_fasta_file_are_joined_by_id(tmp_path, capsys):
    table = families(5)
    whole, bare = write(tmp_path / "t.csv", table), write(tmp_path / "b.csv", table.drop(columns="sequence"))
    shuffled = write_fasta(tmp_path / "s.fa", pd.concat([table[::-1], families(1, 2, seed=9)]))
    assert prepare(whole, "--name", "t", "--output", tmp_path / "c") == 0
    assert prepare(bare, "--fasta", shuffled, "--name", "t", "--output", tmp_path / "d") == 0
    assert open_challenge(tmp_path / "c").digest == open_challenge(tmp_path / "d").digest
    assert "2 of 17 records are of no row that is taken, such as '9.0.0'" in capsys.readouterr().out
    few = write_fasta(tmp_path / "few.fa", table[2:])
    assert prepare(bare, "--fasta", few, "--output", tmp_path / "e") == 2
    assert "no record of 2 rows, such as '0.0.0'" in capsys.readouterr().err
    assert prepare(bare, "--fasta", few, "--skip-missing", "--output", tmp_path / "e") == 0
    assert len(open_challenge(tmp_path / "e").train) == 13


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"expression": "1,5"}, (), "'1,5'; wanted a decimal point, such as 1.5, not a comma"),
        ({"EXPR": 1}, ("--target", "expr"), "did you mean 'EXPR'?"),
        ({}, ("--target", "EXPRESSION"), "did you mean 'expression'?"),
        ({}, ("--target", "log2(exp)"), "there is no column 'exp'"),
        ({}, ("--target", "log2(expression+1.2.3)"), "wanted a number"),
        ({"y": -1}, ("--target", "log1p(y)"), "wanted more, for log1p(y)"),
        ({"y": 3}, ("--target", "zscore(y)"), "y is the same in all training rows"),
        ({"y": 3}, ("--weight", "zscore(y)"), "--weight zscore(y): z-scores are below 0"),
        ({}, ("--test", "nowhere.tsv"), "--test nowhere.tsv: there is no such file"),
        (
            {"usage": "train"},
            ("--train", "t.csv"),
            "'usage' says that already; leave --train away",
        ),
        ({}, ("-", "-", "--name", "t"), "a single -"),
        ({"group": 1}, ("--train", "bare.csv"), "bare.csv: there is no column 'group'"),
        ({}, ("--fasta", "t.csv"), "the rows have a column 'sequence' of sequences"),
        ({}, ("--fasta", "t.csv", "--sequence", "s"), "t.csv does not begin with '>'"),
    ],
)
def test_a_mistake_in_a_table_is_explained(tmp_path, capsys, monkeypatch, columns, options, words):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bare.csv", families(4))
    file = write(tmp_path / "t.csv", families(4).assign(**columns))
    assert prepare(file, *options, "--output", tmp_path / "out" / "c") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_command_without_a_file_says_what_is_wanted(capsys):
    assert main(["table"]) == main(["table", "--test", "usage=public"]) == 2
    assert capsys.readouterr().err.count("no table is named; wanted a FILE, or - for standard input") == 2


def test_a_temporary_folder_that_cannot_be_written_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    file = write(tmp_path / "t.csv", families(4))
    assert prepare(file, "--test-fraction", 0.5, "--output", tmp_path / "c") == 2
    assert "temporary files could not be written" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "separator"), [("t.txt", "\t"), ("t.csv.gz", ",")])
def test_a_table_without_names_of_columns_is_refused_with_a_command_that_adds_them(
    tmp_path, capsys, monkeypatch, name, separator
):
    monkeypatch.chdir(tmp_path)
    table = families(5)[["sequence", "expression"]]
    write(tmp_path / name, table, header=False, sep=separator)
    assert prepare(name) == 2
    command = capsys.readouterr().err.split("such as: ")[1].replace("python", sys.executable, 1)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(["bash", "-c", command], env=environment, check=True)
    assert prepare(write(tmp_path / "named.csv", table)) == 0
    digests = {open_challenge(Path("data") / each).declaration.train_digest for each in ("NAME", "named")}
    assert len(digests) == 1


def test_a_special_column_in_another_case_is_told(tmp_path, capsys):
    file = write(tmp_path / "t.csv", families(4).assign(Usage="private"))
    assert prepare(file, "--output", tmp_path / "c") == 0
    assert "the column 'Usage' is not used; to use it: --usage Usage" in capsys.readouterr().out


def awkward() -> pd.DataFrame:
    """Return rows with whole numbers, fractions, truth values, categories and missing cells."""
    table = families(20).astype({"id": str}).assign(gc=np.arange(60), active=np.arange(60) % 3 == 0)
    table["lab"] = pd.Categorical(np.array(["a", "b", "c"])[np.arange(60) % 3])
    table["usage"] = np.where(np.arange(60) % 4 == 0, "private", "train")
    table["batch"] = pd.array([1, 2, None] * 20, dtype="Int64")
    table.loc[8, "expression"] = np.nan
    return table


def check_same_as_csv(folder: Path, file: Path, table: pd.DataFrame) -> None:
    """Check that a file makes the same challenge as its table does as CSV."""
    text = write(folder / "t.csv", table.assign(active=table["active"].astype(int)))
    asked = ("--name", "t", "--input", "x=gc,active", "--where", "lab!=b", "--where", "batch=1", "--output")
    assert prepare(text, *asked, folder / "c") == 0
    assert prepare(file, *asked, folder / "d") == 0
    assert open_challenge(folder / "c").digest == open_challenge(folder / "d").digest
    answers = [(folder / name / "private" / "answers.csv").read_bytes() for name in "cd"]
    assert answers[0] == answers[1]


def test_a_parquet_file_is_read_as_the_csv_of_its_rows(tmp_path, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("data_prep.reading.formats.CHUNK_ROWS", 7)
    bare = arrow.Table.from_pandas(awkward()).replace_schema_metadata(None)  # as other software writes it
    parquet.write_table(bare, tmp_path / "t.parquet")
    check_same_as_csv(tmp_path, tmp_path / "t.parquet", awkward())


def test_an_excel_sheet_is_read_as_the_csv_of_its_rows(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    monkeypatch.setattr("data_prep.reading.formats.CHUNK_ROWS", 7)
    awkward().to_excel(tmp_path / "t.xlsx", index=False)
    check_same_as_csv(tmp_path, tmp_path / "t.xlsx", awkward())


def test_an_excel_sheet_with_two_columns_of_one_name_is_refused(tmp_path, capsys):
    pytest.importorskip("openpyxl")
    table = families(2).rename(columns={"id": "expression"})
    table.to_excel(tmp_path / "t.xlsx", index=False)
    assert prepare(tmp_path / "t.xlsx", "--output", tmp_path / "c") == 2
    assert "has 2 columns called 'expression'" in capsys.readouterr().err


def write_anndata(path: Path, table: pd.DataFrame, layout: str) -> None:
    """Write the layout of AnnData from 0.8: gc and expression as X, dense or sparse; rows are obs or var."""
    h5py = pytest.importorskip("h5py")
    from scipy.sparse import csc_array, csr_array

    values = np.nan_to_num(table[["gc", "expression"]].to_numpy(float))
    values = values.T if layout.endswith("var") else values
    with h5py.File(path, "w") as file:
        rows, columns = ("var", "obs") if layout.endswith("var") else ("obs", "var")
        for name, index in ((rows, table["id"]), (columns, ["gc", "expression"])):
            group = file.create_group(name)
            group.attrs["_index"] = "_index"
            group["_index"] = np.array(index, dtype=object)
        for name in ("sequence", "usage"):
            file[rows][name] = table[name].to_numpy(dtype=object)
        file[rows]["active"] = table["active"].to_numpy()
        file[rows]["lab/categories"] = np.array(["a", "b", "c"], dtype=object)
        file[rows]["lab/codes"] = table["lab"].cat.codes.to_numpy()
        file[rows]["batch/values"] = table["batch"].fillna(0).to_numpy(int)
        file[rows]["batch/mask"] = table["batch"].isna().to_numpy()
        kind = layout.partition("_")[0]
        if kind == "dense":
            file["X"] = values
            return
        sparse = csr_array(values) if kind == "csr" else csc_array(values)
        file.create_group("X").attrs["encoding-type"] = f"{kind}_matrix"
        for name in ("data", "indices", "indptr"):
            file["X"][name] = getattr(sparse, name)


@pytest.mark.parametrize("layout", ["dense", "csr", "csc", "dense_var", "csr_var", "csc_var"])
def test_anndata_is_read_as_the_csv_of_its_rows(tmp_path, monkeypatch, layout):
    monkeypatch.setattr("data_prep.reading.formats.CHUNK_ROWS", 7)
    table = awkward().fillna({"expression": 0})
    write_anndata(tmp_path / "t.h5ad", table, layout)
    check_same_as_csv(tmp_path, tmp_path / "t.h5ad", table)


def test_a_weight_of_training_rows_may_be_a_target_of_test_rows(tmp_path):
    h5py = pytest.importorskip("h5py")  # of such a file only the columns that are needed are read
    train, test = (families(3, seed=seed).assign(n=[1, 2, 3] * 3) for seed in (0, 1))
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for name in ("id", "sequence"):
            file[name] = test[name].to_numpy().astype("S")
        file["n"] = test["n"].to_numpy()
    files = ("--train", write(tmp_path / "a.csv", train), "--test", tmp_path / "t.h5")
    assert prepare(*files, "--target", "n", "--weight", "n", "--output", tmp_path / "c") == 0
    assert len(open_challenge(tmp_path / "c").test) == 9


def test_datasets_of_an_hdf5_file_are_columns(tmp_path):
    h5py = pytest.importorskip("h5py")
    table = awkward()
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for name in table:
            values = table.astype({"batch": str})[name].to_numpy()
            file[name] = values if values.dtype.kind in "fib" else values.astype("S")
    check_same_as_csv(tmp_path, tmp_path / "t.h5", table)


MAGIC = {"pyarrow": b"PAR1", "openpyxl": b"PK\x03\x04", "h5py": b"\x89HDF\r\n\x1a\n", "": b"\xd0\xcf\x11\xe0"}


@pytest.mark.parametrize(("library", "extra"), [("pyarrow", "parquet"), ("openpyxl", "xlsx"), ("h5py", "h5")])
def test_a_format_whose_library_is_absent_names_the_command(tmp_path, capsys, monkeypatch, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / "t").write_bytes(MAGIC[library] + b"...")
    assert prepare(tmp_path / "t", "--output", tmp_path / "c") == 2
    wanted = f"needs {library}; run: pip install 'expression-competition[{extra}]'"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("pyarrow", "cannot be read as parquet"),
        ("openpyxl", "cannot be read as an Excel workbook"),
        ("h5py", "cannot be read as HDF5"),
        ("", "save it as .xlsx or CSV"),
    ],
)
def test_a_damaged_file_of_a_format_is_named(tmp_path, capsys, library, words):
    if library:
        pytest.importorskip(library)
    (tmp_path / "t").write_bytes(MAGIC[library] + b"...")
    assert prepare(tmp_path / "t", "--output", tmp_path / "c") == 2
    assert words in capsys.readouterr().err
