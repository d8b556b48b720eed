"""DREAM 2022 random promoters: the official download, scored by the official subsets and weights.

The folder holds train_sequences.txt, test_sequences.txt, plasmid.json, test_subset_ids/ and, if you
have them, public_leaderboard_ids/ and filtered_test_data_with_MAUDE_expression.txt; each may be gzipped
(Zenodo 10633252). Rows without an answer are not scored. The file of all answers is matched by sequence, in
any order, and must agree with that of the public leaderboard.

    python -m data_prep dream2022 download/
    python -m data_prep dream2022 download/ --train train_small.tsv.gz --name dream2022_small
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.typed import fits
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.tokens import decode
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.delimited import require_columns
from data_prep.reading.files import RawFile, exists, open_bytes, read_json
from data_prep.reading.plasmid import flanks
from data_prep.reading.two_columns import read_two_columns
from data_prep.standards.dream_subsets import SUBSETS, kinds, weights
from data_prep.standards.yeast_construct import UNIT

FILE_STEMS = {"high": "high_exp", "low": "low_exp", "random": "all_random", "SNVs": "all_SNVs"}  # or its name
WEIGHTS = weights(SUBSETS)
TIE_BAYES_FACTOR = 3.0  # of the official ranking (Rafi et al., Nature Biotechnology 2024)
SIDES = {"rows": ("",), "pairs": ("alt_", "ref_")}  # prefixes of the columns pos and sequence
PUBLIC_ANSWERS = "public_leaderboard_ids/ground.json"
ALL_ANSWERS = "filtered_test_data_with_MAUDE_expression.txt"
# Of Pearson. Another medium, in mean bins (Vaishnav et al. 2022), has .97 on 8,888 of the public rows.
LEAST_AGREEMENT = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("folder", type=Path, help="the official download")
    add("--train", type=Path, help="another training file: sequence TAB value, with or without a header")
    add("--name", default="dream2022", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and print its size."""
    folder = options.output or Path("data") / options.name
    left, right = flanks(options.folder / "plasmid.json")
    train = options.train or options.folder / "train_sequences.txt"
    challenge = declare(options.name, left, right)
    with create_challenge(folder, challenge, overwrite=options.overwrite) as writer:
        num_train = write_train(writer, train)
        sequences = write_test(writer, options.folder / "test_sequences.txt")
        answers = read_answers(options.folder, sequences)
        writer.write_answers(answers)
        writer.write_subsets(read_subsets(options.folder, sequences))
    known = int(answers.expression.notna().sum())
    print(f"{folder}: {num_train:,} training rows, {len(sequences):,} test rows, {known:,} answers known")


def declare(name: str, left: str, right: str) -> Declaration:
    """Return the declaration: the two official scores, and every subset's own."""
    scores = [
        Score.of("pearson_r2", "pearson_score", weights=WEIGHTS),
        Score.of("spearman", "spearman_score", weights=WEIGHTS),
    ]
    for metric in ("pearson", "spearman"):
        scores += [
            Score(f"{metric}_{subset}".removesuffix("_all"), metric, "maximize", -1, 1, subset=subset)
            for subset in WEIGHTS
        ]
    return Declaration(
        name=name,
        title="DREAM 2022: predicting gene expression using millions of random promoter sequences",
        source="Rafi et al., Nature Biotechnology 2024; Zenodo 10633252",
        licence="CC BY 4.0",
        targets=(Target("expression", f"{UNIT}; test answers on the MAUDE scale"),),
        scores=tuple(scores),
        tie_break="spearman_score",
        tie_bayes_factor=TIE_BAYES_FACTOR,
        sequences=(InputSequence(left_flank=left, right_flank=right),),
        inputs={"singleton": (1,)},
        subsets=kinds(SUBSETS),
        ensembles=False,
    )


def write_train(writer: ChallengeWriter, path: Path) -> int:
    """Stream the training rows; return how many there are."""
    count = 0
    for block in read_two_columns(path):
        singleton = block.whole[:, None].astype(np.float32)
        writer.train.append(block.tokens, block.lengths, target=block.value, inputs={"singleton": singleton})
        count += len(block.value)
    return count


def write_test(writer: ChallengeWriter, path: Path) -> list[str]:
    """Write the test rows, whose ids are their line numbers from 0; return their sequences.

    Their singleton is 0: many reads measured each of them.
    """
    sequences: list[str] = []
    for block in read_two_columns(path):
        singleton = np.zeros((len(block.lengths), 1))
        writer.test.append(block.tokens, block.lengths, inputs={"singleton": singleton})
        sequences += decode(block.tokens)
    return sequences


def read_answers(folder: Path, sequences: list[str]) -> pd.DataFrame:
    """Return what is known of the test rows; public are those of the public leaderboard.

    Where the organisers' file of all answers is here, it is the truth of every row: values of two
    measurements, perhaps on two scales, can be neither scored together nor paired.
    """
    values, public = np.full(len(sequences), np.nan), np.zeros(len(sequences), dtype=bool)
    rows, known = np.empty(0, dtype=np.int64), np.empty(0)
    if exists(folder / PUBLIC_ANSWERS):
        rows, known = _read_public(folder / PUBLIC_ANSWERS, len(sequences))
        public[rows], values[rows] = True, known
    if exists(folder / ALL_ANSWERS):
        values = _read_truth(folder / ALL_ANSWERS, sequences)
        _check_agreement(values[rows], known, folder / ALL_ANSWERS)
    usage = np.where(public, "public", "private")
    ids = np.arange(len(sequences)).astype(str)
    return pd.DataFrame({"id": ids, "expression": values, "usage": usage})


