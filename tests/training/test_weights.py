"""Weights of training rows weigh their errors in the loss, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from competition import run as program
from competition.base.errors import InputError
from competition.base.terminal import Tracker
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from competition.training.batches import Batches
from competition.training.fit import Fit
from competition.training.network import Network
from competition.training.recipe import Recipe

ROWS = np.arange(60)
WEIGHT, VALUE = 3.0 * (ROWS % 4), np.random.default_rng(0).normal(5, 2, 60)  # a quarter weighs nothing


def build(folder, *, weight=WEIGHT, **declared):
    declaration = Declaration("toy", (Target("y"),), (Score.of("mse"),), **{"row_weights": True, **declared})
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("ACGT"), 40)) for _ in ROWS]
    with create_challenge(folder, declaration) as writer:
        for part in np.split(ROWS, [13]):
            tokens, lengths = encode([sequences[row] for row in part])
            some = None if weight is None else weight[part]
            writer.train.append(tokens, lengths, target=VALUE[part], weight=some)
    return open_challenge(folder)


def serve(opened, names=("sequence",)):
    return Batches(opened.train, opened.declaration, Recipe(), names, torch.device("cpu"))


def test_weights_come_with_training_batches_alone_and_their_mean_is_one(tmp_path):
    opened = build(tmp_path / "toy")
    np.testing.assert_allclose(opened.train.weight, WEIGHT / WEIGHT.mean(), rtol=1e-6)
    batches, rows = serve(opened), np.array([7, 3, 59])
    batch = batches.training(rows, seed=0, epoch=0)
    np.testing.assert_array_equal(batch["weight"], opened.train.weight[rows])
    assert list(batches.inputs(rows)) == ["sequence"]


def test_a_row_that_weighs_as_two_counts_as_two_in_the_default_loss():
    outputs, target = torch.randn(3, 2), torch.randn(3, 2)
    network, twice = Network(nn.Identity()), torch.tensor([0, 0, 2])
    weighted = network.loss(outputs, {"target": target, "weight": torch.tensor([2.0, 0.0, 1.0])})
    torch.testing.assert_close(weighted, network.loss(outputs[twice], {"target": target[twice]}))


class Constant(nn.Module):
    """Predict one number, and take steps down the gradient itself."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, sequence):
        return self.value.expand(len(sequence), 1)

    def optimizer(self, _):
        return torch.optim.SGD(self.parameters(), lr=0.5), None


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_step_goes_down_the_weighted_mean_over_the_whole_batch_however_it_is_cut(tmp_path, accumulate):
    opened, accelerator = build(tmp_path / "toy"), Accelerator(cpu=True)
    recipe, network = Recipe(batch_size=60, epochs=1, accumulate=accumulate), Network(Constant())
    fit = Fit(
        network, serve(opened), ROWS, recipe=recipe, folder=tmp_path, seed=0, fold=0,
        accelerator=accelerator,
    )  # fmt: skip
    fit.run(Tracker("", 1, shown=False))
    step_of_half_the_gradient = np.average(VALUE, weights=WEIGHT)  # from 0, lr .5 leads to the minimum
    assert network.core.value.item() == pytest.approx(step_of_half_the_gradient, rel=1e-5)


ESTIMATOR = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Config:
    window: tuple[int, int] = (0, 40)

class Estimator:
    def __init__(self, config, shapes): ...

    def fit(self, inputs, target, weight):
        assert list(inputs) == ["sequence"]
        self.mean = np.average(target, axis=0, weights=weight)

    def predict(self, inputs):
        return np.tile(self.mean, (len(inputs["sequence"]), 1))

    def state_dict(self):
        return {"mean": self.mean}
"""


@pytest.mark.parametrize("weighted", [True, False])
def test_an_estimator_that_names_weights_is_fitted_with_those_of_its_rows(tmp_path, weighted):
    build(tmp_path / "data/toy", **({} if weighted else {"row_weights": False, "weight": None}))
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean/solution.py").write_text(ESTIMATOR)
    folders = [part for name in ("data", "runs", "submissions") for part in (f"--{name}", tmp_path / name)]
    options = ("--challenge", "toy", "--folds", "2", "--run-id", "a", "--no-check", *folders)
    assert program.main(list(map(str, [tmp_path / "mean", *options]))) == 0
    oof = pd.read_csv(tmp_path / "runs/toy/mean/a/oof.csv")
    for fold in (0, 1):
        others = (oof["fold"] != fold).to_numpy()
        wanted = np.average(VALUE[others], weights=WEIGHT[others] if weighted else None)
        np.testing.assert_allclose(oof["y"][~others], wanted, rtol=1e-5)


def test_what_an_estimator_refuses_is_said_in_its_words(tmp_path, capsys):
    build(tmp_path / "data/toy")
    (tmp_path / "mean").mkdir()
    refusal = 'raise ValueError("weights; wanted none")'
    (tmp_path / "mean/solution.py").write_text(ESTIMATOR.replace("assert list", f"{refusal}; assert list"))
    folders = [part for name in ("data", "runs", "submissions") for part in (f"--{name}", tmp_path / name)]
    options = ("--challenge", "toy", "--folds", "2", "--no-check", "--set", "epochs=3", *folders)
    assert program.main(list(map(str, [tmp_path / "mean", *options]))) == 2
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "error: mean: weights; wanted none"
    assert "warning    epochs: not read by mean, an Estimator" in printed.out


def test_weights_are_no_input_and_nothing_else_may_have_their_name(tmp_path):
    opened = build(tmp_path / "toy")
    with pytest.raises(InputError, match="forward wants the input 'weight'"):
        serve(opened, names=("sequence", "weight"))
    with pytest.raises(InputError, match="an input cannot be called 'weight'"):
        build(tmp_path / "other", inputs={"weight": (1,)})


def test_weights_that_are_all_nothing_or_no_numbers_are_refused(tmp_path):
    with pytest.raises(InputError, match="every row has weight 0"):
        build(tmp_path / "toy", weight=0 * WEIGHT)
    with pytest.raises(InputError, match="weight: row 0 has nan; wanted finite numbers"):
        build(tmp_path / "toy", weight=np.nan * WEIGHT)
