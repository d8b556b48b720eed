"""Checks for sequences that give away whether a row is a test row, or which fold it is in."""

from collections.abc import Iterator

import numpy as np

from competition.auditing.adversarial import (
    FEW_POSITIONS,
    Traits,
    concatenate,
    distinguish,
    enough_clusters,
    find_barcode,
    read_traits,
)
from competition.auditing.finding import FAIL, PASS, WARN, Finding
from competition.data.challenge import Challenge
from competition.data.folds import FoldTable

BARCODE = 0.95  # AUROC from few positions


def check_test_rows(
    challenge: Challenge, train_cluster: np.ndarray, test_cluster: np.ndarray
) -> Iterator[Finding]:
    """Check whether test rows are distinguishable from training rows, by a barcode or in composition."""
    if challenge.test is None:
        return
    for name in challenge.train.sequences:
        test = read_traits(challenge.test, name, test_cluster, np.ones(len(test_cluster), bool))
        train = read_traits(challenge.train, name, train_cluster, np.zeros(len(train_cluster), bool))
        traits = concatenate(test, train)
        if enough_clusters(traits.cluster, traits.label):
            yield _compare(f"adversarial validation{_of_which(challenge, name)}", traits)


def _compare(check: str, traits: Traits) -> Finding:
    found, barcode = distinguish(traits, traits.label), find_barcode(traits, traits.label)
    status = FAIL if barcode.auroc >= BARCODE else WARN if found.is_clear else PASS
    text = (
        f"AUROC {found.auroc:.2f} from 5-mers, length, GC content and the bases at both ends "
        f"(permuted labels: {found.chance:.2f} ± {found.spread:.2f}); "
        f"{barcode.auroc:.2f} from {FEW_POSITIONS} positions alone"
    )
    return Finding(check, status, text, barcode.positions)


def check_fold_barcodes(challenge: Challenge, folds: FoldTable, cluster: np.ndarray) -> Iterator[Finding]:
    """Check whether the rows of a declared fold have a barcode."""
    if not folds.declared:
        return
    for name in challenge.train.sequences:
        traits = read_traits(challenge.train, name, cluster, folds.fold)
        found = [
            (find_barcode(traits, traits.label == each), each)
            for each in np.unique(traits.label)
            if enough_clusters(traits.cluster, traits.label == each)
        ]
        if not found:
            continue
        worst, label = max(found, key=lambda pair: pair[0].auroc)
        text = f"fold {label} against the others: AUROC {worst.auroc:.2f} from {FEW_POSITIONS} positions"
        status = WARN if worst.auroc >= BARCODE else PASS
        check = f"barcodes of declared folds{_of_which(challenge, name)}"
        yield Finding(check, status, text, worst.positions)


def _of_which(challenge: Challenge, name: str) -> str:
    return f": {name}" if len(challenge.train.sequences) > 1 else ""
