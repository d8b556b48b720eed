"""A solution is found by path, and its Config is laid out in layers: published, adapted, tuned, set."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.base import toml
from competition.base.errors import InputError
from competition.data.declaration import Declaration, Score, Target
from competition.training.recipe import Recipe
from competition.training.solution import (
    coerce,
    configure,
    describe,
    load_solution,
    shapes,
)
from competition.training.tuned import write_tuned

PLAIN = Declaration("toy", (Target("expression"),), (Score.of("mse"),))
CONFIG = """
from dataclasses import dataclass, replace

@dataclass(frozen=True)
class Config:
    window: tuple[int, int] = (0, 80)
    filters: int = 64
    rate: float = 0.01
    patience: int | None = 10

    def __post_init__(self):
        if self.filters < 1:
            raise ValueError(f"filters {self.filters}; wanted at least 1")
"""
ADAPT = """
    def adapt(self, num_rows):
        return replace(self, filters=32) if num_rows < 1000 else self
"""
MODEL = """
class Model:
    def __init__(self, config, challenge): ...
    def forward(self, sequence, histone): ...
"""
ESTIMATOR = """
class Estimator:
    def __init__(self, config, challenge): ...
"""


def write(folder: Path, text: str = CONFIG + ADAPT + MODEL, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, content in {"solution": text, **files}.items():
        (folder / f"{name}.py").write_text(content)
    return folder


@pytest.fixture
def solution(tmp_path):
    return load_solution(write(tmp_path / "toy"))


def test_a_solution_is_loaded_with_its_name_and_the_inputs_its_model_names(solution, tmp_path):
    assert (solution.name, solution.folder) == ("toy", tmp_path / "toy")
    assert solution.Config().filters == 64
    assert solution.input_names(PLAIN) == ("sequence", "histone")


def test_an_input_with_a_default_is_asked_for_where_the_challenge_has_it(tmp_path):
    text = CONFIG + MODEL.replace("histone", "histone=None")
    solution = load_solution(write(tmp_path / "toy", text))
    assert solution.input_names(PLAIN) == ("sequence",)
    assert solution.input_names(dataclasses.replace(PLAIN, inputs={"histone": (5, 100)})) == (
        "sequence",
        "histone",
    )


def test_an_estimator_is_a_solution_too(tmp_path):
    solution = load_solution(write(tmp_path / "toy", CONFIG + ESTIMATOR))
    assert solution.Model is None
    inputs = {"histone": (5, 100)}
    assert solution.input_names(dataclasses.replace(PLAIN, inputs=inputs)) == ("sequence", "histone")


def test_files_of_a_solution_are_its_own_whatever_others_call_theirs(tmp_path):
    text = "from .layers import NAME\n" + CONFIG + MODEL + "    name = NAME\n"
    for parent in ("here", "there"):
        write(tmp_path / parent / "toy", text, layers=f"NAME = {parent!r}\n")
    models = [load_solution(tmp_path / parent / "toy").Model for parent in ("here", "there")]
    assert [model.name for model in models] == ["here", "there"]


@pytest.mark.parametrize("name", ["v1.0", "with space", "ü-2", "class"])
def test_a_folder_may_have_any_name(tmp_path, name):
    text = "from .layers import NAME\n" + CONFIG + MODEL
    assert load_solution(write(tmp_path / name, text, layers="NAME = 1\n")).name == name


def test_a_folder_that_is_no_solution_is_named_with_those_beside_it(tmp_path):
    write(tmp_path / "crmnet")
    with pytest.raises(InputError, match=r"crmnett is not a solution: it has no solution\.py.*: crmnet$"):
        load_solution(tmp_path / "crmnett")
    with pytest.raises(InputError, match=r"Solutions in .*: none$"):
        load_solution(tmp_path / "nowhere" / "crmnet")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MODEL, "defines no dataclass Config"),
        ("class Config: ...\n" + MODEL, "defines no dataclass Config"),
        (CONFIG, "must define either Model or Estimator"),
        (CONFIG + MODEL + ESTIMATOR, "must define either Model or Estimator"),
    ],
)
def test_a_solution_that_lacks_a_name_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        load_solution(write(tmp_path / "toy", text))


def test_the_digest_follows_the_sources_and_not_the_rest(tmp_path):
    solution = load_solution(write(tmp_path / "toy"))
    digests = [solution.digest]
    for name in ("README.md", "layers.py", "tuned.toml"):
        (tmp_path / "toy" / name).write_text("")
        digests.append(solution.digest)
    assert digests[0] == digests[1] != digests[2]
    assert digests[3] == digests[2]  # what was tuned is told by the Config


def test_a_config_that_does_not_say_gets_the_default(solution):
    config = solution.Config()
    assert Recipe.of(config) == Recipe(window=(0, 80), patience=10)


def test_shapes_are_what_forward_will_get(solution):
    targets, scores = (Target("a"), Target("b")), (Score.of("mse"),)
    challenge = Declaration("toy", targets, scores, inputs={"histone": (5, 100)})
    found = shapes(solution.Config(window=(-3, 7)), challenge)
    assert found.inputs == {"sequence": (4, 10), "histone": (5, 100)}
    assert found.targets == ("a", "b")


def test_the_shape_of_a_sequence_that_stays_tokens_is_its_window():
    assert shapes(Recipe(window=(-3, 7), encoding="tokens"), PLAIN).inputs == {"sequence": (10,)}


def test_without_anything_laid_over_it_the_recipe_is_as_published(solution):
    config, changes = configure(solution, 5000)
    assert (config, changes, describe(changes)) == (solution.Config(), {}, "as published")


def test_each_layer_is_laid_over_the_one_before(solution):
    assert configure(solution, 100)[0].filters == 32
    (solution.folder / "tuned.toml").write_text("[toy]\nfilters = 16\nrate = 1\n")
    assert configure(solution, 100, tuned_for="toy")[1] == {"filters": 16, "rate": 1.0}
    config, changes = configure(
        solution, 100, settings=["filters=8", "patience=none", "window=[1, 9]"], tuned_for="toy"
    )
    assert (config.filters, config.rate, config.patience, config.window) == (8, 1.0, None, (1, 9))
    assert describe(changes) == "window=(1, 9), filters=8, rate=1.0, patience=None"


def test_the_published_recipe_takes_settings_but_neither_tuning_nor_size(solution):
    (solution.folder / "tuned.toml").write_text("[toy]\nrate = 1.0\n")
    config, changes = configure(solution, 100, settings=["patience=3"], published=True, tuned_for="toy")
    assert config == dataclasses.replace(solution.Config(), patience=3)
    assert changes == {"patience": 3}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("filter=3", r"unknown Config field 'filter'; did you mean 'filters'\?"),
        ("zzz=3", "unknown Config field 'zzz'; known: accumulate, batch_size, .*, filters, .*, rate, "),
        ("epochs=many", "epochs = 'many': wanted int"),
        ("epochs=0", "epochs 0; wanted a whole number, 1 or more"),
        ("challenge=genes", "--set challenge=genes; wanted --challenge genes"),
        ("filters", "--set filters: wanted name=value"),
        ("filters=many", "filters = 'many': wanted int"),
        ("filters=1.5", "filters = 1.5: wanted int"),
        ("filters=true", "filters = True: wanted int"),
        ("filters=none", "filters = 'none': wanted int"),
        ("patience=x", r"patience = 'x': wanted int \| None"),
        ("window=5", r"window = 5: wanted tuple\[int, int\]"),
        ("window=[1]", r"window = \[1\]: wanted tuple\[int, int\]"),
        ("window=[1, 2, 3]", r"wanted tuple\[int, int\]"),
        ("window=[1, 'b']", r"wanted tuple\[int, int\]"),
        ("filters=0", "toy: filters 0; wanted at least 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(solution, setting, words):
    with pytest.raises(InputError, match=words):
        configure(solution, 5000, settings=[setting])


def test_a_field_of_the_harness_can_be_set_where_the_config_does_not_define_it(solution):
    config, changes = configure(solution, 100, settings=["gradient_clip=1", "ema=none", "filters=8"])
    assert changes == {"filters": 8, "gradient_clip": 1.0}
    assert (Recipe.of(config).gradient_clip, Recipe.of(config).window) == (1.0, (0, 80))
    (solution.folder / "tuned.toml").write_text("[toy]\nepochs = 3\n")
    assert Recipe.of(configure(solution, 5000, tuned_for="toy")[0]).epochs == 3


def test_what_tuning_wrote_is_checked_like_a_setting(solution):
    (solution.folder / "tuned.toml").write_text("[toy]\nfilter = 3\n")
    with pytest.raises(InputError, match="did you mean 'filters'"):
        configure(solution, 5000, tuned_for="toy")
    (solution.folder / "tuned.toml").write_text("filters = ")
    with pytest.raises(InputError, match=r"tuned\.toml is not valid TOML"):
        configure(solution, 5000, tuned_for="toy")


@dataclass(frozen=True)
class Kinds:
    """A field of every kind a Config may have."""

    number: float = 0.0
    count: int = 0
    switch: bool = False
    text: str = ""
    maybe: float | None = None
    word_or_nothing: str | None = None
    sizes: tuple[int, ...] = ()
    rates: tuple[float, float] = (0.0, 0.0)
    pairs: tuple[tuple[int, str], ...] = ()
    choice: Literal["relu", "gelu", 3] = "relu"
    named: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    plain: tuple = ()


NUMBERS = st.floats(allow_nan=False)
WORDS = st.text(max_size=6).filter(lambda text: text.lower() != "none")
KINDS = st.builds(
    Kinds, number=NUMBERS, count=st.integers(-(2**63), 2**63 - 1), switch=st.booleans(), text=WORDS,
    maybe=st.none() | NUMBERS, word_or_nothing=st.none() | WORDS, rates=st.tuples(NUMBERS, NUMBERS),
    sizes=st.lists(st.integers(0, 9)).map(tuple),
    pairs=st.lists(st.tuples(st.integers(0, 9), WORDS), max_size=3).map(tuple),
    named=st.dictionaries(WORDS, st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2),
    choice=st.sampled_from(["relu", "gelu", 3]), plain=st.tuples(st.booleans(), st.text(max_size=3)),
)  # fmt: skip


@given(KINDS)
def test_a_config_survives_toml(config):
    document = tomllib.loads(toml.dumps(dataclasses.asdict(config)))
    assert Kinds(**{name: coerce(Kinds, name, value) for name, value in document.items()}) == config


def test_the_window_of_any_config_can_be_said_by_sequence(solution):
    config, changes = configure(solution, 5000, settings=["window={promoter = [-5, 80]}"])
    assert config.window == {"promoter": (-5, 80)} == changes["window"]
    write_tuned(solution.folder, "toy", changes, "by hand")
    assert configure(solution, 5000, tuned_for="toy") == (config, changes)
    with pytest.raises(InputError, match=r"Config field window = .*: wanted tuple"):
        configure(solution, 5000, settings=["window={promoter = 80}"])


def test_a_config_that_needs_a_pair_refuses_windows_by_sequence_in_one_line(tmp_path):
    pair = "        if self.window[1] - self.window[0] < 8:\n            raise ValueError('short')\n"
    needs_pair = load_solution(write(tmp_path / "pair", CONFIG + pair + MODEL))
    with pytest.raises(InputError, match=r"^pair: its Config does not take window={'promoter'"):
        configure(needs_pair, 5000, settings=["window={promoter = [-5, 80]}"])


def test_a_tuple_may_be_typed_without_brackets(solution):
    assert configure(solution, 5000, settings=["window=-7000,3500"])[0].window == (-7000, 3500)
    assert coerce(Kinds, "sizes", "4, 5,6") == (4, 5, 6)
    assert coerce(Kinds, "rates", "1,5e-4") == (1.0, 0.0005)
    assert coerce(Kinds, "plain", "relu, gelu") == ("relu", "gelu")
    assert coerce(Kinds, "text", "a,b") == "a,b"
    for setting in ("window=0,1,2", "window=0,b", "window=[0,230"):
        with pytest.raises(InputError, match=r"Config field window = '.*': wanted tuple"):
            configure(solution, 5000, settings=[setting])


def test_whole_numbers_will_do_for_floats_and_the_word_none_for_nothing():
    assert repr(coerce(Kinds, "number", 3)) == "3.0"
    assert repr(coerce(Kinds, "rates", [1, 2])) == "(1.0, 2.0)"
    assert coerce(Kinds, "maybe", "None") is coerce(Kinds, "word_or_nothing", "none") is None
    assert coerce(Kinds, "text", "none") == "none"


@pytest.mark.parametrize(
    ("name", "value"),
    [("number", "1"), ("switch", 1), ("text", 1), ("maybe", True), ("choice", "selu"), ("rates", [1.0]),
     ("pairs", [[1, 2]]), ("named", {"a": [1]}), ("named", [1, 2]), ("sizes", [True]), ("sizes", 1)],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(name, value):
    with pytest.raises(InputError, match=f"Config field {name} = .*: wanted "):
        coerce(Kinds, name, value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("batch_size", 0, "batch_size 0; wanted a whole number, 1 or more"),
        ("epochs", 0, "epochs 0; wanted a whole number, 1 or more"),
        ("epochs", 2.5, "epochs 2.5; wanted a whole number, 1 or more"),
        ("accumulate", 0, "accumulate 0; wanted a whole number, 1 or more"),
        ("restarts", 0, "restarts 0; wanted a whole number, 1 or more"),
        ("patience", -1, "patience -1; wanted a whole number, 0 or more"),
        ("encoding", "acgtu", "encoding 'acgtu' is unknown"),
        ("mutate", math.nan, "mutate nan; wanted a share of the bases"),
        ("ema", math.nan, "ema nan; wanted a decay"),
        ("gradient_clip", -1.0, "gradient_clip -1.0; wanted a norm above 0"),
        ("gradient_clip", math.inf, "gradient_clip inf; wanted a norm above 0"),
        ("ema", 1.0, "ema 1.0; wanted a decay from 0 to below 1"),
        ("gradient_clip", 0.0, "gradient_clip 0.0; wanted a norm above 0"),
        ("stop_metric", "pearsn", "unknown stop_metric 'pearsn'; did you mean 'pearson'"),
        ("restarts", 2, "needs a validation split"),
    ],
)
def test_a_recipe_that_no_model_can_be_trained_by_is_refused(field, value, words):
    with pytest.raises(InputError, match=words):
        Recipe(**{field: value})
