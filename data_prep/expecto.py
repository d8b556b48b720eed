"""Expression of human genes in tissues from the DNA around their start sites (the files of ExPecto, GTEx).

The folder holds geneanno.csv (id, symbol, seqnames, strand, TSS, CAGE_representative_TSS, type) and
geneanno.exp.csv (the same genes in the same order: gene, then a column of RPKM for each tissue), as they are
in ExPecto's resources; the genome is hg19. The windows of ExpResNet, one tissue:

    python -m data_prep expecto resources/ --genome hg19.fa --tissue Whole_Blood --window -70000 25000

Positions in geneanno.csv are taken to be 1-based. A gene on the minus strand is reverse-complemented, so
that upstream is left and its start site stands at the challenge's origin as on the plus strand; a window that
extends beyond its chromosome is filled with N. The target is ln(x + 0.0001). A chromosome is a group and so
stays in one fold. --expression takes a GTEx .gct file instead, joined by gene id without its version.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.store_writer import StoreWriter
from competition.data.writer import create_challenge
from data_prep.reading.delimited import read_table, require_columns
from data_prep.reading.expression_table import Expression, read_expression
from data_prep.reading.fasta import Genome, open_genome

OFFSET = 1e-4  # added before the logarithm (ExPecto, Zhou et al. 2018)
STARTS = ("CAGE_representative_TSS", "TSS")
COLUMNS = ("id", "symbol", "seqnames", "strand")
BLOCK_BASES = 1 << 24  # bases of one block of rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("folder", type=Path, help="holds geneanno.csv and geneanno.exp.csv")
    add("--genome", type=Path, required=True, help="FASTA, plain or compressed by bgzip")
    add("--expression", type=Path, help="another expression table: CSV like geneanno.exp.csv, or .gct(.gz)")
    add("--tissue", action="append", metavar="COLUMN", help="tissue to predict; repeatable (default: all)")
    add("--window", type=int, nargs=2, default=[-70_000, 25_000], metavar=("START", "STOP"),
        help="bases kept, counted from the start site (default: -70000 25000)")  # fmt: skip
    add("--tss", choices=STARTS, default=STARTS[0], help="column of start sites (default: %(default)s)")
    add("--test-chromosomes", nargs="*", default=["chr8"], metavar="NAME", help="(default: chr8)")
    add("--drop", nargs="*", default=["chrX", "chrY"], metavar="NAME",
        help="chromosomes left out (default: chrX chrY)")  # fmt: skip
    add("--name", default="expecto", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and print its size."""
    start, stop = options.window
    if not start <= 0 < stop:
        raise InputError(
            f"--window {start} {stop}: wanted START <= 0 < STOP, so that it holds the start site"
        )
    folder = options.output or Path("data") / options.name
    genes = read_genes(options.folder / "geneanno.csv", options.tss)
    measured = read_expression(options.expression or options.folder / "geneanno.exp.csv", options.tissue)
    genes, target = join(genes, measured, by_order=measured.unit == "RPKM")
    kept = ~genes.seqnames.isin(options.drop).to_numpy()
    genes, target = genes[kept], target[kept]
    genome = open_genome(options.genome)
    check_places(genes, genome, options.folder / "geneanno.csv", options.tss)
    test = genes.seqnames.isin(options.test_chromosomes).to_numpy()
    check_split(genes, options.test_chromosomes, test)
    challenge = declare(options.name, measured, (start, stop))
    with create_challenge(folder, challenge, overwrite=options.overwrite) as writer:
        write_genes(writer.train, genes[~test], genome, (start, stop), target=target[~test])
        if test.any():
            write_genes(writer.test, genes[test], genome, (start, stop))
            values = dict(zip(measured.tissues, target[test].T, strict=True))
            answers = {"id": genes.id[test].to_list(), **values, "usage": "private"}
            writer.write_answers(pd.DataFrame(answers))
    print(f"{folder}: {(~test).sum():,} training rows, {test.sum():,} test rows, {stop - start:,} bases each")


def declare(name: str, measured: Expression, window: tuple[int, int]) -> Declaration:
    """Return the declaration: means over the tissues of the usual scores."""
    unit = f"ln({measured.unit} + 1e-4)"
    return Declaration(
        name=name,
        title=f"Expression of human genes in {len(measured.tissues)} tissues",
        source="Zhou et al., Nature Genetics 2018 (ExPecto); GTEx",
        targets=tuple(Target(tissue, unit) for tissue in measured.tissues),
        scores=(
            Score.of("pearson"),
            Score.of("spearman"),
            Score.of("mse", unit=unit),
            Score.of("r2"),
        ),
        sequences=(InputSequence(origin=-window[0]),),
        # Repeats such as Alu are in nearly every window and would join all rows in one cluster.
        near_duplicates=False,
    )


