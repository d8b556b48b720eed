"""What is written as TOML reads back as it was, and a file is the old one or the new one."""

import math
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.base import toml
from competition.base.errors import InputError
from competition.base.files import write_text

TEXT = st.text(max_size=12)
PLAIN = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXT)
VALUES = st.recursive(
    PLAIN | st.lists(PLAIN, max_size=3), lambda v: st.dictionaries(TEXT, v, max_size=3), max_leaves=6
)
TABLES = st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=3)
DOCUMENTS = st.dictionaries(TEXT, VALUES | TABLES, max_size=4)


@given(DOCUMENTS)
def test_a_document_survives_a_round_trip(document):
    assert tomllib.loads(toml.dumps(document)) == document


@given(st.text())
def test_any_text_survives_as_key_and_as_value(text):
    assert tomllib.loads(toml.dumps({text: text})) == {text: text}


@pytest.mark.parametrize("value", [1, 1.0, True, "1", -0.0, 1e300, math.inf, -math.inf, 2**62])
def test_a_value_keeps_its_type(value):
    [back] = tomllib.loads(toml.dumps({"value": value})).values()
    assert (type(back), repr(back)) == (type(value), repr(value))


def test_not_a_number_is_still_not_a_number():
    assert math.isnan(tomllib.loads(toml.dumps({"value": math.nan}))["value"])


def test_nothing_is_left_out_and_tuples_are_lists():
    document = {"a": None, "b": (1, 2), "c": {"d": None}, "e": [{"f": None, "g": 1}]}
    assert tomllib.loads(toml.dumps(document)) == {"b": [1, 2], "c": {}, "e": [{"g": 1}]}


@pytest.mark.parametrize("value", [np.zeros(2), np.int64(1), object(), {1, 2}, [None]])
def test_what_toml_has_no_form_for_is_refused(value):
    with pytest.raises(TypeError, match="TOML has no form for"):
        toml.dumps({"value": value})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist; wanted a TOML file"),
        (b"a = ", "not valid TOML"),
        (b"a = '\xff'", "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, words):
    path = tmp_path / "some.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"some\.toml.*{words}"):
        toml.load(path)


def test_text_is_written_as_it_is_and_read_back(tmp_path):
    path = tmp_path / "some.toml"
    write_text(path, toml.dumps({"unit": "µ\n", "n": 1}))
    assert b"\r" not in path.read_bytes()
    assert toml.load(path) == {"unit": "µ\n", "n": 1}


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path):
    path = tmp_path / "some.toml"
    write_text(path, "a = 1\n")
    with pytest.raises(InputError, match="cannot be written as UTF-8"):
        write_text(path, "x" * 100_000 + "\ud800")  # a byte of a command line that is no text
    assert path.read_text() == "a = 1\n"
    assert [each.name for each in tmp_path.iterdir()] == ["some.toml"]
