"""Raw files become challenges; what is wrong with a file is said once, and nothing is left behind."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.challenge import open_challenge
from competition.data.tokens import decode
from competition.judging.answers import read_answers
from competition.judging.scoring import score
from data_prep.__main__ import main

LEFT, RIGHT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT"


def promoters(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [LEFT + "".join(rng.choice(list("ACGT"), 80)) + RIGHT for _ in range(count)]


def prepare(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def write_table(path: Path, **columns) -> Path:
    table = {"sequence": promoters(6), "expression": np.arange(6) / 2, **columns}
    pd.DataFrame({k: v for k, v in table.items() if v is not None}).to_csv(path, index=False)
    return path


def test_the_help_lists_every_preparer(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("table", "promoters", "dream2022", "vaishnav2022"))


def test_an_unknown_preparer_is_refused_with_the_nearest(capsys):
    assert prepare("tabel") == 2
    assert "did you mean 'table'" in capsys.readouterr().err


def test_a_seed_that_no_generator_takes_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["promoters", "--seed", "-1", "--output", str(tmp_path / "toy")])
    assert "argument --seed: got '-1'; wanted a whole number from 0" in capsys.readouterr().err


def test_a_table_becomes_training_and_test_rows(tmp_path):
    usage = ["train", "train", "Public", "private", "train", "private"]
    table = write_table(tmp_path / "t.csv", id=list("abcdef"), group=list("xxyyzz"), usage=usage, gc=range(6))
    assert prepare("table", table, "--output", tmp_path / "c", "--input", "content=gc") == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.train.rows.to_dict("list") == {"id": ["a", "b", "e"], "group": ["x", "x", "z"]}
    assert opened.test.rows["id"].to_list() == ["c", "d", "f"]
    assert decode(opened.test.sequence.tokens) == [promoters(6)[i] for i in (2, 3, 5)]
    assert opened.train.inputs["content"][:, 0].tolist() == [0, 1, 4]
    truth = pd.DataFrame({"id": ["f", "c", "d"], "expression": [2.5, 1.0, 1.5]})
    assert score(opened, truth)["all"]["pearson"] == pytest.approx(1)
    assert read_answers(opened).group.tolist() == ["y", "y", "z"]


def test_the_rules_of_a_table_can_be_set(tmp_path, capsys):
    table = write_table(tmp_path / "t.csv")
    rules = ("--rank-by", "mse", "--tie-break", "spearman", "--no-ensembles", "--tie-bayes-factor", "3")
    assert prepare("table", table, "--output", tmp_path / "c", *rules) == 0
    declared = open_challenge(tmp_path / "c").declaration
    assert declared.primary.name == "mse" and declared.tie_break == "spearman" and not declared.ensembles
    assert declared.tie_bayes_factor == 3
    assert prepare("table", table, "--output", tmp_path / "d", "--rank-by", "persn") == 2
    assert "unknown score for --rank-by 'persn'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "ranked_by"),
    [([1, 0, "", 0, 1, 0], "auroc"), ([1, 0, 1, 0, 1, 2], "pearson"), ([0, 0, 0, 0, 0, 0], "pearson")],
)
def test_targets_that_are_all_labels_are_scored_by_metrics_of_labels(tmp_path, other, ranked_by):
    usage = ["train", "train", "private", "private", "train", "private"]
    table = write_table(
        tmp_path / "t.csv", active=[0, 1, 1, 0, 0, 1], other=other, usage=usage, part=["x"] * 6
    )
    targets = ("--target", "active", "--target", "other", "--subset", "part", "--output", tmp_path / "c")
    assert prepare("table", table, *targets) == 0
    names = [score.name for score in open_challenge(tmp_path / "c").declaration.scores]
    assert names[0] == ranked_by and f"{ranked_by}_x" in names
    assert ({"auroc", "auprc"} <= set(names)) == (ranked_by == "auroc")


def test_rows_that_are_not_taken_do_not_say_whether_targets_are_labels(tmp_path):
    table = write_table(tmp_path / "t.csv", active=[0, 1, 1, 0, 7, 7], lab=list("aaaabb"))
    asked = ("--target", "active", "--where", "lab=a", "--output", tmp_path / "c")
    assert prepare("table", table, *asked) == 0
    assert open_challenge(tmp_path / "c").declaration.primary.name == "auroc"


def test_rows_can_be_chosen_and_separators_follow_the_name(tmp_path):
    frame = pd.DataFrame({"seq": promoters(4), "y": [1, 2, 3, 4], "lab": ["a", "b", "a", "a"]})
    frame.to_csv(tmp_path / "t.tsv.gz", sep="\t", index=False)
    wanted = ("--sequence", "seq", "--target", "y", "--where", "lab=a", "--output", tmp_path / "c")
    assert prepare("table", tmp_path / "t.tsv.gz", *wanted) == 0
    assert open_challenge(tmp_path / "c").train.target[:, 0].tolist() == [1, 3, 4]


def test_logarithms_z_scores_and_test_rows_are_made_on_the_way(tmp_path):
    table = write_table(
        tmp_path / "t.csv",
        chromosome=list("AABBCC"),
        length=[10, 100, "", 1000, 10, 10],
        gc=[1, 2, 3, 4, 5, 9],
    )
    options = (
        "--target", "log10(expression + 1)", "--input", "half_life=log10(length),gc", "--standardise",
        "--test", "chromosome=A,Z", "--where", "gc!=9", "--group", "chromosome",
    )  # fmt: skip
    assert prepare("table", table, "--output", tmp_path / "c", *options) == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.declaration.targets[0].unit == "log10(expression + 1)"
    np.testing.assert_allclose(opened.train.target[:, 0], np.log10([2, 2.5, 3]), rtol=1e-6)
    lengths, gc = np.array([3, 1]), np.array([3, 4, 5])
    z = np.stack([[0, 1, -1], (gc - gc.mean()) / gc.std()], axis=1)  # an empty cell is at the mean
    assert lengths.mean() == 2
    np.testing.assert_allclose(opened.train.inputs["half_life"], z, atol=1e-6)
    np.testing.assert_allclose(opened.test.inputs["half_life"][:, 0], [-1, 0], atol=1e-6)
    answers = pd.read_csv(tmp_path / "c/private/answers.csv")
    assert answers["usage"].tolist() == ["private"] * 2
    np.testing.assert_allclose(answers["log10_expression"], np.log10([1, 1.5]), atol=1e-6)


def test_a_column_of_weights_becomes_weights_of_training_rows_with_a_mean_of_one(tmp_path):
    usage, reads = ["train", "private", "train", "train", "public", "train"], [3, "", 0, 7.5, -1, 100]
    table = write_table(tmp_path / "t.csv", usage=usage, reads=reads)
    assert prepare("table", table, "--output", tmp_path / "c", "--weight", "reads") == 0
    opened, known = open_challenge(tmp_path / "c"), np.array([3, 0, 7.5, 100])
    assert opened.declaration.row_weights
    np.testing.assert_allclose(opened.train.weight, known / known.mean(), rtol=1e-6)
    assert opened.test.weight is None


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"sequence": ["ACGT", "AC-T", *promoters(4)]}, (), "line 3 has '-' at position 2"),
        ({"sequence": ["ACGT", "", *promoters(4)]}, (), "line 3 has no sequence"),
        ({"expression": ["1", "", "3", "4", "5", "6"]}, (), "line 3 has the expression ''"),
        ({"expression": ["1", "x", "3", "4", "5", "6"]}, (), "line 3 has the expression 'x'"),
        ({"expression": ["1", "inf", "3", "4", "5", "6"]}, (), "line 3 has the expression 'inf'"),
        ({"id": list("abcdea")}, (), "1 duplicate ids (a)"),
        (
            {"w": [1, -1, 1, 1, 1, 1]},
            ("--weight", "w"),
            "line 3 has the w '-1'; wanted a weight of 0",
        ),
        ({"w": [1, "", 1, 1, 1, 1]}, ("--weight", "w"), "line 3 has the w ''; wanted a finite number"),
        ({"w": [0] * 6}, ("--weight", "w"), "train: every row has weight 0"),
        ({"reads": [1] * 6}, ("--weight", "raeds"), "did you mean 'reads'"),
        ({}, ("--target", "expresion"), "did you mean 'expression'"),
        ({}, ("--sequence", "seqence"), "did you mean 'sequence'"),
        ({"usage": ["train"] * 5 + ["exam"]}, (), "'exam'; wanted train, public, private"),
        ({"lab": list("aaaaaa")}, ("--where", "lab=b"), "no row is for training"),
        (
            {"group": ["a", "", "c", "d", "e", "f"]},
            (),
            "line 3 has the group ''; wanted a group for every training row",
        ),
        ({}, ("--target", "log10(expression)"), "line 2 has the expression '0.0'; wanted more"),
        ({"lab": list("abcdef")}, ("--test", "lob=a"), "did you mean 'lab'"),
        ({"usage": ["train"] * 6, "lab": list("abcdef")}, ("--test", "lab=a"), "'usage' says that already"),
        ({"gc": [1] * 6}, ("--input", "x=gc", "--standardise"), "gc is the same in all training rows"),
    ],
)
def test_a_table_that_is_wrong_is_refused_and_leaves_nothing(tmp_path, capsys, columns, options, words):
    table = write_table(tmp_path / "t.csv", **columns)
    assert prepare("table", table, "--output", tmp_path / "out" / "c", *options) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*") if (tmp_path / "out").exists() else [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty"),
        (b"sequence,expression\n", "no rows"),
        (b"sequence,expression\nACGT,1,2\nACGT,1\n", "line 2 has 3 columns"),
        (b"sequence,expression\nACGT,1\nACGT\n", "line 3"),
        (gzip.compress(b"sequence,expression\n" + b"ACGT,1\n" * 999)[:40], "damaged or cut off"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, capsys, text, words):
    (tmp_path / "t.csv").write_bytes(text)
    assert prepare("table", tmp_path / "t.csv", "--output", tmp_path / "c") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def write_dream(folder: Path) -> Path:
    """Write a small download in exactly the official layout."""
    (folder / "test_subset_ids").mkdir(parents=True)
    (folder / "public_leaderboard_ids").mkdir()
    train, test = promoters(5), promoters(8, seed=1)
    values = ["11", "3.25", "7", "0.5", "16.75"]
    lines = "".join(f"{sequence}\t{value}\n" for sequence, value in zip(train, values, strict=True))
    (folder / "train_sequences.txt").write_text(lines)
    (folder / "test_sequences.txt.gz").write_bytes(
        gzip.compress("".join(f"{s}\t0.0\n" for s in test).encode())
    )
    backbone = "".join(np.random.default_rng(2).choice(list("ACGT"), 400))
    plasmid = backbone[:200] + LEFT + "N" * 80 + RIGHT + backbone[200:]
    (folder / "plasmid.json").write_text(json.dumps(plasmid))
    rows = pd.DataFrame({"tag": "", "sequence": [test[1], test[2], test[2]], "pos": [1, 2, 2], "exp": ""})
    pairs = {
        "alt_sequence": [test[3], test[5]],
        "ref_sequence": [test[4], test[4]],
        "alt_pos": [3, 5],
        "ref_pos": 4,
    }
    for name in ("high_exp", "low_exp", "yeast", "all_random", "challenging"):
        rows.to_csv(folder / "test_subset_ids" / f"{name}_seqs.csv")
    for name in ("all_SNVs", "motif_perturbation", "motif_tiling"):
        pd.DataFrame(pairs).to_csv(folder / "test_subset_ids" / f"{name}_seqs.csv")
    ground = {str(row): float(row) ** 1.5 for row in range(6)}
    (folder / "public_leaderboard_ids" / "ground.json").write_text(json.dumps(ground))
    return folder


def test_the_official_dream_layout_becomes_a_challenge(tmp_path):
    raw = write_dream(tmp_path / "raw")
    assert prepare("dream2022", raw, "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.train.inputs["singleton"][:, 0].tolist() == [1, 0, 1, 0, 0]
    assert not opened.test.inputs["singleton"].any()
    plasmid = json.loads((raw / "plasmid.json").read_text())
    whole = (
        opened.declaration.sequences[0].left_flank
        + opened.test.rows["id"][0]
        + opened.declaration.sequences[0].right_flank
    )
    assert (plasmid + plasmid).count(whole.split("0")[0] + LEFT) >= 1
    assert not opened.declaration.ensembles and opened.declaration.tie_bayes_factor == 3
    subsets = pd.read_csv(tmp_path / "c/private/subsets.csv")
    assert len(subsets[subsets.subset == "high"]) == 2
    assert sum(opened.declaration.scores[0].weights.values()) == pytest.approx(4.65)
    answers = pd.read_csv(tmp_path / "c/private/answers.csv")
    assert answers.expression.notna().sum() == 6


def test_subset_files_of_another_download_are_refused(tmp_path, capsys):
    raw = write_dream(tmp_path / "raw")
    path = raw / "test_subset_ids" / "yeast_seqs.csv"
    path.write_text(path.read_text().replace(LEFT, LEFT[:-1] + "A"))
    assert prepare("dream2022", raw, "--output", tmp_path / "c") == 2
    assert "has another sequence than test row 1" in capsys.readouterr().err


TRUTH = [value**1.5 / 2 + 3 for value in range(8)]  # on another scale than the public leaderboard's


def write_truth(raw: Path, order=range(8), values=TRUTH, more: str = "") -> Path:
    """Write the organisers' file of all answers for the toy download, its lines in some order."""
    test = promoters(8, seed=1)
    text = "".join(f"{test[row]}\t{values[row]}\n" for row in order) + more
    (raw / "filtered_test_data_with_MAUDE_expression.txt").write_text(text)
    return raw


