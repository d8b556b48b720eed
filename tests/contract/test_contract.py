"""The contract: a correct solution passes, and the same one with a single fault fails one clause."""

import time
from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from competition import check as program
from competition.base.errors import InputError
from competition.contract.checks import (
    ESTIMATOR_CLAUSES,
    FOLDER_CLAUSES,
    MODEL_CLAUSES,
    check_contract,
    require_contract,
)
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.training.solution import configure, load_solution

CPU = torch.device("cpu")
README = "# Toy\n\nA convolution. Source: https://example.org/paper\n"
MODEL = """
import time
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn
from torch.nn import functional

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (0, 40)
    encoding: str = "acgt"
    epochs: int = 3
    filters: int = 32
    rate: float = 1e-3
    ema: float | None = None

    def __post_init__(self):
        if self.filters % 2:
            raise ValueError(f"filters {self.filters}; wanted an even number")

    @classmethod
    def search(cls, trial):
        return cls(filters=2 * trial.suggest_int("half", 4, 32), rate=trial.suggest_float("rate", 1e-4, 1e-2))

class Model(nn.Module):
    def __init__(self, config, shapes):
        super().__init__()
        channels, width = shapes.inputs["sequence"]
        self.rate = config.rate
        self.first = nn.Conv1d(channels, config.filters, 7, padding=3)
        self.norm = nn.BatchNorm1d(config.filters)
        self.dropout = nn.Dropout(0.2)
        self.hidden = nn.Linear(config.filters * width + 1, 32)
        self.output = nn.Linear(32, len(shapes.targets))
        nn.init.zeros_(self.output.weight)

    def initialize(self, target):
        self.output.bias.copy_(target.mean(0))

    def forward(self, sequence, half_life):
        x = functional.relu(self.norm(self.first(sequence)))
        x = torch.cat([x.flatten(1), half_life], 1)
        x = self.dropout(functional.relu(self.hidden(x)))
        return self.output(x)

    def loss(self, outputs, batch):
        return functional.huber_loss(outputs, batch["target"])

    def predict(self, outputs):
        return outputs

    def optimizer(self, num_steps):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.rate)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=num_steps)
"""
EMBEDDED = (
    'encoding: str = "acgt"', 'encoding: str = "tokens"',
    'channels, width = shapes.inputs["sequence"]',
    '(width,), channels = shapes.inputs["sequence"], 8; self.embed = nn.Embedding(16, channels)',
    "self.first(sequence)", "self.first(self.embed(sequence).transpose(1, 2))",
)  # fmt: skip
ESTIMATOR = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (0, 40)

