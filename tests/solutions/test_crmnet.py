"""CRMnet is the published network: each detail that re-implementations get wrong has a test here."""

import dataclasses
import functools
import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import count
from torch import nn
from torch.nn import functional

from competition.data.declaration import Declaration, Score, Shapes, Target
from competition.training.solution import load_solution

crmnet = load_solution(Path(__file__).parents[2] / "solutions" / "crmnet")
Config, Model = crmnet.Config, crmnet.Model
package = Model.__module__.rpartition(".")[0]
layers = importlib.import_module(f"{package}.layers")
keras_weights = importlib.import_module(f"{package}.keras_weights")
recipe = importlib.import_module(f"{package}.solution")

TINY = {"filters": 8, "kernel": 5, "blocks": 4, "heads": 3, "key_dim": 4}
TINY |= {"head": (6, 5), "head_dropout": (0.2, 0.1)}


def build(*, targets=("y",), channels=5, **changes):
    torch.manual_seed(0)
    config = Config(**{**TINY, "window": (0, 32), **changes})
    start, stop = config.window
    return Model(config, Shapes({"sequence": (channels, stop - start)}, targets))


@functools.cache
def published(**changes):
    with torch.device("meta"):
        return Model(Config(**changes), Shapes({"sequence": (5, 112)}, ("y",)))


def statistics(model):
    return sum(buffer.numel() for name, buffer in model.named_buffers() if "running" in name)


def one_hot(num_rows, width, channels=5, seed=0):
    letters = np.random.default_rng(seed).integers(0, channels, (num_rows, width))
    return torch.eye(channels)[torch.from_numpy(letters)].transpose(1, 2)


# ---- sizes


def test_the_published_network_has_the_published_number_of_parameters():
    assert (count(published()), statistics(published())) == (34_165_681, 4_608)


def test_a_transformer_block_has_the_published_number_of_parameters():
    assert {count(block) for block in published().core[1].blocks} == {3_222_144}


def test_the_stages_have_the_published_numbers_of_parameters():
    model = published()
    sizes = [count(stage) + statistics(stage) for stage in [*model.encoder, *model.decoder, model.tail]]
    assert sizes == [402_048, 575_232, 1_936_896, 1_576_192, 1_115_904, 755_456, 755_456, 314_928]
    assert count(model.head) + count(model.output) == 961_025


@pytest.mark.parametrize(
    ("changes", "fewer"),
    [
        ({"transformer": False}, 25_777_152),
        ({"squeeze_excite": False}, 451_280),
        ({"position": "add"}, 0),
        ({"position": "none"}, 0),
    ],
)
def test_an_ablation_removes_just_its_parameters(changes, fewer):
    assert 34_165_681 - count(published(**changes)) == fewer


# ---- padding and layout, against plain numpy


