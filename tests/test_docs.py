"""The documentation is true: tutorials run, links resolve, options exist, generated pages are current."""

import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
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


def shell(script: str, folder: Path) -> str:
    """Run a block of a tutorial, on two folds and without a check before each run; return what it prints."""
    script = script.replace("competition.run ", "competition.run --folds 2 --no-check ")
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