def _read_public(path: Path, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the public leaderboard (M,) and their values (M,)."""
    found = read_json(path)
    if not fits(found, dict[str, float]) or not all(key.isdecimal() for key in found):
        raise InputError(f'{path} is not of the form {{"test row": value, ...}}; download it again')
    known = {int(key): value for key, value in found.items()}
    if not all(map(math.isfinite, known.values())):
        raise InputError(f"{path} holds a value that is not finite; download it again")
    rows = np.array(list(known), dtype=np.float64).astype(np.int64)
    _check_rows(rows, num_rows, path)
    return rows, np.array(list(known.values()), dtype=np.float64)


def _read_truth(path: Path, sequences: list[str]) -> np.ndarray:
    """Return the value (N,) that a file of sequence TAB value, in any order, has for each test sequence.

    A file of values alone is refused: one line lost would give every row after it the value of another,
    which agreement on the public rows, a part of all, need not show.
    """
    with open_bytes(path) as file:
        if b"\t" not in file.readline():
            raise InputError(f"{path} holds no sequences; wanted lines of sequence TAB value, in any order")
    blocks = list(read_two_columns(path))
    index = pd.Index([sequence for block in blocks for sequence in decode(block.tokens)])
    table = pd.Series(np.concatenate([block.value for block in blocks]), index=index)
    groups = table.groupby(level=0).agg(["min", "max"])
    found = {
        "test sequences are missing": pd.Index(sequences).difference(index),
        "sequences are not in the test set": index.difference(pd.Index(sequences)),
        "sequences come with two values": groups.index[groups["min"] != groups["max"]],
    }
    faults = [f"{len(each):,} {what} (such as {each[0][:40]})" for what, each in found.items() if len(each)]
    if faults:
        raise InputError(f"{path} is not of these test rows: {'; '.join(faults)}")
    return np.asarray(groups["min"].reindex(sequences))


def _check_agreement(values: np.ndarray, known: np.ndarray, path: Path) -> None:
    """Compare answers with those of the public leaderboard, (M,) each, by correlation: units may differ.

    InputError where they disagree: the two would describe different promoters.
    """
    if len(known) < 2 or np.ptp(known) == 0 or np.ptp(values) == 0:
        return
    agreement = float(np.corrcoef(values, known)[0, 1])
    said = f"{path} and {PUBLIC_ANSWERS} correlate with Pearson {agreement:.4f} on {len(known):,} rows"
    if agreement < LEAST_AGREEMENT:
        raise InputError(f"{said}; wanted at least {LEAST_AGREEMENT}: one of them is of other promoters")
    print(f"{said}; the first is the truth of all rows, the second says which are public")


def _check_rows(rows: np.ndarray, count: int, path: Path) -> None:
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        raise InputError(f"{path} names the test row {rows.max()}; there are rows 0..{count - 1}")


def read_subsets(folder: Path, sequences: list[str]) -> pd.DataFrame:
    """Return the official subsets; repeated rows count once, as for the official scorer."""
    parts = []
    for subset, kind in kinds(SUBSETS).items():
        path = folder / "test_subset_ids" / f"{FILE_STEMS.get(subset, subset)}_seqs.csv"
        if not exists(path):
            raise InputError(f"{path} does not exist; wanted the official subsets, plain or gzipped")
        with open_bytes(path) as stream:
            table = _read_subset(stream, path)
        for side in SIDES[kind]:
            _check_positions(table, f"{side}pos", f"{side}sequence", sequences, path)
        names = [f"{side}pos" for side in SIDES[kind]]
        table = table[names].drop_duplicates().astype(str)
        reference = table[names[1]] if kind == "pairs" else ""
        parts.append(pd.DataFrame({"subset": subset, "id": table[names[0]], "reference": reference}))
    return pd.concat(parts)


def _read_subset(stream: RawFile, path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(stream)
    except ValueError as error:  # of pandas as well: ParserError, EmptyDataError, UnicodeDecodeError
        raise InputError(f"{path} is not a table: {str(error).strip()}; download it again") from None


def _check_positions(
    table: pd.DataFrame, position: str, sequence: str, sequences: list[str], path: Path
) -> None:
    """Check that a subset file describes these test rows, by the sequences it lists."""
    require_columns((position, sequence), table.columns, path)
    rows = table[position].to_numpy()
    if rows.dtype.kind not in "iu":
        raise InputError(f"{path}: {position} holds other than whole numbers; wanted rows of the test set")
    _check_rows(rows, len(sequences), path)
    listed = zip(rows, table[sequence], strict=True)
    wrong = [line for line, (row, own) in enumerate(listed) if sequences[row] != own]
    if wrong:
        raise InputError(
            f"{path}: line {wrong[0] + 2} has another sequence than test row {rows[wrong[0]]} "
            f"({len(wrong):,} lines in all); wanted the files of one download"
        )
