"""A submission: a CSV of test predictions, checked, written and exported."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.files import file_digest, locked, write_text
from competition.data.challenge import Challenge, target_names, test_ids, test_sequences
from competition.judging.formats import NUMBER, quote, read_predictions
from competition.judging.manifest import Manifest, to_json

# Predictions that agree to float32's resolution are one value with rounding noise, not a ranking of rows.
FLAT = 1e-6
NUM_EXAMPLES = 3


class Submission(NamedTuple):
    """What is to be written as <path>.csv and <path>.json."""

    path: Path
    frame: pd.DataFrame  # id, and a column for each target
    text: str  # of the CSV
    manifest: Manifest


def prepare_submission(
    path: Path, ids: Sequence[str], predictions: np.ndarray, targets: Sequence[str], manifest: Manifest
) -> Submission:
    """Check predictions (N, T), and complete their manifest but for the scores.

    ids (N,) are in the order of sample_submission.csv. Predictions that do not vary are no fault, but the
    manifest says that they collapsed. InputError where some are not finite, or the file exists with others.
    """
    predictions = np.asarray(predictions)
    assert path.suffix == ".csv", path
    assert predictions.shape == (len(ids), len(targets)), (predictions.shape, len(ids), len(targets))
    frame = _frame(ids, predictions, targets)
    own = pd.Index(frame["id"].unique())
    faults = _id_problems(frame["id"], own, own)
    faults += [fault for name in targets for fault in _value_problems(name, frame[name])]
    if faults:
        raise InputError(f"{path.name} was not written: {'; '.join(faults)}")
    text = to_csv(ids, predictions, targets)
    digest = hashlib.sha256(text.encode()).hexdigest()
    flat = [fault for name in targets for fault in _flat_problems(name, frame[name].to_numpy())]
    collapsed = manifest.collapsed or "; ".join(flat) or None
    _require_same(path, digest)
    return Submission(path, frame, text, replace(manifest, csv_sha256=digest, collapsed=collapsed))


def write_submission(submission: Submission) -> None:
    """Write a submission, once: InputError where the file exists with other predictions."""
    path = submission.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        _require_same(path, submission.manifest.csv_sha256)
        write_text(path, submission.text)
        write_text(path.with_suffix(".json"), to_json(submission.manifest))


def _require_same(path: Path, digest: str) -> None:
    if path.exists() and file_digest(path) != digest:
        raise InputError(f"{path} exists already with other predictions; wanted a new name")


def to_csv(ids: Sequence[str], predictions: np.ndarray, targets: Sequence[str]) -> str:
    """Format predictions (N, T) as the text of a submission; what is read back has the same bits."""
    text: str = _frame(ids, predictions, targets).to_csv(index=False, lineterminator="\n")
    return text


def _frame(ids: Sequence[str], predictions: np.ndarray, targets: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"id": list(ids), **{name: predictions[:, i] for i, name in enumerate(targets)}})


def find_problems(
    frame: pd.DataFrame, wanted: pd.Index, targets: Sequence[str], *, allowed: pd.Index | None = None
) -> list[str]:
    """Return every problem of a table of predictions at once; an empty list means that there is none.

    wanted are the ids that must be there, in any order; allowed those that may (None: no others).
    """
    problems = _column_problems(list(frame.columns), ["id", *targets])
    if frame.empty:
        return [*problems, "there are no rows"]
    if "id" in frame.columns:
        problems += _id_problems(frame["id"].astype(str), wanted, wanted if allowed is None else allowed)
    for name in [name for name in targets if name in frame.columns]:
        found = _value_problems(name, frame[name])
        problems += found or _flat_problems(name, numbers(frame[name]).to_numpy())
    return problems


def _column_problems(got: list[str], wanted: list[str]) -> list[str]:
    problems = []
    unknown = [name for name in got if name not in wanted]
    for name in wanted:
        if name not in got:
            lower = {other.lower(): other for other in unknown}
            near = get_close_matches(name.lower(), lower, n=1)
            hint = f"; did you mean {lower[near[0]]!r}?" if near else ""
            problems.append(f"column {name!r} is missing{hint}")
    if unknown:
        problems.append(f"{count_of(len(unknown), 'unknown column')} ({_examples(unknown)})")
    if problems:
        problems[-1] += f"; wanted the columns {','.join(wanted)}"
    return problems


def _id_problems(got: pd.Series, wanted: pd.Index, allowed: pd.Index) -> list[str]:
    duplicates = got[got.duplicated()].unique()
    once = pd.Index(got.unique())  # get_indexer is ten times as fast as isin on text
    missing = wanted[once.get_indexer(wanted) < 0]
    unknown = once[allowed.get_indexer(once) < 0]
    found = {"duplicate id": duplicates, "missing id": missing, "unknown id": unknown}
    return [f"{count_of(len(ids), what)} ({_examples(ids)})" for what, ids in found.items() if len(ids)]


def _value_problems(name: str, column: pd.Series) -> list[str]:
    values = numbers(column)
    if np.isfinite(values).all():
        return []
    empty = column.isna() | column.astype(str).str.strip().str.lower().isin(["", "nan"])
    text = values.isna() & ~empty
    found = {"is not a number": text, "is empty or NaN": empty, "is infinite": np.isinf(values)}
    return [
        f"{name} {what} in {count_of(int(bad.sum()), 'row')} ({_row_examples(column[bad])})"
        for what, bad in found.items()
        if bad.any()
    ]


def _flat_problems(name: str, values: np.ndarray) -> list[str]:
    """Refuse values (N,) that are all one value up to float32's rounding."""
    low, high = float(values.min()), float(values.max())
    if high - low > FLAT * max(abs(low), abs(high)):
        return []
    return [f"{name} is {low:.6g} in all {len(values):,} rows: a constant says nothing about any row"]


