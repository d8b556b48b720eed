"""Read seq_data.csv, one long sequence a gene: gene id, then its bases, without a header."""

from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from competition.data.arrays import ArrayWriter
from competition.data.store_writer import StoreWriter
from data_prep.reading.files import open_bytes
from data_prep.reading.letters import encode_line

LENGTH = 10_000  # bases
BLOCK_SEQUENCES = 512


class Sequences:
    """The sequences of all genes, on disk: each is copied to a part of the challenge when a row needs it."""

    def __init__(self, source: Path, scratch: Path) -> None:
        self.source = source
        self.number = _write_tokens(source, scratch)
        self.tokens = np.load(scratch, mmap_mode="r", allow_pickle=False)

    def index(self, genes: np.ndarray, store: StoreWriter, stored: dict[int, int], where: str) -> np.ndarray:
        """Return the number in the store of each gene's sequence, after adding those it does not have yet."""
        missing = [gene for gene in genes.tolist() if gene not in self.number]
        if missing:
            raise InputError(
                f"{where}: gene {missing[0]} has no sequence in {self.source} "
                f"({len(missing):,} in all have none); wanted one for every gene"
            )
        new = [gene for gene in genes.tolist() if gene not in stored]
        for start in range(0, len(new), BLOCK_SEQUENCES):
            block = new[start : start + BLOCK_SEQUENCES]
            tokens = self.tokens[[self.number[gene] for gene in block]]
            store.append_sequences(tokens, np.full(len(block), LENGTH))
            stored.update(zip(block, range(len(stored), len(stored) + len(block)), strict=True))
        return np.array([stored[gene] for gene in genes.tolist()])


def _write_tokens(source: Path, scratch: Path) -> dict[int, int]:
    """Write the tokens of seq_data.csv to a file; return the row of each gene."""
    number: dict[int, int] = {}
    writer = ArrayWriter(scratch, np.uint8, (LENGTH,))
    try:
        with open_bytes(source) as file:
            for line, text in enumerate(file, start=1):
                where = f"{source}: line {line}"
                gene, comma, sequence = text.rstrip(b"\r\n").partition(b",")
                if not comma or not gene.strip().isdigit():
                    raise InputError(
                        f"{where} begins with {gene[:20].decode('latin-1')!r}; wanted gene id,sequence"
                    )
                if int(gene) in number:
                    raise InputError(f"{where} has gene {int(gene)} again; wanted each gene once")
                number[int(gene)] = line - 1
                writer.append(encode_line(sequence, length=LENGTH, where=where)[None])
    finally:
        writer.close()
    if not number:
        raise InputError(f"{source} is empty; wanted lines of gene id,sequence")
    return number
