"""A window is one operation: compared base by base with what a person would cut out by hand."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from competition.base.errors import InputError
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.store import Store
from competition.data.store_writer import StoreWriter
from competition.data.tokens import LETTERS, MISSING, decode, encode, planes
from competition.training.augment import flip
from competition.training.batches import Batches, cut, share
from competition.training.fit import require_rows
from competition.training.randomness import draw_integers
from competition.training.recipe import Recipe

SCORES = (Score.of("pearson"),)
PAIR = dict(zip(LETTERS, "TGCANYRSWMKVHDB", strict=True))
CPU = torch.device("cpu")


Config = partial(Recipe, window=(0, 8))


def build(
    folder: Path, sequences: list[str], config: Recipe, *, index=None, device=CPU, **declared
) -> Batches:
    """Serve sequences, or rows that share them by index; row i has the target i."""
    challenge = Declaration("toy", (Target("y"),), SCORES, sequences=(InputSequence(**declared),))
    index = np.arange(len(sequences)) if index is None else np.array(index)
    writer = StoreWriter(folder / "train", inputs={}, num_targets=1)
    writer.append_sequences(*encode(sequences))
    writer.append_rows(index, target=np.arange(len(index)))
    writer.close()
    return Batches(Store(folder / "train", []), challenge, config, ["sequence"], device)


def show(batches: Batches, rows: np.ndarray, **moved: np.ndarray) -> torch.Tensor:
    return batches.windows["sequence"].tokens(rows, **moved)


def random_sequences(count: int, length: int = 20) -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("ACGT"), length)) for _ in range(count)]


def by_hand(sequence: str, first: int, width: int, left: str, right: str) -> str:
    """Read width bases from first on; outside are the flanks, and beyond those blanks."""
    line = dict(enumerate(sequence))
    line |= {-1 - i: base for i, base in enumerate(reversed(left))}
    line |= {len(sequence) + i: base for i, base in enumerate(right)}
    return "".join(line.get(position, " ") for position in range(first, first + width))


def flipped(window: str) -> str:
    return "".join(PAIR.get(base, " ") for base in reversed(window))


def as_text(window: torch.Tensor) -> list[str]:
    """Write tokens as letters, padding as blanks."""
    return ["".join((LETTERS + " ")[token] for token in row) for row in window.tolist()]


SEQUENCE = st.text(LETTERS, min_size=1, max_size=14).filter(lambda text: text not in MISSING)


@given(
    sequences=st.lists(SEQUENCE, min_size=1, max_size=4),
    left=st.text("ACGT", max_size=5), right=st.text("ACGT", max_size=5), origin=st.integers(0, 6),
    start=st.integers(-9, 9), width=st.integers(1, 16), low=st.integers(-6, 6), span=st.integers(0, 6),
    data=st.data(),
)  # fmt: skip
@settings(max_examples=150)
def test_windows_agree_with_cutting_by_hand(sequences, left, right, origin, start, width, low, span, data):
    first, longest = origin + start, max(map(len, sequences))
    assume(first + width > -len(left) and first < longest + len(right))
    config = Config(window=(start, start + width), shift=(low, low + span))
    index = data.draw(st.lists(st.integers(0, len(sequences) - 1), min_size=1, max_size=5))
    views = st.tuples(st.integers(0, len(index) - 1), st.integers(low, low + span), st.integers(0, 1))
    drawn = data.draw(st.lists(views, min_size=1, max_size=5))
    with TemporaryDirectory() as folder:
        flanks = {"left_flank": left, "right_flank": right}
        batches = build(Path(folder), sequences, config, index=index, origin=origin, **flanks)
    rows, offset, strand = np.array(drawn).T

    def shown(row: int, move: int) -> str:
        return by_hand(sequences[index[row]], first + move, width, left, right)

    assert as_text(show(batches, rows)) == [shown(row, 0) for row in rows]
    moved = [shown(row, move) for row, move, _ in drawn]
    assert as_text(show(batches, rows, offset=offset)) == moved
    turned = [flipped(window) if flip else window for window, flip in zip(moved, strand, strict=True)]
    assert as_text(flip(show(batches, rows, offset=offset), strand)) == turned


@pytest.mark.parametrize("encoding", ["acgt", "acgtn", "iupac"])
def test_sequences_come_as_channels_by_position(tmp_path, encoding):
    batches = build(tmp_path / "toy", [LETTERS, "ACGT"], Config(window=(-1, 17), encoding=encoding))
    sequence = batches.inputs(np.array([1, 0]))["sequence"]
    table, window = planes(encoding), show(batches, np.array([1, 0]))
    assert sequence.dtype == torch.float32
    assert sequence.shape == (2, table.shape[1], 18)
    for row in range(2):
        for position in range(18):
            np.testing.assert_array_equal(sequence[row, :, position], table[window[row, position]])


def test_tokens_are_what_the_channels_are_made_of_under_every_augmentation(tmp_path):
    config = Config(window=(-3, 12), shift=(-4, 4), reverse_complement=True, mutate=0.3)
    whole = [f"{sequence}N" for sequence in random_sequences(30)]
    shown = {}
    for encoding in ("tokens", "acgtn"):
        batches = build(tmp_path / encoding, whole, replace(config, encoding=encoding))
        shown[encoding] = [
            batches.training(np.arange(30), seed=1, epoch=2)["sequence"],
            batches.inputs(np.arange(30), strand=np.arange(30) % 2)["sequence"],
        ]
    for tokens, channels in zip(shown["tokens"], shown["acgtn"], strict=True):
        assert tokens.dtype == torch.int64 and tokens.shape == (30, 15)
        np.testing.assert_array_equal(planes("acgtn")[tokens].transpose(0, 2, 1), channels)


def test_what_is_named_comes_with_the_batch_and_nothing_else(toy_challenge, tmp_path):
    opened = open_challenge(toy_challenge(tmp_path / "toy", inputs={"histone": (5, 4), "age": (1,)}))
    batches = Batches(opened.train, opened.declaration, Config(), ["age", "histone"], CPU)
    rows = np.array([5, 2, 5])
    batch = batches.training(rows, seed=0, epoch=0)
    assert list(batch) == ["age", "histone", "target"]
    np.testing.assert_array_equal(batch["histone"], opened.train.inputs["histone"][rows])
    np.testing.assert_array_equal(batch["age"], opened.train.inputs["age"][rows])
    np.testing.assert_array_equal(batch["target"], opened.train.target[rows])


def test_rows_that_share_a_sequence_read_the_same_one(tmp_path):
    batches = build(tmp_path / "toy", ["AAAAAAAA", "CCCCCCCC"], Config(), index=[1, 0, 1])
    assert len(batches) == 3
    assert decode(show(batches, np.array([0, 1, 2])).numpy()) == ["CCCCCCCC", "AAAAAAAA", "CCCCCCCC"]


def test_training_shows_the_window_that_was_drawn_for_the_row(tmp_path):
    config = Config(window=(4, 12), shift=(-3, 2), reverse_complement=True)
    sequences, rows = random_sequences(40), np.random.default_rng(1).permutation(40)
    batches = build(tmp_path / "toy", sequences, config)
    draws = {"seed": 3, "epoch": 5}
    offset = draw_integers(rows, low=-3, high=2, purpose="shift", **draws)
    strand = draw_integers(rows, low=0, high=1, purpose="strand", **draws)
    windows = [by_hand(sequences[r], 4 + o, 8, "", "") for r, o in zip(rows, offset, strict=True)]
    wanted = [flipped(w) if flip else w for w, flip in zip(windows, strand, strict=True)]
    batch = batches.training(rows, **draws)
    np.testing.assert_array_equal(batch["sequence"], planes("acgt")[encode(wanted)[0]].transpose(0, 2, 1))
    assert batch["target"][:, 0].tolist() == rows.tolist()


def test_a_training_row_is_augmented_alike_in_any_company(tmp_path):
    config = Config(window=(4, 12), shift=(-3, 3), reverse_complement=True)
    batches = build(tmp_path / "toy", random_sequences(12), config)
    whole = batches.training(np.arange(12), seed=1, epoch=2)
    for rows in (np.array([7]), np.array([3, 7, 11, 3])):
        for name, values in batches.training(rows, seed=1, epoch=2).items():
            assert torch.equal(values, whole[name][rows])


def test_epochs_and_seeds_show_other_windows(tmp_path):
    batches = build(tmp_path / "toy", random_sequences(50), Config(window=(4, 12), shift=(-3, 3)))
    shown = [
        batches.training(np.arange(50), seed=seed, epoch=epoch)["sequence"]
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert not torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])


def test_without_augmentation_training_shows_what_prediction_shows(tmp_path):
    batches = build(tmp_path / "toy", random_sequences(9), Config())
    rows = np.arange(9)
    assert torch.equal(batches.training(rows, seed=1, epoch=2)["sequence"], batches.inputs(rows)["sequence"])


def test_a_fixed_shift_moves_every_training_window(tmp_path):
    sequences = random_sequences(9)
    batches = build(tmp_path / "toy", sequences, Config(window=(4, 12), shift=(2, 2)))
    wanted = planes("acgt")[encode([sequence[6:14] for sequence in sequences])[0]].transpose(0, 2, 1)
    np.testing.assert_array_equal(batches.training(np.arange(9), seed=0, epoch=0)["sequence"], wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_serves_what_the_cpu_serves(tmp_path):
    config = Config(window=(-2, 12), shift=(-3, 3), reverse_complement=True, encoding="acgtn")
    on_cpu, on_gpu = (
        build(
            tmp_path / device,
            random_sequences(40),
            config,
            index=[*range(40), 3, 5],
            device=torch.device(device),
        )
        for device in ("cpu", "cuda")
    )
    one, two = (batches.training(np.arange(42), seed=0, epoch=1) for batches in (on_cpu, on_gpu))
    assert on_gpu.resident is not None
    assert all(torch.equal(one[name], two[name].cpu()) for name in one)


@pytest.mark.parametrize("window", [(13, 40), (-40, -3), (5, 5), (6, 5)])
def test_a_window_that_misses_every_sequence_is_refused(tmp_path, window):
    with pytest.raises(InputError, match=r"window \(.*\) misses every sequence: .* span \[0, 10\)"):
        build(
            tmp_path / "toy", ["ACGTACGTAC", "A"], Config(window=window), left_flank="ACG", right_flank="TTT"
        )


@pytest.mark.parametrize("window", [(12, 40), (-40, -2)])
def test_a_window_that_sees_one_base_of_a_flank_is_taken(tmp_path, window):
    batches = build(
        tmp_path / "toy", ["ACGTACGTAC"], Config(window=window), left_flank="GCA", right_flank="TTG"
    )
    assert decode(show(batches, np.array([0])).numpy()) == ["G"]


def test_a_shift_that_runs_backwards_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"shift \(3, -3\); wanted \[low, high\] with low <= high"):
        build(tmp_path / "toy", ["ACGTACGTAC"], Config(shift=(3, -3)))


def test_an_unknown_encoding_and_a_flank_with_a_wrong_letter_are_refused(tmp_path):
    with pytest.raises(InputError, match="encoding 'one-hot' is unknown"):
        build(tmp_path / "toy", ["ACGTACGTAC"], Config(encoding="one-hot"))
    with pytest.raises(InputError, match="flank: row 0 has 'X' at position 1"):
        build(tmp_path / "other", ["ACGTACGTAC"], Config(), left_flank="AX")


def test_an_input_that_the_challenge_lacks_is_named(toy_challenge, tmp_path):
    opened = open_challenge(toy_challenge(tmp_path / "toy", inputs={"mark": (1,)}))
    with pytest.raises(InputError, match=r"forward wants the input 'histone'; .* has: sequence, mark"):
        Batches(opened.train, opened.declaration, Config(), ["sequence", "histone"], CPU)


@given(st.integers(0, 500), st.integers(1, 64))
def test_an_epoch_is_cut_into_equal_batches_none_too_large(count, batch_size):
    parts = [np.arange(count)[part] for part in cut(count, batch_size)]
    assert np.concatenate([[], *parts]).tolist() == list(range(count))
    sizes = {len(part) for part in parts} or {0}
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-count // batch_size)


@given(st.integers(0, 50), st.integers(1, 8))
def test_processes_share_a_batch_without_loss_or_repeat(count, num_processes):
    rows = np.arange(count)
    parts = [share(rows, process, num_processes) for process in range(num_processes)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_with_a_process_that_gets_no_row_of_it_is_refused():
    cuts = list(cut(11, 4))  # of 3, 4 and 4 rows
    require_rows(cuts, 3)
    with pytest.raises(InputError, match="3 rows for 4 processes"):
        require_rows(cuts, 4)
