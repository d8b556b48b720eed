"""Which column of a table is what: the command line's options, matched to the columns that are there."""

import argparse
from difflib import get_close_matches
from typing import Any, NamedTuple

from competition.base.errors import InputError
from data_prep.reading.construct import name_sequences
from data_prep.reading.numbers import Moments, Number, parse_number

SPECIAL = ("id", "group", "fold", "usage")


class Columns(NamedTuple):
    """Which column of the table is what; None where there is none."""

    sequences: dict[str, str]  # name -> column
    targets: tuple[Number, ...]
    id: str | None
    group: str | None
    fold: str | None
    usage: str | None
    subset: str | None
    inputs: dict[str, tuple[Number, ...]]
    weight: Number | None = None
    test: tuple[str, frozenset[str]] | None = None  # a column, and its values in test rows
    moments: Moments | None = None  # of what becomes a z-score
    joined: bool = False  # the sequences come from elsewhere, by the id of the row

    @property
    def numbers(self) -> list[Number]:
        """The numeric columns: targets, inputs, and the weight at the end."""
        inputs = [number for members in self.inputs.values() for number in members]
        return [*self.targets, *inputs, *([self.weight] if self.weight else [])]

    def needed(self, usage: str = "") -> list[str]:
        """Return the columns of a file whose rows are all for train or private, or for what a column says."""
        numbers = self.numbers[:-1] if usage == "private" and self.weight else self.numbers
        special = [self.id, self.group, self.test[0] if self.test else None]
        special += [self.usage] if not usage else []
        special += [self.subset] if usage != "train" else []
        special += [self.fold] if usage != "private" else []
        sequences = [] if self.joined else list(self.sequences.values())
        return [*sequences, *(number.column for number in numbers), *(name for name in special if name)]


def find_columns(there: list[str], options: argparse.Namespace) -> Columns:
    """Match the options to the columns of the table; InputError suggests the nearest for a wrong name."""
    targets = tuple(parse_number(text, there) for text in options.target or ["expression"])
    inputs = dict(_input(text, there, standardise=options.standardise) for text in options.input)
    weight = parse_number(options.weight, there) if options.weight else None
    if weight is not None and weight.scaled:
        raise InputError(f"--weight {options.weight}: z-scores are below 0 in some rows; wanted weights")
    sequences, special = name_sequences(options.sequence), _special(there, options)
    joined = options.fasta is not None
    found = Columns(sequences, targets, inputs=inputs, weight=weight, joined=joined, **special)
    for column in found.needed():
        require(column, there, "the table")
    if joined:
        _check_joined(found, there)
    return found._replace(test=_test_values(there, options, found.usage))


def _check_joined(columns: Columns, there: list[str]) -> None:
    """Raise InputError where rows cannot get their sequence by their id, or have one already."""
    [sequence, *others] = columns.sequences.values()
    if columns.id is None:
        raise InputError("--fasta joins sequences by id, and there is no column 'id'; wanted --id COLUMN")
    if others or sequence in there:
        raise InputError(
            f"--fasta: the rows have a column {sequence!r} of sequences; wanted one or the other"
        )


def _input(text: str, there: list[str], *, standardise: bool) -> tuple[str, tuple[Number, ...]]:
    """Read NAME=COLUMN,... of an input."""
    name, members = split_pair(text, "--input")
    if not name.isidentifier() or name == "sequence":
        raise InputError(f"--input {name}: wanted the name of an argument of forward, such as half_life")
    numbers = [parse_number(each, there) for each in members.split(",")]
    return name, tuple(number._replace(scaled=number.scaled or standardise) for number in numbers)


def _special(there: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the columns of ids, groups, folds, usages and subsets; None for those that are not there."""
    special: dict[str, Any] = {}
    for name in (*SPECIAL, "subset"):
        column = getattr(options, name)
        if column is not None:
            require(column, there, f"--{name}")
        special[name] = column or (name if name in there and name in SPECIAL else None)
    return special


def overlooked(there: list[str], columns: Columns) -> list[str]:
    """Return a line for each column whose name is that of a special one but for its case."""
    chosen = [getattr(columns, name) for name in SPECIAL]
    return [
        f"note: the column {column!r} is not used; to use it: --{column.lower()} {column}"
        for column in there
        if column not in SPECIAL and column.lower() in SPECIAL and column not in chosen
    ]


def _test_values(
    there: list[str], options: argparse.Namespace, usage: str | None
) -> tuple[str, frozenset[str]] | None:
    """Read --test COLUMN=VALUE,...: a column, and its values in test rows."""
    if not options.test:
        return None
    column, values = split_pair(options.test, "--test")
    require(column, there, "--test")
    if usage:
        raise InputError(f"--test {options.test}: the column {usage!r} says that already")
    return column, frozenset(values.split(","))


def require(column: str, there: list[str], where: str) -> None:
    """Raise InputError where there is no such column, with the nearest, whatever its case."""
    if column not in there:
        by_case = {name.lower(): name for name in there}
        near = get_close_matches(column.lower(), by_case, n=1)
        hint = f"; did you mean {by_case[near[0]]!r}?" if near else "."
        raise InputError(f"{where}: there is no column {column!r}{hint} The columns are: {', '.join(there)}")


def split_pair(text: str, option: str) -> tuple[str, str]:
    """Split NAME=VALUE of an option."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{option} {text}: wanted NAME=VALUE")
    return name, value
