"""What predicts a target without any biology learnt: length, base content, flanks, and folds that leak."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import Ridge

from competition.data.flanks import constant_flanks, strip
from competition.data.hashing import mix
from competition.data.store import Store
from competition.data.tokens import PAD
from competition.metrics.metric import UndefinedMetric
from competition.metrics.pearson import pearson

BINS = 20  # of a quantity: enough for any shape of dependence
FLANK_SHARE = 0.45  # of the rows have the same base in a column: two flanks in equal parts are seen
WORD = 5  # bases: 1,024 words
MOST_BASES = 200_000_000  # read at a time: fewer rows of long sequences
MOST_ROWS = 200_000  # for length, GC content and flanks
CONTROL_ROWS = 20_000
DEALS = 20
PENALTY = 0.1  # a row, on features of unit spread


class Control(NamedTuple):
    """How well labels dealt to whole families are predicted across folds, where nothing is to be learnt."""

    value: float  # mean correlation of a deal's predictions with that deal
    spread: float  # standard deviation of a correlation with another deal: what chance does
    true: float  # correlation of the same regression's predictions with the true labels
    families: int

    @property
    def sigmas(self) -> float:
        """Return how many standard errors the control is above chance."""
        return float(self.value / (self.spread / np.sqrt(DEALS)))


def explained(store: Store, fold: np.ndarray) -> Mapping[str, float]:
    """Return for length, GC and flanks the out-of-fold correlation (mean over targets) of what they predict.

    fold (N,). A feature that is the same in every row is left out. Of many rows, evenly many are looked at.
    """
    most = max(100, min(MOST_ROWS, MOST_BASES // store.tokens.shape[1]))
    rows = np.unique(np.linspace(0, len(store) - 1, most).astype(np.int64))
    tokens, lengths = read(store, rows)
    truth = _targets(store, rows)
    letters = tokens < 4
    share = ((tokens == 1) | (tokens == 2)).sum(axis=1) / np.maximum(letters.sum(axis=1), 1)
    found = {}
    for name, features in {
        "length": bins(lengths), "GC content": bins(share), "flanks": _ends(store, tokens, lengths),
    }.items():  # fmt: skip
        features = features[:, features.std(axis=0) > 0]
        if features.shape[1]:
            found[name] = _correlation(truth, out_of_fold(features, truth, fold[rows]))
    return found


def _correlation(truth: np.ndarray, prediction: np.ndarray) -> float:
    try:
        return pearson(truth, prediction)
    except UndefinedMetric:  # nothing but the mean was learnt
        return 0.0


def read(store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens and lengths of rows."""
    sequence = store.sequence_of(rows)
    return np.asarray(store.tokens[sequence]), np.asarray(store.lengths[sequence], dtype=np.int64)


def _targets(store: Store, rows: np.ndarray) -> np.ndarray:
    assert store.target is not None
    return np.asarray(store.target[rows], dtype=np.float64)


def bins(values: np.ndarray) -> np.ndarray:
    """Return which of up to twenty equally full bins each value is in, as planes (N, B)."""
    borders = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.eye(len(borders) + 1, dtype=np.float32)[np.searchsorted(borders, values, side="right")]


def _ends(store: Store, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the bases of the construct's flanks as planes (N, F); none where it has no flanks."""
    left, right = constant_flanks(store.tokens, store.lengths, share=FLANK_SHARE)
    row = np.arange(len(tokens))[:, None]
    ends = [tokens[:, :left], tokens[row, (lengths[:, None] - right + np.arange(right)).clip(min=0)]]
    planes = np.eye(PAD + 1, dtype=np.float32)[np.concatenate(ends, axis=1)]
    flat: np.ndarray = planes.reshape(len(tokens), -1)
    return flat


def out_of_fold(features: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return ridge predictions (N, T) of each fold's rows by the rows of the others; features (N, F)."""
    spread = features.std(axis=0)
    features = features / np.where(spread > 0, spread, 1)
    predictions = np.empty_like(truth)
    for number in np.unique(fold):
        mine = fold == number
        model = Ridge(alpha=PENALTY * np.count_nonzero(~mine), solver="cholesky")
        model.fit(features[~mine], truth[~mine])
        predictions[mine] = model.predict(features[mine]).reshape(-1, truth.shape[1])
    return predictions


def sample_families(family: np.ndarray, most: int) -> np.ndarray:
    """Return rows (M,) of whole families, drawn by a hash; at most so many unless the first has more."""
    key = mix(family)
    order = np.argsort(key, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(key[order]) != 0, True)) + 1
    stop = ends[max(0, int(np.searchsorted(ends, most, side="right")) - 1)]
    return np.sort(order[:stop])


def shuffled_control(store: Store, fold: np.ndarray, family: np.ndarray) -> Control | None:
    """Deal the labels to whole families (N,) at random, and see whether words predict them across folds.

    Relatives keep one label, so what is found is kinship between folds, whatever made the folds. Chance is
    measured by the correlation of a deal's predictions with the other deals. None where too few families are
    there to deal to, or nothing to deal.
    """
    most = max(100, min(CONTROL_ROWS, MOST_BASES // store.tokens.shape[1]))
    rows = sample_families(family, most)
    names, place = np.unique(family[rows], return_inverse=True)
    if len(names) < BINS or len(np.unique(fold[rows])) < 2:
        return None
    tokens, lengths = read(store, rows)
    truth = _targets(store, rows)
    if truth[:, 0].min() == truth[:, 0].max():
        return None
    rng = np.random.default_rng(0)
    dealt = truth[:, 0][rng.integers(0, len(rows), (len(names), DEALS))][place]
    words = count_words(*strip(tokens, lengths, *constant_flanks(store.tokens, store.lengths)))
    predictions = out_of_fold(words, np.concatenate([truth, dealt], axis=1), fold[rows])
    num_targets = truth.shape[1]
    matrix = np.corrcoef(predictions[:, num_targets:], dealt, rowvar=False)[:DEALS, DEALS:]
    off = matrix[~np.eye(DEALS, dtype=bool)]
    true = _correlation(truth, predictions[:, :num_targets])
    return Control(float(np.diag(matrix).mean() - off.mean()), float(off.std()), true, len(names))


def count_words(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the share of each word of five bases in tokens (N, L): (N, 1024) float32; N breaks words."""
    windows = np.lib.stride_tricks.sliding_window_view(tokens, WORD, axis=1)
    powers = 4 ** np.arange(WORD)
    words = np.empty((len(tokens), 4**WORD), dtype=np.float32)
    step = max(1, 2**20 // tokens.shape[1])
    for start in range(0, len(tokens), step):
        block = windows[start : start + step]
        legal = (block < 4).all(axis=2)
        row, _ = np.nonzero(legal)
        code = block[legal].astype(np.int64) @ powers + row * 4**WORD
        counts = np.bincount(code, minlength=len(block) * 4**WORD).reshape(len(block), -1)
        words[start : start + step] = counts / np.maximum(lengths[start : start + step, None], 1)
    return words
