"""What windows leave out of the stored sequences: said by a run, never silent."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from competition.data.challenge import Challenge, whole_window
from competition.data.declaration import InputSequence
from competition.data.flanks import constant_flanks
from competition.data.store import Store
from competition.training.recipe import Recipe
from competition.training.windows import windows_of

SAMPLE = 2_000  # training rows that show which ends are the same in all
ALL = 1 - 1e-4  # of the sample
LONGEST_STEP = 128  # bases by which a window may have to be wider than the sequences: networks halve lengths


def cuts(opened: Challenge, config: Any, names: Collection[str]) -> list[str]:
    """Return a line for each sequence of these names that its window cuts, with what to type.

    Ends that are the same in all rows, such as the adapters of a construct, are no loss.
    """
    windows = windows_of(Recipe.of(config), opened.declaration)
    stores = [store for store in (opened.train, opened.test) if store is not None]
    several = len(opened.declaration.sequences) > 1
    lines = []
    for each in (each for each in opened.declaration.sequences if each.name in names):
        left, right = _lost(each, windows[each.name], stores)
        cut = left + right > 0
        if count := np.count_nonzero(cut):
            start, stop = windows[each.name]
            ends = [
                _describe(lost[cut], end) for lost, end in ((left, "left"), (right, "right")) if lost.any()
            ]
            lines.append(
                f"window [{start}, {stop}) of {each.name}: {count:,} of {len(left):,} rows lose "
                f"{' and '.join(ends)}; {_advice(config, each.name, whole_window(each, stores), several)}"
            )
    return lines


def _lost(
    declared: InputSequence, window: tuple[int, int], stores: Sequence[Store]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many bases at the left and at the right end of each row (N,) a window leaves out."""
    first, last = (declared.origin + edge for edge in window)
    stored = [store.sequences[declared.name] for store in stores]
    lengths = [
        np.asarray(each.lengths)[each.of(np.arange(len(store)))]
        for each, store in zip(stored, stores, strict=True)
    ]
    length = np.concatenate(lengths).astype(np.int64)
    left, right = np.clip(first, 0, length), np.clip(length - last, 0, length)
    if left.any() or right.any():
        rows = slice(None, None, max(1, len(stored[0].lengths) // SAMPLE))
        same = constant_flanks(stored[0].tokens[rows], stored[0].lengths[rows], share=ALL)
        left, right = (np.maximum(lost - end, 0) for lost, end in zip((left, right), same, strict=True))
    return left, right


def _describe(lost: np.ndarray, end: str) -> str:
    most, fewest = lost.max(), lost.min()
    return f"{'up to ' if fewest < most else ''}{most:,} base{'s' if most > 1 else ''} at the {end} end"


def _advice(config: Any, name: str, whole: tuple[int, int], several: bool) -> str:
    """Say how to read all: by the narrowest window from the first base on that a Config takes."""
    start, first_stop = whole
    for stop in range(first_stop, first_stop + LONGEST_STEP):
        if _takes(config, {name: (start, stop)} if several else (start, stop)):
            pair = f"[{start},{stop}]"
            setting = f"'window={{{name}={pair}}}'" if several else f"window={pair}"
            return f"--set {setting} reads all"
    return "the solution takes no window that reads all"


def _takes(config: Any, window: object) -> bool:
    if not hasattr(config, "window"):
        return True
    try:
        dataclasses.replace(config, window=window)
    except (TypeError, ValueError, LookupError):
        return False
    return True
