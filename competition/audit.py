"""Audit a challenge before anybody believes a score on it: leaks, contradictions and shortcuts.

    python -m competition.audit promoters
    python -m competition.audit data/my_library --folds 5

Looks for training sequences that are the same as, the reverse complement of, shifted against or nearly the
same as one of another fold or of the test set; for barcodes and other traits that tell test rows from those
for training; for rows of equal inputs with different labels; for length, GC content and flanks that predict
the target; and for permuted labels that are predicted all the same. Folds are those that a
run would use. Test answers are not read. Exits with 1 where a check fails.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from competition.auditing.search import KINDS, TEST, Homology, Part, Relations, find_relations, part_of
from competition.auditing.separation import find_barcode, separate, tellable, together, traits
from competition.auditing.shortcuts import explained, shuffled_control
from competition.base.errors import exit_status
from competition.base.terminal import Tracker
from competition.data.challenge import Challenge
from competition.data.find import find_challenge
from competition.data.folds import FoldTable, fold_table
from competition.data.hashing import hash_bytes, hash_tokens, mix
from competition.data.store import Store
from competition.data.tokens import decode, reverse_complement
from competition.metrics.metric import UndefinedMetric
from competition.metrics.pearson import pearson

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
COLOURS = {PASS: "green", WARN: "yellow", FAIL: "red"}
FEW = 0.01  # of the rows: a leak of fewer warns, of more fails
NOISY = 0.10  # of the labels' variance lies between rows of equal inputs, where more than FEW have such
HINT, GIVEAWAY = 0.3, 0.7  # correlation of the target with what a shortcut predicts
SIGMAS = 4.0  # above chance
DISTINGUISHABLE, BARCODE = 0.7, 0.95  # AUROC, test against training rows: all traits, few positions
UNEVEN = 2.0  # times its fair share in the largest fold
SHOWN_BASES = 110
PIPED_WIDTH = 160  # where there is no terminal


@dataclass(frozen=True)
class Finding:
    """What one check found: a verdict, a sentence, and rows to look at."""

    check: str
    verdict: str
    text: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """The rows of a challenge and the sequences they stand for in the search for homologous ones."""

    opened: Challenge
    folds: FoldTable
    parts: tuple[Part, ...]
    train_entry: np.ndarray  # (N,)
    test_entry: np.ndarray | None  # (K,) counted through all parts

    def ids(self, entry: int) -> str:
        """Name the first row that stands for an entry, and its place."""
        row = int((self.train_entry == entry).argmax())
        if self.train_entry[row] == entry:
            return f"{self.opened.train.rows['id'][row]} (fold {self.folds.fold[row]})"
        assert self.opened.test is not None and self.test_entry is not None
        return f"{self.opened.test.rows['id'][int((self.test_entry == entry).argmax())]} (test)"

    def tokens(self, entry: int) -> np.ndarray:
        """Return the letters (1, L) of an entry, without padding."""
        for part in self.parts:
            if entry < len(part.sequence):
                sequence = part.sequence[entry]
                return np.asarray(part.store.tokens[sequence : sequence + 1, : part.store.lengths[sequence]])
            entry -= len(part.sequence)
        raise AssertionError(entry)


def audit(opened: Challenge, *, num_folds: int | None = None, quiet: bool = True) -> list[Finding]:
    """Return the findings of every check; folds are those of a run (four, or as many as the rows declare)."""
    train = opened.train
    num_folds = num_folds or (train.rows["fold"].nunique() if "fold" in train.rows else 4)
    folds = fold_table(train, opened.declaration, num_folds, cache=opened.folder / "cache")
    part, train_entry = part_of(train, folds.fold)
    parts, test_entry = [part], None
    if opened.test is not None:
        test_part, test_entry = part_of(opened.test, np.full(len(opened.test), TEST))
        parts.append(test_part)
        test_entry += len(part.sequence)
    rows = Rows(opened, folds, tuple(parts), train_entry, test_entry)
    with Tracker("comparing sequences", sum(len(p.sequence) for p in parts), shown=not quiet) as tracker:
        found = find_relations(parts, tracker.advance)
    return [
        *_test_set(rows, found.across),
        *_adversarial(rows, found.cluster),
        _across_folds(rows, found.across, found.anywhere),
        *_barcodes(rows, found.cluster),
        _fold_sizes(folds),
        *_targets(opened),
        _conflicts(train),
        *_shortcuts(train, folds),
        *_control(rows, found),
    ]


def _test_set(rows: Rows, across: Relations) -> Iterator[Finding]:
    """Check test rows for homologs among the training rows."""
    check = "test rows homologous to training rows"
    if rows.test_entry is None:
        return
    kind = _kind_of_rows(rows, across, rows.test_entry)
    num_found = int((kind >= 0).sum())
    verdict = _severity(kind, rows.opened)
    text = f"{num_found:,} of {len(kind):,} test rows{_by_kind(kind)}"
    yield Finding(check, verdict, text, _examples(rows, across, rows.test_entry))


def _adversarial(rows: Rows, cluster: np.ndarray) -> Iterator[Finding]:
    """Check whether test rows are distinguishable from training rows: by a barcode, or in composition."""
    if rows.opened.test is None or rows.test_entry is None:
        return
    test = traits(rows.opened.test, cluster[rows.test_entry], np.ones(len(rows.test_entry), dtype=bool))
    train = traits(rows.opened.train, cluster[rows.train_entry], np.zeros(len(rows.train_entry), dtype=bool))
    known = together(test, train)
    if not tellable(known.cluster, known.label):
        return
    found, barcode = separate(known, known.label), find_barcode(known, known.label)
    told = found.value >= DISTINGUISHABLE and found.value > found.chance + SIGMAS * found.spread
    verdict = FAIL if barcode.value >= BARCODE else WARN if told else PASS
    text = (
        f"AUROC {found.value:.2f} by 5-mers, length, GC content and the bases at both ends (permuted labels "
        f"{found.chance:.2f} ± {found.spread:.2f}); by few positions {barcode.value:.2f}"
    )
    yield Finding("adversarial validation of test rows", verdict, text, barcode.positions)


def _barcodes(rows: Rows, cluster: np.ndarray) -> Iterator[Finding]:
    """Judge whether the rows of a declared fold have a barcode."""
    if "fold" not in rows.opened.train.rows:
        return
    known = traits(rows.opened.train, cluster[rows.train_entry], rows.folds.fold)
    folds = [fold for fold in np.unique(known.label) if tellable(known.cluster, known.label == fold)]
    if not folds:
        return
    found = [find_barcode(known, known.label == fold) for fold in folds]
    worst = int(np.argmax([barcode.value for barcode in found]))
    text = f"fold {folds[worst]} by few positions with AUROC {found[worst].value:.2f}"
    verdict = WARN if found[worst].value >= BARCODE else PASS
    yield Finding("barcodes of declared folds", verdict, text, found[worst].positions)


def _across_folds(rows: Rows, across: Relations, anywhere: Relations) -> Finding:
    """Check training rows for homologs in other folds."""
    kind = _kind_of_rows(rows, across, rows.train_entry)
    total, num_found = len(kind), int((kind >= 0).sum())
    if num_found:
        copied = _copying(rows, across)
        text = f"{num_found:,} of {total:,} training rows{_by_kind(kind)}"
        text += (
            f"; copying the homolog's label scores Pearson {copied:.2f} there" if copied is not None else ""
        )
        examples = _examples(rows, across, rows.train_entry)
        verdict = _severity(kind, rows.opened)
        return Finding("training rows homologous to another fold", verdict, text, examples)
    kept = _kind_of_rows(rows, anywhere, rows.train_entry)
    text = f"none of {total:,}; {int((kept >= 0).sum()):,} have one in their own fold{_by_kind(kept)}"
    examples = _examples(rows, anywhere, rows.train_entry)
    return Finding("training rows homologous to another fold", PASS, text, examples)


def _severity(kind: np.ndarray, opened: Challenge) -> str:
    """Return the verdict on rows by the kind (N,) of their homolog, -1 for none.

    One sequence in many rows is meant so where other inputs tell them apart, as the cell types of a gene.
    """
    if (kind < 0).all():
        return PASS
    leaking = kind >= (1 if opened.declaration.inputs else 0)
    return FAIL if np.count_nonzero(leaking) >= FEW * len(kind) else WARN


def _kind_of_rows(rows: Rows, relations: Relations, entry_of_row: np.ndarray) -> np.ndarray:
    """Return the kind (N,) of each row's homolog, -1 where it has none."""
    kind = np.full(sum(len(part.sequence) for part in rows.parts), -1)
    kind[relations.entry] = relations.kind
    found: np.ndarray = kind[entry_of_row]
    return found


