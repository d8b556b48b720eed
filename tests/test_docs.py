"""The documentation is true: tutorials run, links resolve, options exist, generated pages are current."""

import dataclasses
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from competition.__main__ import main, programs
from competition.data.declaration import Declaration, Score, Target
from competition.judging.manifest import Manifest
from competition.metrics.registry import METRICS
from competition.training.recipe import Recipe

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    path
    for path in sorted(REPOSITORY.rglob("*.md"))
    if not re.match(r"\.|data$|runs$", path.relative_to(REPOSITORY).parts[0])
]
TUTORIALS = REPOSITORY / "docs" / "tutorials"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:python3? -m )?(competition[. ][a-z]\w*|data_prep [a-z]\w*)\b([^`\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Options of other programs that the pages name.
FOREIGN = {"--nproc_per_node", "--upgrade"}


def reference():
    """Import docs/make_reference.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("make_reference", REPOSITORY / "docs" / "make_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """Return the options of every command."""
    return {
        name: {option for action in actions(parser) for option in action.option_strings}
        for name, parser in reference().parsers().items()
    }


def actions(parser):
    """Yield the arguments of a parser and of those below it."""
    for action in parser._actions:
        yield action
        if isinstance(action.choices, dict):
            for each in action.choices.values():
                yield from actions(each)


def each_page(pages: list[Path]):
    return pytest.mark.parametrize("page", pages, ids=[str(path.relative_to(REPOSITORY)) for path in pages])


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# Tutorials, run in a folder with the solutions that they start from.


def shell(script: str, folder: Path, options: str = "") -> str:
    """Run a block of a page, on two folds and without a check before each run; return what it prints."""
    script = script.replace("competition.run ", f"competition.run --folds 2 --no-check {options} ")
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_solutions(folder: Path, *names: str) -> None:
    for name in names:
        shutil.copytree(REPOSITORY / "solutions" / name, folder / "solutions" / name)


def test_the_first_solution_of_the_tutorial_is_a_patch_of_starter_that_runs(tmp_path):
    page = TUTORIALS / "your-first-solution.md"
    copy, *commands = blocks(page, "sh")
    (patch,) = blocks(page, "diff")
    copy_solutions(tmp_path, "starter")
    shell("python -m data_prep promoters --rows 96", tmp_path)
    shell(copy, tmp_path)
    shell(f"git apply --whitespace=error - <<'END'\n{patch}END", tmp_path)
    changed = (tmp_path / "solutions" / "mine" / "solution.py").read_text()
    assert all(shown in changed for shown in blocks(page, "python"))
    *_, board = [shell(each, tmp_path) for each in commands]
    assert board.count("mine") == 2


def test_the_tutorial_on_an_assay_runs_and_a_split_by_row_fails_its_audit(tmp_path):
    make, *commands = blocks(TUTORIALS / "your-own-assay.md", "sh")
    copy_solutions(tmp_path, "starter", "kmer_ridge")
    shell(make.replace("range(150)", "range(40)"), tmp_path)
    printed = [shell(each, tmp_path) for each in commands]
    assert "FAIL" not in printed[1] and printed[2].endswith("not sound\n")
    assert "starter" in printed[-1] and "kmer_ridge" in printed[-1]
    assert (tmp_path / "my_library.html").exists()


def test_the_metric_and_the_preparer_that_contributing_shows_work_as_written(tmp_path):
    metric, preparer = blocks(REPOSITORY / "CONTRIBUTING.md", "python")
    for package in ("competition", "data_prep"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    (tmp_path / "competition" / "metrics" / "huber.py").write_text(metric)
    (tmp_path / "data_prep" / "lines.py").write_text(preparer)
    rows = "".join(f"{base * 40}\t{value}\n" for value, base in enumerate("ACGT"))
    (tmp_path / "rows.tsv").write_text(rows)
    table = rows.replace("\n", "\ttrain\n") + rows.replace("\n", "\tprivate\n")
    (tmp_path / "table.tsv").write_text("sequence\texpression\tusage\n" + table)
    shell("python -m data_prep lines rows.tsv rows.tsv", tmp_path)
    shell("python -m data_prep table table.tsv --rank-by huber", tmp_path)
    pearson, huber = (
        shell(f"python -m competition.score rows.tsv --challenge {name} --usage private", tmp_path)
        for name in ("lines", "table")
    )
    assert re.search(r"pearson +higher +1\.0", pearson) and re.search(r"huber +lower +0\.0", huber)


# How-tos on anybody's own data, run on 200 simulated rows in files of the same shape.

CONSTANT = "TGCATTTTTTTCACATC{}GGTTACGGCTGTT"  # a yeast insert in its construct
SMALL = "--set epochs=1 --set filters=16"


class Assay:
    """Draw sequences, half with two sites of a motif, and what they express."""

    def __init__(self) -> None:
        self.random = random.Random(0)

    def bases(self, length: int) -> str:
        drawn = "".join(self.random.choices("ACGT", k=length))
        return self.random.choice([drawn, drawn[:25] + "TGACTCA" + drawn[32:45] + "TGACTCA" + drawn[52:]])

    def activity(self, sequence: str, noise: float = 0.3) -> str:
        return f"{sequence.count('TGACTCA') + self.random.gauss(0, noise):.3f}"


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def write_lentimpra(folder: Path) -> None:
    """Write both orientations of 100 elements of 200 bp between adapters; one replicate failed."""
    assay, swap = Assay(), str.maketrans("ACGT", "TGCA")
    rows: list[Sequence[object]] = [("name", "element", "sequence", "rep1", "rep2", "mean")]
    for number in range(100):
        forward = assay.bases(200)
        for strand, core in (("F", forward), ("R", forward.translate(swap)[::-1])):
            first, second = assay.activity(forward), assay.activity(forward)
            mean = "NA" if number == 7 else f"{(float(first) + float(second)) / 2:.3f}"
            read = f"AGGACCGGATCAACT{core}CATTGCGTGAACCGA"
            rows.append((f"peak{number}_{strand}", f"peak{number}", read, first, second, mean))
    write_rows(folder / "lentimpra.tsv", rows)


def write_starr_seq(folder: Path) -> None:
    """Write two tables and a FASTA file; 4 of 25 test sequences overlap training sequences by 150 bases."""
    assay, header = Assay(), ("id", "Dev_log2_enrichment", "Hk_log2_enrichment")
    drawn = {f"chr2L_{number}": assay.bases(249) for number in range(175)}
    for number in range(25):
        head = drawn[f"chr2L_{number}"][99:] if number < 4 else assay.bases(150)
        drawn[f"chr2R_{number}"] = head + assay.bases(99)
    for name, chromosome in (("train", "chr2L"), ("test", "chr2R")):
        rows = [(key, assay.activity(s), assay.activity(s)) for key, s in drawn.items() if chromosome in key]
        write_rows(folder / f"activity_{name}.txt", [header, *rows])
    (folder / "elements.fa").write_text("".join(f">{key}\n{s}\n" for key, s in drawn.items()))


def write_media(folder: Path) -> None:
    """Write inserts with reads in two media; 20 are in both."""
    assay = Assay()
    drawn = [assay.bases(80) for _ in range(280)]
    for name, some, scale in (("complex", drawn[:150], 1), ("defined", drawn[130:], 4)):
        rows = [(s, f"{scale * float(assay.activity(s)):.2f}", assay.random.randint(5, 90)) for s in some]
        write_rows(folder / f"{name}.tsv", [("sequence", "expression", "reads"), *rows])


def write_promoters(folder: Path) -> None:
    """Write a file without a header, some rows variants of those before."""
    assay, rows = Assay(), []
    for _ in range(200):
        insert = assay.bases(80)
        for variant in (insert, insert[:70] + "A" + insert[71:]):
            rows.append((CONSTANT.format(variant), assay.activity(variant)))
    write_rows(folder / "promoters.txt", rows)


def words(text: str) -> str:
    """Return text without its layout, each number with a point as #, for these depend on the machine."""
    return re.sub(r"-?\d+\.\d+", "#", " ".join(text.split()))


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("lentimpra", write_lentimpra, SMALL),
        ("starr-seq", write_starr_seq, SMALL),
        ("another-medium", write_media, SMALL),
        ("without-a-split", write_promoters, "--set k=3"),
    ],
)
def test_a_how_to_leads_from_table_to_board_and_prints_what_it_shows(tmp_path, name, write, options):
    page = REPOSITORY / "docs" / "how-to" / f"{name}.md"
    copy_solutions(tmp_path, "kmer_ridge" if "k=3" in options else "starter")
    write(tmp_path)
    printed = words("".join(shell(each, tmp_path, options) for each in blocks(page, "sh")))
    shown = [line for text in blocks(page, "text") for line in text.splitlines()]
    assert shown and not [line for line in shown if words(line) not in printed], printed
    assert len(page.read_text().splitlines()) <= 40


# Links, options and figures.


@each_page(PAGES)
def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://", "mailto:")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            if anchor:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in map(slug, headings), link


@each_page(PAGES)
def test_every_command_exists_and_has_the_options_that_are_named_with_it(page, options):
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in COMMAND.findall(text):
        command = name if name.startswith("data_prep") else name.replace(" ", ".")
        if command not in options:
            continue  # a module, or prose
        assert set(OPTION.findall(rest)) - FOREIGN <= options[command], f"{name}{rest}"


@each_page(PAGES)
def test_every_option_that_is_named_alone_belongs_to_some_program(page, options):
    known = set().union(*options.values()) | FOREIGN
    known |= {
        option for path in REPOSITORY.glob("benchmarks/*.py") for option in OPTION.findall(path.read_text())
    }
    text = page.read_text(encoding="utf-8")
    assert {option for code in re.findall(r"`([^`]+)`", text) for option in OPTION.findall(code)} <= known


def test_the_reference_of_the_command_line_is_current():
    module = reference()
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/make_reference.py"


def names(*kinds: type) -> set[str]:
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("solution", names(Recipe)),
        ("challenge", names(Declaration, Target, Score) | set(METRICS)),
        ("manifest", names(Manifest) - {"extra"}),
    ],
)
def test_the_reference_names_every_field(page, wanted):
    text = (REPOSITORY / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    assert not [name for name in wanted if not re.search(rf"\b{name}\b", code)]


def test_the_readme_names_every_program():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert not [name for name in programs() if f"python -m competition.{name}" not in readme]


def test_version_and_licence_are_the_same_everywhere():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = (REPOSITORY / "CITATION.cff").read_text()
    assert f"version: {project['version']}\n" in citation and f"license: {project['license']}\n" in citation
    assert f"## {project['version']}" in (REPOSITORY / "CHANGELOG.md").read_text()
    assert (REPOSITORY / "LICENSE").read_text().startswith(f"{project['license']} License")


# The console script.


def test_help_lists_every_program_and_loads_no_library():
    script = (
        "import sys; from competition.__main__ import main; main(['--help']);"
        "print({'torch', 'numpy', 'pandas', 'rich'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert all(f"  {name} " in done.stdout for name in programs())
    assert done.stdout.endswith("set()\n")


def test_a_program_runs_by_its_name_and_an_unknown_one_is_refused_with_the_nearest(tmp_path, capsys):
    assert main(["leaderboard", "--submissions", str(tmp_path)]) == 0
    assert "no submissions" in capsys.readouterr().out
    assert main(["leaderbord"]) == 2
    assert "did you mean 'leaderboard'" in capsys.readouterr().err
