"""Rows go to disk in a stream and come back as memory maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.data.arrays import ArrayWriter, TokenWriter
from competition.data.store import Store, read_rows
from competition.data.store_writer import StoreWriter, check_ids
from competition.data.tokens import MISSING, PAD, decode, encode

SEQUENCE = st.text("ACGTN", min_size=1, max_size=12).filter(lambda text: text not in MISSING)
SEQUENCES = st.lists(SEQUENCE, min_size=1, max_size=5)


def write(folder, sequences=("ACGT", "GG"), *, inputs=None, num_targets=1, **columns) -> Store:
    """Write one part in one block and open it."""
    shapes = {name: np.shape(values)[1:] for name, values in (inputs or {}).items()}
    writer = StoreWriter(folder, inputs=shapes, num_targets=num_targets)
    writer.append(*encode(list(sequences)), inputs=inputs, **columns)
    writer.close()
    return Store(folder, list(shapes))


@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
@pytest.mark.parametrize("sizes", [(1, 0, 4, 2), (0,), ()])
def test_an_array_of_unknown_length_is_a_plain_npy_file(tmp_path, shape, sizes):
    writer = ArrayWriter(tmp_path / "x.npy", np.float32, shape)
    blocks = [np.random.default_rng(size).normal(size=(size, *shape)) for size in sizes]
    for block in blocks:
        writer.append(block)
    writer.close()
    whole = np.concatenate([np.empty((0, *shape)), *blocks]).astype(np.float32)
    back = np.load(tmp_path / "x.npy")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, whole)


def test_blocks_of_another_shape_are_refused(tmp_path):
    with pytest.raises(AssertionError):
        ArrayWriter(tmp_path / "x.npy", np.float32, (2, 3)).append(np.zeros((4, 3, 2)))


@given(st.lists(SEQUENCES, min_size=1, max_size=5))
@settings(max_examples=40)
def test_blocks_of_any_width_give_the_bytes_that_one_block_would(tmp_path_factory, blocks):
    folder = tmp_path_factory.mktemp("tokens")
    whole = encode([sequence for block in blocks for sequence in block])[0]
    for name, parts in (("parts", [encode(block)[0] for block in blocks]), ("whole", [whole])):
        writer = TokenWriter(folder / f"{name}.npy")
        for part in parts:
            writer.append(part)
        writer.close()
    assert (folder / "parts.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    np.testing.assert_array_equal(np.load(folder / "parts.npy"), whole)
    assert {path.name for path in folder.iterdir()} == {"parts.npy", "whole.npy"}


def test_a_file_wider_than_a_block_of_copying_is_laid_out_again(tmp_path, monkeypatch):
    monkeypatch.setattr("competition.data.arrays.COPY_ROWS", 3)
    writer = TokenWriter(tmp_path / "x.npy")
    for block in (["A"] * 10, ["ACGT"] * 2):
        writer.append(encode(block)[0])
    writer.close()
    assert decode(np.load(tmp_path / "x.npy")) == ["A"] * 10 + ["ACGT"] * 2


def test_arrays_are_memory_maps_that_cannot_be_written(tmp_path):
    store = write(tmp_path / "train", target=np.zeros(2), inputs={"mark": np.ones((2, 3))})
    for array in (store.sequence.tokens, store.sequence.lengths, store.target, store.inputs["mark"]):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_rows_come_back_as_they_were_appended(tmp_path):
    rows = {"id": ["NA", " b,\n"], "group": ["1", ""], "colour": [1, 2.5]}
    store = write(tmp_path / "train", target=np.array([[1, 2], [3, 4]]), num_targets=2, rows=rows)
    assert decode(store.sequence.tokens) == ["ACGT", "GG"]
    assert store.sequence.lengths.tolist() == [4, 2]
    assert store.target.tolist() == [[1, 2], [3, 4]]
    assert store.rows.to_dict("list") == {"id": ["NA", " b,\n"], "group": ["1", ""], "colour": ["1.0", "2.5"]}


def test_without_rows_the_ids_are_the_row_numbers(tmp_path):
    store = write(tmp_path / "train", ["A"] * 11)
    assert store.rows["id"].to_list() == [str(row) for row in range(11)]
    assert store.target is None
    assert not (tmp_path / "train" / "rows.csv").exists()


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any))
@settings(max_examples=25)
def test_many_small_blocks_give_the_files_that_one_block_would(tmp_path_factory, sizes):
    folder, total, rng = tmp_path_factory.mktemp("parts"), sum(sizes), np.random.default_rng(0)
    tokens, lengths = rng.integers(0, 4, (total, 8)).astype(np.uint8), np.full(total, 8)
    columns = {"target": rng.normal(size=(total, 2)), "ids": np.arange(total).astype(str)}
    mark = rng.normal(size=(total, 3))
    for name, cuts in (("parts", np.cumsum(sizes)), ("whole", [total])):
        writer = StoreWriter(folder / name, inputs={"mark": (3,)}, num_targets=2)
        for start, stop in zip([0, *cuts], cuts, strict=False):
            part = slice(start, stop)
            writer.append(
                tokens[part], lengths[part], target=columns["target"][part], inputs={"mark": mark[part]},
                rows={"id": columns["ids"][part]},
            )  # fmt: skip
        writer.close()
    for path in (folder / "whole").iterdir():
        assert path.read_bytes() == (folder / "parts" / path.name).read_bytes(), path.name


def test_a_sequence_that_rows_share_is_stored_once(tmp_path):
    writer = StoreWriter(tmp_path / "train", inputs={}, num_targets=1)
    writer.append_sequences(*encode(["AAA", "CC"]))
    writer.append_rows(np.array([1, 0]), target=np.array([1.0, 2.0]))
    writer.append_sequences(*encode(["GGGGG"]))
    writer.append_rows(np.array([2, 1, 1]), target=np.array([3.0, 4.0, 5.0]))
    writer.close()
    store = Store(tmp_path / "train", [])
    assert (len(store), store.sequence.tokens.shape) == (5, (3, 5))
    rows = np.array([4, 2, 0])
    assert decode(store.sequence.tokens[store.sequence.of(rows)]) == ["CC", "GGGGG", "CC"]


@pytest.mark.parametrize("index", [[1], [-1]])
def test_a_row_of_a_sequence_that_is_not_there_is_refused(tmp_path, index):
    writer = StoreWriter(tmp_path / "train", inputs={}, num_targets=1)
    writer.append_sequences(*encode(["AAA"]))
    with pytest.raises(AssertionError, match="no such sequence"):
        writer.append_rows(np.array(index), target=np.zeros(1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(tmp_path, value):
    writer = StoreWriter(tmp_path / "train", inputs={"mark": (2,)}, num_targets=1)
    (tokens, lengths), mark = encode(["AC", "GT"]), np.zeros((2, 2))
    writer.append(tokens, lengths, target=np.zeros(2), inputs={"mark": mark})
    with pytest.raises(InputError, match=f"target: row 3 has {value}; wanted finite numbers"):
        writer.append(tokens, lengths, target=np.array([0, value]), inputs={"mark": mark})
    mark[0, 1] = value
    with pytest.raises(InputError, match=f"mark: row 2 has {value}; wanted finite numbers"):
        writer.append(tokens, lengths, target=np.zeros(2), inputs={"mark": mark})


def test_duplicate_ids_are_refused_with_examples(tmp_path):
    with pytest.raises(InputError, match=r"train: 3 duplicate ids \(a, b, a\); wanted each id once"):
        write(tmp_path / "train", ["A"] * 6, rows={"id": list("aabcba")})
    check_ids(read_rows(tmp_path / "train" / "rows.csv").drop_duplicates(), "train")


def test_ids_that_differ_only_as_numbers_are_duplicates(tmp_path):
    with pytest.raises(InputError, match=r"1 duplicate ids \(1\)"):
        write(tmp_path / "train", rows={"id": ["1", 1]})


def test_a_part_without_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="train: no rows; wanted at least one"):
        StoreWriter(tmp_path / "train", inputs={}, num_targets=1).close()


TOKENS, LENGTHS = encode(["ACGT", "GG"])
GOOD = {"tokens": TOKENS, "lengths": LENGTHS, "target": np.zeros(2), "inputs": {"mark": np.zeros((2, 2, 3))}}


@pytest.mark.parametrize(
    "changes",
    [
        {"lengths": LENGTHS[:1]},
        {"lengths": LENGTHS + 1},
        {"tokens": np.where(TOKENS == PAD, 0, TOKENS)},
        {"inputs": {}},
        {"inputs": {"mark": np.zeros((2, 3, 2))}},
        {"inputs": {"mark": np.zeros((1, 2, 3))}},
        {"target": np.zeros((2, 2))},
        {"target": np.zeros(1)},
        {"rows": {"id": ["a"]}},
        {"rows": {"group": ["a", "b"]}},
    ],
)
def test_arrays_that_disagree_are_refused(tmp_path, changes):
    writer = StoreWriter(tmp_path / "train", inputs={"mark": (2, 3)}, num_targets=1)
    with pytest.raises(AssertionError):
        writer.append(**{**GOOD, **changes})
        writer.close()


def test_every_block_brings_the_same_columns(tmp_path):
    for name, second in (("one", {"id": ["c", "d"], "x": [1, 2]}), ("two", None)):
        writer = StoreWriter(tmp_path / name, inputs={}, num_targets=1)
        writer.append(TOKENS, LENGTHS, rows={"id": ["a", "b"]})
        with pytest.raises(AssertionError):
            writer.append(TOKENS, LENGTHS, rows=second)
            writer.close()


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_array_is_named(tmp_path, content):
    write(tmp_path / "train")
    (tmp_path / "train" / "length.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"length\.npy cannot be read as an array"):
        Store(tmp_path / "train", [])


def test_an_array_cut_off_or_missing_is_named(tmp_path):
    write(tmp_path / "train", target=np.zeros(2), inputs={"mark": np.zeros((2, 50))})
    mark = tmp_path / "train" / "mark.npy"
    mark.write_bytes(mark.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"mark\.npy cannot be read as an array"):
        Store(tmp_path / "train", ["mark"])
    with pytest.raises(InputError, match=r"histone\.npy cannot be read as an array"):
        Store(tmp_path / "train", ["histone"])


def test_an_array_that_would_run_code_is_not_read(tmp_path):
    write(tmp_path / "train")
    np.save(tmp_path / "train" / "length.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"length\.npy cannot be read as an array"):
        Store(tmp_path / "train", [])


def test_a_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert file_digest(tmp_path / "abc").startswith(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
    )


def test_a_value_whose_square_float32_cannot_hold_is_refused(tmp_path):
    for value in (3e38, -1e39, 2e15):
        writer = StoreWriter(tmp_path / str(value), inputs={}, num_targets=1)
        with pytest.raises(
            InputError, match=r"target: row 1 has .*; wanted finite numbers of at most 1e\+15"
        ):
            writer.append(*encode(["ACGT"] * 2), target=np.array([1, value]))