def read_genes(path: Path, tss: str) -> pd.DataFrame:
    """Read the annotation: id, symbol, seqnames, strand and position (1-based); the index is the line."""
    table = read_table(path)
    require_columns((*COLUMNS, tss), table.columns, path)
    for bad, column, wanted in (
        (table.id.duplicated(), "id", "each gene once"),
        (~table.strand.isin(["+", "-"]), "strand", "+ or -"),
        (~table[tss].str.fullmatch("[0-9]{1,12}"), tss, "a position"),
    ):
        if bad.any():
            line = bad.idxmax()
            got = table[column][line]
            raise InputError(
                f"{path}: line {line} ({table.id[line]}) has the {column} {got!r}; wanted {wanted}"
            )
    return table[list(COLUMNS)].assign(position=table[tss].astype(np.int64))


def join(genes: pd.DataFrame, measured: Expression, *, by_order: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the genes that were measured and their target (G, T), ln(x + 0.0001).

    by_order: both files list the same genes in the same order. Otherwise they are joined by id without its
    version, and genes that were not measured are left out.
    """
    if by_order:
        _check_order(genes, measured)
        return genes, np.log(measured.value + OFFSET)
    wanted, there = _without_version(genes.id), _without_version(pd.Series(measured.genes))
    if there.duplicated().any():
        raise InputError(f"expression: gene {there[there.duplicated()].iloc[0]} comes twice; wanted it once")
    row = pd.Index(there).get_indexer(wanted)
    if (row < 0).all():
        raise InputError(f"expression: none of the genes is in the annotation ({there[0]}, {wanted.iloc[0]})")
    if (row < 0).any():
        print(f"{(row < 0).sum():,} genes of {len(row):,} have no expression and are left out")
    return genes[row >= 0], np.log(measured.value[row[row >= 0]] + OFFSET)


def _check_order(genes: pd.DataFrame, measured: Expression) -> None:
    if len(genes) != len(measured.genes):
        raise InputError(
            f"expression: {len(measured.genes):,} genes, geneanno.csv has {len(genes):,}; wanted the same"
        )
    got = pd.Series(measured.genes, index=genes.index)
    other = (got != genes.id) & (got != genes.symbol)
    if other.any():
        line = other.idxmax()
        raise InputError(
            f"expression: line {line} is gene {got[line]!r}, in geneanno.csv it is {genes.id[line]!r}; "
            "wanted the same order"
        )


def _without_version(ids: pd.Series) -> pd.Series:
    return ids.str.partition(".")[0]


def check_places(genes: pd.DataFrame, genome: Genome, path: Path, tss: str) -> None:
    """Check that every start site is a base of the genome."""
    for line, gene in zip(genes.index, genes.itertuples(), strict=True):
        where = f"{path}: line {line} ({gene.id})"
        length = genome.lengths.get(gene.seqnames)
        if length is None:
            names = ", ".join(list(genome.lengths)[:5])
            raise InputError(
                f"{where} is on {gene.seqnames!r}, which {genome.path} does not have ({names}, ...); "
                "wanted the genome of the annotation, or --drop"
            )
        if not 1 <= gene.position <= length:
            raise InputError(
                f"{where} has the {tss} {gene.position:,}; wanted 1..{length:,}, "
                f"the length of {gene.seqnames}"
            )


def check_split(genes: pd.DataFrame, names: list[str], test: np.ndarray) -> None:
    """Check that every test chromosome has genes, and that some are left for training."""
    for name in names:
        if name not in set(genes.seqnames):
            raise one_of("test chromosome", name, sorted(set(genes.seqnames)))
    if test.all():
        raise InputError("no gene is left for training; check --test-chromosomes and --drop")


def write_genes(
    store: StoreWriter,
    genes: pd.DataFrame,
    genome: Genome,
    window: tuple[int, int],
    *,
    target: np.ndarray | None = None,
) -> None:
    """Cut the windows out of the genome, some rows at a time."""
    width = window[1] - window[0]
    for rows in _blocks(len(genes), math.ceil(BLOCK_BASES / width)):
        block = genes.iloc[rows]
        places = zip(block.seqnames, block.position, block.strand, strict=True)
        tokens = np.stack(
            [genome.around(name, position, window, strand) for name, position, strand in places]
        )
        store.append(
            tokens,
            np.full(len(tokens), width),
            target=None if target is None else target[rows],
            rows={"id": block.id.to_list(), "group": block.seqnames.to_list()},
        )


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
