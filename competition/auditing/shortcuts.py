"""What length, GC content and flanks predict of a target, without any biology."""

from collections.abc import Mapping

import numpy as np

from competition.auditing.features import bins, gc_content, most_rows, read_sequences, read_targets
from competition.auditing.ridge import correlation, out_of_fold
from competition.data.flanks import constant_flanks
from competition.data.store import Store, StoredSequence
from competition.data.tokens import PAD

FLANK_SHARE = 0.45  # of the rows have the same base in a column: two flanks in equal parts are seen
MOST_ROWS = 200_000


def shortcut_correlations(store: Store, fold: np.ndarray) -> Mapping[str, float]:
    """Return the out-of-fold correlation (mean over targets) of the target with what each shortcut predicts.

    fold (N,). A feature that is the same in every row is left out. Of many rows, a sample is read.
    """
    rows = np.unique(np.linspace(0, len(store) - 1, most_rows(store, MOST_ROWS)).astype(np.int64))
    truth, shortcuts = read_targets(store, rows), {}
    for name, stored in store.sequences.items():
        of_which = f" of {name}" if len(store.sequences) > 1 else ""
        tokens, lengths = read_sequences(stored, rows)
        shortcuts["length" + of_which] = bins(lengths)
        shortcuts["GC content" + of_which] = bins(gc_content(tokens))
        shortcuts["flanks" + of_which] = _flanks(stored, tokens, lengths)
    varying = {name: features[:, features.std(axis=0) > 0] for name, features in shortcuts.items()}
    return {
        name: correlation(truth, out_of_fold(features, truth, fold[rows]))
        for name, features in varying.items()
        if features.shape[1]
    }


def _flanks(stored: StoredSequence, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return a one-hot encoding (N, F) of the construct's flanks; F is 0 where it has none."""
    left, right = constant_flanks(stored.tokens, stored.lengths, share=FLANK_SHARE)
    row = np.arange(len(tokens))[:, None]
    ends = [tokens[:, :left], tokens[row, (lengths[:, None] - right + np.arange(right)).clip(min=0)]]
    encoded = np.eye(PAD + 1, dtype=np.float32)[np.concatenate(ends, axis=1)]
    return np.asarray(encoded.reshape(len(tokens), -1))
