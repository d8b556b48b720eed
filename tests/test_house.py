"""The rules of the house: who imports whom, that nothing is unpickled, and that answers stay private."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
import torch

from competition import run as program
from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.judging import answers
from competition.training.batches import Batches
from competition.training.recipe import Recipe

REPOSITORY = Path(__file__).parents[1]


def sources(folder: str) -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / folder).rglob("*.py"))}


HARNESS, PREPARERS, SOLUTIONS = sources("competition"), sources("data_prep"), sources("solutions")
EVERYTHING = HARNESS | PREPARERS | SOLUTIONS
KNOWING = {REPOSITORY / "competition" / name for name in ("judging/answers.py", "data/writer.py")}
# What a preparer needs of the harness: to build a challenge, and to say how well one could do on it.
FOR_PREPARERS = {
    *(f"competition.data.{name}" for name in ("arrays", "declaration", "writer", "hashing", "store_writer")),
    *(f"competition.data.{name}" for name in ("folds", "homology", "store", "tokens")),
    *(f"competition.base.{name}" for name in ("errors", "files", "parser", "toml", "typed")),
    "competition.metrics.pearson", "competition.metrics.registry", "competition.metrics.spearman",
}  # fmt: skip
FOR_SOLUTIONS = {"torch", "timm", "numpy", "scipy", "sklearn", "optuna", *sys.stdlib_module_names}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Imports run along this line, never back.
LINE = (
    "run", "training.cross_validation", "training.fit", "training.batches", "data.store", "data.tokens"
)  # fmt: skip
ROOMS = (
    "base",
    "metrics",
    "data",
    "judging",
    "board",
    "training",
    "contract",
    "auditing",
    "blending",
    "tuning",
)
ENTRY_NAME = re.compile(r"(data_prep|solutions)[.:][\w.:]+")


def imports(source: str) -> list[tuple[int, str]]:
    """Return (level, name) of all that is imported, inside functions too; level counts leading dots."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, f"{node.module or ''}.{alias.name}") for alias in node.names]
    return found


def packages(source: str) -> set[str]:
    return {name.partition(".")[0] for level, name in imports(source) if level == 0}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def harness_modules(source: str) -> set[str]:
    """Return the modules of the harness that a source imports."""
    names = [f"{name}." for _, name in imports(source)]
    return {module for module in map(module_name, HARNESS) for n in names if n.startswith(f"{module}.")}


def strings(source: str) -> list[str]:
    """Return the strings that are not docstrings, parts of f-strings included."""
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone]
    return [node.value for node in constants if isinstance(node.value, str)]


def unpicklings(source: str) -> set[str]:
    """Return what could run code that a data file brings."""
    found = packages(source) & UNPICKLERS
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            risky = [k for k in node.keywords if (k.arg, ast.unparse(k.value)) in RISKY]
            if risky or name.endswith(("torch.load", "jit.load", "read_pickle")):
                found.add(name)
    return found


RISKY = {("allow_pickle", "True"), ("weights_only", "False")}


def private_paths(source: str) -> set[str]:
    """Return the strings that lead into a private folder: joined to a path, or with a slash inside."""
    found = {text for text in strings(source) if "private/" in text}
    for node in ast.walk(ast.parse(source)):
        is_path = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if is_path or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Path", "joinpath"))):
            found |= {text for text in strings(ast.unparse(node)) if text == "private"}
    return found


def strangers(source: str, folders: int) -> set[str]:
    """Return what a solution's file, so many folders deep in it, imports from outside the solution."""
    own = {name for level, name in imports(source) if level > folders + 1}
    return own | (packages(source) - FOR_SOLUTIONS)


def other_preparers(source: str) -> set[str]:
    """Return the preparers, which are the modules in data_prep's root, that a source imports."""
    roots = {path.stem for path in PREPARERS if path.parent.name == "data_prep"} - {"__init__"}
    places = [[*name.split("."), ""] for _, name in imports(source)]
    return {place[1] for place in places if place[0] == "data_prep" and place[1] in roots}


def each(files: dict[Path, str]):
    return pytest.mark.parametrize(
        ("path", "source"), files.items(), ids=[str(path.relative_to(REPOSITORY)) for path in files]
    )


@each(HARNESS)
def test_the_harness_imports_no_preparer_and_no_solution(path, source):
    assert not packages(source) & {"data_prep", "solutions"}
    by_name = {text for text in strings(source) if ENTRY_NAME.fullmatch(text)}
    assert not by_name or path.stem == "find", by_name


@each(PREPARERS)
def test_preparers_import_of_the_harness_only_what_builds_a_challenge(path, source):
    assert harness_modules(source) <= FOR_PREPARERS, path
    assert "solutions" not in packages(source)


@each({path: source for path, source in PREPARERS.items() if path.stem != "__main__"})
def test_a_preparer_imports_no_other_preparer(path, source):
    assert not other_preparers(source), path


@each(SOLUTIONS)
def test_solutions_import_libraries_and_their_own_files(path, source):
    folders = len(path.relative_to(REPOSITORY / "solutions").parts) - 2
    assert not strangers(source, folders)


