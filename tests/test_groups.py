"""Relatives are found at any offset and on either strand; constructs, poly-A and chance join nobody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.data import groups
from competition.data.groups import constant_flanks, relatives, stretch_hashes
from competition.data.hashing import hash_either_strand, hash_text, hash_tokens
from competition.data.tokens import PAD, encode, reverse_complement


def random_tokens(count: int, width: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, width)).astype(np.uint8)


def lengths_of(tokens: np.ndarray) -> np.ndarray:
    return (tokens != PAD).sum(1)


def together(tokens: np.ndarray, first: int, second: int) -> bool:
    family, _ = relatives(tokens, lengths_of(tokens))
    return bool(family[first] == family[second])


def test_unrelated_random_promoters_stay_apart():
    family, _ = relatives(random_tokens(2_000), np.full(2_000, 80))
    assert len(np.unique(family)) == 2_000


def test_the_same_sequence_is_one_family_even_where_it_is_poor():
    tokens = random_tokens(30)
    tokens[3] = tokens[7] = 0
    assert together(tokens, 3, 7)


def test_a_reverse_complement_is_a_relative():
    tokens = random_tokens(30)
    tokens[5] = reverse_complement(tokens[9:10])[0]
    assert together(tokens, 5, 9)


@given(st.integers(0, 60), st.integers(0, 60), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_shared_stretch_of_20_bases_joins_at_any_offset_and_strand(here, there, flip):
    tokens = random_tokens(30)
    stretch = random_tokens(1, 20, seed=1)
    tokens[4, here : here + 20] = stretch
    tokens[11, there : there + 20] = reverse_complement(stretch) if flip else stretch
    assert together(tokens, 4, 11)


def test_a_shared_stretch_of_19_bases_does_not_join():
    tokens = random_tokens(30)
    tokens[4, :19] = tokens[11, 30:49]
    tokens[4, 19], tokens[11, 49] = 0, 1
    assert not together(tokens, 4, 11)


@given(st.integers(0, 50), st.integers(0, 50), st.booleans())
@settings(max_examples=25, deadline=None)
def test_minimizers_find_every_shared_stretch_of_30_bases(here, there, flip):
    tokens = random_tokens(30)
    stretch = random_tokens(1, 30, seed=1)
    tokens[4, here : here + 30] = stretch
    tokens[11, there : there + 30] = reverse_complement(stretch) if flip else stretch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "EXACT_SEQUENCES", 0)
        assert together(tokens, 4, 11)


@pytest.mark.parametrize("poor", ["A" * 40, "AT" * 20, "ATTTA" * 8])
def test_stretches_of_low_complexity_join_nobody(poor):
    tokens = random_tokens(30)
    tokens[4, :40] = tokens[11, 20:60] = encode([poor])[0][0]
    assert not together(tokens, 4, 11)


def test_the_constant_flanks_of_a_construct_join_nobody():
    left, right = encode(["TGCATTTTTTTCACATCAAGCTT"])[0][0], encode(["GGTTACGGCTGTTCATGGCATTA"])[0][0]
    inserts = random_tokens(100)
    tokens = np.concatenate([np.tile(left, (100, 1)), inserts, np.tile(right, (100, 1))], axis=1)
    assert constant_flanks(tokens, lengths_of(tokens)) == (len(left), len(right))
    family, _ = relatives(tokens, lengths_of(tokens))
    assert len(np.unique(family)) == 100


def test_flanks_are_found_from_each_rows_own_end():
    tail = "GGTTACGGCTGTT"
    rng = np.random.default_rng(0)
    cores = ["".join(rng.choice(list("ACGT"), size)) for size in rng.integers(60, 90, 50)]
    tokens, lengths = encode([core + tail for core in cores])
    assert constant_flanks(tokens, lengths) == (0, len(tail))


def test_one_big_family_is_not_mistaken_for_a_flank():
    tokens = np.tile(random_tokens(1), (50, 1))
    tokens[np.arange(50), np.arange(50)] ^= 1
    family, _ = relatives(tokens, np.full(50, 80))
    assert len(np.unique(family)) == 1


def test_a_core_and_its_construct_have_the_same_hash():
    cores = random_tokens(60)
    flank = np.tile(encode(["TGCATTTTTTTCACATC"])[0], (60, 1))
    whole = np.concatenate([flank, cores], axis=1)
    one, two = (relatives(tokens, lengths_of(tokens))[1] for tokens in (cores, whole))
    np.testing.assert_array_equal(one, two)


def test_letters_that_are_no_bases_are_never_compared():
    tokens = random_tokens(2, 40)
    tokens[:, 15] = 4
    assert (stretch_hashes(tokens)[0][:, :16] == groups.NOTHING).all()
    assert (stretch_hashes(tokens)[0][:, 16:] != groups.NOTHING).all()


def test_stretches_hash_alike_on_both_strands():
    tokens = random_tokens(10)
    here, there = stretch_hashes(tokens), stretch_hashes(reverse_complement(tokens))
    np.testing.assert_array_equal(here[0][:, ::-1], there[0])
    np.testing.assert_array_equal(here[1][:, ::-1], ~there[1])


@given(st.integers(0, 9))
def test_hashes_ignore_padding_and_strand(padding):
    tokens = random_tokens(8, 30)
    wide = np.pad(tokens, ((0, 0), (0, padding)), constant_values=PAD)
    np.testing.assert_array_equal(hash_tokens(tokens), hash_tokens(wide))
    flipped = reverse_complement(wide, lengths_of(wide))
    lengths = lengths_of(wide)
    np.testing.assert_array_equal(hash_either_strand(wide, lengths), hash_either_strand(flipped, lengths))


def test_hashes_never_change():
    """Folds hang on these values: a new one would move every row of every challenge."""
    assert hash_tokens(encode(["ACGT"])[0])[0] == TOKENS_ACGT
    assert hash_text(["gene", "ge\u00e9"]).tolist() == TEXTS


TOKENS_ACGT = 2671013529557195531
TEXTS = [11265266152957648853, 12395945651786868483]


def test_hashes_of_many_texts_do_not_collide():
    assert len(np.unique(hash_text(np.arange(200_000).astype(str)))) == 200_000
