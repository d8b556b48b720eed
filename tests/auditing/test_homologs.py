"""The closest homolog on another side: as brute force finds it, whatever the memory allows."""

from types import SimpleNamespace

import numpy as np
import pytest

from competition.auditing.alignment import HOMOLOG_KINDS
from competition.auditing.homologs import find_homologs
from competition.auditing.rows import TEST, Part, part_of
from competition.data import groups, kmers
from competition.data.cores import IDENTITY, OVERLAP, ROW
from competition.data.tokens import encode, reverse_complement

LEFT, RIGHT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT"


def random_sequence(rng, length=80):
    return "".join(rng.choice(list("ACGT"), length))


def flip(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def part(sequences, side):
    tokens, lengths = encode(sequences)
    return Part(SimpleNamespace(tokens=tokens, lengths=lengths), np.arange(len(sequences)), np.array(side))


def found(*parts):
    """Return {entry: (kind, partner)} across sides."""
    across, *_ = find_homologs(parts)
    kinds = [HOMOLOG_KINDS[kind] for kind in across.kind]
    return dict(zip(across.entry.tolist(), zip(kinds, across.partner.tolist(), strict=True), strict=True))


def homologs_of(rng, sequence):
    """Return a homolog of each kind."""
    changed = list(sequence)
    for place in (20, 55):
        changed[place] = "ACGT"[("ACGT".index(changed[place]) + 1) % 4]
    shifted = random_sequence(rng, 12) + sequence[:-12]
    return dict(zip(HOMOLOG_KINDS, (sequence, flip(sequence), shifted, "".join(changed)), strict=True))


@pytest.mark.parametrize("kind", HOMOLOG_KINDS)
@pytest.mark.parametrize("flanks", [("", ""), (LEFT, RIGHT)])
def test_a_homolog_of_each_kind_is_found_and_named(kind, flanks):
    rng = np.random.default_rng(0)
    cores = [random_sequence(rng) for _ in range(60)]
    cores += [cores[7], homologs_of(rng, cores[7])[kind]][1:]
    sequences = [f"{flanks[0]}{core}{flanks[1]}" for core in cores]
    got = found(part(sequences, [0] * 60 + [1]))
    assert got == {7: (kind, 60), 60: (kind, 7)}


def test_a_whole_construct_on_the_other_strand_is_a_reverse_complement():
    rng = np.random.default_rng(0)
    sequences = [LEFT + random_sequence(rng) + RIGHT for _ in range(60)]
    got = found(part([*sequences, flip(sequences[7])], [0] * 60 + [1]))
    assert got == {7: ("reverse complement", 60), 60: ("reverse complement", 7)}


def test_homologs_on_one_side_are_no_leak_but_are_found():
    rng = np.random.default_rng(0)
    sequence = random_sequence(rng)
    across, anywhere, _ = find_homologs([part([sequence, sequence, random_sequence(rng)], [0, 0, 1])])
    assert across.entry.size == 0
    assert anywhere.entry.tolist() == [0, 1]


def test_test_rows_are_compared_with_training_rows_alone():
    rng = np.random.default_rng(0)
    known, unknown = random_sequence(rng), random_sequence(rng)
    got = found(part([known], [0]), part([known, unknown, unknown], [TEST] * 3))
    assert got == {1: ("identical", 0)}


def test_a_sequence_whose_rows_are_on_two_sides_is_its_own_homolog():
    class Shared:
        tokens, lengths = encode([random_sequence(np.random.default_rng(0))])

        def __len__(self):
            return 4

        @property
        def sequence(self):
            return self

        def of(self, rows):
            return np.zeros_like(rows)

    each, entry = part_of(Shared(), np.array([0, 1, 1, 0]))
    assert entry.tolist() == [0, 1, 1, 0]
    assert found(each) == {0: ("identical", 1), 1: ("identical", 0)}


def test_rows_without_a_sequence_have_no_homologs():
    assert found(part(["N", "N"], [0, 1])) == {}
    assert found(part(["NNAC", "NNAC"], [0, 1])) == {0: ("identical", 1), 1: ("identical", 0)}


def brute_force(sequences, side):
    """Return the entries that have a homolog across sides by comparing every pair, offset and strand."""
    found = set()
    for i, one in enumerate(sequences):
        for j, other in enumerate(sequences):
            if side[i] != side[j] and any(is_homolog(one, each) for each in (other, flip(other))):
                found.add(i)
    return found


def is_homolog(one, other):
    for offset in range(-len(other) + 1, len(one)):
        equal = [
            one[i] == other[i - offset]
            for i in range(max(offset, 0), min(len(one), len(other) + offset))
        ]  # fmt: skip
        runs = "".join("x" if each else " " for each in equal).split()
        longest = max(map(len, runs), default=0)
        if longest >= ROW or (len(equal) >= OVERLAP and sum(equal) >= IDENTITY * len(equal)):
            return True
    return False


def homologous_sequences(rng, count):
    """Return sequences of which many are pieces, flips and mutants of others."""
    found = [random_sequence(rng, int(rng.integers(60, 100))) for _ in range(count)]
    for place in range(0, count, 3):
        source = found[int(rng.integers(count))]
        start = int(rng.integers(0, 25))
        piece = source[start : start + int(rng.integers(25, 60))] + random_sequence(rng, 30)
        found[place] = flip(piece) if rng.random() < 0.5 else piece
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_homolog_that_brute_force_finds_is_found(seed):
    rng = np.random.default_rng(seed)
    sequences = homologous_sequences(rng, 40)
    side = rng.integers(0, 3, 40)
    assert set(found(part(sequences, side))) == brute_force(sequences, side)


@pytest.mark.parametrize(
    ("module", "limit", "value"),
    [
        (kmers, "EXACT_SEQUENCES", 0),
        (kmers, "PASS_KMERS", 500),
        (kmers, "BUCKET_KMERS", 10),
        (groups, "PAIRS", 3),
    ],
)
def test_bounds_on_memory_change_nothing_that_is_found(monkeypatch, module, limit, value):
    rng = np.random.default_rng(1)
    sequences = homologous_sequences(rng, 60)
    side = rng.integers(0, 3, 60)
    expected = set(found(part(sequences, side)))
    monkeypatch.setattr(module, limit, value)
    assert expected and set(found(part(sequences, side))) == expected


@pytest.mark.parametrize("flipped", [False, True])
def test_an_offset_says_where_the_partner_lies(flipped):
    rng = np.random.default_rng(0)
    sequences = [LEFT + random_sequence(rng) + RIGHT for _ in range(40)]
    core, rest = random_sequence(rng, 80), random_sequence(rng, 30)
    piece = core[30:] + rest
    pair = [LEFT + core + RIGHT, LEFT + (flip(piece) if flipped else piece) + RIGHT]
    across, *_ = find_homologs([part([*sequences, *pair], [0] * 40 + [1, 2])])
    one, other = encode(pair)[0]
    other = reverse_complement(other[None])[0] if flipped else other
    offset = int(across.offset[0])
    assert across.entry[0] == 40 and across.flipped[0] == flipped and across.overlap[0] == 50
    equal = one[offset:] == other[: len(one) - offset]
    assert equal[len(LEFT) + 30 - offset :][:50].all()
