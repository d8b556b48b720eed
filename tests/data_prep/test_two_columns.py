"""The fast reader agrees with reading line by line, and names the line of every mistake."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.base.errors import InputError
from competition.data.tokens import MISSING, decode
from data_prep.reading import two_columns
from data_prep.reading.two_columns import read_two_columns

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(repr) | st.integers(-99, 99).map(str)
SEQUENCE = st.text("ACGTN", min_size=1, max_size=30).filter(lambda text: text not in MISSING)
ROWS = st.lists(st.tuples(SEQUENCE, NUMBERS), min_size=1, max_size=40)


def read(path: Path):
    blocks = list(read_two_columns(path))
    sequences = [sequence for block in blocks for sequence in decode(block.tokens)]
    return (
        sequences,
        np.concatenate([block.value for block in blocks]),
        np.concatenate([b.whole for b in blocks]),
    )


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "rows.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@given(
    rows=ROWS,
    ending=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    size=st.sampled_from([7, 64, 1 << 20]),
)
@settings(max_examples=60)
def test_any_file_reads_as_it_would_line_by_line(tmp_path_factory, rows, ending, last, size):
    text = ending.join("\t".join(row) for row in rows) + (ending if last else "")
    path = write(tmp_path_factory.mktemp("rows"), text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_columns, "BLOCK_BYTES", size)
        sequences, value, whole = read(path)
    assert sequences == [sequence for sequence, _ in rows]
    assert value.tolist() == [float(number) for _, number in rows]
    assert whole.tolist() == ["." not in number and "e" not in number for _, number in rows]


def test_a_gzipped_file_reads_like_a_plain_one_also_by_its_plain_name(tmp_path):
    text = b"ACGT\t1.5\nGG\t2\n"
    (tmp_path / "rows.txt.gz").write_bytes(gzip.compress(text))
    assert read(tmp_path / "rows.txt")[0] == read(tmp_path / "rows.txt.gz")[0] == ["ACGT", "GG"]


def test_a_header_and_further_columns_are_skipped(tmp_path):
    path = write(tmp_path, "sequence\texpression\tsource\nACGT\t1.5\tlab\nGG\t2\tlab\n")
    assert read(path)[0] == ["ACGT", "GG"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ACGT\t1\nACXT\t2\n", r"line 2 has 'X' at position 2"),
        ("ACGT\t1\nACGT\t2\n\t3\n", r"line 3 has no sequence"),
        ("ACGT\t1\nACGT\ttwo\n", r"line 2 has the value 'two'"),
        ("ACGT\t1\nACGT\t\n", r"line 2 has the value ''"),
        ("ACGT\tnan\n", r"line 1 has the value 'nan'"),
        ("ACGT\t1\nACGT\tinf\n", r"line 2 has the value 'inf'"),
        ("ACGT\t1\nACGT\n", r"line 2 has 1 columns; wanted 2"),
        ("ACGT\t1\nACGT\t2\t3\n", r"line 2 has 3 columns; wanted 2"),
        ("ACGT\t1\n\nACGT\t1\n", r"line 2 has 1 columns"),
        ("", r"is empty"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read(write(tmp_path, text))


def test_lines_are_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(two_columns, "BLOCK_BYTES", 16)
    with pytest.raises(InputError, match="line 41 has 'X'"):
        read(write(tmp_path, "ACGT\t1\n" * 40 + "AXGT\t1\n"))


def test_a_truncated_gzip_is_refused(tmp_path):
    whole = gzip.compress(b"ACGT\t1.25\n" * 5_000)
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut off"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt cannot be read"):
        read(tmp_path / "nowhere.txt")


@pytest.mark.parametrize("word", ["NA", "nan", "NaN"])
def test_a_word_for_a_missing_value_is_no_sequence(tmp_path, word):
    path = write(tmp_path, f"ACGT\t1\n{word}\t2\nNANA\t3\n")
    with pytest.raises(InputError, match=rf"line 2 has '{word.upper()}' for a sequence; wanted bases"):
        list(read_two_columns(path))
