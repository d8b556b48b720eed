"""Xpresso is the published network, with and without half-life features, and a dead one is not scored."""

import math
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from networks import count, one_hot
from torch import nn
from torch.nn import functional

from competition.data.declaration import Declaration, Score, Shapes, Target
from competition.training.cross_validation import collapsed
from competition.training.solution import load_solution

SOLUTION = load_solution(Path(__file__).parents[2] / "solutions" / "xpresso")
Config, Model = SOLUTION.Config, SOLUTION.Model

SMALL = {"window": (-400, 200), "filters": (8, 4), "pools": (10, 10)}


def shapes(width: int, num_features: int = 8, num_targets: int = 1) -> Shapes:
    features = {"half_life": (num_features,)} if num_features else {}
    return Shapes({"sequence": (4, width), **features}, tuple(f"tissue{i}" for i in range(num_targets)))


def make_model(num_features: int = 8, *, num_targets: int = 1, seed: int = 0, **fields) -> nn.Module:
    torch.manual_seed(seed)
    config = Config(**fields)
    return Model(config, shapes(config.window[1] - config.window[0], num_features, num_targets))


@pytest.mark.parametrize(("num_features", "expected"), [(8, 112_485), (6, 112_357), (0, 111_973)])
def test_parameters_are_as_published(num_features, expected):
    assert count(make_model(num_features)) == expected


def test_parameters_of_every_layer_are_as_published():
    model = make_model()
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert [count(layer) for layer in layers] == [3_200, 36_896, 72_256, 130, 3]


def test_shapes_at_every_layer_are_as_published():
    model, seen = make_model(), []
    for part in (*model.convolutions, *model.dense, model.output):
        part.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    model(one_hot(2, 10_500), torch.zeros(2, 8))
    first, second = (128, 1, 350), (32, 1, 35)
    convolutions = [(128, 1, 10_500), first, first, (32, 1, 350), second, second]
    assert seen == [*convolutions, *[(64,)] * 3, *[(2,)] * 3, (1,)]


@torch.no_grad()
def test_the_network_is_the_published_one_written_out():
    """In the order of the paper: convolution, ReLU, pool."""
    model, x, half_life = make_model().eval(), one_hot(2, 10_500), torch.randn(2, 8)
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        nn.init.uniform_(layer.bias, 0, 0.5)
    signal = x
    for layer, pad, pool in zip(layers, ((2, 3), (4, 4)), (30, 10), strict=False):
        signal = functional.conv1d(functional.pad(signal, pad), layer.weight.squeeze(2), layer.bias)
        signal = functional.max_pool1d(signal.relu(), pool)
    hidden = torch.cat([signal.flatten(1), half_life], dim=1)
    for layer in layers[2:4]:
        hidden = layer(hidden).relu()
    torch.testing.assert_close(model(x, half_life), layers[4](hidden), rtol=1e-4, atol=1e-5)


def test_the_window_is_published_around_the_tss():
    """The released code slices [3,000, 13,500) of 20 kb around a TSS at 10,000."""
    assert tuple(10_000 + edge for edge in Config().window) == (3_000, 13_500)


@pytest.mark.parametrize(
    ("kernel", "dilation", "expected"),
    [(6, 1, range(7, 13)), (9, 1, range(6, 15)), (1, 4, [10]), (4, 3, [5, 8, 11, 14])],
)
def test_convolutions_pad_as_tensorflow_does(kernel, dilation, expected):
    """Total d (k - 1), the smaller half on the left: these positions see an impulse at 10."""
    convolution = make_model(0, kernels=(kernel, 9), dilations=(dilation, 1), **SMALL).convolutions[0]
    nn.init.ones_(convolution.weight)
    impulse = torch.zeros(1, 4, 1, 20)
    impulse[..., 10] = 1
    seen = convolution(impulse)
    assert seen.shape == (1, 8, 1, 20)
    assert seen[0, 0, 0].nonzero().flatten().tolist() == list(expected)


def test_pools_drop_what_does_not_fill_them():
    pool, x = make_model().convolutions[1], torch.rand(1, 8, 1, 659)
    assert torch.equal(pool(x), x[..., :630].unflatten(-1, (21, 30)).amax(-1))


def test_pooling_before_the_relu_is_pooling_after_it():
    for leaky in (False, True):
        conv, pool, relu = make_model(0, leaky=leaky, **SMALL).convolutions[:3]
        x = conv(one_hot(2, 600).unsqueeze(2))
        assert torch.equal(relu(pool(x)), pool(relu(x)))


def test_half_life_reaches_the_prediction():
    model, x = make_model(leaky=True, **SMALL).eval(), one_hot(2, 600)
    assert not torch.equal(model(x, torch.zeros(2, 8)), model(x, torch.ones(2, 8)))


def test_without_half_life_the_promoter_is_the_only_input():
    challenge_has_none = make_model(0, **SMALL)
    set_so = make_model(8, half_life=False, **SMALL)
    assert count(challenge_has_none) == count(set_so)
    assert challenge_has_none(one_hot(2, 600)).shape == (2, 1)
    assert set_so(one_hot(2, 600), torch.zeros(2, 8)).shape == (2, 1)
    score = Score.of("mse")
    promoters = Declaration("toy", (Target("expression"),), (score,))
    assert SOLUTION.input_names(promoters) == ("sequence",)


