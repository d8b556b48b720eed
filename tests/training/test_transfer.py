"""A run that starts from another one takes over its trunk, and its outputs in the unit of the new targets."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from competition import run as program
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge

SOLUTION = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass(frozen=True)
class Config:
    window: tuple[int, int] = (0, 40)
    batch_size: int = 32
    epochs: int = 40
    filters: int = 8
    rate: float = 0.02
    output: str = "linear"

class Model(nn.Module):
    def __init__(self, config, shapes):
        super().__init__()
        self.config = config
        self.first = nn.Conv1d(4, config.filters, 5)
        self.last = nn.Linear(config.filters, len(shapes.targets))
        self.register_buffer("mean", torch.zeros(len(shapes.targets)))
        self.register_buffer("scale", torch.ones(len(shapes.targets)))

    def initialize(self, target):
        if self.config.output == "standardised":
            self.mean.copy_(target.mean(0))
            self.scale.copy_(target.std(0))
        else:
            self.last.bias.copy_(target.mean(0))

    def forward(self, sequence):
        x = self.last(torch.relu(self.first(sequence)).mean(2))
        return nn.functional.softplus(x) if self.config.output == "softplus" else x

    def loss(self, outputs, batch):
        return nn.functional.mse_loss(outputs, (batch["target"] - self.mean) / self.scale)

    def predict(self, outputs):
        return outputs * self.scale + self.mean

    def optimizer(self, num_steps):
        return torch.optim.Adam(self.parameters(), lr=self.config.rate), None
"""


def build(folder, *, seed, targets=("y",), factor=1.0, offset=0.0):
    """Build a challenge whose target counts G and C, in some unit."""
    tokens = np.random.default_rng(seed).integers(0, 4, (120, 40)).astype(np.uint8)
    count = ((tokens == 1) | (tokens == 2)).sum(1) + 0.3 * np.random.default_rng(seed).normal(size=120)
    declaration = Declaration(folder.name, tuple(map(Target, targets)), (Score.of("r2"),))
    with create_challenge(folder, declaration) as writer:
        target = np.stack([factor * count + offset] * len(targets), axis=1)
        writer.train.append(tokens, np.full(120, 40), target=target)


@pytest.fixture
def home(tmp_path):
    build(tmp_path / "data/old", seed=0)
    build(tmp_path / "data/new", seed=1, factor=100, offset=7)
    (tmp_path / "net").mkdir()
    (tmp_path / "net/solution.py").write_text(SOLUTION)
    return tmp_path


def run(home, challenge, run_id, *more, solution="net"):
    folders = [f"--{name}={home / name}" for name in ("data", "runs", "submissions")]
    options = ("--challenge", challenge, "--run-id", run_id, "--folds", "2", "--no-check", "--device", "cpu")
    status = program.main([str(home / solution), *options, *folders, *more])
    return home / "runs" / challenge / solution / run_id if status == 0 else None


def weights(folder, fold=0):
    return load_file(folder / f"fold{fold}/weights.safetensors")


def r2(home, challenge, run_id):
    manifest = home / f"submissions/{challenge}/net-{run_id}.json"
    return json.loads(manifest.read_text())["oof"]["r2"]


STILL = ("--set", "epochs=1", "--set", "rate=0.0")


@pytest.mark.parametrize("output", ["linear", "standardised", "softplus"])
def test_before_any_step_predictions_are_in_the_unit_of_the_new_targets(home, output):
    before = run(home, "old", "a", "--set", f"output={output}")
    run(home, "new", "b", "--init", str(before), "--set", f"output={output}", *STILL)
    assert r2(home, "old", "a") > 0.7
    assert r2(home, "new", "b") == pytest.approx(r2(home, "old", "a"), abs=0.1)


def test_what_initialize_keeps_of_the_targets_is_of_the_new_ones(home):
    standardised = ("--set", "output=standardised")
    before = run(home, "old", "a", *standardised)
    fresh = weights(run(home, "new", "fresh", *standardised, *STILL))
    tuned = weights(run(home, "new", "tuned", "--init", str(before), *standardised, *STILL))
    assert torch.equal(tuned["mean"], fresh["mean"]) and torch.equal(tuned["scale"], fresh["scale"])
    assert torch.equal(tuned["first.weight"], weights(before)["first.weight"])