def test_the_organisers_answers_are_matched_by_sequence_in_any_order(tmp_path, capsys):
    for name, order in (("straight", range(8)), ("shuffled", [5, 2, 7, 0, 1, 6, 4, 3, 3])):
        raw = write_truth(write_dream(tmp_path / f"raw_{name}"), order)
        assert prepare("dream2022", raw, "--output", tmp_path / name) == 0
        answers = pd.read_csv(tmp_path / name / "private/answers.csv")
        assert answers["expression"].tolist() == pytest.approx(TRUTH)  # one scale for public and private
        assert answers["usage"].tolist() == ["public"] * 6 + ["private"] * 2
    assert "correlate with Pearson 1.0000 on 6 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ({"order": range(7)}, "1 test sequences are missing"),
        ({"more": "ACGTACGT\t1.5\n"}, "1 sequences are not in the test set (such as ACGTACGT)"),
        ({"more": f"{promoters(8, seed=1)[2]}\t77\n"}, "1 sequences come with two values"),
        ({"values": TRUTH[::-1]}, "Pearson -0.9"),
        ({"order": [], "more": "1.5\n" * 8}, "holds no sequences"),
    ],
)
def test_organisers_answers_of_other_rows_are_refused(tmp_path, capsys, truth, words):
    raw = write_truth(write_dream(tmp_path / "raw"), **truth)
    assert prepare("dream2022", raw, "--output", tmp_path / "c") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_another_training_file_may_stand_in(tmp_path):
    raw = write_dream(tmp_path / "raw")
    other = tmp_path / "small.tsv.gz"
    text = "sequence\texpression\tsource\n" + "".join(f"{s}\t4.5\tlab\n" for s in promoters(3, seed=5))
    other.write_bytes(gzip.compress(text.encode()))
    assert prepare("dream2022", raw, "--train", other, "--output", tmp_path / "c") == 0
    assert len(open_challenge(tmp_path / "c").train) == 3