@each({path: source for path, source in HARNESS.items() if path.parent.name in ROOMS})
def test_a_room_imports_no_room_above_it(path, source):
    above = ROOMS[ROOMS.index(path.parent.name) + 1 :]
    assert not [
        name for _, name in imports(source) if name.startswith(tuple(f"competition.{r}" for r in above))
    ]


def test_imports_of_the_harness_point_one_way():
    graph = {module_name(path): harness_modules(source) for path, source in HARNESS.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError where they do not
    places = [order.index(f"competition.{name}") for name in LINE]
    assert places == sorted(places, reverse=True)


@each(EVERYTHING)
def test_nothing_is_unpickled(path, source):
    assert not unpicklings(source), path


@each({path: source for path, source in EVERYTHING.items() if path not in KNOWING})
def test_only_the_scorer_and_what_builds_challenges_know_the_private_folder(path, source):
    assert not private_paths(source), path


@pytest.mark.parametrize(
    ("rule", "source", "found"),
    [
        (packages, "def f():\n    from data_prep.table import read", {"data_prep"}),
        (packages, "import solutions.crmnet.layers as layers", {"solutions"}),
        (
            harness_modules,
            "from competition.base import toml\nimport competition.run",
            {"competition.base.toml", "competition.run"},
        ),
        (unpicklings, "import pickle", {"pickle"}),
        (unpicklings, "from joblib import load", {"joblib"}),
        (unpicklings, "x = torch.load(path, weights_only=True)", {"torch.load"}),
        (unpicklings, "x = np.load(path, mmap_mode='r', allow_pickle=True)", {"np.load"}),
        (unpicklings, "x = pd.read_pickle(path)", {"pd.read_pickle"}),
        (unpicklings, "x = np.load(path, allow_pickle=False)", set()),
        (private_paths, "x = folder / 'private' / 'answers.csv'", {"private"}),
        (private_paths, "x = open(f'{folder}/private/answers.csv')", {"/private/answers.csv"}),
        (private_paths, "x = Path(folder, 'private')", {"private"}),
        (private_paths, "'''Reads private/.'''\nx = scores['private']", set()),
        (other_preparers, "from data_prep.dream2022 import flanks", {"dream2022"}),
        (other_preparers, "def f():\n    from data_prep import table, genes", {"table", "genes"}),
        (other_preparers, "from data_prep.reading.columns import Columns", set()),
        (lambda source: strangers(source, 0), "from ..crmnet import layers", {"crmnet.layers"}),
        (lambda source: strangers(source, 0), "from competition.data.tokens import N", {"competition"}),
        (lambda source: strangers(source, 1), "from ..layers import Block\nimport math", set()),
    ],
)
def test_each_rule_sees_what_breaks_it(rule, source, found):
    assert rule(source) == found


# Who really opens what, seen by an audit hook. A hook cannot be taken off, so it is told when to look.

OPENED: list[tuple[str, bool]] | None = None


def watch(event: str, arguments: tuple) -> None:
    """Note every file that is opened, and whether the scorer is who asked for it."""
    if OPENED is not None and event == "open" and not isinstance(arguments[0], int):
        frame, files = sys._getframe(), set()
        while frame is not None:
            files.add(frame.f_code.co_filename)
            frame = frame.f_back
        OPENED.append((str(arguments[0]), answers.__file__ in files))


@pytest.fixture
def opened_files():
    """Give a list that fills with (path, whether the scorer opened it) of every file opened in the test."""
    global OPENED
    if watch not in HOOKS:
        sys.addaudithook(watch)
        HOOKS.append(watch)
    OPENED = []
    yield OPENED
    OPENED = None


HOOKS: list = []
SOLUTION = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (0, 110)

class Estimator:
    def __init__(self, config, challenge): ...

    def fit(self, inputs, target):
        self.mean = target.mean(0)

    def predict(self, inputs):
        share = ((inputs["sequence"] == 1) | (inputs["sequence"] == 2)).mean(1, keepdims=True)
        return self.mean + share

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"]
"""


def test_opening_folding_and_batching_never_touch_the_answers(toy_challenge, tmp_path, opened_files):
    folder = toy_challenge(tmp_path / "toy", inputs={"mark": (2,)})
    opened_files.clear()  # building writes the answers
    opened = open_challenge(folder)
    fold_table(opened.train, opened.declaration, 2, cache=folder / "cache")
    for store in (opened.train, opened.test):
        names = ["sequence", "mark"]
        Batches(store, opened.declaration, Recipe(), names, torch.device("cpu")).inputs(np.arange(len(store)))
    assert any("public" in path for path, _ in opened_files)
    assert not [path for path, _ in opened_files if "private" in path]


def test_in_a_whole_run_the_scorer_alone_opens_the_answers(
    toy_challenge, tmp_path, monkeypatch, opened_files
):
    toy_challenge(tmp_path / "data" / "toy")
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / "solution.py").write_text(SOLUTION)
    monkeypatch.chdir(tmp_path)
    opened_files.clear()
    assert program.main(["mean", "--folds", "2", "--device", "cpu", "--no-check"]) == 0
    by_scorer = [is_scorer for path, is_scorer in opened_files if "private" in Path(path).parts]
    assert by_scorer and all(by_scorer)
