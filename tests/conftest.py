"""One thread a process: small tensors gain nothing from more, and busy cores make threads wait."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge

# A busy machine fails no test: nothing here is timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

LENGTH = 110
MOTIF = "TGACTCA"
SCORES = (
    Score.of("pearson"),
    Score.of("mse", unit="bins"),
    Score.of("pearson", "variants", subset="variants"),
)


@pytest.fixture(scope="session")
def toy_challenge() -> Callable[..., Path]:
    """Return a function that builds a small challenge which can be learned; see build_toy."""
    return build_toy


def build_toy(
    folder: Path,
    *,
    num_train: int = 64,
    num_test: int = 16,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    num_groups: int | None = None,
    seed: int = 0,
    **declared: object,
) -> Path:
    """Build a challenge of random 110-base sequences whose target is their GC content and a motif.

    Every second test row is a variant of the one before it: the pairs of the subset "variants". The inputs
    are random; with num_groups the training rows have that many groups. Returns the folder.
    """
    rng = np.random.default_rng(seed)
    challenge = Declaration(
        "toy", (Target("expression", "bins"),), SCORES, title="Toy", inputs=dict(inputs or {}),
        **{"subsets": {"variants": "pairs"}, **declared},
    )  # fmt: skip
    train = [_sequence(rng) for _ in range(num_train)]
    test = _with_variants(rng, num_test)
    with create_challenge(folder, challenge) as writer:
        rows = {"id": [f"train{i}" for i in range(num_train)]}
        if num_groups is not None:
            rows["group"] = [f"group{i % num_groups}" for i in range(num_train)]
        values = {name: rng.normal(size=(num_train, *shape)) for name, shape in challenge.inputs.items()}
        writer.train.append(*encode(train), target=_expression(train), inputs=values, rows=rows)
        if num_test:
            values = {name: rng.normal(size=(num_test, *shape)) for name, shape in challenge.inputs.items()}
            ids = [f"test{i}" for i in range(num_test)]
            writer.test.append(*encode(test), inputs=values, rows={"id": ids})
            usage = np.where(np.arange(num_test) % 4 < 2, "public", "private")
            writer.write_answers(pd.DataFrame({"id": ids, "expression": _expression(test), "usage": usage}))
            pairs = {"subset": "variants", "id": ids[1::2], "reference": ids[: num_test - 1 : 2]}
            writer.write_subsets(pd.DataFrame(pairs))
    return folder


def _sequence(rng: np.random.Generator) -> str:
    """Draw a sequence; half of them have the motif in the middle."""
    sequence = "".join(rng.choice(list("ACGT"), LENGTH, p=_composition(rng)))
    return sequence[:50] + MOTIF + sequence[50 + len(MOTIF) :] if rng.random() < 0.5 else sequence


def _composition(rng: np.random.Generator) -> list[float]:
    gc = rng.uniform(0.3, 0.7)
    return [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]


def _with_variants(rng: np.random.Generator, count: int) -> list[str]:
    sequences: list[str] = []
    while len(sequences) < count:
        sequence, at = _sequence(rng), rng.integers(LENGTH)
        other = rng.choice([base for base in "ACGT" if base != sequence[at]])
        sequences += [sequence, sequence[:at] + other + sequence[at + 1 :]]
    return sequences[:count]


def _expression(sequences: list[str]) -> np.ndarray:
    """Return the target (N,): ten times the share of G and C, and three more where the motif is."""
    gc = [(sequence.count("G") + sequence.count("C")) / LENGTH for sequence in sequences]
    return np.array(
        [10 * share + 3 * (MOTIF in sequence) for share, sequence in zip(gc, sequences, strict=True)]
    )