def _by_kind(kind: np.ndarray) -> str:
    counts = [(int((kind == number).sum()), name) for number, name in enumerate(KINDS)]
    named = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    return f" ({named})" if named else ""


def _copying(rows: Rows, across: Relations) -> float | None:
    """Return how well the label of a homolog in another fold predicts a row's own; None where undefined."""
    target = np.asarray(rows.opened.train.target, dtype=np.float64)
    count = np.bincount(rows.train_entry)
    means = [np.bincount(rows.train_entry, column) / count for column in target.T]
    partner = np.full(len(count), -1)
    mine = across.entry < len(count)
    partner[across.entry[mine]] = across.partner[mine]
    known = partner[rows.train_entry]
    chosen = known >= 0
    try:
        return pearson(target[chosen], np.stack(means, axis=1)[known[chosen]])
    except UndefinedMetric:
        return None


def _examples(rows: Rows, relations: Relations, entry_of_row: np.ndarray) -> tuple[str, ...]:
    """Show one pair of each kind, aligned."""
    mine = np.isin(relations.entry, entry_of_row)
    places = [np.flatnonzero(mine & (relations.kind == number)) for number in range(len(KINDS))]
    return tuple(_aligned(rows, relations, int(each[0])) for each in places if len(each))


def _aligned(rows: Rows, relations: Relations, place: int) -> str:
    """Align two homologous sequences, one above the other, where they overlap; cut where that is long."""
    entry, partner = int(relations.entry[place]), int(relations.partner[place])
    overlap, matches = int(relations.overlap[place]), int(relations.matches[place])
    shift, flipped = int(relations.offset[place]), bool(relations.flipped[place])
    one, other = rows.tokens(entry), rows.tokens(partner)
    other = reverse_complement(other) if flipped else other
    above, below = (decode(tokens)[0] for tokens in (one[:, max(shift, 0) :], other[:, max(-shift, 0) :]))
    length = min(len(above), len(below), SHOWN_BASES)
    bars = "".join("|" if a == b else " " for a, b in zip(above[:length], below[:length], strict=True))
    what = f"{matches} of {overlap} bases" if matches < overlap else f"{overlap} bases"
    where = (f", shifted by {abs(shift)}" if shift else "") + (", other strand" if flipped else "")
    head = f"{KINDS[relations.kind[place]]}: {rows.ids(entry)} and {rows.ids(partner)}, {what}{where}"
    return "\n".join([head, *(f"  {line}" for line in (above[:length], bars, below[:length]))])


