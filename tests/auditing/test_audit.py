"""The audit: it finds what is planted and nothing else, and never reads test answers."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition import audit as program
from competition.auditing import adversarial
from competition.auditing.checks import audit
from competition.auditing.features import kmer_shares
from competition.auditing.finding import FAIL, PASS, WARN
from competition.auditing.ridge import out_of_fold
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from data_prep.__main__ import main as prepare

SCORES = (Score.of("pearson"),)
ACROSS, TEST = "training rows homologous across folds", "test rows homologous to training rows"
NOISE, PERMUTED = "label noise of duplicate rows", "label-permutation control"
ADVERSARIAL, BARCODES = "adversarial validation", "barcodes of declared folds"


def random_sequences(rng, count, length=80):
    return ["".join(row) for row in rng.choice(list("ACGT"), (count, length))]


def build(folder, sequences, target, *, fold=None, test=(), inputs=None, **declared):
    shapes = {name: values.shape[1:] for name, values in (inputs or {}).items()}
    challenge = Declaration("audited", (Target("expression"),), SCORES, inputs=shapes, **declared)
    rows = {"id": [f"row{i}" for i in range(len(sequences))]}
    if fold is not None:
        rows["fold"] = [str(each) for each in fold]
    with create_challenge(folder, challenge) as writer:
        writer.train.append(*encode(sequences), target=np.asarray(target), inputs=inputs, rows=rows)
        if len(test):
            ids = [f"test{i}" for i in range(len(test))]
            empty = {name: np.ones((len(test), *shape)) for name, shape in shapes.items()}
            writer.test.append(*encode(test), inputs=empty, rows={"id": ids})
            writer.write_answers(pd.DataFrame({"id": ids, "expression": 0.5, "usage": "private"}))
    return open_challenge(folder)


def audited(*arguments, **options):
    return {finding.check: finding for finding in audit(build(*arguments, **options))}


def test_a_sound_challenge_passes_every_check(tmp_path):
    rng = np.random.default_rng(0)
    sequences, test = random_sequences(rng, 300), random_sequences(rng, 50)
    found = audited(tmp_path / "a", sequences, rng.normal(size=300), test=test)
    assert {finding.status for finding in found.values()} == {PASS}
    assert found.keys() >= {ACROSS, TEST, PERMUTED, "fold sizes", NOISE}


def test_homologs_in_other_folds_fail_with_an_example_and_the_score_of_copying(tmp_path):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 150)
    target = rng.normal(size=150)
    changed = [f"{each[:40]}{'A' if each[40] != 'A' else 'C'}{each[41:]}" for each in sequences]
    fold = np.repeat([0, 1], 150)
    found = audited(tmp_path / "a", sequences + changed, np.tile(target, 2), fold=fold)
    assert found[ACROSS].status == FAIL
    assert found[ACROSS].text.startswith("300 of 300 training rows (300 near-duplicate); copying")
    assert "Pearson 1.00" in found[ACROSS].text
    assert "near-duplicate: row0 (fold 0) and row150 (fold 1), 79 of 80 bases" in found[ACROSS].examples[0]
    assert found[PERMUTED].status == FAIL


def test_folds_of_a_run_keep_the_same_homologs_together(tmp_path):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 150)
    found = audited(tmp_path / "a", sequences * 2, np.tile(rng.normal(size=150), 2))
    assert found[ACROSS].status == PASS
    assert "300 have a homolog in their own fold (300 identical)" in found[ACROSS].text
    assert found[PERMUTED].status == PASS


@pytest.mark.parametrize(("leaks", "status"), [(0, PASS), (1, WARN), (30, FAIL)])
def test_test_rows_that_are_training_rows_are_counted(tmp_path, leaks, status):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 200)
    test = sequences[:leaks] + random_sequences(rng, 150 - leaks)
    found = audited(tmp_path / "a", sequences, rng.normal(size=200), test=test)
    assert found[TEST].status == status
    assert found[TEST].text.startswith(f"{leaks} of 150 test rows")
    assert ("--drop-test-homologs" in found[TEST].text) == (leaks > 0)


def test_one_sequence_in_many_rows_is_no_leak_where_other_inputs_differ(tmp_path):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 100)
    marks = {"marks": rng.normal(size=(100, 3))}
    found = audited(tmp_path / "a", sequences, rng.normal(size=100), test=sequences[:50], inputs=marks)
    assert found[TEST].status == WARN


@pytest.mark.parametrize(("noise", "status"), [(0.01, PASS), (1.0, WARN)])
def test_duplicate_rows_with_other_labels_warn(tmp_path, noise, status):
    rng = np.random.default_rng(0)
    target = rng.normal(size=100)
    labels = np.concatenate([target, target + noise * rng.normal(size=100)])
    found = audited(tmp_path / "a", random_sequences(rng, 100) * 2, labels)
    finding = found[NOISE]
    assert finding.status == status
    assert finding.text.startswith("200 rows share inputs in 100 sets")


def test_rows_that_differ_in_other_inputs_are_no_duplicates(tmp_path):
    rng = np.random.default_rng(0)
    inputs = {"marks": rng.normal(size=(200, 3))}
    found = audited(tmp_path / "a", random_sequences(rng, 100) * 2, rng.normal(size=200), inputs=inputs)
    assert found[NOISE].text == "no two rows have equal inputs"


def sequence_with(rng, *, gc):
    return "".join(rng.choice(list("ACGT"), 80, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))


def test_gc_content_that_gives_the_target_away_fails(tmp_path):
    rng = np.random.default_rng(0)
    share = rng.uniform(0.2, 0.8, 400)
    found = audited(tmp_path / "a", [sequence_with(rng, gc=each) for each in share], share)
    assert found["shortcut: GC content"].status == FAIL
    assert "shortcut: length" not in found


def test_length_that_gives_the_target_away_fails_whatever_its_shape(tmp_path):
    rng = np.random.default_rng(0)
    length = rng.integers(50, 90, 400)
    sequences = [random_sequences(rng, 1, int(each))[0] for each in length]
    found = audited(tmp_path / "a", sequences, np.abs(length - 70.0))
    assert found["shortcut: length"].status == FAIL
    assert found["shortcut: GC content"].status == PASS


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_a_flank_that_names_the_batch_fails(tmp_path, share):
    rng = np.random.default_rng(0)
    batch = rng.random(400) < share
    flank = np.where(batch, "TGCATTTTG", "TGCATTTTC")
    inserts = random_sequences(rng, 400)
    sequences = [f"{a}{b}GGTTACGGCTGTT" for a, b in zip(flank, inserts, strict=True)]
    found = audited(tmp_path / "a", sequences, batch + 0.1 * rng.normal(size=400))
    assert found["shortcut: flanks"].status == FAIL
    assert found["shortcut: GC content"].status == PASS


def test_a_handful_of_contradictions_among_many_rows_is_no_warning(tmp_path):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 300)
    found = audited(tmp_path / "a", [*sequences, sequences[0]], rng.normal(size=301))
    assert found[NOISE].status == PASS
    assert "2 rows share inputs in 1 set;" in found[NOISE].text


def test_a_target_that_is_one_value_fails(tmp_path):
    found = audited(tmp_path / "a", random_sequences(np.random.default_rng(0), 60), np.ones(60))
    assert found["target expression"].status == FAIL and PERMUTED not in found


def test_one_group_with_most_rows_warns(tmp_path):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 1) * 90 + random_sequences(rng, 30)
    found = audited(tmp_path / "a", sequences, rng.normal(size=120))
    assert found["fold sizes"].status == WARN


def test_a_barcode_that_names_the_test_rows_fails_and_is_shown(tmp_path):
    rng = np.random.default_rng(0)
    train, test = random_sequences(rng, 400), random_sequences(rng, 150)
    test = [f"{each[:10]}GATTCA{each[16:]}" for each in test]
    finding = audited(tmp_path / "a", train, rng.normal(size=400), test=test)[ADVERSARIAL]
    assert finding.status == FAIL
    shown = dict(example.split(" is ") for example in finding.examples)
    assert set(shown) == {f"base {number}" for number in range(11, 17)}
    assert shown["base 12"].startswith("A in 100% of these rows and 2")


def test_a_barcode_is_found_from_the_end_of_sequences_of_any_length(tmp_path):
    rng = np.random.default_rng(0)
    train, test = (
        [random_sequences(rng, 1, int(each))[0] for each in rng.integers(60, 99, 300)] for _ in "ab"
    )
    test = [f"{each[:-6]}GATTCA" for each in test]
    finding = audited(tmp_path / "a", train, rng.normal(size=300), test=test)[ADVERSARIAL]
    assert finding.status == FAIL and "base 1 from the end is A in 100%" in "\n".join(finding.examples)


def test_test_rows_of_another_composition_warn_but_do_not_fail(tmp_path):
    rng = np.random.default_rng(0)
    train, test = random_sequences(rng, 400), [sequence_with(rng, gc=0.7) for _ in range(200)]
    finding = audited(tmp_path / "a", train, rng.normal(size=400), test=test)[ADVERSARIAL]
    assert finding.status == WARN and finding.examples == ()


def test_test_rows_of_another_length_have_no_barcode(tmp_path):
    rng = np.random.default_rng(0)
    train, test = random_sequences(rng, 400, 60), random_sequences(rng, 200, 90)
    finding = audited(tmp_path / "a", train, rng.normal(size=400), test=test)[ADVERSARIAL]
    assert finding.status == WARN and finding.examples == ()


def test_clusters_of_variants_do_not_distinguish_test_rows_from_training_rows(tmp_path):
    rng = np.random.default_rng(0)
    train, test = (np.repeat(random_sequences(rng, count), 20).tolist() for count in (40, 15))
    finding = audited(tmp_path / "a", train, rng.normal(size=800), test=test)[ADVERSARIAL]
    assert finding.status == PASS


def test_a_barcode_is_found_in_a_sample_of_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(adversarial, "SIDE_ROWS", 150)
    rng = np.random.default_rng(0)
    train, test = random_sequences(rng, 800), random_sequences(rng, 800)
    test = [f"{each[:-6]}GATTCA" for each in test]
    finding = audited(tmp_path / "a", train, rng.normal(size=800), test=test)[ADVERSARIAL]
    assert finding.status == FAIL


@pytest.mark.parametrize(("barcode", "status"), [("", PASS), ("GATTCA", WARN)])
def test_a_barcode_of_a_declared_fold_warns(tmp_path, barcode, status):
    rng = np.random.default_rng(0)
    fold = np.arange(400) % 4
    sequences = [
        barcode + each[len(barcode) :] if mine == 2 else each
        for each, mine in zip(random_sequences(rng, 400), fold, strict=True)
    ]
    finding = audited(tmp_path / "a", sequences, rng.normal(size=400), fold=fold)[BARCODES]
    assert finding.status == status
    assert finding.text.startswith("fold 2") or not barcode


def test_ridge_predictions_never_see_their_own_fold():
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(90, 5)), rng.normal(size=(90, 2))
    fold = np.arange(90) % 3
    changed = truth.copy()
    changed[fold == 1] += 100
    before, after = (out_of_fold(features, each, fold)[fold == 1] for each in (truth, changed))
    np.testing.assert_array_equal(before, after)


def test_kmers_are_counted_as_by_hand():
    tokens, lengths = encode(["ACGTACGTAC", "AAAAAANA"])
    shares = kmer_shares(tokens, lengths)
    code = sum(digit * 4**place for place, digit in enumerate((0, 1, 2, 3, 0)))
    assert shares[0, code] == pytest.approx(2 / 10)
    assert shares[1, 0] == pytest.approx(2 / 8) and shares[1].sum() == pytest.approx(2 / 8)


def test_the_answers_are_not_needed(tmp_path):
    rng = np.random.default_rng(0)
    build(tmp_path / "a", random_sequences(rng, 60), rng.normal(size=60), test=random_sequences(rng, 9))
    shutil.rmtree(tmp_path / "a" / "private")
    assert audit(open_challenge(tmp_path / "a"))


def test_the_command_line_exits_with_1_where_a_check_fails(tmp_path, capsys):
    rng = np.random.default_rng(0)
    sequences = random_sequences(rng, 80)
    build(tmp_path / "good", sequences, rng.normal(size=80))
    build(tmp_path / "bad", sequences, rng.normal(size=80), test=sequences)
    assert program.main([str(tmp_path / "good")]) == 0
    assert program.main([str(tmp_path / "bad")]) == 1
    shown = capsys.readouterr().out
    assert "identical: test0 (test) and row0 (fold" in shown and sequences[0] in shown
    assert program.main([str(tmp_path / "bad"), "--json"]) == 1
    assert {each["status"] for each in json.loads(capsys.readouterr().out)} == {PASS, FAIL}
    assert program.main([str(tmp_path / "none")]) == 2


real = pytest.mark.skipif(
    "COMPETITION_REAL_DATA" not in os.environ, reason="COMPETITION_REAL_DATA is not set"
)


def from_table(tmp_path, table, *options):
    table.to_csv(tmp_path / "table.tsv", sep="\t", index=False)
    folder = tmp_path / "challenge"
    assert prepare(["table", str(tmp_path / "table.tsv"), "--output", str(folder), *options]) in (0, None)
    return {finding.check: finding for finding in audit(open_challenge(folder))}


@real
def test_overlapping_native_tiles_are_found_in_random_folds_and_kept_together_otherwise(tmp_path):
    path = Path(os.environ["COMPETITION_REAL_DATA"]) / "yeast_native_tiles" / "yeast_native_tiles.tsv.gz"
    table = pd.read_csv(path, sep="\t").tail(6000)[["sequence", "expression"]]
    kept = from_table(tmp_path, table)
    assert kept[ACROSS].status == PASS
    shutil.rmtree(tmp_path / "challenge")
    table["fold"] = np.random.default_rng(0).integers(0, 4, len(table))
    split = from_table(tmp_path, table)
    assert split[ACROSS].status == FAIL and "shifted" in split[ACROSS].text
    starts, ends = set(table["sequence"].str[:40]), set(table["sequence"].str[-40:])
    neighbours = table["sequence"].str[-40:].isin(starts) | table["sequence"].str[:40].isin(ends)
    num_found = int(kept[ACROSS].text.split("; ")[1].split()[0].replace(",", ""))
    assert num_found >= neighbours.sum() > 1000


@real
def test_homologs_are_found_in_a_random_split_of_a_library(tmp_path):
    path = Path(os.environ["COMPETITION_REAL_DATA"]) / "yeast_gpra" / "yeast_gpra_complex.tsv.gz"
    table = pd.read_csv(path, sep="\t").query("experiment == 'NBT_S288C_YPD'").head(6000)
    rng = np.random.default_rng(0)
    table = table.assign(usage=np.where(rng.random(len(table)) < 0.1, "private", "train"), fold="")
    table["fold"] = rng.integers(0, 4, len(table))
    found = from_table(tmp_path, table[["id", "sequence", "expression", "usage", "fold"]])
    assert found[TEST].status == found[ACROSS].status == found[PERMUTED].status == FAIL


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (lambda target, _: target, "FAIL"),
        (lambda target, noise: -2 * target + 0.01 * noise, "FAIL"),
        (lambda target, _: np.exp(3 * target), "FAIL"),
        (lambda target, noise: target + 0.25 * noise, "WARN"),
        (lambda target, noise: target + noise, "PASS"),
        (lambda _, noise: 0 * noise, "PASS"),
    ],
)
def test_a_target_that_is_given_again_as_an_input_is_found(tmp_path, given, status):
    rng = np.random.default_rng(0)
    target, noise = rng.normal(size=(2, 400))
    inputs = {"marks": np.stack([noise, given(target, rng.normal(size=400))], axis=1)}
    declaration = Declaration("toy", (Target("y"),), (Score.of("pearson"),), inputs={"marks": (2,)})
    with create_challenge(tmp_path / "toy", declaration) as writer:
        tokens = rng.integers(0, 4, (400, 30)).astype(np.uint8)
        writer.train.append(tokens, np.full(400, 30), target=target, inputs=inputs)
    findings = {each.check: each for each in audit(open_challenge(tmp_path / "toy"))}
    assert findings["target among the inputs: marks"].status == status
