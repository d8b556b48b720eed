"""Enformer-lite is the published network: sizes, padding, features, loss and initialisation."""

import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import count, one_hot
from scipy import stats
from torch import nn
from torch.nn import functional

from competition.data.declaration import Shapes
from competition.training.solution import load_solution

SOLUTION = load_solution(Path(__file__).parents[2] / "solutions" / "enformer_lite")
Config, Model = SOLUTION.Config, SOLUTION.Model
package = Config.__module__.rpartition(".")[0]
layers, attention = (import_module(f"{package}.{name}") for name in ("layers", "attention"))
solution = import_module(Config.__module__)


def make_model(width: int = 85, *, num_targets: int = 1, seed: int = 0, **fields) -> nn.Module:
    torch.manual_seed(seed)
    shapes = Shapes({"sequence": (4, width)}, tuple(f"target{i}" for i in range(num_targets)))
    return Model(Config(**fields), shapes)


def test_parameters_of_every_stage_are_as_published():
    model = make_model()
    stages = [count(part) for part in (model.stem, model.tower, model.final, model.output)]
    assert stages == [3_456, 223_584, 37_440, 577]
    assert [count(block) for block in model.transformer] == [432_640] * 4
    assert count(model) == 1_995_617


def test_shapes_at_every_stage_are_as_published():
    model, shapes = make_model(), []
    for part in (model.stem, *model.tower, *model.transformer, model.final, model.output):
        part.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    model(one_hot(2, 85))
    tower = [(64, 1, 43), (64, 1, 22), (128, 1, 11), (192, 1, 6)]
    assert shapes == [(48, 1, 85), *tower, *[(6, 192)] * 4, (192, 1, 3), (1,)]


@pytest.mark.parametrize("width", [1, 16, 17, 80, 112, 230])
def test_any_window_is_read(width):
    assert make_model(width, num_targets=2)(one_hot(3, width)).shape == (3, 2)


def test_window_and_shift_make_the_three_published_copies():
    config = Config()
    starts = range(config.window[0] + config.shift[0], config.window[0] + config.shift[1] + 1)
    width = config.window[1] - config.window[0]
    assert [(start, start + width) for start in starts] == [(14, 99), (15, 100), (16, 101)]


def test_tower_sizes_grow_exponentially_in_multiples_of_32():
    assert layers.tower_filters(48, 192, num_stages=4, multiple=32) == [64, 64, 128, 192]


def test_gelu_is_the_sigmoid_approximation():
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(layers.gelu()(x), x * torch.sigmoid(1.702 * x))
    assert (layers.gelu()(x) - nn.GELU()(x)).abs().max() > 0.01
    assert (layers.gelu()(x) - nn.GELU(approximate="tanh")(x)).abs().max() > 0.01


def test_a_convolution_of_kernel_4_reads_one_base_left_and_two_right():
    convolution = layers.convolution(1, 1, 4)
    nn.init.ones_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    impulse = torch.zeros(1, 1, 1, 9)
    impulse[..., 4] = 1
    assert convolution(impulse).flatten().nonzero().flatten().tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(("stride", "length"), [(1, 6), (1, 7), (2, 6), (2, 7), (1, 1), (2, 1)])
def test_pools_pad_with_minus_infinity_on_the_right(stride, length):
    x = -1 - torch.rand(2, 3, 1, length)  # zeros as padding would win over these
    expected = [x[..., i : i + 2].amax(-1) for i in range(0, length, stride)]
    torch.testing.assert_close(layers.Pool(stride)(x), torch.stack(expected, dim=-1))


def test_the_stem_pools_with_stride_1_and_the_rest_with_stride_2():
    model = make_model()
    pools = [module.stride for module in model.modules() if isinstance(module, layers.Pool)]
    assert pools == [1, 2, 2, 2, 2, 2]


def test_batch_norm_and_activation_come_before_the_convolution():
    norm, gelu, convolution = layers.conv_block(8, 16, 4)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(gelu, type(layers.gelu()))
    assert isinstance(convolution, nn.Conv2d)
    assert (norm.eps, norm.momentum, norm.num_features) == (1e-5, 0.1, 8)