def _fold_sizes(folds: FoldTable) -> Finding:
    """Judge whether one group makes a fold too large to be one of several."""
    sizes = np.bincount(folds.fold, minlength=folds.num_folds)
    groups, counts = np.unique(folds.key, return_counts=True)
    text = (
        f"{folds.num_folds} folds of {sizes.min():,} to {sizes.max():,} rows; {len(groups):,} groups, "
        f"the largest has {counts.max():,} rows"
    )
    fair = len(folds.fold) / folds.num_folds
    return Finding("fold sizes", WARN if sizes.max() > UNEVEN * fair else PASS, text)


def _targets(opened: Challenge) -> Iterator[Finding]:
    """Judge whether there is anything to predict."""
    for target, values in zip(opened.declaration.targets, np.asarray(opened.train.target).T, strict=True):
        if values.min() == values.max():
            yield Finding(f"target {target.name}", FAIL, f"is {values[0]:.6g} in every training row")


def _conflicts(store: Store) -> Finding:
    """Judge how far rows of equal inputs differ in their labels."""
    check = "labels of rows with equal inputs"
    key = hash_tokens(store.tokens)[store.sequence_of(np.arange(len(store)))]
    for values in store.inputs.values():
        key = mix(key ^ hash_bytes(values))
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
    sizes = np.diff(starts, append=len(key))
    if sizes.max() == 1:
        return Finding(check, PASS, "every row has inputs of its own")
    repeated = np.repeat(sizes > 1, sizes)
    rows, run = order[repeated], np.repeat(np.arange(len(sizes)), sizes)[repeated]
    run = np.unique(run, return_inverse=True)[1]
    target = np.asarray(store.target, dtype=np.float64)
    mine, count = target[rows], np.bincount(run)
    means = np.stack([np.bincount(run, column) / count for column in mine.T], axis=1)
    gap = mine - means[run]
    within = (gap**2).sum(axis=0) / (len(rows) - len(count))
    total = target.var(axis=0)
    share = min(1.0, float(np.mean(within / np.where(total > 0, total, 1))))
    worst = rows[run == run[np.abs(gap).max(axis=1).argmax()]]
    ids = store.rows["id"]
    shown = ", ".join(f"{ids[row]} = {' '.join(f'{x:.4g}' for x in target[row])}" for row in worst[:4])
    text = (
        f"{len(rows):,} rows share inputs in {len(count):,} set{'s' * (len(count) > 1)}; {share:.1%} of the "
        f"labels' variance lies within a set, so no model explains more than about {1 - share:.1%} there"
    )
    noisy = share > NOISY and len(rows) >= FEW * len(key)
    return Finding(check, WARN if noisy else PASS, text, (f"furthest apart: {shown}",))


