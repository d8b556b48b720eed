"""Ten thousand mutated files of predictions: each is scored right or refused with a reason.

What a file means is told by a reader of its own (the csv and json modules of the standard library, and a
pattern for numbers), and what it scores by scipy.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from competition.base.errors import InputError
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from competition.judging.answers import read_answers
from competition.judging.formats import read_predictions
from competition.judging.scoring import score_report
from competition.judging.submission import check_submission

NUM_FILES = 10_000
NUM_ROWS = 12
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
FLAT = 1e-6
TOKENS = [
    b"", b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1e-999", b"1e5", b"+.5", b"5.", b".", b"-",
    b"1_0", b"0x1p3", b"1,5", b'"1.5"', b"'1.5'", b" 1.5 ", b"\t", b"1.5f", b"1.5e", b"True", b"true",
    b"None", b"NA", b"null", b"1 5", b"\xef\xbc\x91", b"\xd9\xa1", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\r",
    b"\n", b"\r\n", b"\n\n",
    b",", b",,", b";", b'"', b'""', b"id", b"expression", b"0", b"00", b"-0", b"r1", b"r01", b"R1",
    b"1", b"01",
    b"1.0", b"9" * 400, b"#", b"# r1,2\n", b"{", b"}", b"[1]", b":", b"\\", b"\xc2\xa0", b"\xe2\x88\x92" b"1",
    b"[" * 20_000,
]  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A challenge of twelve test rows of which six are public; some ids are numbers, one starts with 0."""
    rng = np.random.default_rng(0)
    score = Score.of("pearson")
    folder = tmp_path_factory.mktemp("fuzz") / "toy"
    with create_challenge(folder, Declaration("toy", (Target("expression"),), (score,))) as writer:
        sequences = ["".join(rng.choice(list("ACGT"), 12)) for _ in range(2 * NUM_ROWS)]
        writer.train.append(*encode(sequences[NUM_ROWS:]), target=rng.normal(size=NUM_ROWS))
        writer.test.append(*encode(sequences[:NUM_ROWS]), rows={"id": IDS})
        writer.write_answers(pd.DataFrame({"id": IDS, "expression": TRUTH, "usage": USAGE}))
    return open_challenge(folder)


IDS = [f"r{number}" for number in range(6)] + [str(number) for number in range(5)] + ["01"]
USAGE = ["public", "private"] * 6
TRUTH = np.random.default_rng(1).normal(size=NUM_ROWS)


def understood(pairs):
    """Return {id: value} where every id is there once with a finite number, and they vary; None otherwise."""
    values = {name: float(text) for name, text in pairs if NUMBER.fullmatch(text)}
    whole = len(values) == len(pairs) == NUM_ROWS and set(values) == set(IDS)
    low, high = (min(values.values()), max(values.values())) if whole else (0.0, 0.0)
    varies = np.isfinite([low, high]).all() and high - low > FLAT * max(abs(low), abs(high))
    return values if whole and varies else None


def read_csv(data, delimiter):
    text = data.decode("utf-8").lstrip("\ufeff")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    head, *body = [row for row in rows if "".join(row).strip()]
    if len(head) == 2 and ("id" in head or not NUMBER.fullmatch(head[1])):
        if "id" not in head or head[0] == head[1]:
            return None
        place = head.index("id")
        return understood([(row[place], row[1 - place]) if len(row) == 2 else ("", "") for row in body])
    return understood([(*row, "", "")[:2] if len(row) == 2 else ("", "") for row in (head, *body)])


def read_json(data, _):
    pairs = json.loads(data.decode("utf-8-sig"), object_pairs_hook=list, parse_float=str, parse_int=str)
    pairs = pairs if isinstance(pairs, list) else []
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for _, value in pairs]
    texts = [value if isinstance(value, str) else "" for value in values]
    return understood(list(zip([name for name, _ in pairs], texts, strict=True)))


def meaning(data, name):
    """Return what a file says, as a careful person would read it; None where it is no predictions."""
    reader, delimiter = (
        (read_json, "") if name.endswith("json") else (read_csv, "\t" if "tsv" in name else ",")
    )
    try:
        return reader(gzip.decompress(data) if name.endswith("gz") else data, delimiter)
    except (ValueError, csv.Error, RecursionError, TypeError, OSError, EOFError, zlib.error):
        return None


