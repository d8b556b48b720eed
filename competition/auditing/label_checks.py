"""Checks of the labels: constant, contradictory, or predicted by what is no biology."""

from collections.abc import Iterator

import numpy as np

from competition.auditing.finding import FAIL, PASS, WARN, Finding
from competition.auditing.permutation import SIGMAS, label_permutation_control
from competition.auditing.rows import group_means
from competition.auditing.shortcuts import shortcut_correlations
from competition.data.challenge import Challenge
from competition.data.folds import FoldTable
from competition.data.hashing import hash_bytes, hash_tokens, mix
from competition.data.store import Store

MANY_DUPLICATES = 0.01  # of the rows
NOISY = 0.10  # of the labels' variance lies between duplicate rows, where there are many
HINT, GIVEAWAY = 0.3, 0.7  # correlation of the target with what a shortcut predicts


def check_targets(challenge: Challenge) -> Iterator[Finding]:
    """Check for targets with nothing to predict."""
    targets = np.asarray(challenge.train.target).T
    for target, values in zip(challenge.declaration.targets, targets, strict=True):
        if values.min() == values.max():
            yield Finding(f"target {target.name}", FAIL, f"is {values[0]:.6g} in every training row")


def check_label_noise(store: Store) -> Finding:
    """Check how far the labels of duplicate rows, those with equal inputs, differ."""
    check = "label noise of duplicate rows"
    rows, group = _duplicates(store)
    if not len(rows):
        return Finding(check, PASS, "no two rows have equal inputs")
    target = np.asarray(store.target, dtype=np.float64)
    num_groups = int(group.max()) + 1
    deviation = target[rows] - group_means(target[rows], group)[group]
    within, total = (deviation**2).sum(axis=0) / (len(rows) - num_groups), target.var(axis=0)
    share = min(1.0, float(np.mean(within / np.where(total > 0, total, 1))))
    text = (
        f"{len(rows):,} rows share inputs in {num_groups:,} set{'s' * (num_groups > 1)}; {share:.1%} of the "
        f"labels' variance lies within a set, so no model explains more than about {1 - share:.1%} there"
    )
    worst = rows[group == group[np.abs(deviation).max(axis=1).argmax()]]
    labels = [
        f"{store.rows['id'][row]} = {' '.join(f'{value:.4g}' for value in target[row])}" for row in worst[:4]
    ]
    noisy = share > NOISY and len(rows) >= MANY_DUPLICATES * len(store)
    return Finding(check, WARN if noisy else PASS, text, (f"largest difference: {', '.join(labels)}",))


def _duplicates(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (M,) that share all inputs with another, and the number (M,) of their set."""
    key = np.zeros(len(store), dtype=np.uint64)
    for stored in store.sequences.values():
        key = mix(key ^ hash_tokens(stored.tokens)[stored.of(np.arange(len(store)))])
    for values in store.inputs.values():
        key = mix(key ^ hash_bytes(values))
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
    sizes = np.diff(starts, append=len(key))
    repeated = sizes[sizes > 1]
    return order[np.repeat(sizes > 1, sizes)], np.repeat(np.arange(len(repeated)), repeated)


def check_shortcuts(store: Store, folds: FoldTable) -> Iterator[Finding]:
    """Check what length, GC content and flanks predict of the target."""
    for name, value in shortcut_correlations(store, folds.fold).items():
        status = FAIL if value >= GIVEAWAY else WARN if value >= HINT else PASS
        yield Finding(f"shortcut: {name}", status, f"predicts the target with Pearson {value:.2f}")


def check_label_permutation(store: Store, fold: np.ndarray, cluster: np.ndarray) -> Iterator[Finding]:
    """Check whether labels permuted between homology clusters (N,) are predicted across folds (N,)."""
    control = label_permutation_control(store, fold, cluster)
    if control is None:
        return
    text = (
        f"ridge regression on 5-mers: Pearson {control.value:+.3f}, {control.sigmas:+.1f} standard errors "
        f"from chance ({control.num_clusters:,} homology clusters; true labels {control.true:.3f})"
    )
    yield Finding("label-permutation control", FAIL if control.sigmas > SIGMAS else PASS, text)
