"""A benchmark that cannot run says why in one line, and none is out of step with the kit."""

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SMALL = {
    "audit": ["--rows", "100"],
    "batches": ["--rows", "64", "--batch-size", "16", "--seconds", "0"],
    "bootstrap": ["--challenge", "toy"],
    "ensemble": ["--members", "2", "--rows", "100"],
    "prepare": ["--rows", "100"],
}
WRONG = {
    "audit": (["--rows", "0"], "wanted at least 100"),
    "batches": (["--rows", "10"], "wanted two batches or more"),
    "bootstrap": ([], "python -m data_prep dream2022 download/"),
    "ensemble": (["--members", "0"], "wanted a member"),
    "prepare": (["--rows", "0"], "wanted at least 1"),
}


def run(name: str, arguments: list[str]) -> int:
    status: int = runpy.run_path(str(FOLDER / f"{name}.py"))["main"](arguments)
    return status


def test_every_benchmark_is_tried_here():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(SMALL) == sorted(WRONG)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_benchmark_prints_what_it_measured(name, toy_challenge, tmp_path, monkeypatch, capsys):
    toy_challenge(tmp_path / "data/toy")
    monkeypatch.chdir(tmp_path)
    assert run(name, SMALL[name]) == 0
    assert "kit " in capsys.readouterr().out


@pytest.mark.parametrize("name", WRONG)
def test_a_benchmark_that_cannot_run_says_so_in_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, words = WRONG[name]
    assert run(name, arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
