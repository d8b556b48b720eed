"""ExpResNet has the units, pools and windows of its paper; settings cover what the paper leaves open."""

import importlib
from pathlib import Path

import pytest
import torch
from networks import count
from torch import nn
from torch.nn import functional

from competition.data.declaration import Shapes
from competition.training.solution import load_solution

SOLUTION = load_solution(Path(__file__).parents[2] / "solutions" / "expresnet")
Config, Model = SOLUTION.Config, SOLUTION.Model
Unit = importlib.import_module(Model.__module__).Unit
WINDOWS = [(-70_000, 25_000), (-20_000, 20_000), (-7_000, 3_500)]
TINY = {"window": (0, 240), "pools": (3, 2, 2, 2, 2), "channels": (4, 6, 8, 10, 12)}


def make_model(num_targets: int = 1, **changes) -> nn.Module:
    config = Config(**changes)
    width = config.window[1] - config.window[0]
    return Model(config, Shapes({"sequence": (4, width)}, tuple(f"t{i}" for i in range(num_targets))))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("bias", "wanted"), [(True, 6_429_133), (False, 6_421_453)])
def test_it_has_the_expected_number_of_parameters(window, bias, wanted):
    assert count(make_model(window=window, bias=bias)) == wanted


def test_each_unit_has_its_number_of_parameters():
    model = make_model()
    assert [count(unit) for unit in model.units] == [49_120, 335_040, 867_360, 1_642_880, 3_462_720]
    assert sum(map(count, (model.bottleneck, model.norm, model.output))) == 72_013


@pytest.mark.parametrize("window", WINDOWS)
def test_pools_divide_the_window_exactly_and_leave_25_positions(window):
    config, width = Config(window=window), window[1] - window[0]
    for pool in config.pool_sizes:
        assert width % pool == 0
        width //= pool
    assert width == config.final_width == 25


def test_adaptive_pools_of_the_paper_are_the_plain_ones_here():
    x, sizes = torch.randn(1, 2, 10_500), (1500, 750, 375, 125, 25)
    for pool, size in zip(Config(window=(-7_000, 3_500)).pool_sizes, sizes, strict=True):
        plain = functional.avg_pool1d(x, pool)
        assert torch.allclose(plain, functional.adaptive_avg_pool1d(x, size), atol=1e-6)
        x = plain


def test_shapes_after_every_unit():
    model, shapes = make_model(**TINY).eval(), []
    for unit in model.units:
        unit.register_forward_hook(lambda _, x, y: shapes.append((x[0].shape[3], *y.shape[1:])))
    assert model(torch.rand(2, 4, 240)).shape == (2, 1)
    assert shapes == [(240, 4, 1, 240), (80, 6, 1, 80), (40, 8, 1, 40), (20, 10, 1, 20), (10, 12, 1, 10)]


def plain_unit(unit: nn.Module, x: torch.Tensor, outer: int, inner: int) -> torch.Tensor:
    """Compute a unit from its weights, step by step, on (B, C, L)."""
    first, state = unit.first, unit.branch
    kernel = first.weight[:, :, 0]
    h = functional.conv1d(x, kernel, first.bias, padding=outer * (kernel.shape[2] // 2), dilation=outer)
    r = h
    for number, dilation in ((0, 1), (3, inner), (6, 1)):
        norm, convolution = state[number], state[number + 2]
        r = functional.batch_norm(r, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        weight = convolution.weight[:, :, 0]
        margin = dilation * (weight.shape[2] // 2)
        r = functional.conv1d(r.relu(), weight, convolution.bias, padding=margin, dilation=dilation)
    return h + r


@pytest.mark.parametrize(("dilate", "outer", "inner"), [("both", 4, 4), ("first", 4, 1), ("inner", 1, 4)])
def test_a_unit_adds_its_branch_to_its_first_convolution(dilate, outer, inner):
    torch.manual_seed(0)
    unit = Unit(Config(dilate=dilate), 4, 8, 3, 4).eval()
    for norm in (unit.branch[0], unit.branch[3], unit.branch[6]):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 4, 50)
    with torch.no_grad():
        assert torch.allclose(unit(x.unsqueeze(2)).squeeze(2), plain_unit(unit, x, outer, inner), atol=1e-5)


def test_a_residual_of_nothing_leaves_the_first_convolution():
    unit = Unit(Config(), 4, 8, 5, 1)
    nn.init.zeros_(unit.branch[8].weight)
    nn.init.zeros_(unit.branch[8].bias)
    x = torch.randn(2, 4, 1, 30)
    assert torch.equal(unit(x), unit.first(x))


def test_a_unit_keeps_the_length_whatever_its_dilation():
    for kernel, dilation in zip(Config().kernels, Config().dilations, strict=True):
        assert Unit(Config(), 4, 6, kernel, dilation)(torch.rand(1, 4, 1, 33)).shape == (1, 6, 1, 33)


def test_training_changes_what_is_saved_for_the_branch_and_not_the_sum():
    """ReLU in place must not reach the first convolution's output, which is added at the end."""
    unit, x = Unit(Config(), 4, 8, 3, 2).train(), torch.randn(3, 4, 1, 40)
    first = unit.first(x)
    kept = first.clone()
    total = first + unit.branch(first)
    assert torch.equal(first, kept)
    assert torch.equal(unit(x), total)


def test_what_the_paper_leaves_open_of_training_is_as_pytorch_has_it():
    model = make_model(**TINY)
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert all(m.weight.abs().max() <= m.weight[0].numel() ** -0.5 for m in layers)
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.1, 1e-5)}
    defaults = model.optimizer(10)[0].defaults
    assert (defaults["betas"], defaults["eps"]) == ((0.9, 0.999), 1e-8)


def bytes_saved(batch: int, width: int) -> int:
    """Return how many bytes a training step keeps for its way back, the weights left out."""
    model = make_model(window=(0, width), pools=(95, 2, 2, 2, 5))
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = model(torch.rand(batch, 4, width))
    assert output.shape == (batch, 1)
    return sum(sizes.values())


def test_eight_rows_of_95_kb_fit_into_8_gb():
    """Memory grows in proportion to rows and bases; the first unit at full length is nearly all of it."""
    small, large = bytes_saved(2, 3_800), bytes_saved(4, 7_600)
    assert large / small == pytest.approx(4, rel=0.1)
    assert large / (4 * 7_600) * 8 * 95_000 < 5e9  # float32; gradients of the way back come on top


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": (0, 1_000)}, {"pools": (95, 2)}, {"dilate": "all"}, {"schedule": "cosine"},
        {"window": (0, 100), "pools": (100, 2, 2, 2, 2)},
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_network_is_refused(wrong):
    with pytest.raises(ValueError, match=r"wanted|leave nothing"):
        Config(**wrong)


def test_few_genes_get_the_smallest_window_and_many_the_published_recipe():
    few, many = Config().adapt(900), Config().adapt(18_000)
    assert few.window == (-7_000, 3_500) and few.patience is None
    assert many == Config()
    assert (many.batch_size, many.learning_rate) == (8, 5e-5)
    assert (many.shift, many.stop_metric) == ((0, 30), "pearson")


def test_many_tissues_are_predicted_at_once_and_start_at_their_means():
    model = make_model(3, start_at_mean=True, **TINY)
    with torch.no_grad():
        model.initialize(torch.tensor([[1.0, 2, 3], [3, 4, 5]]))
    assert model.output.bias.tolist() == [2, 3, 4]
