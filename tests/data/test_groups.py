"""Homologous sequences are found at any offset, on either strand; constructs, poly-A, chance join nobody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.data import kmers
from competition.data.cores import Sequences
from competition.data.flanks import constant_flanks
from competition.data.groups import homology_clusters
from competition.data.hashing import hash_either_strand, hash_text, hash_tokens
from competition.data.kmers import SPACED, kmer_hashes
from competition.data.tokens import PAD, encode, reverse_complement


def random_tokens(count: int, width: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, width)).astype(np.uint8)


def lengths_of(tokens: np.ndarray) -> np.ndarray:
    return (tokens != PAD).sum(1)


def clusters_of(tokens: np.ndarray) -> np.ndarray:
    return homology_clusters([Sequences(tokens, lengths_of(tokens))]).number


def together(tokens: np.ndarray, first: int, second: int) -> bool:
    number = clusters_of(tokens)
    return bool(number[first] == number[second])


def test_unrelated_random_promoters_stay_apart():
    assert len(np.unique(clusters_of(random_tokens(20_000)))) == 20_000


def test_the_same_sequence_is_one_cluster_even_where_it_is_poor():
    tokens = random_tokens(30)
    tokens[3] = tokens[7] = 0
    assert together(tokens, 3, 7)


def test_a_reverse_complement_is_homologous():
    tokens = random_tokens(30)
    tokens[5] = reverse_complement(tokens[9:10])[0]
    assert together(tokens, 5, 9)


def with_a_shared_run(here: int, there: int, flip: bool) -> np.ndarray:
    """Rows 4 and 11 of 30 random ones share 30 bases, or one has them on the other strand."""
    tokens, shared = random_tokens(30), random_tokens(1, 30, seed=1)
    tokens[4, here : here + 30] = shared
    tokens[11, there : there + 30] = reverse_complement(shared) if flip else shared
    return tokens


@given(st.integers(0, 50), st.integers(0, 50), st.booleans())
@settings(max_examples=25)
def test_30_shared_bases_in_a_row_join_at_any_offset_and_strand(here, there, flip):
    tokens = with_a_shared_run(here, there, flip)
    assert together(tokens, 4, 11)


def test_29_shared_bases_in_a_row_do_not_join():
    tokens = random_tokens(30)
    tokens[4, :29] = tokens[11, 30:59]
    tokens[4, 29], tokens[11, 59] = 0, 1
    assert not together(tokens, 4, 11)


def mutate(tokens: np.ndarray, places: np.ndarray) -> np.ndarray:
    changed = tokens.copy()
    changed[places] = (changed[places] + 1) % 4
    return changed


@pytest.mark.parametrize("overlap", [40, 60, 80])
@pytest.mark.parametrize("every", [5, 6, 8, 10, 12, 15])
def test_four_fifths_of_an_overlap_join_where_every_few_bases_are_substituted(overlap, every):
    tokens = random_tokens(2 * 100 + every, seed=every)
    for pair in range(every):  # every phase, on both strands
        shared = mutate(tokens[pair, -overlap:], np.arange(overlap // every) * every + pair)
        other = np.concatenate([shared, tokens[100 + pair, overlap:]])
        tokens[100 + pair] = reverse_complement(other[None])[0] if pair % 2 else other
    number = clusters_of(tokens)
    np.testing.assert_array_equal(number[:every], number[100 : 100 + every])
    assert len(np.unique(number)) == len(tokens) - every


def test_99_of_100_pairs_with_random_substitutions_in_a_fifth_of_40_bases_join():
    rng, tokens = np.random.default_rng(0), random_tokens(4_000)
    for pair in range(2_000):
        shared = mutate(tokens[pair, 40:], rng.permutation(40)[:8])
        tokens[2_000 + pair, :40] = shared
    number = clusters_of(tokens)
    assert (number[:2_000] == number[2_000:]).mean() > 0.99


@pytest.mark.parametrize(("shared", "every", "joined"), [(900, 0, True), (700, 0, False), (6000, 25, True)])
def test_long_sequences_join_by_a_tenth_in_a_row_or_four_fifths_of_their_overlap(shared, every, joined):
    tokens = random_tokens(30, 8_000)
    if every:
        tokens[9, :shared] = mutate(tokens[3, -shared:], np.arange(0, shared, every))
    else:
        tokens[9, 500 : 500 + shared] = tokens[3, 500 : 500 + shared]
    assert together(tokens, 3, 9) == joined


def test_three_quarters_of_an_overlap_do_not_join():
    tokens = random_tokens(200)
    for pair in range(100):
        tokens[100 + pair] = mutate(tokens[pair], np.arange(0, 80, 4))
    assert len(np.unique(clusters_of(tokens))) == 200


@given(st.integers(0, 50), st.integers(0, 50), st.booleans())
@settings(max_examples=25)
def test_minimizers_find_30_shared_bases_in_a_row(here, there, flip):
    tokens = with_a_shared_run(here, there, flip)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kmers, "EXACT_SEQUENCES", 0)
        assert together(tokens, 4, 11)


@pytest.mark.parametrize("poor", ["A" * 60, "AT" * 30, "ATTTA" * 12])
@pytest.mark.parametrize("length", [40, 60])
def test_low_complexity_joins_nobody(poor, length):
    tokens = random_tokens(30)
    for row in range(10):
        tokens[row, row : row + length] = encode([poor[:length]])[0][0]
    assert len(np.unique(clusters_of(tokens))) == 30


def test_the_constant_flanks_of_a_construct_join_nobody():
    left, right = encode(["TGCATTTTTTTCACATCAAGCTT"])[0][0], encode(["GGTTACGGCTGTTCATGGCATTA"])[0][0]
    inserts = random_tokens(100)
    tokens = np.concatenate([np.tile(left, (100, 1)), inserts, np.tile(right, (100, 1))], axis=1)
    assert constant_flanks(tokens, lengths_of(tokens)) == (len(left), len(right))
    assert len(np.unique(clusters_of(tokens))) == 100


def test_flanks_are_found_from_each_rows_own_end():
    tail = "GGTTACGGCTGTT"
    rng = np.random.default_rng(0)
    cores = ["".join(rng.choice(list("ACGT"), size)) for size in rng.integers(60, 90, 50)]
    tokens, lengths = encode([core + tail for core in cores])
    assert constant_flanks(tokens, lengths) == (0, len(tail))


def test_one_big_cluster_is_not_mistaken_for_a_flank():
    tokens = np.tile(random_tokens(1), (50, 1))
    tokens[np.arange(50), np.arange(50)] ^= 1
    assert len(np.unique(clusters_of(tokens))) == 1


def test_a_core_and_its_construct_have_the_same_hash():
    cores = random_tokens(60)
    flank = np.tile(encode(["TGCATTTTTTTCACATC"])[0], (60, 1))
    whole = np.concatenate([flank, cores], axis=1)
    parts = ([Sequences(tokens, lengths_of(tokens))] for tokens in (cores, whole))
    one, two = (homology_clusters(each).own for each in parts)
    np.testing.assert_array_equal(one, two)


def test_letters_that_are_no_bases_are_never_compared():
    tokens = random_tokens(2, 40)
    tokens[:, 15] = 4
    assert (kmer_hashes(tokens)[0][:, :16] == kmers.NOTHING).all()
    assert (kmer_hashes(tokens)[0][:, 16:] != kmers.NOTHING).all()


@pytest.mark.parametrize("mask", ["", *SPACED])
def test_kmers_hash_alike_on_both_strands(mask):
    tokens = random_tokens(10)
    here, there = kmer_hashes(tokens, mask), kmer_hashes(reverse_complement(tokens), mask)
    np.testing.assert_array_equal(here[0][:, ::-1], there[0])
    ambiguous = here[1] == there[1][:, ::-1]  # it reads the same on both strands
    assert ambiguous.mean() < 0.01


def test_a_spaced_kmer_ignores_the_bases_between():
    tokens = random_tokens(10, 15)
    between = np.array([letter == "0" for letter in SPACED[0]])
    changed = np.where(between, (tokens + 1) % 4, tokens)
    np.testing.assert_array_equal(kmer_hashes(tokens, SPACED[0])[0], kmer_hashes(changed, SPACED[0])[0])
    assert len(np.unique(kmer_hashes(tokens, SPACED[0])[0])) == 10


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
