"""The dual module has the layers, sizes and padding of its report, whose experiments are settings."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import count, one_hot
from timm.layers import Conv2dSame
from torch import nn
from torch.nn import functional

from competition.data.declaration import Shapes
from competition.training.solution import configure, load_solution

SOLUTION = load_solution(Path(__file__).parents[2] / "solutions" / "dual_module")
Config, Model = SOLUTION.Config, SOLUTION.Model
README = (SOLUTION.folder / "README.md").read_text(encoding="utf-8")
SMALL = {"window": (-640, 640), "sequence_filters": (8,), "module_dense": 6, "joint": (5,)}


def make_model(*, marks: bool = True, num_targets: int = 1, **changes) -> nn.Module:
    config = Config(**changes)
    start, stop = config.window
    inputs = {"sequence": (4, stop - start)} | ({"histone": (5, 100)} if marks else {})
    return Model(config, Shapes(inputs, tuple(f"t{i}" for i in range(num_targets))))


def draw(rows: int = 3, width: int = 1_280) -> tuple[torch.Tensor, torch.Tensor]:
    return one_hot(rows, width), torch.rand(rows, 5, 100, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("padding", "wanted"), [("same", 3_436_853), ("valid", 3_428_653)])
def test_it_has_the_published_number_of_parameters(padding, wanted):
    assert count(make_model(padding=padding)) == wanted


def test_each_part_has_the_published_number_of_parameters():
    model = make_model()
    assert count(model.sides["histone"]) == 39_782
    assert count(model.sides["sequence"]) == 3_380_470
    assert count(model.joint) + count(model.output) == 16_601


def test_shapes_at_every_stage_are_those_of_the_paper():
    model, sequence, marks = make_model().eval(), *draw(2, 10_000)
    pooled = {"histone": [], "sequence": []}
    for side, shapes in pooled.items():
        for layer in model.sides[side].convolutions:
            if isinstance(layer, nn.MaxPool2d):
                layer.register_forward_hook(lambda _, __, y, shapes=shapes: shapes.append(tuple(y.shape[1:])))
    model(sequence, marks)
    assert pooled == {"histone": [(50, 1, 20), (50, 1, 6)], "sequence": [(132, 1, 312)]}


def test_the_last_16_bases_are_dropped_by_the_pool_and_others_are_not():
    model, (sequence, marks) = make_model().eval(), draw(1, 10_000)
    with torch.no_grad():
        before = model(sequence, marks)
        for position, same in ((9_990, True), (9_970, False)):
            changed = sequence.clone()
            changed[:, :, position] = 1 - changed[:, :, position]
            assert torch.equal(model(changed, marks), before) == same


@pytest.mark.parametrize(("kernel", "dilation", "left"), [(10, 1, 4), (6, 1, 2), (5, 1, 2), (5, 2, 4)])
def test_same_padding_is_that_of_keras(kernel, dilation, left):
    changes = {"histone_kernels": (kernel, 5), "histone_dilations": (dilation, 1)}
    layer = make_model(**changes, **SMALL).sides["histone"].convolutions[0]
    impulse = torch.zeros(1, 5, 1, 41)
    impulse[..., 20] = 1
    seen = layer(impulse)[0, 0, 0].nonzero()[:, 0]
    assert (seen.min().item(), seen.max().item()) == (20 - (dilation * (kernel - 1) - left), 20 + left)


def test_pooling_before_the_activation_gives_the_numbers_of_pooling_after_it():
    x, pool = torch.randn(2, 3, 1, 64), nn.MaxPool2d((1, 5))
    for activation in (nn.ReLU(), nn.LeakyReLU(0.05)):
        assert torch.equal(activation(pool(x)), pool(activation(x)))


def test_dropout_acts_in_training_and_not_in_prediction():
    sequence, marks = draw()
    model = make_model(**SMALL)
    assert not torch.equal(model.train()(sequence, marks), model(sequence, marks))
    assert torch.equal(model.eval()(sequence, marks), model(sequence, marks))


def test_slopes_and_activations_are_those_of_the_paper():
    model = make_model()
    kinds = [type(layer) for layer in model.sides["sequence"].convolutions]
    assert kinds == [Conv2dSame, nn.MaxPool2d, nn.ReLU]
    slopes = {layer.negative_slope for layer in model.modules() if isinstance(layer, nn.LeakyReLU)}
    assert slopes == {0.05} == {side.slope for side in model.sides.values()}


def test_dna_convolutions_are_drawn_glorot_normal_and_the_rest_uniform():
    model = make_model()
    dna = model.sides["sequence"].convolutions[0].weight
    assert dna.std().item() == pytest.approx(np.sqrt(2 / (6 * (4 + 132))), rel=0.05)
    dense = model.sides["sequence"].dense.weight
    assert dense.abs().max().item() == pytest.approx(np.sqrt(6 / (41_184 + 82)), rel=1e-3)


@pytest.mark.parametrize(("modules", "deaf_to"), [("histone", 0), ("sequence", 1)])
def test_a_module_alone_does_not_read_the_other_input(modules, deaf_to):
    model, inputs = make_model(modules=modules, **SMALL).eval(), list(draw())
    before = model(*inputs)
    inputs[deaf_to] = torch.rand_like(inputs[deaf_to])
    assert torch.equal(model(*inputs), before)
    inputs[1 - deaf_to] = torch.rand_like(inputs[1 - deaf_to])
    assert not torch.equal(model(*inputs), before)


def test_a_challenge_without_marks_takes_the_sequence_alone():
    with pytest.raises(ValueError, match="no input 'histone'"):
        make_model(marks=False)
    assert make_model(marks=False, modules="sequence", **SMALL)(draw()[0]).shape == (3, 1)


def test_weights_of_the_first_stage_fit_the_second_by_name():
    first, second = make_model(stage="modules", **SMALL), make_model(freeze_modules=True, **SMALL)
    common = first.state_dict().keys() & second.state_dict().keys()
    assert common == {name for name in second.state_dict() if name.startswith("sides.")}
    assert all(first.state_dict()[name].shape == second.state_dict()[name].shape for name in common)


def test_the_first_stage_trains_each_module_by_its_own_output():
    model, (sequence, marks) = make_model(stage="modules", **SMALL), draw()
    batch = {"target": torch.randn(3, 1)}
    outputs = model(sequence, marks)
    assert outputs.shape == (2, 3, 1)
    wanted = sum(functional.mse_loss(each, batch["target"]) for each in outputs)
    assert torch.equal(model.loss(outputs, batch), wanted)
    assert torch.equal(model.predict(outputs), outputs.mean(0))


def test_frozen_modules_stay_as_they_are_while_the_joint_part_learns():
    model, (sequence, marks) = make_model(freeze_modules=True, **SMALL), draw()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer, _ = model.optimizer(1)
    functional.mse_loss(model(sequence, marks), torch.ones(3, 1)).backward()
    optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and not any(name.startswith("sides.") for name in moved)


def test_targets_learned_as_logarithms_come_back_in_their_unit():
    model, (sequence, marks) = make_model(log_targets=True, start_at_mean=True, **SMALL).eval(), draw()
    target = torch.tensor([[0.0], [10.0], [1000.0]])
    with torch.no_grad():
        model.initialize(target)
        assert model.output.bias.item() == pytest.approx(torch.log1p(target).mean().item())
        outputs = model(sequence, marks)
        assert torch.allclose(model.predict(outputs), torch.exp(outputs) - 1, atol=1e-4)
        exact = torch.log1p(target)
        assert model.loss(exact, {"target": target}).item() == 0
    with pytest.raises(ValueError, match="wanted counts"):
        model.initialize(-target - 2)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 8])
def test_each_experiment_of_the_paper_runs(number):
    config = Config.experiment(number)
    model = Model(config, Shapes({"sequence": (4, 4_000), "histone": (5, 100)}, ("y",)))
    assert model(*draw(2, 4_000)).shape == (2, 1)
    assert (config == Config()) == (number == 8)


def test_experiments_have_what_the_paper_names():
    first, second, third, sixth = (Config.experiment(number) for number in (1, 2, 3, 6))
    assert (len(first.histone_kernels), first.histone_dilations[0], first.joint) == (3, 1, (50, 10))
    assert min(first.histone_dilations[1:]) > 1 and first.joint_dropout == 0.5
    assert (len(first.sequence_kernels), len(second.sequence_kernels)) == (1, 2)
    assert third.window == (-2000, 2000)
    assert (len(sixth.histone_kernels), len(sixth.sequence_kernels), sixth.module_dropout) == (2, 1, 0.5)


def as_settings(*settings: str):
    return configure(SOLUTION, 600_000, settings=settings, published=True)[0]


def test_settings_of_the_readme_are_the_experiments():
    """Rows read: | number | `name=value name=value` | ..., perhaps after "those of 1,"."""
    rows = re.findall(r"^\| (\d) \| (?:those of (\d), )?`(.+?)`", README, re.MULTILINE)
    listed = {number: (base, settings.split()) for number, base, settings in rows}
    assert sorted(listed) == ["1", "2", "3", "4", "6"]
    for number, (base, settings) in listed.items():
        before = listed[base][1] if base else []
        assert as_settings(*before, *settings) == Config.experiment(int(number))


def test_commands_of_the_readme_train_experiment_5_in_two_stages():
    commands = [text for text in README.replace("\\\n", "").split("\n") if "joint=[100,50,10] --set" in text]
    first, second = (as_settings(*re.findall(r"--set (\S+)", command)) for command in commands)
    assert second == Config.experiment(5)
    assert first == dataclasses.replace(second, stage="modules", freeze_modules=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"modules": "all"}, {"padding": "full"}, {"stage": "second"}, {"histone_filters": (5,)},
        {"histone_dilations": (1,)}, {"stage": "modules", "freeze_modules": True},
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_network_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(reversed(wrong)))):
        Config(**wrong)


def test_few_rows_get_steps_enough_and_many_the_published_recipe():
    few, many = Config().adapt(2_400), Config().adapt(600_000)
    assert few.epochs * 2_400 / few.batch_size >= 900
    assert many == Config()
