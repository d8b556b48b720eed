"""Windows of a genome against slices of a string, on both strands, for every way a FASTA file is written."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from competition.base.errors import InputError
from competition.data.tokens import decode
from data_prep.reading.fasta import open_genome

PAIRED = str.maketrans("ACGTN", "TGCAN")


def chromosomes(seed: int = 0) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    return {name: "".join(rng.choice(list("ACGTN"), size)) for name, size in (("chr1", 203), ("chr2", 60))}


def fasta(records: dict[str, str], *, width: int = 20, end: str = "\n") -> str:
    lines = []
    for name, bases in records.items():
        lines += [f">{name} a note", *(bases[i : i + width] for i in range(0, len(bases), width))]
    return end.join(lines) + end


def write(folder: Path, text: str) -> Path:
    (folder / "genome.fa").write_bytes(text.encode())
    return folder / "genome.fa"


def cut(bases: str, start: int, stop: int) -> str:
    """Take [start, stop) base by base; N where there is none."""
    return "".join(bases[i] if 0 <= i < len(bases) else "N" for i in range(start, stop))


@pytest.mark.parametrize("width", [1, 7, 20, 500])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_window_is_the_slice_of_the_string(tmp_path, width, end):
    genome = open_genome(write(tmp_path, fasta(chromosomes(), width=width, end=end)))
    assert genome.lengths == {"chr1": 203, "chr2": 60}
    for name, bases in chromosomes().items():
        for start in range(-45, len(bases) + 45, 11):
            for size in (1, 20, 41, 300):
                window = genome.window(name, start, start + size)
                assert decode(window[None])[0] == cut(bases, start, start + size)


@pytest.mark.parametrize("window", [(-30, 10), (0, 1), (-5, 1), (0, 250), (-250, 3)])
def test_a_position_stands_at_the_same_index_on_both_strands_and_upstream_is_left(tmp_path, window):
    genome, (start, stop) = open_genome(write(tmp_path, fasta(chromosomes()))), window
    bases = chromosomes()["chr1"]
    for position in (1, 2, 100, 203):  # 1-based
        forward = decode(genome.around("chr1", position, window, "+")[None])[0]
        backward = decode(genome.around("chr1", position, window, "-")[None])[0]
        assert forward == "".join(cut(bases, position - 1 + i, position + i) for i in range(start, stop))
        read_back = "".join(cut(bases, position - 1 - i, position - i) for i in range(start, stop))
        assert backward == read_back.translate(PAIRED)
        assert forward[-start] == bases[position - 1] == backward[-start].translate(PAIRED)


def test_lower_case_and_a_missing_last_line_end_are_read(tmp_path):
    genome = open_genome(write(tmp_path, ">a\nacgt\nac\n\n\n>b\nGGR"))
    assert decode(genome.window("a", 0, 6)[None]) == ["ACGTAC"]
    assert decode(genome.window("b", 0, 4)[None]) == ["GGRN"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (">a\nACGT\nAC\nACGT\n", "lines of different lengths; wanted 4 bases"),
        (">a\nACGT\nACGTAC\n", "lines of different lengths"),
        (">a\nACGT\n\nACGT\n", "lines of different lengths"),
        (">a\nACG\n>b\n", "record 'b' has no bases"),
        (">a\nACG\n>a\nACG\n", "record 'a' comes twice"),
        (">\nACG\n", "has no name"),
        ("ACGT\n", "does not begin with '>'"),
        ("", "does not begin with '>'"),
    ],
)
def test_a_file_that_is_no_genome_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        open_genome(write(tmp_path, text))


def test_an_unknown_letter_is_named_with_its_place(tmp_path):
    genome = open_genome(write(tmp_path, ">a\nACGT\nA-GT\n"))
    with pytest.raises(InputError, match="a has '-' at base 6"):
        genome.window("a", 2, 8)


def test_a_gzipped_genome_has_to_be_unpacked(tmp_path):
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(fasta(chromosomes()).encode()))
    with pytest.raises(InputError, match="wanted it unpacked"):
        open_genome(path)


def test_a_missing_genome_is_named(tmp_path):
    with pytest.raises(InputError, match=r"hg19\.fa cannot be read"):
        open_genome(tmp_path / "hg19.fa")


def pack(path: Path, text: str) -> Path:
    bgzf = pytest.importorskip("Bio.bgzf")
    with bgzf.BgzfWriter(str(path), "wb") as file:
        file.write(text.encode())
    return path


def test_bgzip_reads_as_the_plain_file_does(tmp_path):
    pytest.importorskip("pyfaidx")
    packed = open_genome(pack(tmp_path / "genome.fa.gz", fasta(chromosomes())))
    plain = open_genome(write(tmp_path, fasta(chromosomes())))
    assert packed.lengths == plain.lengths
    for start in range(-25, 215, 3):
        np.testing.assert_array_equal(
            packed.window("chr1", start, start + 41), plain.window("chr1", start, start + 41)
        )


def test_bgzip_without_pyfaidx_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(b"\x1f\x8b\x08\x04" + bytes(6) + b"\x06\x00BC\x02\x00" + bytes(8))
    monkeypatch.setitem(__import__("sys").modules, "pyfaidx", None)
    with pytest.raises(InputError, match=r"pip install 'expression-competition\[fasta\]'"):
        open_genome(path)