def keras_convolution(x, kernel, bias, stride=1):
    """x (L, in), kernel (K, in, out): "same" as TensorFlow documents it."""
    taps, length = len(kernel), len(x)
    num_out = math.ceil(length / stride)
    pad = max((num_out - 1) * stride + taps - length, 0)
    padded = np.pad(x, ((pad // 2, pad - pad // 2), (0, 0)))
    return np.stack(
        [np.tensordot(padded[i * stride : i * stride + taps], kernel, 2) for i in range(num_out)]
    ) + bias  # fmt: skip


def keras_transposed(x, kernel, bias, stride=2):
    """x (L, in), kernel (K, out, in): the gradient of the "same" convolution from stride L to L."""
    taps, num_out = len(kernel), len(x) * stride
    pad = max((len(x) - 1) * stride + taps - num_out, 0)
    full = np.zeros((num_out + pad, kernel.shape[1]))
    for i, column in enumerate(x):
        full[i * stride : i * stride + taps] += kernel @ column
    return full[pad // 2 : pad // 2 + num_out] + bias


def signal(x):
    return torch.from_numpy(x.T)[None, :, None]  # (L, C) -> (1, C, 1, L)


def test_the_strided_convolution_pads_four_left_and_five_right():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(16, 3)), rng.normal(size=(11, 3, 3))
    down = layers.halving(3, 11).double()
    down[1].weight.data = torch.from_numpy(kernel.transpose(2, 1, 0)[:, :, None])
    wanted = np.maximum(keras_convolution(x, kernel, down[1].bias.detach().numpy(), stride=2), 0)
    np.testing.assert_allclose(down(signal(x))[0, :, 0].detach().T, wanted, atol=1e-12)
    assert [int(n) for n in down[0].padding] == [4, 5, 0, 0]


def test_the_transposed_convolution_is_aligned_as_in_keras():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(7, 3)), rng.normal(size=(11, 2, 3))
    up = layers.Doubling(3, 2, 11).double()
    up.weight.data = torch.from_numpy(kernel.transpose(2, 1, 0)[:, :, None])
    wanted = keras_transposed(x, kernel, up.bias.detach().numpy())
    np.testing.assert_allclose(up(signal(x))[0, :, 0].detach().T, wanted, atol=1e-12)


def test_the_shifted_alternative_of_the_transposed_convolution_would_be_seen():
    up, x = layers.Doubling(3, 2, 11), torch.randn(1, 3, 1, 7)
    wrong = functional.conv_transpose2d(x, up.weight, up.bias, (1, 2), (0, 5), (0, 1))
    assert wrong.shape == up(x).shape
    assert not torch.allclose(wrong, up(x), atol=1e-3)


def test_an_impulse_comes_out_of_the_ordinary_convolution_centred():
    conv, x = layers.convolution(1, 1, 11), torch.zeros(1, 1, 1, 32)
    x[..., 16] = 1
    with torch.no_grad():
        out = conv(x) - conv.bias[:, None, None]
    torch.testing.assert_close(out[0, 0, 0, 11:22], conv.weight[0, 0, 0].detach().flip(0))


# ---- wiring


def test_a_unit_is_convolution_relu_squeeze_excite_batch_norm_in_this_order():
    kinds = [type(layer) for layer in layers.unit(4, 4, 5, squeeze=True)]
    assert kinds == [nn.Conv2d, nn.ReLU, layers.SqueezeExcite, layers.BatchNorm]


def test_batch_norm_and_layer_norm_have_the_constants_of_keras():
    model = build()
    batch = {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    layer = {m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)}
    assert (batch, layer) == ({(1e-3, 0.01)}, {1e-6})


def test_the_running_statistics_follow_the_mean_and_variance_of_each_batch_itself():
    norm, mean, variance = layers.BatchNorm(3).double(), np.zeros(3), np.ones(3)
    for batch in np.random.default_rng(0).normal(2, 3, (5, 2, 3, 1, 4)):  # 8 values: unbiased would be 8 / 7
        norm(torch.from_numpy(batch))
        mean = 0.99 * mean + 0.01 * batch.mean((0, 2, 3))
        variance = 0.99 * variance + 0.01 * batch.var((0, 2, 3))
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_var, variance, rtol=1e-12)


def test_batch_norm_but_for_its_running_variance_is_the_usual_one():
    norm, usual = layers.BatchNorm(3), nn.BatchNorm2d(3, eps=1e-3)
    ours, theirs = (torch.arange(24.0).view(2, 3, 1, 4).sin().requires_grad_() for _ in range(2))
    for module, x in ((norm, ours), (usual, theirs)):
        module(x).pow(3).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    usual.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm.eval()(ours), usual.eval()(theirs))