def features_in_numpy(num_tokens: int, num_bases: int) -> np.ndarray:
    """The definition, one distance and one basis after the other."""
    distances = np.arange(-num_tokens + 1, num_tokens)
    exponential, mask, gamma = (np.zeros((len(distances), num_bases)) for _ in range(3))
    half_lives = 2 ** np.linspace(3, np.log2(num_tokens), num_bases)
    means = np.linspace(num_tokens / num_bases, num_tokens, num_bases)
    deviation = num_tokens / (2 * num_bases)
    for row, distance in enumerate(distances):
        size = abs(distance)
        for basis in range(num_bases):
            exponential[row, basis] = math.exp(-math.log(2) * size / half_lives[basis])
            mask[row, basis] = float(size < 2 ** (basis + 1) - 1)
            shape, scale = (means[basis] / deviation) ** 2, deviation**2 / means[basis]
            gamma[row, basis] = stats.gamma.pdf(size, shape, scale=scale) + 1e-8
    symmetric = np.hstack([exponential, mask, gamma / gamma.max(axis=0)])
    return np.hstack([symmetric, np.sign(distances)[:, None] * symmetric])


@pytest.mark.parametrize(("num_tokens", "num_features"), [(6, 24), (13, 24), (5, 12), (1, 24)])
def test_relative_features_are_as_defined(num_tokens, num_features):
    features = attention.relative_features(num_tokens, num_features).numpy()
    expected = features_in_numpy(num_tokens, num_features // 6)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-7)


def test_the_first_half_of_the_features_is_even_and_the_second_odd():
    even, odd = attention.relative_features(6, 24).chunk(2, dim=1)
    assert torch.equal(even, even.flip(0))
    assert torch.equal(odd, -odd.flip(0))
    assert odd[5].eq(0).all() and even[5, 8:].lt(1e-6).all()  # no gamma density at distance 0


def test_every_gamma_density_is_scaled_to_its_own_largest_value():
    gamma = attention.relative_features(6, 24)[:, 8:12]
    assert torch.equal(gamma.amax(0), torch.ones(4))


@pytest.mark.parametrize("num_tokens", [1, 2, 6])
def test_shift_looks_up_the_distance_from_query_to_key(num_tokens):
    logits = torch.randn(2, 3, num_tokens, 2 * num_tokens - 1)
    token = torch.arange(num_tokens)
    distance = token[None, :] - token[:, None] + num_tokens - 1  # [i, j] = j - i
    assert torch.equal(attention.shift(logits), logits.gather(3, distance.expand(2, 3, -1, -1)))


def make_attention(dim: int = 24, heads: int = 2, key_size: int = 5, num_tokens: int = 4):
    torch.manual_seed(0)
    module = attention.RelativeAttention(dim, heads, key_size, num_tokens, dropout=0.0, position_dropout=0.0)
    module.initialize()
    nn.init.normal_(module.out.weight)
    return module.double()


def test_attention_is_the_formula_entry_by_entry():
    module, x = make_attention(), torch.randn(1, 4, 24, dtype=torch.float64)
    module.features = module.features.double()
    query, key, value = (p(x[0]).unflatten(1, (2, -1)) for p in (module.query, module.key, module.value))
    distance = module.distance(module.features).unflatten(1, (2, -1))
    mixed = torch.zeros(4, 2, 12, dtype=torch.float64)
    for head in range(2):
        for i in range(4):
            scaled = query[i, head] / math.sqrt(5)  # the biases are not
            content, position = (scaled + b[head, 0] for b in (module.content_bias, module.position_bias))
            logits = [content @ key[j, head] + position @ distance[j - i + 3, head] for j in range(4)]
            mixed[i, head] = torch.stack(logits).softmax(0) @ value[:, head]
    torch.testing.assert_close(module(x)[0], module.out(mixed.flatten(1)))


def test_attention_distinguishes_left_from_right():
    module, x = make_attention(), torch.randn(1, 4, 24, dtype=torch.float64)
    assert not torch.allclose(module(x).flip(1), module(x.flip(1)))
    module.features[:, 6:] = 0  # the signed half
    torch.testing.assert_close(module(x).flip(1), module(x.flip(1)))


def test_attention_starts_with_zero_output():
    model, x = make_model().eval(), torch.randn(2, 6, 192)
    for block in model.transformer:
        assert block.attention(x).eq(0).all()
        torch.testing.assert_close(block(x), x + block.mlp(block.norm2(x)))


def test_weights_are_initialised_as_published():
    model = make_model()
    block, convolution = model.transformer[0], model.tower[3][0][2]
    assert block.attention.query.weight.std().item() == pytest.approx(math.sqrt(2 / 192), rel=0.02)
    assert block.attention.distance.weight.std().item() == pytest.approx(math.sqrt(2 / 24), rel=0.04)
    assert block.attention.content_bias.std().item() == pytest.approx(math.sqrt(2 / 8), rel=0.15)
    # Truncated at two deviations and not rescaled: 0.88 of 1 / sqrt(fan in) is left.
    assert block.mlp[0].weight.std().item() == pytest.approx(0.8796 / math.sqrt(192), rel=0.02)
    assert block.mlp[0].weight.abs().max().item() <= 2 / math.sqrt(192) + 1e-6
    assert model.stem[0].weight.std().item() == pytest.approx(0.8796 / math.sqrt(4 * 5), rel=0.1)
    limit = math.sqrt(3 / ((128 * 4 + 192 * 4) / 2))
    assert convolution.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert convolution.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert all(not m.bias.any() for m in model.modules() if isinstance(m, nn.Linear) and m.bias is not None)


@torch.no_grad()
def unsettle(model: nn.Module) -> nn.Module:
    """Move what starts as zero or one, so that nothing is without effect."""
    for value in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
        if (value == value.flatten()[0]).all():
            value.add_(torch.rand_like(value) * 0.2)
    return model.eval()


def written_out(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The published network as one function of 1-D signals (B, C, L), for the published sizes."""

    def w(name: str) -> torch.Tensor:
        return weights[name].squeeze(2) if weights[name].ndim == 4 else weights[name]

    def conv(x: torch.Tensor, name: str) -> torch.Tensor:
        kernel = w(f"{name}.weight").shape[-1]
        x = functional.pad(x, ((kernel - 1) // 2, kernel // 2))
        return functional.conv1d(x, w(f"{name}.weight"), w(f"{name}.bias"))

    def block(x: torch.Tensor, name: str) -> torch.Tensor:
        norm = [w(f"{name}.0.{part}") for part in ("running_mean", "running_var", "weight", "bias")]
        x = functional.batch_norm(x, *norm, eps=1e-5)
        return conv(x * torch.sigmoid(1.702 * x), f"{name}.2")

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, w(f"{name}.weight"), weights.get(f"{name}.bias"))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], w(f"{name}.weight"), w(f"{name}.bias"), 1e-5)

    def attend(x: torch.Tensor, name: str) -> torch.Tensor:
        query, key, value = (
            linear(x, f"{name}.{part}").unflatten(2, (8, -1)) for part in ("query", "key", "value")
        )
        distance = linear(torch.from_numpy(features_in_numpy(6, 4)).float(), f"{name}.distance").unflatten(
            1, (8, -1)
        )
        token = torch.arange(6)
        distance = distance[token[None, :] - token[:, None] + 5]  # (query, key, head, 64)
        content, position = (query / 8 + w(f"{name}.{part}_bias")[:, 0] for part in ("content", "position"))
        logits = torch.einsum("bihk,bjhk->bhij", content, key) + torch.einsum(
            "bihk,ijhk->bhij", position, distance
        )
        mixed = torch.einsum("bhij,bjhv->bihv", logits.softmax(3), value)
        return linear(mixed.flatten(2), f"{name}.out")

    x = conv(x, "stem.0")
    x = x + block(x, "stem.1.module")
    x = functional.max_pool1d(functional.pad(x, (0, 1), value=-math.inf), 2, stride=1)
    for stage in range(4):
        x = block(x, f"tower.{stage}.0")
        x = x + block(x, f"tower.{stage}.1.module")
        x = functional.max_pool1d(functional.pad(x, (0, x.shape[2] % 2), value=-math.inf), 2)
    x = x.transpose(1, 2)
    for name in (f"transformer.{number}" for number in range(4)):
        x = x + attend(norm(x, f"{name}.norm1"), f"{name}.attention")
        x = x + linear(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.0").relu(), f"{name}.mlp.3")
    x = functional.max_pool1d(block(x.transpose(1, 2), "final.0"), 2)
    x = x * torch.sigmoid(1.702 * x)
    return torch.log1p(linear(x.flatten(1), "output").exp())


@torch.no_grad()
def test_the_network_is_the_published_one_written_out():
    model, x = unsettle(make_model()), one_hot(20, 85)
    expected = written_out(model.state_dict(), x)
    assert expected.std() > 0.1
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_dropout_rates_are_as_published():
    model = make_model()
    block = model.transformer[0]
    rates = [block.attention.dropout.p, block.attention.position_dropout.p, block.dropout.p]
    rates += [module.p for module in (*block.mlp, *model.final) if isinstance(module, nn.Dropout)]
    assert rates == [0.05, 0.01, 0.4, 0.4, 0.4, 0.05]
    assert isinstance(block.mlp[1], nn.Dropout)  # before the ReLU


def test_loss_is_poisson_without_its_constant():
    model, outputs = make_model(), torch.rand(5, 1) * 17
    target = torch.rand(5, 1) * 17
    expected = np.mean(outputs.numpy() - target.numpy() * np.log(outputs.numpy() + 1e-7))
    assert model.loss(outputs, {"target": target}).item() == pytest.approx(float(expected), rel=1e-6)


def test_loss_is_finite_at_zero_and_single_precision_even_for_half_precision_outputs():
    model = make_model()
    loss = model.loss(torch.zeros(2, 1, dtype=torch.bfloat16), {"target": torch.full((2, 1), 17.0)})
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-17 * math.log(1e-7), rel=1e-6)


def test_loss_is_least_at_the_target():
    model, target = make_model(), torch.full((1, 1), 9.0)
    losses = [model.loss(target + step, {"target": target}).item() for step in (-0.5, 0.0, 0.5)]
    assert min(losses) == losses[1]


def test_predictions_are_positive_and_single_precision_under_autocast():
    model = make_model().eval()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(one_hot(4, 85))
    assert outputs.dtype == torch.float32
    assert outputs.gt(0).all()
    assert not torch.equal(outputs, outputs.bfloat16().float())


@pytest.mark.parametrize("bad", [-0.1, float("nan")])
def test_targets_that_poisson_cannot_take_are_refused(bad):
    target = torch.tensor([[1.0], [bad]])
    with pytest.raises(ValueError, match="targets from 0 on; got"):
        make_model().initialize(target)


@torch.no_grad()
def test_the_squared_error_takes_negative_targets():
    model = make_model(objective="mse", start_at_mean=True)
    model.initialize(torch.tensor([[-3.0], [1.0]]))
    assert model.output.bias.item() == pytest.approx(-1)
    assert model.loss(torch.zeros(2, 1), {"target": torch.tensor([[-3.0], [1.0]])}).item() == pytest.approx(5)


@torch.no_grad()
def test_the_output_starts_at_the_mean_on_request_alone():
    target = torch.tensor([[8.0, 0.0], [10.0, 0.0]])
    started, published = make_model(num_targets=2, start_at_mean=True), make_model(num_targets=2)
    for model in (started, published):
        model.initialize(target)
    torch.testing.assert_close(functional.softplus(started.output.bias), torch.tensor([9.0, 0.001]))
    assert not published.output.bias.any()


def test_the_named_optimizer_is_used():
    """The released script runs plain SGD for any optimizer but momentum."""
    optimizer, scheduler = make_model().optimizer(10)
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["weight_decay"], scheduler) == (0.01, 0.9, 0, None)
    assert (group["nesterov"], len(optimizer.param_groups)) == (False, 1)
    adamw, _ = make_model(algorithm="adamw", weight_decay=0.01).optimizer(10)
    assert isinstance(adamw, torch.optim.AdamW)
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.01]


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing():
    rates = [solution.one_cycle(step, 100) for step in range(101)]
    assert rates[:20] == pytest.approx(np.linspace(0.05, 1, 20))
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert (rates[20], rates[60], rates[100]) == pytest.approx((1, 0.5, 0))
    assert solution.one_cycle(0, 1) == 1


def test_every_parameter_gets_a_gradient():
    model = make_model()
    model.loss(model(one_hot(4, 85)), {"target": torch.ones(4, 1)}).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_small_training_set_takes_small_batches_and_few_epochs():
    config = Config().adapt(3_072)
    assert config.batch_size == 32
    assert config.epochs < 50
    assert config.patience is None
    sizes = [Config().adapt(rows).batch_size for rows in (10, 5_000, 50_000, 500_000)]
    assert sizes == sorted(sizes)
    assert all(math.log2(size).is_integer() and size >= 32 for size in sizes)


def test_a_large_training_set_takes_the_published_recipe():
    assert Config().adapt(6_700_000) == Config()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": 190}, "channels 190"),
        ({"heads": 6}, "heads 6"),
        ({"window": (5, 5)}, "0 bases"),
        ({"objective": "mae"}, "'mae'"),
        ({"algorithm": "lyon"}, "'lyon'"),
        ({"schedule": "step"}, "'step'"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)
