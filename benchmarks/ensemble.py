"""Ensembles: every way of weighting fifty members on a million rows, against a search that reads the rows.

    python benchmarks/ensemble.py --members 50 --rows 1000000

Predictions are random numbers around a random truth. The kit reads the rows once and then finds weights,
nested scores with 1,000 resamples, and the smallest blend. The other side is one step of greedy selection on
the rows themselves: each member is added to the blend in turn and correlated with the truth.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence

import numpy as np

from competition.base.errors import InputError, exit_status
from competition.blending.members import Members
from competition.blending.moments import with_rank_mean
from competition.blending.nested import choose, compare_blends
from competition.judging.manifest import Manifest

FEWEST_ROWS = 100


def simulate(num_members: int, num_rows: int) -> Members:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(num_rows, 1))
    noise = rng.uniform(0.5, 2, num_members)
    oof = np.empty((num_members, num_rows, 1))
    for number in range(num_members):
        oof[number] = truth + noise[number] * rng.normal(size=truth.shape)
    manifests = tuple(Manifest("benchmark", "", f"m{i}", "run", "") for i in range(num_members))
    return Members(manifests, oof, oof[:, :10], truth, rng.integers(0, 4, num_rows))


def by_hand(members: Members) -> None:
    """Take one step of greedy selection on the rows."""
    blend, truth = members.oof[0, :, 0], members.truth[:, 0]
    for member in members.oof[:, :, 0]:
        np.corrcoef(blend + member, truth)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--rows", type=int, default=1_000_000)
    return exit_status(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    if options.members < 1 or options.rows < FEWEST_ROWS:
        raise InputError(
            f"--members {options.members} --rows {options.rows}; wanted a member and {FEWEST_ROWS} rows"
        )
    members = simulate(options.members, options.rows)
    started = time.perf_counter()
    comparison = compare_blends("pearson", with_rank_mean(members.oof), members.truth, members.fold)
    chosen, smallest = choose(comparison, "auto"), comparison.smallest
    kit = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.members} members x {options.rows:,} rows, peak {peak:.1f} GB")
    print(
        f"kit      {kit:5.1f} s for all ways of weighting; taken {chosen.method}, smallest {smallest.method}"
    )
    started = time.perf_counter()
    by_hand(members)
    hand = time.perf_counter() - started
    print(f"by hand  {hand:5.1f} s for one step of greedy selection, without folds or resamples")


if __name__ == "__main__":
    sys.exit(main())