def test_vaishnavs_files_become_a_challenge_for_each_medium_and_for_both(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, file in enumerate(("complex_media_training_data_Glu", "defined_media_training_data_SC_Ura")):
        lines = "".join(f"{s}\t{i}.5\n" for i, s in enumerate(promoters(4, seed)))
        (raw / f"{file}.txt").write_text(lines)
    tests = {
        "sequence": promoters(3, 9),
        "Measured Expression": [1.0, 2, 3],
        "Predicted Expression": [3.0, 2, 1],
    }
    pd.DataFrame(tests).to_csv(raw / "Native_complex.csv")
    for medium, rows in (("complex", 4), ("pooled", 8)):
        assert prepare("vaishnav2022", raw, "--medium", medium, "--output", tmp_path / medium) == 0
        opened = open_challenge(tmp_path / medium)
        assert len(opened.train) == rows
        assert opened.test.rows["id"].to_list() == [f"native_complex_{i}" for i in range(3)]
    truth = pd.DataFrame({"id": opened.test.rows["id"], "expression": [1.0, 2, 3]})
    assert score(opened, truth)["private"]["r2_native_complex"] == 1


@pytest.fixture
def real() -> Path:
    folder = os.environ.get("COMPETITION_REAL_DATA")
    if not folder:
        pytest.skip("COMPETITION_REAL_DATA is not set")
    return Path(folder)


def test_the_real_dream_files_reproduce_the_organisers_score(real, tmp_path):
    raw = real / "dream2022" / "raw"
    assert prepare("dream2022", raw, "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert (len(opened.train), len(opened.test)) == (6_370, 71_103)
    sample = json.loads((raw / "public_leaderboard_ids" / "sample_submission.json").read_text())
    frame = pd.DataFrame({"id": list(sample), "expression": [round(value, 5) for value in sample.values()]})
    public = score(opened, frame)["public"]
    assert public["pearson_score"] == pytest.approx(0.0062678896, abs=5e-11)
    assert public["spearman_score"] == pytest.approx(0.0000740570, abs=5e-11)


def test_the_real_yeast_library_goes_through_the_table(real, tmp_path):
    file = real / "yeast_gpra" / "yeast_gpra_complex.tsv.gz"
    assert prepare("table", file, "--where", "experiment=HQ_pTpA_Glu", "--output", tmp_path / "c") == 0
    opened = open_challenge(tmp_path / "c")
    assert len(opened.train) == 9_982
    assert "group" in opened.train.rows


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("plasmid.json", b"{", "cannot be read as JSON"),
        ("plasmid.json", b"\xff\xfe", "cannot be read as JSON"),
        ("plasmid.json", b"[1]", "wanted the plasmid"),
        ("test_subset_ids/yeast_seqs.csv", b"", "is not a table"),
        ("test_subset_ids/yeast_seqs.csv", b"\xff\xfe,\n", "is not a table"),
        ("test_subset_ids/yeast_seqs.csv", b"pos,sequence\nx,A\n", "wanted rows of the test set"),
    ],
)
def test_a_malformed_file_of_the_download_is_named(tmp_path, capsys, name, content, words):
    raw = write_dream(tmp_path / "raw")
    (raw / name).write_bytes(content)
    assert prepare("dream2022", raw, "--output", tmp_path / "c") == 2
    error = capsys.readouterr().err
    assert Path(name).name in error and words in error and error.count("\n") == 1
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("answers", ["[1]", '{"x": 1}', '{"1": "x"}', '{"1": NaN}', '{"99": 1.0}'])
def test_public_answers_that_are_none_are_refused(tmp_path, capsys, answers):
    raw = write_dream(tmp_path / "raw")
    next((raw / "public_leaderboard_ids").iterdir()).write_text(answers)
    assert prepare("dream2022", raw, "--output", tmp_path / "c") == 2
    assert capsys.readouterr().err.count("\n") == 1