@pytest.mark.parametrize("targets", [("z",), ("y", "z")])
def test_other_targets_get_a_new_head_on_the_old_trunk(home, capsys, targets):
    build(home / "data/other", seed=2, targets=targets)
    before = run(home, "old", "a")
    tuned = weights(run(home, "other", "b", "--init", str(before), *STILL))
    fresh = weights(run(home, "other", "c", *STILL))
    assert torch.equal(tuned["first.weight"], weights(before)["first.weight"])
    assert torch.equal(tuned["last.bias"], fresh["last.bias"])
    assert tuned["last.weight"].shape == (len(targets), 8)
    said = f"a new head: targets y there, {', '.join(targets)} here"
    assert said in " ".join(capsys.readouterr().out.split())


def test_on_the_same_challenge_all_is_as_it_was(home):
    before = run(home, "old", "a")
    after = run(home, "old", "b", "--init", str(before), *STILL)
    for fold in range(2):
        pairs = zip(weights(before, fold).values(), weights(after, fold).values(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


def test_a_layer_whose_shape_follows_the_window_is_new_and_named(home, capsys):
    source = home / "net/solution.py"
    flat = SOLUTION.replace("nn.Linear(config.filters,", "nn.Linear(config.filters * (width - 4),")
    flat = flat.replace("super().__init__()", "super().__init__(); _, width = shapes.inputs['sequence']")
    source.write_text(flat.replace(".mean(2))", ".flatten(1))"))
    before = run(home, "old", "a", "--set", "epochs=1")
    tuned = run(home, "new", "b", "--init", str(before), "--set", "window=[0, 30]", *STILL)
    assert torch.equal(weights(tuned)["first.weight"], weights(before)["first.weight"])
    assert weights(tuned)["last.weight"].shape == (1, 8 * 26)
    assert "of 6 tensors; new: last.weight" in " ".join(capsys.readouterr().out.split())


def test_the_challenge_of_the_other_run_is_known_by_its_checksum(home, capsys):
    before = run(home, "old", "a", "--set", "epochs=1")
    (home / "data/old").rename(home / "data/renamed")
    assert run(home, "new", "b", "--init", str(before), *STILL) is not None
    (home / "data/renamed").rename(home / "elsewhere")
    assert run(home, "new", "c", "--init", str(before), *STILL) is None
    assert f"{home / 'data'} has no 'old' of sha256" in capsys.readouterr().err


def test_another_architecture_is_refused_with_the_settings_of_the_run(home, capsys):
    before = run(home, "old", "a", "--set", "filters=4")
    assert run(home, "new", "b", "--init", str(before)) is None
    assert capsys.readouterr().err.strip().endswith("of another architecture; --set filters=4")


def test_weights_of_every_fold_are_checked_before_any_is_trained(home, capsys):
    before = run(home, "old", "a")
    path = before / "fold1/weights.safetensors"
    spoilt = weights(before, 1)
    spoilt["last.weight"][0, 0] = torch.nan
    save_file(spoilt, path, metadata=header(path))
    assert run(home, "new", "b", "--init", str(before)) is None
    assert f"{path}: last.weight is not finite" in capsys.readouterr().err
    assert not (home / "runs/new").exists()


def header(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_an_estimator_starts_from_no_weights(home, capsys):
    before = run(home, "old", "a")
    (home / "mean").mkdir()
    text = SOLUTION[: SOLUTION.index("class Model")] + "class Estimator: ...\n"
    (home / "mean/solution.py").write_text(text)
    assert run(home, "old", "b", "--init", str(before), solution="mean") is None
    assert "mean is an Estimator, which starts from no weights; leave --init away" in capsys.readouterr().err


def test_homologs_of_the_challenge_itself_cannot_be_excluded(home, capsys):
    assert run(home, "old", "a", "--exclude-homologs-of", "old") is None
    assert "--exclude-homologs-of old: that is the challenge to be trained on" in capsys.readouterr().err


def test_a_challenge_that_leaves_a_fold_no_row_cannot_be_excluded(home, capsys):
    build(home / "data/copy", seed=0, offset=1)
    assert run(home, "old", "a", "--exclude-homologs-of", "copy") is None
    assert "120 of 120 training rows are homologous to its rows" in capsys.readouterr().err