def form(rng, name):
    values = rng.normal(size=NUM_ROWS).round(6).tolist()
    if name.endswith("json"):
        return json.dumps(dict(zip(IDS, values, strict=True))).encode()
    between = "\t" if "tsv" in name else ","
    lines = [f"{key}{between}{value}" for key, value in zip(IDS, values, strict=True)]
    return "\n".join([*([] if "bare" in name else [f"id{between}expression"]), *lines, ""]).encode()


def mutate(rng, data):
    """Change a file once: bytes, tokens, cells, lines or the whole."""
    kind = rng.integers(0, 12)
    place, other = sorted(rng.integers(0, len(data) + 1, 2).tolist()) if data else (0, 0)
    token = TOKENS[rng.integers(len(TOKENS))]
    lines = data.splitlines(keepends=True) or [b""]
    line, next_line = rng.integers(len(lines)), rng.integers(len(lines))
    if kind == 0:
        return data[:place] + rng.bytes(1) + data[place + 1 :]
    if kind == 1:
        return data[:place] + token + data[place:]
    if kind == 2:
        return data[:place] + data[other:] if other - place < 40 else data[:place]
    if kind == 3:
        return data[:other] + data[place:other] + data[other:]
    if kind in (4, 5, 6):  # a cell becomes a token, or another cell
        cells = re.split(rb"([,\t\n:])", data)
        cell = 2 * rng.integers(len(cells) // 2 + 1)
        cells[cell] = token if kind < 6 else cells[2 * rng.integers(len(cells) // 2 + 1)]
        return b"".join(cells)
    if kind == 7:
        lines[line], lines[next_line] = lines[next_line], lines[line]
        return b"".join(lines)
    if kind == 8:
        return b"".join([*lines[:line], lines[next_line], *lines[line:]])
    if kind == 9:
        return b"".join(lines[:line] + lines[line + 1 :])
    if kind == 10:
        return data.replace(b"\n", b"\r\n") if rng.random() < 0.5 else b"\xef\xbb\xbf" + data
    return data.decode("latin-1").encode("utf-16") if rng.random() < 0.1 else data.replace(b",", b";")


def damage(rng, data):
    """Change a few bytes of one file in five, cut it or go on after its end."""
    place = int(rng.integers(len(data)))
    changed = (
        data[:place] + rng.bytes(4) + data[place + 4 :],
        data[:place] + b"\xff" * 40 + data[place + 40 :],
        data[:place],
        data + rng.bytes(9),
    )
    return data if rng.random() < 0.8 else changed[rng.integers(len(changed))]


FORMS = ("a.csv", "bare.csv", "a.tsv", "bare.tsv", "a.json", "a.csv.gz")


def judged(path, toy, answers):
    """Return the scores of a file, or None and why it was refused."""
    try:
        return {usage: each.get("pearson") for usage, each in scored(path, toy, answers).items()}, ""
    except InputError as error:
        return None, str(error)


def scored(path, toy, answers):
    return score_report(answers, read_predictions(path, toy)).scores


def expected(values):
    """Return the scores of {id: value} by scipy; None where a half does not vary."""
    order = np.array([values[name] for name in IDS])
    found = {}
    for usage in ("public", "private", "all"):
        rows = np.array([usage in (each, "all") for each in [*USAGE]]) | (usage == "all")
        varies = np.ptp(order[rows]) > 0
        found[usage] = stats.pearsonr(TRUTH[rows], order[rows]).statistic if varies else None
    return found


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FORMS)
def test_a_mutated_file_is_scored_right_or_refused_with_a_reason(tmp_path, toy, name):
    rng, answers, outcomes = np.random.default_rng(FORMS.index(name)), read_answers(toy), Counter()
    path = tmp_path / name
    for _ in range(-(-NUM_FILES // len(FORMS))):
        data = form(rng, name)
        for _ in range(int(rng.integers(1, 4))):
            data = mutate(rng, data)
        if name.endswith("gz"):
            data = damage(rng, gzip.compress(data))
        path.write_bytes(data)
        (scores, why), values = judged(path, toy, answers), meaning(data, name)
        if scores is None:
            assert why, data
            outcomes["refused" if values is None else "refused in vain"] += 1
        else:
            assert values is not None, data
            assert scores == pytest.approx(expected(values), abs=1e-9), data
            outcomes["scored"] += 1
        if name == "a.csv" and not check_submission(path, toy):
            assert scores is not None, data
    assert outcomes["scored"] > 100 and outcomes["refused"] > 100, outcomes
    assert outcomes["refused in vain"] < 0.01 * outcomes.total(), outcomes
