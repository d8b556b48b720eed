"""Predictions are read in every form by one reader, to the last bit; what is damaged is refused."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from competition.base.errors import InputError
from competition.data.challenge import Challenge, open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from competition.judging import formats
from competition.judging.formats import read_predictions
from competition.judging.manifest import Manifest
from competition.judging.submission import (
    FORMS,
    align,
    check_submission,
    export,
    prepare_submission,
    read_submission,
    write_submission,
)
from competition.submission import main

NUM_ROWS = 40
IDS = [f"r{i}" for i in range(NUM_ROWS)]
RNG = np.random.default_rng(0)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), 30)) for _ in range(NUM_ROWS)]
VALUES = RNG.normal(size=NUM_ROWS)


def build(folder: Path, sequences: list[str], *targets: str) -> Challenge:
    score = Score.of("pearson")
    with create_challenge(folder, Declaration("toy", tuple(map(Target, targets)), (score,))) as writer:
        writer.train.append(*encode(sequences), target=np.ones((len(sequences), len(targets))))
        writer.test.append(*encode(sequences), rows={"id": IDS[: len(sequences)]})
    return open_challenge(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


@pytest.fixture(scope="module")
def toy(folder: Path) -> Challenge:
    return build(folder / "toy", SEQUENCES, "expression")


@settings(max_examples=50)
@given(drawn=arrays(np.float64, NUM_ROWS - 2, elements=st.floats(-1e300, 1e300)))
def test_what_is_written_and_exported_is_read_back_to_the_last_bit(folder, toy, drawn):
    values = np.concatenate([drawn, [0.0, 1.0]])[:, None]  # these two, so that they vary
    path = folder / "a.csv"
    path.unlink(missing_ok=True)
    manifest = Manifest("toy", toy.digest, "small", "one", "2030-01-01")
    write_submission(prepare_submission(path, IDS, values, ["expression"], manifest))
    for form in FORMS:
        other = folder / form
        other.write_text(export(path, toy, form))
        assert (
            align(read_predictions(other, toy), pd.Index(IDS), ["expression"]).tobytes() == values.tobytes()
        )


def table(keys: list[str], heading: str = "", sep: str = ",") -> bytes:
    lines = [f"{key}{sep}{value!r}" for key, value in zip(keys, VALUES.tolist(), strict=True)]
    return "\n".join([heading, *lines] if heading else lines).encode()


JSON = json.dumps(dict(zip(IDS, VALUES.tolist(), strict=True))).encode()
SAME = {
    "submission.csv": table(IDS, "id,expression"),
    "headings.csv": table(IDS, "id,any name"),
    "turned.csv": b"\n".join(b",".join(line.split(b",")[::-1]) for line in table(IDS, "id,y").splitlines()),
    "sequences.csv": table(SEQUENCES, "seq,prediction"),
    "sequences_for_ids.tsv": table(SEQUENCES, "id\texpression", "\t"),
    "rna.tsv": table([text.lower().replace("t", "u") for text in SEQUENCES], "promoter\tvalue", "\t"),
    "bare.csv": table(IDS),
    "bare_sequences.tsv": table(SEQUENCES, sep="\t"),
    "dream.json": JSON,
    "dream.txt": b"\n " + JSON,
    "windows.csv": b"\xef\xbb\xbf" + table(IDS, "id,expression").replace(b"\n", b"\r\n"),
    "zipped_without_a_sign.csv": gzip.compress(table(IDS, "id,expression")),
    "zipped.csv.gz": gzip.compress(table(SEQUENCES, "sequence,y")),
    "not_zipped.csv.gz": table(IDS, "id,expression"),
}


@pytest.mark.parametrize("name", SAME)
def test_every_form_is_right_for_every_command(tmp_path, toy, name, capsys):
    path = tmp_path / name
    path.write_bytes(SAME[name])
    assert read_submission(path, toy)[:, 0].tolist() == VALUES.tolist()
    for action in ("check", "export"):
        assert main([action, str(path), "--challenge", str(toy.folder)]) == 0
    assert capsys.readouterr().out.endswith("id,expression\n" + table(IDS).decode() + "\n")


def test_several_targets_are_read_by_their_headings_or_in_their_order(tmp_path):
    opened = build(tmp_path / "toy", SEQUENCES, "yeast", "human")
    frame = pd.DataFrame({"human": -VALUES, "sequence": SEQUENCES, "yeast": VALUES})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame[["sequence", "yeast", "human"]].to_csv(tmp_path / "b.csv", index=False, header=False)
    for name in ("a.csv", "b.csv"):
        found = read_submission(tmp_path / name, opened)
        np.testing.assert_array_equal(found, np.stack([VALUES, -VALUES], axis=1))


def problems(tmp_path: Path, toy: Challenge, data: bytes, name: str = "a.csv") -> str:
    (tmp_path / name).write_bytes(data)
    return "; ".join(check_submission(tmp_path / name, toy))


def test_everything_wrong_with_a_table_of_sequences_is_said_at_once(tmp_path, toy):
    keys = [*SEQUENCES[:-3], SEQUENCES[0], "ACGT" * 20, SEQUENCES[-1]]
    said = problems(tmp_path, toy, table(keys, "seq,y").replace(repr(VALUES.tolist()[5]).encode(), b"high"))
    for part in ("1 duplicate id (r0)", "2 missing ids (r37, r38)", f"1 unknown id ({'ACGT' * 10}...)"):
        assert part in said
    assert "not a number in 1 row (row 5: 'high')" in said


def test_a_first_row_with_a_bad_value_is_no_heading(tmp_path, toy):
    for keys in (IDS, SEQUENCES):
        data = table(keys).replace(repr(VALUES.tolist()[0]).encode(), b"high", 1)
        assert problems(tmp_path, toy, data) == "expression is not a number in 1 row (row 0: 'high')"


def test_sequences_of_another_test_set_are_named(tmp_path, toy):
    said = problems(tmp_path, toy, table([f"{text}A" for text in SEQUENCES], "seq,y"))
    assert "column 'seq' holds is neither an id nor a sequence of the test set" in said


def test_rows_that_share_a_sequence_share_what_is_said_of_it(tmp_path):
    opened = build(tmp_path / "toy", ["ACGTACGT", "TTTTACGT", "ACGTACGT"], "y")
    path = tmp_path / "a.tsv"
    for text in ("ACGTACGT\t1.5\nTTTTACGT\t2\n", "ACGTACGT\t1.5\nTTTTACGT\t2\nACGTACGT\t1.5\n"):
        path.write_text(text)
        assert read_submission(path, opened)[:, 0].tolist() == [1.5, 2, 1.5]
    assert export(path, opened, "dream-tsv").splitlines()[2] == "ACGTACGT\t1.5"
    said = problems(tmp_path, opened, b"ACGTACGT\t1\nTTTTACGT\t2\nACGTACGT\t3\n")
    assert said == "2 duplicate ids (r0, r2)"
    path.write_text("r0\t1\nr1\t2\nr2\t3\n")
    with pytest.raises(InputError, match="knows rows by their sequence"):
        export(path, opened, "dream-tsv")


def zipped_but(change: slice, data: bytes) -> bytes:
    damaged = bytearray(gzip.compress(table(IDS, "id,expression")))
    damaged[change] = data
    return bytes(damaged)


DAMAGED = {
    "middle.csv.gz": (zipped_but(slice(150, 154), bytes(4)), "is damaged or cut off: Error -3"),
    "cut.csv.gz": (zipped_but(slice(200, None), b""), "is damaged or cut off"),
    "tail.csv.gz": (zipped_but(slice(-8, -4), b"\0\0\0\0"), "is damaged or cut off: CRC"),
    "nested.json": (b"[" * 1_000_000, "is nested too deeply"),
    "nested.csv": (b'{"r0":' * 1_000_000, "is nested too deeply"),
    "long.json": (b'{"r0": ' + b"9" * 5000 + b"}", "is not JSON"),
    "commas.csv": (b"," * 200_000, "its first line has 200,001 columns"),
    "later_commas.csv": (b"id,expression\nr0,1" + b"," * 200_000, "Expected 2 fields in line 2"),
    "longer.csv": (b"r0,1\nr1,2,3\n", "Expected 2 fields in line 2"),
    "digits.csv": (
        b"id,expression\nr0," + b"9" * 100_000 + b"x",
        "not a number in 1 row (row 0: '9999999999",
    ),
    "lines.csv": (b'id,expression\n"a\nb",1\n', "1 unknown id (a\\nb)"),
    "binary.csv": (b"\x89PNG\r\n\x1a\n\xff\xfe", "byte 0 is not UTF-8"),
    "zipped_twice.csv.gz": (gzip.compress(gzip.compress(b"id,y\n")), "is not UTF-8"),
    "empty.csv": (b"", "it is empty"),
    "empty.csv.gz": (gzip.compress(b"\n\n"), "it is empty"),
    "twice.csv": (b"id,y,y\nr0,1,2\n", "has two columns 'y'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_table_is_refused_in_one_short_line(tmp_path, toy, name):
    data, complaint = DAMAGED[name]
    said = problems(tmp_path, toy, data, name)
    assert complaint in said
    assert "\n" not in said and len(said) < len(str(tmp_path)) + 300


def test_what_is_no_file_is_not_opened(tmp_path, toy):
    os.mkfifo(tmp_path / "pipe.csv")  # to open it would wait for a writer
    for path in (tmp_path / "pipe.csv", tmp_path):
        assert check_submission(path, toy) == [f"{path} is not a file; wanted a table of predictions"]


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path, toy, monkeypatch):
    monkeypatch.setattr(formats, "MOST_BYTES", 10_000)
    said = problems(tmp_path, toy, gzip.compress(table(IDS) + b"\n" * 10_000))
    assert "holds more than 10,000 bytes" in said