def _shortcuts(store: Store, folds: FoldTable) -> Iterator[Finding]:
    """Judge what length, GC content and flanks tell of the target."""
    for name, value in explained(store, folds.fold).items():
        verdict = FAIL if value >= GIVEAWAY else WARN if value >= HINT else PASS
        yield Finding(f"shortcut: {name}", verdict, f"predicts the target with Pearson {value:.2f}")


def _control(rows: Rows, found: Homology) -> Iterator[Finding]:
    """Check whether labels permuted between homology clusters are predicted across folds."""
    cluster = found.cluster[rows.train_entry]
    control = shuffled_control(rows.opened.train, rows.folds.fold, cluster)
    if control is None:
        return
    above = control.sigmas > SIGMAS
    text = (
        f"a ridge on 5-mers scores Pearson {control.value:+.3f}, {control.sigmas:+.1f} standard errors "
        f"from chance ({control.families:,} clusters; true labels {control.true:.3f})"
    )
    yield Finding("labels permuted between homology clusters", FAIL if above else PASS, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m competition.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("challenge", metavar="NAME|PATH")
    add("--folds", type=int, help="folds of the runs (default: 4, or as many as the rows declare)")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--json", action="store_true", help="print the findings for programs")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    opened = find_challenge(options.challenge, options.data)
    findings = audit(opened, num_folds=options.folds, quiet=options.json)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(opened, findings)
    return int(any(finding.verdict == FAIL for finding in findings))


def _show(opened: Challenge, findings: Sequence[Finding]) -> None:
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    num_test = 0 if opened.test is None else len(opened.test)
    title = f"{opened.declaration.name}: {len(opened.train):,} training rows, {num_test:,} test rows"
    table = Table("", "check", "found", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for finding in findings:
        table.add_row(finding.verdict, finding.check, finding.text, style=COLOURS[finding.verdict])
    console.print(table)
    for finding in [each for each in findings if each.verdict != PASS]:
        for example in finding.examples:
            console.print(f"{finding.verdict} {example}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
