"""Checks for homologous sequences between training and test, and between folds."""

from collections.abc import Iterator

import numpy as np

from competition.auditing.alignment import HOMOLOG_KINDS, Homologs
from competition.auditing.examples import homolog_examples
from competition.auditing.finding import FAIL, PASS, WARN, Finding
from competition.auditing.homologs import Homology
from competition.auditing.rows import Rows, group_means
from competition.data.challenge import Challenge
from competition.metrics.metric import UndefinedMetric
from competition.metrics.pearson import pearson

FEW = 0.01  # of the rows: a leak of fewer warns, of more fails


def check_test_homologs(rows: Rows, homology: Homology) -> Iterator[Finding]:
    """Check test rows for homologs among the training rows."""
    if rows.challenge.test is None:
        return
    kind = _kinds(rows, homology.across, rows.test_entry)
    found = np.count_nonzero(kind >= 0)
    text = f"{found:,} of {len(kind):,} test rows{_count_kinds(kind)}"
    text += "; data_prep table --drop-test-homologs drops such training rows" if found else ""
    examples = homolog_examples(rows, homology.across, rows.test_entry)
    yield Finding("test rows homologous to training rows", _status(kind, rows.challenge), text, examples)


def check_fold_homologs(rows: Rows, homology: Homology) -> Finding:
    """Check training rows for homologs in other folds; where there are none, count those in their own."""
    check = "training rows homologous across folds"
    kind = _kinds(rows, homology.across, rows.train_entry)
    num_found = np.count_nonzero(kind >= 0)
    if not num_found:
        within = _kinds(rows, homology.anywhere, rows.train_entry)
        text = f"none of {len(kind):,}; {np.count_nonzero(within >= 0):,} have a homolog in their own fold"
        examples = homolog_examples(rows, homology.anywhere, rows.train_entry)
        return Finding(check, PASS, text + _count_kinds(within), examples)
    text = f"{num_found:,} of {len(kind):,} training rows{_count_kinds(kind)}"
    copied = _score_copying(rows, homology.across)
    if copied is not None:
        text += f"; copying the homolog's label scores Pearson {copied:.2f} there"
    examples = homolog_examples(rows, homology.across, rows.train_entry)
    return Finding(check, _status(kind, rows.challenge), text, examples)


def _kinds(rows: Rows, homologs: Homologs, entry_of_row: np.ndarray) -> np.ndarray:
    """Return the kind (N,) of each row's closest homolog, of any of its sequences; -1 where it has none."""
    none = len(HOMOLOG_KINDS)
    kind = np.full(rows.num_entries, none)
    kind[homologs.entry] = homologs.kind
    closest = kind[entry_of_row].min(axis=1)
    return np.where(closest == none, -1, closest)


def _count_kinds(kind: np.ndarray) -> str:
    counts = [(np.count_nonzero(kind == number), name) for number, name in enumerate(HOMOLOG_KINDS)]
    named = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    return f" ({named})" if named else ""


def _status(kind: np.ndarray, challenge: Challenge) -> str:
    """Return the status of rows with these kinds (N,) of homologs.

    One sequence in many rows is no leak where they differ in other inputs, as the cell types of a gene do.
    """
    if (kind < 0).all():
        return PASS
    leaking = kind >= (1 if challenge.declaration.inputs else 0)
    return FAIL if np.count_nonzero(leaking) >= FEW * len(kind) else WARN


def _score_copying(rows: Rows, across: Homologs) -> float | None:
    """Return how well the label of a homolog in another fold predicts a row's own; None where undefined."""
    target = np.asarray(rows.challenge.train.target, dtype=np.float64)
    means = group_means(np.repeat(target, rows.train_entry.shape[1], axis=0), rows.train_entry.ravel())
    partner = np.full(rows.num_entries, -1)
    partner[across.entry] = across.partner
    partner_of_row = partner[rows.train_entry].max(axis=1)
    chosen = partner_of_row >= 0
    try:
        return pearson(target[chosen], means[partner_of_row[chosen]])
    except UndefinedMetric:
        return None