def numbers(column: pd.Series) -> pd.Series:
    """Read a column as float64, every digit counted; what is not written as a number becomes NaN."""
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    texts = column.astype(str)
    return texts.where(texts.str.fullmatch(NUMBER), "nan").astype(np.float64)


def count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _examples(values: Sequence[object] | np.ndarray | pd.Index) -> str:
    shown = ", ".join(map(quote, values[:NUM_EXAMPLES]))
    return shown + (", ..." if len(values) > NUM_EXAMPLES else "")


def _row_examples(column: pd.Series) -> str:
    rows = [f"row {row}: '{quote(value)}'" for row, value in column.iloc[: NUM_EXAMPLES + 1].items()]
    return ", ".join(rows[:NUM_EXAMPLES]) + (", ..." if len(rows) > NUM_EXAMPLES else "")


def check_submission(submission: pd.DataFrame | Path, challenge: Challenge) -> list[str]:
    """Return every problem of a submission at once; an empty list means that it can be scored."""
    try:
        frame = (
            submission if isinstance(submission, pd.DataFrame) else read_predictions(submission, challenge)
        )
    except InputError as error:
        return [str(error)]
    return find_problems(frame, test_ids(challenge), target_names(challenge.declaration))


def read_submission(path: Path, challenge: Challenge) -> np.ndarray:
    """Return predictions (N, T) float64 in the order of the test rows; InputError has every reason."""
    frame = read_checked(path, challenge)
    return align(frame, test_ids(challenge), target_names(challenge.declaration))


def read_checked(path: Path, challenge: Challenge) -> pd.DataFrame:
    """Return the table of a submission without any problem; InputError has every reason otherwise."""
    frame = read_predictions(path, challenge)
    problems = check_submission(frame, challenge)
    if problems:
        raise InputError(f"{path} was refused: {'; '.join(problems)}")
    return frame


def align(frame: pd.DataFrame, ids: pd.Index, targets: Sequence[str]) -> np.ndarray:
    """Return a checked table's predictions (N, T) float64 in the order of ids."""
    table = frame.set_index(frame["id"].astype(str))[list(targets)].reindex(ids)
    return np.stack([numbers(table[name]).to_numpy() for name in targets], axis=1)


def export(path: Path, challenge: Challenge, form: str) -> str:
    """Return a submission in another format, one of FORMS; InputError where it does not fit."""
    predictions, ids = read_submission(path, challenge), test_ids(challenge)
    names = target_names(challenge.declaration)
    if form == "kaggle":
        return to_csv(ids, predictions, names)
    if len(names) != 1:
        raise InputError(f"--to {form} holds one value a row; the challenge has {', '.join(names)}")
    values = predictions[:, 0].tolist()
    if form == "dream-json":
        return json.dumps(dict(zip(ids, values, strict=True))) + "\n"
    sequences = test_sequences(challenge)
    if len(set(zip(sequences, values, strict=True))) > len(set(sequences)):
        raise InputError(f"--to {form} knows rows by their sequence; some that share theirs differ")
    return "".join(f"{sequence}\t{value!r}\n" for sequence, value in zip(sequences, values, strict=True))


FORMS = ("kaggle", "dream-json", "dream-tsv")
