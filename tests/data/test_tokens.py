"""Letters become tokens and come back; whatever is no letter is named with its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.base.errors import InputError
from competition.data.tokens import (
    BASES,
    COMPLEMENT,
    LETTERS,
    MISSING,
    PAD,
    TRANSLATE,
    decode,
    encode,
    planes,
    reverse_complement,
)

SEQUENCE = st.text(LETTERS, min_size=1, max_size=40).filter(lambda text: text not in {"TN", "NTN", *MISSING})
SEQUENCES = st.lists(SEQUENCE, min_size=1, max_size=8)


@given(SEQUENCES)
def test_sequences_survive_a_round_trip(sequences):
    assert decode(encode(sequences)[0]) == sequences


@given(SEQUENCES)
def test_tokens_are_left_aligned_and_padded(sequences):
    tokens, lengths = encode(sequences)
    assert (tokens.dtype, lengths.dtype) == (np.uint8, np.int32)
    assert lengths.tolist() == [len(sequence) for sequence in sequences]
    wanted = [[*map(LETTERS.index, sequence)] for sequence in sequences]
    assert tokens.tolist() == [row + [PAD] * (max(lengths) - len(row)) for row in wanted]


@given(SEQUENCES)
def test_case_and_uracil_are_folded(sequences):
    folded = [sequence.lower().replace("t", "u") for sequence in sequences]
    np.testing.assert_array_equal(encode(folded)[0], encode(sequences)[0])


@given(SEQUENCES)
def test_the_reverse_complement_of_the_reverse_complement_is_the_sequence(sequences):
    tokens, lengths = encode(sequences)
    np.testing.assert_array_equal(reverse_complement(reverse_complement(tokens, lengths), lengths), tokens)


@given(SEQUENCES)
def test_the_reverse_complement_is_spelled_as_by_hand(sequences):
    pair = dict(zip(LETTERS, "TGCANYRSWMKVHDB", strict=True))
    tokens, lengths = encode(sequences)
    wanted = ["".join(pair[base] for base in reversed(sequence)) for sequence in sequences]
    np.testing.assert_array_equal(reverse_complement(tokens, lengths), encode(wanted)[0])
    whole = reverse_complement(tokens)  # without lengths the padding is turned to the left
    assert decode(whole) == wanted
    assert (whole[:, 0] == PAD).tolist() == (lengths < lengths.max()).tolist()


def test_complements_pair_the_bases_that_letters_stand_for():
    pair = {"A": "T", "C": "G", "G": "C", "T": "A"}
    for token, letter in enumerate(LETTERS):
        other = LETTERS[COMPLEMENT[token]]
        assert {pair[base] for base in BASES[letter]} == set(BASES[other])
    assert COMPLEMENT[PAD] == PAD


@pytest.mark.parametrize("letter", ["X", "-", ".", " ", "é", "1", "Ω"])
def test_a_character_that_is_no_letter_is_named_with_row_and_position(letter):
    with pytest.raises(InputError, match=r"row 1 has .* at position 2; wanted IUPAC"):
        encode(["ACGT", "AC" + letter])


@given(
    SEQUENCES,
    st.characters(exclude_categories=["Cs"], exclude_characters=LETTERS + LETTERS.lower() + "Uu"),
    st.data(),
)
def test_a_wrong_character_is_found_wherever_it_is(sequences, wrong, data):
    row = data.draw(st.integers(0, len(sequences) - 1))
    at = data.draw(st.integers(0, len(sequences[row])))
    sequences = [*sequences[:row], sequences[row][:at] + wrong + sequences[row][at:], *sequences[row + 1 :]]
    with pytest.raises(InputError) as error:
        encode(sequences, name="promoters")
    assert str(error.value).startswith(f"promoters: row {row} has {wrong!r} at position {at}; wanted IUPAC")


def test_an_empty_sequence_and_an_empty_table_are_refused():
    with pytest.raises(InputError, match="row 1 has no sequence"):
        encode(["A", ""])
    with pytest.raises(InputError, match="no rows"):
        encode([])


def test_one_table_serves_reading_by_bytes():
    assert b"ACGTacgtu".translate(TRANSLATE) == bytes([0, 1, 2, 3, 0, 1, 2, 3, 3])
    assert b"\t".translate(TRANSLATE) == b"\xff"


def test_iupac_planes_share_a_letter_evenly():
    table = planes("iupac")
    for token, letter in enumerate(LETTERS):
        wanted = [BASES[letter].count(base) / len(BASES[letter]) for base in "ACGT"]
        np.testing.assert_allclose(table[token], wanted)
    assert not table[PAD].any()


def test_n_and_padding_are_zeros_or_a_plane_of_their_own():
    assert not planes("acgt")[4:].any()
    assert planes("acgtn")[4:].tolist() == [[0, 0, 0, 0, 1]] * 12
    np.testing.assert_array_equal(planes("acgtn")[:4, :4], np.eye(4))
    with pytest.raises(InputError, match="'onehot' is unknown"):
        planes("onehot")


@pytest.mark.parametrize("word", ["NA", "na", "NaN", "nan", "None", "null", ""])
def test_a_word_for_a_missing_value_is_no_sequence(word):
    with pytest.raises(InputError, match=r"t\.csv: line 7 has ('|no sequence)"):
        encode(["ACGT", word, "GG"], name="t.csv", lines=[5, 7, 9])
    assert encode(["NAA", "N", "AN", "NANN"])[1].tolist() == [3, 1, 2, 4]


@pytest.mark.parametrize("letter", "EFILPQZ*XJO")
def test_protein_is_told(letter):
    with pytest.raises(
        InputError, match=r"row 1 has '.' at position 2; wanted .*: .* is a letter of proteins"
    ):
        encode(["ACGT", f"MK{letter}V"])
