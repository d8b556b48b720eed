"""Checks for sequences that give away whether a row is a test row, or which fold it is in."""

from collections.abc import Iterator

import numpy as np

from competition.auditing.adversarial import (
    FEW_POSITIONS,
    concatenate,
    distinguish,
    enough_clusters,
    find_barcode,
    read_traits,
)
from competition.auditing.finding import FAIL, PASS, WARN, Finding
from competition.auditing.rows import Rows

BARCODE = 0.95  # AUROC from few positions


def check_test_rows(rows: Rows, cluster: np.ndarray) -> Iterator[Finding]:
    """Check whether test rows are distinguishable from training rows, by a barcode or in composition."""
    if rows.challenge.test is None or rows.test_entry is None:
        return
    test = read_traits(rows.challenge.test, cluster[rows.test_entry], np.ones(len(rows.test_entry), bool))
    train = read_traits(
        rows.challenge.train, cluster[rows.train_entry], np.zeros(len(rows.train_entry), bool)
    )
    traits = concatenate(test, train)
    if not enough_clusters(traits.cluster, traits.label):
        return
    found, barcode = distinguish(traits, traits.label), find_barcode(traits, traits.label)
    status = FAIL if barcode.auroc >= BARCODE else WARN if found.is_clear else PASS
    text = (
        f"AUROC {found.auroc:.2f} from 5-mers, length, GC content and the bases at both ends "
        f"(permuted labels: {found.chance:.2f} ± {found.spread:.2f}); "
        f"{barcode.auroc:.2f} from {FEW_POSITIONS} positions alone"
    )
    yield Finding("adversarial validation", status, text, barcode.positions)


def check_fold_barcodes(rows: Rows, cluster: np.ndarray) -> Iterator[Finding]:
    """Check whether the rows of a declared fold have a barcode."""
    if "fold" not in rows.challenge.train.rows:
        return
    traits = read_traits(rows.challenge.train, cluster[rows.train_entry], rows.folds.fold)
    folds = [
        fold for fold in np.unique(traits.label) if enough_clusters(traits.cluster, traits.label == fold)
    ]
    if not folds:
        return
    found = [find_barcode(traits, traits.label == fold) for fold in folds]
    worst = int(np.argmax([barcode.auroc for barcode in found]))
    area = found[worst].auroc
    text = f"fold {folds[worst]} against the others: AUROC {area:.2f} from {FEW_POSITIONS} positions"
    status = WARN if area >= BARCODE else PASS
    yield Finding("barcodes of declared folds", status, text, found[worst].positions)