def test_many_tissues_are_predicted_at_once():
    assert make_model(num_targets=3, **SMALL)(one_hot(2, 600), torch.zeros(2, 8)).shape == (2, 3)


def kill(model: nn.Module) -> nn.Module:
    """Push the bottleneck below zero for every input, as training may."""
    bottleneck = [module for module in model.dense if isinstance(module, nn.Linear)][-1]
    nn.init.constant_(bottleneck.bias, -1e3)
    return model.eval()


@pytest.mark.parametrize("leaky", [False, True])
@torch.no_grad()
def test_a_dead_bottleneck_gives_one_constant_unless_it_is_leaky(leaky):
    model = kill(make_model(leaky=leaky, **SMALL))
    predictions = model.predict(model(one_hot(50, 600), torch.randn(50, 8))).numpy()
    target = np.random.default_rng(0).normal(size=(50, 1))
    assert collapsed(predictions, target) == (not leaky)
    assert (len(np.unique(predictions)) == 1) == (not leaky)


@pytest.mark.parametrize("leaky", [False, True])
def test_a_dead_bottleneck_never_learns_again_unless_it_is_leaky(leaky):
    model = kill(make_model(leaky=leaky, **SMALL))
    model.loss(model(one_hot(4, 600), torch.randn(4, 8)), {"target": torch.randn(4, 1)}).backward()
    moved = [name for name, p in model.named_parameters() if p.grad.any()]
    assert ("dense.0.weight" in moved) == leaky
    assert "output.bias" in moved


@torch.no_grad()
def test_the_target_is_learned_as_a_z_score_and_predicted_in_its_unit():
    model, target = make_model(num_targets=2, **SMALL), torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    model.initialize(target)
    standard = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])  # a constant target has no deviation to divide by
    torch.testing.assert_close(model.predict(standard), target)
    assert model.loss(standard, {"target": target}) == 0
    assert model.loss(torch.zeros(2, 2), {"target": target}) == pytest.approx(0.5)
    assert {"mean", "deviation"} <= set(model.state_dict())  # a checkpoint predicts in the right unit


@torch.no_grad()
def test_standardise_off_leaves_the_target_as_it_is():
    model, target = make_model(standardise=False, **SMALL), torch.tensor([[1.0], [3.0]])
    model.initialize(target)
    assert model.loss(target, {"target": target}) == 0
    assert torch.equal(model.predict(target), target)


def test_weights_are_drawn_as_keras_draws_them():
    model = make_model()
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    for convolution, fans in zip(convolutions, (6 * (4 + 128), 9 * (128 + 32)), strict=True):
        std = math.sqrt(2 / fans)
        assert convolution.weight.std().item() == pytest.approx(std, rel=0.03)
        assert convolution.weight.abs().max().item() <= 2 * std / 0.8796
    first = model.dense[0].weight
    assert first.abs().max().item() == pytest.approx(math.sqrt(6 / (1_128 + 64)), rel=0.01)


def test_the_recipe_is_published():
    config, model = Config(), make_model(**SMALL)
    optimizer, scheduler = model.optimizer(10)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], scheduler) == (5e-4, 0.9, False, None)
    assert (len(optimizer.param_groups), group["weight_decay"]) == (1, 0)
    assert (config.batch_size, config.epochs, config.patience, config.stop_metric) == (128, 100, 7, "mse")
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.000992864149624538, 0.015461061523035332]


def test_the_named_optimizer_is_used():
    optimizer, _ = make_model(algorithm="adam", learning_rate=1e-3, **SMALL).optimizer(10)
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_predictions_are_single_precision_under_autocast():
    model = make_model(leaky=True, **SMALL).eval()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(one_hot(4, 600), torch.randn(4, 8))
    assert outputs.dtype == torch.float32
    assert not torch.equal(outputs, outputs.bfloat16().float())


def test_the_network_by_hand_is_as_published():
    config = Config.by_hand()
    assert tuple(10_000 + edge for edge in config.window) == (8_500, 11_500)
    model = Model(config, shapes(3_000))
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert [count(layer) for layer in layers] == [1_344, 20_544, (64 * 15 + 8) * 100 + 100, 101]


def test_a_small_training_set_takes_small_batches_and_few_epochs():
    config = Config().adapt(3_000)
    assert (config.batch_size, config.patience, config.leaky) == (32, None, True)
    assert config.epochs < Config().epochs


def test_a_large_training_set_changes_the_activation_alone():
    assert Config().adapt(16_377) == Config(leaky=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filters": (128,)}, "equal lengths"),
        ({"dense": (64,)}, "equal lengths"),
        ({"window": (-100, 100)}, "leave nothing"),
        ({"algorithm": "stg"}, "'stg'"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)


def test_search_reaches_the_published_network():
    layers = {"filters": (128, 32), "kernel": (6, 9), "dilation": (1, 1), "pool": (30, 10)}
    values = {"left": 7_000, "right": 3_500, "convolutions": 2, "dense": 2, "log2_batch_size": 7}
    values |= {"log2_filters1": 7, "log2_filters2": 5, "log2_dense1": 6, "log2_dense2": 1}
    values |= {f"{name}{i + 1}": pair[i] for name, pair in list(layers.items())[1:] for i in range(2)}
    values |= {f"dense_dropout{i + 1}": p for i, p in enumerate(Config().dense_dropout)}
    assert Config.search(optuna.trial.FixedTrial(values)) == Config()
