"""Audit a challenge: search it for homologs once, then run every check."""

import numpy as np

from competition.auditing.adversarial_checks import check_fold_barcodes, check_test_rows
from competition.auditing.finding import PASS, WARN, Finding
from competition.auditing.homologs import find_homologs
from competition.auditing.homology_checks import check_fold_homologs, check_test_homologs
from competition.auditing.input_checks import check_inputs
from competition.auditing.label_checks import (
    check_label_noise,
    check_label_permutation,
    check_shortcuts,
    check_targets,
)
from competition.auditing.rows import Rows
from competition.base.terminal import Tracker
from competition.data.challenge import Challenge
from competition.data.folds import FoldTable, fold_table

UNEVEN = 2.0  # times its fair share in the largest fold


def audit(
    challenge: Challenge, *, num_folds: int | None = None, ignore_folds: bool = False, quiet: bool = True
) -> list[Finding]:
    """Return the findings of every check; folds are those of a run."""
    train, cache = challenge.train, challenge.folder / "cache"
    folds = fold_table(train, challenge.declaration, num_folds, ignore_declared=ignore_folds, cache=cache)
    rows = Rows.of(challenge, folds)
    with Tracker("comparing sequences", rows.num_entries, shown=not quiet) as tracker:
        homology = find_homologs(rows.parts, tracker.advance)
    train_cluster, test_cluster = rows.join(homology.cluster)
    return [
        *check_test_homologs(rows, homology),
        *check_test_rows(challenge, train_cluster, test_cluster),
        check_fold_homologs(rows, homology),
        *check_fold_barcodes(challenge, folds, train_cluster),
        check_fold_sizes(folds),
        *check_targets(challenge),
        *check_inputs(challenge),
        check_label_noise(train),
        *check_shortcuts(train, folds),
        *check_label_permutation(train, folds.fold, train_cluster),
    ]


def check_fold_sizes(folds: FoldTable) -> Finding:
    """Check whether one group makes a fold much larger than the others."""
    sizes = np.bincount(folds.fold, minlength=folds.num_folds)
    groups, counts = np.unique(folds.key, return_counts=True)
    text = (
        f"{folds.text} of {sizes.min():,} to {sizes.max():,} rows; {len(groups):,} groups, "
        f"the largest has {counts.max():,} rows"
    )
    fair = len(folds.fold) / folds.num_folds
    return Finding("fold sizes", WARN if sizes.max() > UNEVEN * fair else PASS, text)