def test_squeeze_excite_scales_channels_by_a_gate_of_their_means():
    squeeze, x = layers.SqueezeExcite(4), torch.randn(2, 4, 1, 6)
    first, _, second, _ = squeeze.gate
    mean = x.mean((2, 3))
    gate = torch.sigmoid(torch.relu(mean @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    torch.testing.assert_close(squeeze(x), x * gate[:, :, None, None])
    assert first.out_features == 2  # ratio 2, not the usual 16


def test_the_skip_is_taken_after_the_dropout_and_before_the_strided_convolution():
    stage = layers.EncoderStage(3, 4, 5, squeeze=True, dropout=0.5, halve=True)
    halved, skip = stage(torch.randn(2, 3, 1, 16))
    assert (skip == 0).float().mean() > 0.3  # batch norm alone leaves no exact zeros
    torch.testing.assert_close(halved, stage.down(skip))


def test_the_decoder_puts_the_skip_behind_the_upsampled_signal():
    stage = layers.DecoderStage(4, 3, 2, 5, squeeze=True).eval()
    x, skip = torch.randn(1, 4, 1, 8), torch.randn(1, 3, 1, 16)
    torch.testing.assert_close(stage(x, skip), stage.units(torch.cat([stage.up(x), skip], 1)))


def test_eight_blocks_are_wired_as_sums_of_pairs_between_a_first_and_a_last():
    t1, t2, t3, t4, t5, t6, t7, t8 = blocks = [layers.TransformerBlock(8, 2, 4, 4, 0.0) for _ in range(8)]
    x = torch.randn(2, 5, 8)
    y = t1(x)
    y = t2(y) + t3(y)
    y = t4(y) + t5(y)
    y = t6(y) + t7(y)
    torch.testing.assert_close(layers.Transformer(blocks)(x), t8(y))


def test_a_block_normalises_after_each_sum_and_its_feed_forward_narrows():
    block, x = layers.TransformerBlock(8, 2, 4, 4, 0.0), torch.randn(2, 5, 8)
    middle = block.norm1(x + block.attention(x))
    torch.testing.assert_close(block(x), block.norm2(middle + block.feed_forward(middle)))
    assert published().core[1].blocks[0].feed_forward[0].out_features == 128


def test_attention_is_scaled_dot_product_attention_with_heads_of_any_size():
    attention, x = layers.Attention(8, 3, 4), torch.randn(2, 5, 8)
    projections = (attention.query, attention.key, attention.value)
    query, key, value = (project(x).view(2, 5, 3, 4).transpose(1, 2) for project in projections)
    mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(2, 5, 12)
    torch.testing.assert_close(attention(x), attention.out(mixed))


def test_the_multiplied_code_is_the_published_one_and_erases_token_zero():
    code, tokens = layers.PositionCode("multiply", 14, 256, 112), torch.randn(2, 14, 256)
    wanted = torch.from_numpy(np.sin(np.arange(14) * 111 / 14)).float()
    torch.testing.assert_close(code(tokens), tokens * wanted[None, :, None])
    assert code(tokens)[:, 0].abs().max() == 0
    np.testing.assert_allclose(wanted[:4], [0, 0.9972, -0.1486, -0.9751], atol=5e-5)


def test_the_multiplied_code_follows_the_width():
    torch.testing.assert_close(
        layers.wave(5, 40)[:, 0], torch.from_numpy(np.sin(np.arange(5) * 39 / 5)).float()
    )


def test_the_added_code_differs_at_all_positions_and_keeps_token_zero():
    tokens = torch.randn(2, 14, 16)
    added = layers.PositionCode("add", 14, 16, 112)(tokens) - tokens
    assert torch.cdist(added[0], added[0]).fill_diagonal_(1).min() > 0.1
    torch.testing.assert_close(added[0, 0], torch.tensor([0.0] * 8 + [1.0] * 8), atol=1e-6, rtol=0)


def test_without_a_position_code_tokens_pass():
    tokens = torch.randn(2, 4, 8)
    assert layers.PositionCode("none", 4, 8, 32)(tokens) is tokens


def test_dropout_sits_where_it_was_published():
    model = published()

    def rates(part):
        return [m.p for m in part.modules() if isinstance(m, nn.Dropout)]

    assert (rates(model.encoder), rates(model.core)) == ([0.1] * 4, [0.1] * 16)
    assert (rates(model.decoder), rates(model.tail)) == ([], [])
    assert rates(model.head) == [0.2, 0.2, 0.1, 0.1]


def test_the_head_is_leaky_and_its_output_linear():
    model = published()
    assert [m.negative_slope for m in model.head if isinstance(m, nn.LeakyReLU)] == [0.1] * 4
    assert isinstance(model.output, nn.Linear)


def test_no_activation_module_is_used_twice():
    model, uses = build().eval(), {}
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, name=name: uses.update({name: uses.get(name, 0) + 1}))
    model(one_hot(1, 32))
    assert set(uses.values()) == {1}


# ---- the whole network, against numpy and Keras's layouts


class Keras:
    """A plain numpy reading of the published network that takes its arrays in Keras's order."""

    def __init__(self, seed):
        self.rng, self.arrays = np.random.default_rng(seed), []

    def draw(self, *shape, around=0.0):
        self.arrays.append(around + self.rng.normal(size=shape) * (0.5 if len(shape) == 1 else 0.3))
        return self.arrays[-1]

    def dense(self, x, size):
        return x @ self.draw(x.shape[-1], size) + self.draw(size)

    def convolve(self, x, filters, taps, stride=1):
        return np.maximum(
            keras_convolution(x, self.draw(taps, x.shape[1], filters), self.draw(filters), stride), 0
        )

    def squeeze_excite(self, x):
        hidden = np.maximum(self.dense(x.mean(0), x.shape[1] // 2), 0)
        return x / (1 + np.exp(-self.dense(hidden, x.shape[1])))

    def batch_norm(self, x):
        gamma, beta, mean = self.draw(x.shape[1]), self.draw(x.shape[1]), self.draw(x.shape[1])
        variance = np.abs(self.draw(x.shape[1], around=3.0))
        self.arrays[-1] = variance
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def units(self, x, filters, taps):
        for _ in range(2):
            x = self.batch_norm(self.squeeze_excite(self.convolve(x, filters, taps)))
        return x

    def layer_norm(self, x):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6)
        return x * self.draw(x.shape[1]) + self.draw(x.shape[1])

    def block(self, x, heads, key_dim):
        dim = x.shape[1]
        query, key, value = (
            np.einsum("ld,dhk->hlk", x, self.draw(dim, heads, key_dim)) + self.draw(heads, key_dim)[:, None]
            for _ in range(3)
        )
        logits = np.einsum("hlk,hmk->hlm", query, key) / math.sqrt(key_dim)
        weight = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
        mixed = np.einsum("hlm,hmk->hlk", weight, value)
        attended = np.einsum("hlk,hkd->ld", mixed, self.draw(heads, key_dim, dim)) + self.draw(dim)
        # Keras lists the dense layers before both norms.
        first, second = self.draw(dim, dim // 2), self.draw(dim // 2)
        third, fourth = self.draw(dim // 2, dim), self.draw(dim)
        u = self.layer_norm(x + attended)
        return self.layer_norm(u + np.maximum(u @ first + second, 0) @ third + fourth)

    def forward(self, x, config):
        """x (L, 5) with the channels N, A, C, G, T -> (1,)."""
        f, taps, skips = config.filters, config.kernel, []
        for number, filters in enumerate((f, f, 2 * f, 2 * f)):
            x = self.units(x, filters, taps)
            skips.append(x)
            if number < 3:
                x = self.convolve(x, filters, taps, stride=2)
        x = x * np.sin(np.arange(len(x)) * (8 * len(x) - 1) / len(x))[:, None]
        x = self.block(x, config.heads, config.key_dim)
        for _ in range(config.blocks // 2 - 1):
            x = self.block(x, config.heads, config.key_dim) + self.block(x, config.heads, config.key_dim)
        x = self.block(x, config.heads, config.key_dim)
        for skip in skips[2::-1]:
            up = keras_transposed(x, self.draw(taps, f, x.shape[1]), self.draw(f))
            x = self.units(np.concatenate([up, skip], 1), f, taps)
        for filters in (f, f // 2, f // 4):
            x = self.squeeze_excite(self.convolve(x, filters, taps))
        x = x.reshape(-1)
        for size in config.head:
            x = self.dense(x, size)
            x = np.where(x > 0, x, 0.1 * x)
        return self.dense(x, 1)


@pytest.mark.parametrize("width", [32, 40])
def test_keras_weights_give_what_a_plain_numpy_reading_of_the_network_gives(width):
    model = build(window=(0, width)).double().eval()
    letters = np.random.default_rng(1).integers(0, 5, width)  # A C G T N
    reference = Keras(seed=0)
    wanted = reference.forward(np.eye(5)[(letters + 1) % 5], model.config)  # N A C G T
    model.load_state_dict(keras_weights.from_keras(reference.arrays, model))
    got = model(torch.eye(5).double()[torch.from_numpy(letters)].T[None])
    np.testing.assert_allclose(got[0].detach(), wanted, rtol=1e-6)  # the code is float32


def test_swapping_the_channels_of_the_keras_weights_would_be_seen():
    model, reference = build().eval(), Keras(seed=0)
    reference.forward(np.eye(5)[np.arange(32) % 5], model.config)
    model.load_state_dict(keras_weights.from_keras(reference.arrays, model))
    right = model.encoder[0].units[0][0].weight.detach().clone()
    plain = torch.from_numpy(reference.arrays[0].transpose(2, 1, 0)[:, :, None]).float()
    torch.testing.assert_close(right[:, 4], plain[:, 0])  # our last plane is N, theirs the first
    torch.testing.assert_close(right[:, 0], plain[:, 1])


def test_keras_arrays_of_a_wrong_shape_or_number_are_refused_by_name():
    model, reference = build(), Keras(seed=0)
    reference.forward(np.eye(5)[np.arange(32) % 5], model.config)
    with pytest.raises(ValueError, match=r"got .* arrays; wanted"):
        keras_weights.from_keras(reference.arrays[:-1], model)
    reference.arrays[0] = reference.arrays[0].transpose(2, 1, 0)
    with pytest.raises(ValueError, match=r"array 0, for encoder\.0\..*wanted \(5, 5, 8\)"):
        keras_weights.from_keras(reference.arrays, model)


# ---- initialisation


def test_attention_starts_within_the_limits_that_keras_reads_off_its_kernels():
    attention = layers.Attention(256, 12, 256)
    layers.initialize_as_keras(attention)
    for project in (attention.query, attention.key, attention.value):
        assert 0.00935 * 0.99 < project.weight.abs().max() < 0.00936
    assert 0.03125 * 0.99 < attention.out.weight.abs().max() <= 0.03125


def test_convolutions_start_he_normal_truncated_at_two_deviations():
    conv = layers.convolution(128, 64, 11)
    layers.initialize_as_keras(conv)
    std = math.sqrt(2 / (128 * 11))
    assert conv.weight.std().item() == pytest.approx(std, rel=0.02)
    assert conv.weight.abs().max() <= 2 * std / 0.8796 + 1e-6


@pytest.mark.parametrize("layer", [nn.Linear(300, 100), layers.Doubling(30, 20, 11)])
def test_dense_and_transposed_layers_start_glorot_uniform(layer):
    layers.initialize_as_keras(layer)
    size = 400 if isinstance(layer, nn.Linear) else 50 * 11
    limit = math.sqrt(6 / size)
    assert 0.98 * limit < layer.weight.abs().max() <= limit
    assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)


def test_biases_start_at_zero():
    biases = [p for name, p in build().named_parameters() if name.endswith("bias")]
    assert all((bias == 0).all() for bias in biases)


# ---- recipe


def test_the_loss_is_huber_with_a_kink_at_one():
    loss = build().loss(torch.tensor([[0.5], [3.0]]), {"target": torch.zeros(2, 1)})
    assert loss.item() == pytest.approx((0.125 + 2.5) / 2)


def test_the_learning_rate_starts_low():
    assert build().optimizer(100)[1].get_last_lr() == pytest.approx([1e-4])


def test_the_learning_rate_warms_up_over_ten_of_fifty_epochs_and_falls_as_a_cosine():
    rates = [recipe.rate(Config(), epoch * 20, 50 * 20) for epoch in (0, 5, 10, 30, 50)]
    assert rates == pytest.approx([1e-4, 5.5e-4, 1e-3, 5.5e-4, 1e-4])


def test_the_learning_rate_never_jumps():
    steps = [recipe.rate(Config(), step, 1000) for step in range(1001)]
    assert np.abs(np.diff(steps)).max() < 5e-6


def test_the_published_recipe_stands_in_config():
    config = Config()
    wanted = {"batch_size": 1024, "epochs": 50, "patience": 10, "encoding": "acgtn", "window": (0, 112)}
    assert {name: getattr(config, name) for name in wanted} == wanted


def test_the_recipe_of_a_large_training_set_is_the_published_one():
    assert Config().adapt(51_339_035) == Config()


@pytest.mark.parametrize("num_rows", [200, 3_000, 20_000, 300_000])
def test_a_small_training_set_still_gets_enough_steps_and_no_validation_split(num_rows):
    config = Config().adapt(num_rows)
    assert config.patience is None
    assert math.log2(config.batch_size) % 1 == 0
    assert config.epochs * math.ceil(num_rows / config.batch_size) >= 165


def test_adapting_changes_the_recipe_and_not_the_network():
    changed = {
        field.name
        for field in dataclasses.fields(Config)
        if getattr(Config().adapt(3_000), field.name) != getattr(Config(), field.name)
    }
    assert changed <= {
        "batch_size",
        "epochs",
        "patience",
        "learning_rate",
        "initial_learning_rate",
        "final_learning_rate",
        "norm_momentum",
        "warm_up",
    }


def test_the_output_starts_at_the_mean_of_the_target_unless_told_otherwise():
    target = torch.tensor([[1.0, 10.0], [3.0, 20.0]])
    for start_at_mean, wanted in ((True, [2.0, 15.0]), (False, [0.0, 0.0])):
        model = build(targets=("a", "b"), start_at_mean=start_at_mean)
        with torch.no_grad():
            model.initialize(target)
        assert model.output.bias.tolist() == wanted


# ---- behaviour


@pytest.mark.parametrize("width", [8, 112, 200])
def test_any_multiple_of_eight_bases_and_any_number_of_targets_will_do(width):
    model = build(window=(0, width), targets=("a", "b", "c"), channels=4).eval()
    assert model(one_hot(2, width, channels=4)).shape == (2, 3)


@pytest.mark.parametrize("window", [(0, 110), (-5, 0), (8, 8)])
def test_another_width_is_refused_with_what_is_wanted(window):
    with pytest.raises(ValueError, match="wanted a multiple of 8"):
        Config(window=window)


@pytest.mark.parametrize(
    "wrong", [{"position": "rope"}, {"blocks": 3}, {"blocks": 0}, {"kernel": 4}, {"head": (8,)}]
)
def test_a_setting_that_makes_no_network_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Config(**wrong)


def test_it_asks_for_the_sequence_alone():
    score = Score.of("mse")
    toy = Declaration("toy", (Target("expression"),), (score,), inputs={"half_life": (8,)})
    assert crmnet.input_names(toy) == ("sequence",)


def test_predictions_are_not_rounded_to_half_precision():
    model = build().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.initialize(torch.full((4, 1), 10.03))
        model.output.weight.zero_()
        predictions = model(one_hot(2, 32))
    assert predictions.dtype == torch.float32
    torch.testing.assert_close(predictions, torch.full((2, 1), 10.03))


def test_half_precision_changes_little():
    model, x = build().eval(), one_hot(4, 32)
    with torch.no_grad():
        exact = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(x)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_training_lowers_the_loss_and_every_parameter_takes_part():
    model, x = build(learning_rate=1e-2), one_hot(16, 32)
    target = x[:, 2].mean(1, keepdim=True) * 20
    optimizer, scheduler = model.optimizer(30)
    losses = []
    for _ in range(30):
        loss = model.loss(model(x), {"target": target})
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