class Estimator:
    def __init__(self, config, shapes):
        pass

    def features(self, inputs):
        counts = [(inputs["sequence"] == token).mean(1) for token in range(4)]
        return np.stack([*counts, inputs["half_life"][:, 0], np.ones(len(counts[0]))], 1)

    def fit(self, inputs, target):
        x = self.features(inputs)
        self.weight = np.linalg.solve(x.T @ x + 1e-3 * np.eye(6), x.T @ target)

    def predict(self, inputs):
        return self.features(inputs) @ self.weight

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight = state["weight"]
"""

# What breaks the correct one: the clause that must fail, then pieces of the code and what replaces each.
MODEL_FAULTS = {
    "config not frozen": ("Config", "@dataclass(frozen=True)", "@dataclass"),
    "misspelled setting": ("Config", "epochs: int", "epoch: int"),
    "setting of another type": ("Config", "rate: float", "rate: int"),
    "search gives an invalid value": ("search", "filters=2 * trial", "filters=1 + 2 * trial"),
    "search gives another class": ("search", "return cls(filters", "return dict(filters"),
    "search gives a model that does not run": ("search", "return cls(", "return cls(window=(0, 0), "),
    "unknown input": ("inputs", "half_life):", "halflife, half_life=None):"),
    "input of any name": ("inputs", "half_life):", "half_life, **others):"),
    "layer that does not build": ("seed", "channels, config.filters, 7", "3, config.filters, 7, groups=2"),
    "model does not build": ("seed", "channels, width = shapes", "channels = shapes"),
    "weights from the clock": (
        "seed",
        "nn.init.zeros_(self.output.weight)",
        "self.output.weight.data.mul_(time.perf_counter_ns() // 1000 % 1_000_003)",
    ),
    "weights from numpy": (
        "seed",
        "nn.init.zeros_(self.output.weight)",
        "self.output.weight.data.mul_(np.random.rand())",
    ),
    "seed set by the model": ("seed", "super().__init__()", "super().__init__(); torch.manual_seed(7)"),
    "predictions without the target axis": ("predictions", "return outputs\n", "return outputs[:, 0]\n"),
    "one output too many": ("predictions", "len(shapes.targets))", "len(shapes.targets) + 1)"),
    "infinite outputs": ("predictions", "return self.output(x)", "return self.output(x) / 0"),
    "infinite predictions": ("predictions", "return outputs\n", "return outputs / 0\n"),
    "dropout in prediction": ("repeatability", "self.dropout(", "functional.dropout("),
    "statistics of the batch": (
        "row independence",
        "self.norm(self.first(sequence))",
        "functional.batch_norm(self.first(sequence), None, None, self.norm.weight, self.norm.bias, True)",
    ),
    "softmax over rows": (
        "row independence",
        "return self.output(x)",
        "return self.output(x * x.softmax(0))",
    ),
    "one row squeezed": (
        "row independence",
        "return outputs\n",
        "return outputs.squeeze().reshape(-1, *[1] * (len(outputs) > 1))\n",
    ),
    "weights that are not saved": (
        "save and load",
        "self.rate = config.rate",
        "self.rate = config.rate; self.mask = torch.randn(width)",
        "(sequence))",
        "(sequence * self.mask))",
    ),
    "statistics that are not saved": (
        "save and load",
        "self.output.bias.copy_(target.mean(0))",
        "self.center = target.mean(0)",
        "return self.output(x)",
        "return self.output(x) + getattr(self, 'center', 0)",
    ),
    "nan loss": (
        "loss",
        "return functional.huber",
        "return (-1 - outputs**2).log().mean() + functional.huber",
    ),
    "loss of each row": ("loss", 'batch["target"])', 'batch["target"], reduction="none")'),
    "loss without gradient": ("loss", "huber_loss(outputs,", "huber_loss(outputs.detach(),"),
    "target ignored": ("loss", 'batch["target"])', "torch.ones_like(outputs))"),
    "loss that runs the model": (
        "parameter-free loss",
        "huber_loss(outputs",
        'huber_loss(self(batch["sequence"], batch["half_life"])',
    ),
    "loss that runs forward": (
        "parameter-free loss",
        "huber_loss(outputs",
        'huber_loss(self.forward(batch["sequence"], batch["half_life"])',
    ),
    "loss that runs a layer": (
        "parameter-free loss",
        "return functional.huber",
        'return self.first(batch["sequence"]).square().mean() + functional.huber',
    ),
    "summed loss": ("mean loss", 'batch["target"])', 'batch["target"], reduction="sum")'),
    "unused layer": ("gradients", "self.dropout =", "self.spare = nn.Linear(2, 2); self.dropout ="),
    "detached layer": ("gradients", "self.first(sequence)", "self.first(sequence).detach()"),
    "infinite gradient": ("gradients", 'batch["target"])', 'batch["target"]) + (outputs * 0).sqrt().mean()'),
    "layer without optimizer": ("optimizer", "AdamW(self.parameters(),", "AdamW(self.hidden.parameters(),"),
    "learning rate of zero": ("optimizer", "self.rate = config.rate", "self.rate = 0.0"),
    "parameter held twice": ("optimizer", "(self.parameters(),", "([*self.parameters(), self.output.bias],"),
    "optimizer alone": ("optimizer", "return optimizer, ", "return optimizer or "),
    "schedule too short": ("optimizer", "total_steps=num_steps", "total_steps=num_steps // 2"),
    "inputs that do not arrive": ("overfitting", "return self.output(x)", "return self.output(0 * x)"),
    "output out of range": ("overfitting", "return self.output(x)", "return self.output(x).sigmoid()"),
    "another unit": ("overfitting", 'batch["target"])', 'batch["target"] / 100)'),
    "targets of other rows": ("overfitting", 'batch["target"])', 'batch["target"].roll(1, 0))'),
}


ESTIMATOR_FAULTS = {
    "not a number": ("predictions", "@ self.weight\n", "@ self.weight * np.nan\n"),
    "predictions without the target axis": ("predictions", "@ self.weight\n", "@ self.weight[:, 0]\n"),
    "fit that fails": ("predictions", "np.eye(6)", "np.eye(7)"),
    "constant": ("variation", "@ self.weight\n", "@ self.weight * 0 + 1\n"),
    "fit that is not repeatable": (
        "seed",
        "x.T @ target)",
        "x.T @ target) + np.random.default_rng().normal(size=(6, 1))",
    ),
    "rows scaled together": ("row independence", "(1) for", "(1).argsort() for"),
    "state left out": ("save and load", 'self.weight = state["weight"]', 'self.weight = 2 * state["weight"]'),
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 4, (64, 40)).astype(np.uint8)
    half_life = generator.normal(size=(64, 1))
    target = 8 + (tokens == 2).sum(1) / 4 + half_life[:, 0] + generator.normal(size=64)
    challenge = Declaration(
        "toy",
        (Target("expression"),),
        (Score.of("pearson"), Score.of("mse")),
        inputs={"half_life": (1,)},
    )
    folder = tmp_path_factory.mktemp("data") / "toy"
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens, np.full(64, 40), target=target, inputs={"half_life": half_life})
    return open_challenge(folder)


def write_solution(folder, source, readme=README):
    folder.mkdir()
    (folder / "solution.py").write_text(source)
    if readme is not None:
        (folder / "README.md").write_text(readme)
    return load_solution(folder)


def edit(source, edits):
    for correct, wrong in zip(edits[::2], edits[1::2], strict=True):
        assert correct in source
        source = source.replace(correct, wrong)
    return source


def outcomes_of(solution, challenge, seconds=600.0):
    config, _ = configure(solution, 64)
    return check_contract(solution, challenge, config, device=CPU, seconds=seconds)


def failed(outcomes):
    return [outcome.clause for outcome in outcomes if outcome.passed is False]


@pytest.mark.parametrize("source", [MODEL, ESTIMATOR], ids=["Model", "Estimator"])
def test_a_correct_solution_passes_every_clause(source, toy, tmp_path):
    outcomes = outcomes_of(write_solution(tmp_path / "correct", source), toy)
    assert [each.clause for each in outcomes if not each.passed] == ([] if source is MODEL else ["search"])


def test_a_model_that_embeds_tokens_passes_every_check(toy, tmp_path):
    outcomes = outcomes_of(write_solution(tmp_path / "solution", edit(MODEL, EMBEDDED)), toy)
    assert [outcome for outcome in outcomes if not outcome.passed] == []


WEIGHTED = (
    'huber_loss(outputs, batch["target"])',
    'huber_loss(outputs, batch["target"], weight=batch["weight"][:, None])',
    "def fit(self, inputs, target):", "def fit(self, inputs, target, weight):\n        len(weight)",
)  # fmt: skip


@pytest.mark.parametrize(("source", "edits"), [(MODEL, WEIGHTED[:2]), (ESTIMATOR, WEIGHTED[2:])])
def test_a_solution_that_heeds_weights_passes_every_check(source, edits, toy, tmp_path):
    """Of the rows that it is checked on half weigh nothing."""
    weighted = toy._replace(train=copy(toy.train))
    weighted.train.weight = np.arange(len(toy.train)) % 2 * np.float32(2)
    outcomes = outcomes_of(write_solution(tmp_path / "solution", edit(source, edits)), weighted)
    assert [outcome for outcome in outcomes if outcome.passed is False] == []


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_a_fault_of_a_model_is_found_and_nothing_else(fault, toy, tmp_path):
    name, *edits = MODEL_FAULTS[fault]
    solution = write_solution(tmp_path / "wrong", edit(MODEL, edits))
    assert failed(outcomes_of(solution, toy)) == [name]


@pytest.mark.parametrize("fault", ESTIMATOR_FAULTS)
def test_a_fault_of_an_estimator_is_found_and_nothing_else(fault, toy, tmp_path):
    name, *edits = ESTIMATOR_FAULTS[fault]
    solution = write_solution(tmp_path / "wrong", edit(ESTIMATOR, edits))
    assert failed(outcomes_of(solution, toy)) == [name]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (ESTIMATOR, "@dataclass"),
        (ESTIMATOR, "        x = self.features(inputs)\n        self"),
        (MODEL, "        self.output.bias.copy_"),
    ],
    ids=["at import", "in fit", "in initialize"],
)
@pytest.mark.parametrize(
    ("name", "what"), [("private/answers.csv", "the answers"), ("public/challenge.toml", "a file")]
)
def test_a_solution_that_reads_the_challenge_is_caught_by_the_file(source, place, name, what, toy, tmp_path):
    path = toy.folder / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    indent = place[: len(place) - len(place.lstrip())]
    read = f"{indent}open({str(path)!r}).close()\n"
    solution = write_solution(tmp_path / "spy", edit(source, (place, read + place)))
    [outcome] = [each for each in outcomes_of(solution, toy) if each.passed is False]
    assert outcome.clause == "files"
    assert f" opens {path}, {what}" in outcome.message and "solution.py, line " in outcome.message


REFUSAL = "raise ValueError('targets below 0; wanted counts')"


@pytest.mark.parametrize(
    ("source", "edits"),
    [
        (MODEL, ("self.output.bias.copy_(target.mean(0))", REFUSAL)),
        (MODEL, ("self.rate = config.rate", REFUSAL)),
        (ESTIMATOR, ("x = self.features(inputs)\n", f"{REFUSAL}\n")),
    ],
)
def test_what_a_solution_refuses_itself_is_said_in_its_words(source, edits, toy, tmp_path):
    solution = write_solution(tmp_path / "picky", edit(source, edits))
    with pytest.raises(InputError, match=r"^picky: targets below 0; wanted counts$"):
        outcomes_of(solution, toy)


@pytest.mark.parametrize("clauses", [MODEL_CLAUSES, ESTIMATOR_CLAUSES])
def test_every_clause_is_documented_by_the_name_that_is_printed(clauses):
    page = (Path(__file__).parents[2] / "docs/reference/solution.md").read_text().split("## The contract")[1]
    documented = [line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.startswith("|")]
    assert {clause.name for clause in (*FOLDER_CLAUSES, *clauses)} <= set(documented)


@pytest.mark.parametrize("readme", [None, "# Toy\n\nIt is very good.\n"], ids=["missing", "without source"])
def test_a_readme_that_names_no_source_is_a_warning(readme, toy, tmp_path, capsys):
    solution = write_solution(tmp_path / "wrong", ESTIMATOR, readme)
    config, _ = configure(solution, 64)
    first, *_ = require_contract(solution, toy, config, device=CPU)
    assert first.passed and first.message.startswith("README.md ")
    assert capsys.readouterr().out == f"warning    {first.message}\n"
    assert program.main([str(solution.folder), "--challenge", str(toy.folder), "--device", "cpu"]) == 0
    assert "warn  README " in capsys.readouterr().out


def test_a_window_that_misses_the_sequences_is_found(toy, tmp_path):
    solution = write_solution(tmp_path / "wrong", MODEL.replace("(0, 40)", "(90, 130)"))
    assert failed(outcomes_of(solution, toy)) == ["inputs"]


def test_overfitting_is_skipped_where_there_is_no_time(toy, tmp_path):
    solution = write_solution(tmp_path / "slow", MODEL)
    started = time.monotonic()
    last = outcomes_of(solution, toy, seconds=0.0)[-1]
    assert last.passed is None and "python -m competition.check " in last.message
    assert time.monotonic() - started < 5


def test_a_run_is_refused_with_every_fault_at_once(toy, tmp_path):
    source = (
        MODEL.replace("frozen=True", "").replace("lr=self.rate", "lr=0.0").replace("self.rate, t", "0.0, t")
    )
    solution = write_solution(tmp_path / "wrong", source)
    config, _ = configure(solution, 64)
    with pytest.raises(InputError, match=r"(?s)Config: .*optimizer: .*learning rate"):
        require_contract(solution, toy, config, device=CPU)


@pytest.mark.parametrize(("wrong", "status"), [("", 0), ("self.spare = nn.Linear(2, 2)", 1)])
def test_the_command_prints_a_line_for_each_clause(wrong, status, toy, tmp_path, capsys):
    source = MODEL.replace("self.rate = config.rate", f"self.rate = config.rate; {wrong}")
    write_solution(tmp_path / "toy", source)
    arguments = [str(tmp_path / "toy"), "--challenge", str(toy.folder), "--device", "cpu"]
    assert program.main(arguments) == status
    assert ("FAIL  gradients" in capsys.readouterr().out) == bool(status)


def test_the_command_checks_what_was_tuned_for_the_challenge(toy, tmp_path, capsys):
    folder = tmp_path / "toy"
    write_solution(folder, MODEL)
    (folder / "tuned.toml").write_text("[toy]\nfilters = 3\n")
    assert program.main([str(folder), "--challenge", str(toy.folder), "--device", "cpu"]) == 2
    assert "wanted an even number" in capsys.readouterr().err


def test_the_command_says_what_is_no_solution(tmp_path, capsys):
    assert program.main([str(tmp_path)]) == 2
    assert "is not a solution" in capsys.readouterr().err


SHRUNK = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Config:
    window: tuple[int, int] = (0, 40)

class Estimator:
    def __init__(self, config, challenge): ...

    def features(self, inputs):
        return np.column_stack([(inputs["sequence"] == token).mean(1) for token in range(4)])

    def fit(self, inputs, target):
        x = self.features(inputs)
        self.mean, self.centre = target.mean(0), x.mean(0)
        weight = np.linalg.lstsq(x - self.centre, target - self.mean, rcond=None)[0]
        explained = ((x - self.centre) @ weight).var(0) / target.var(0)
        self.weight = weight * (explained > 0.2)

    def predict(self, inputs):
        return (self.features(inputs) - self.centre) @ self.weight + self.mean

    def state_dict(self):
        return {"weight": self.weight, "mean": self.mean, "centre": self.centre}

    def load_state_dict(self, state):
        self.weight, self.mean, self.centre = state["weight"], state["mean"], state["centre"]
"""


def test_an_estimator_that_finds_no_signal_where_there_is_none_keeps_the_contract(tmp_path, capsys):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (256, 40)).astype(np.uint8)
    declaration = Declaration("noise", (Target("expression"),), (Score.of("pearson"),))
    with create_challenge(tmp_path / "noise", declaration) as writer:
        writer.train.append(tokens, np.full(256, 40), target=rng.normal(size=256))
    noise, solution = open_challenge(tmp_path / "noise"), write_solution(tmp_path / "shrunk", SHRUNK)
    config, _ = configure(solution, 64)
    outcomes = require_contract(solution, noise, config, device=CPU)
    assert {each.clause: each.passed for each in outcomes}["variation"] is None
    assert "warning    all 256 rows that were tried get the same prediction" in capsys.readouterr().out
    constant = write_solution(tmp_path / "constant", SHRUNK.replace("(explained > 0.2)", "0"))
    assert failed(outcomes_of(constant, noise)) == ["variation"]
