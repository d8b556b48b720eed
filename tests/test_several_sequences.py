"""Rows with several sequences, from a table to the board."""

import json

import numpy as np
import pandas as pd
import pytest

from competition import audit, check, compare, run, submission
from competition.data.challenge import open_challenge
from competition.data.declaration import InputSequence
from competition.data.tokens import decode
from data_prep.__main__ import main as prepare

TWO_TOWERS = '''
"""A tower for each sequence; their pooled features meet in one linear layer. Source: this test."""
from dataclasses import dataclass
import torch
from torch import nn

@dataclass(frozen=True)
class Config:
    shift: tuple[int, int] = (-2, 2)
    reverse_complement: bool = True
    batch_size: int = 32
    epochs: int = 12

class Model(nn.Module):
    def __init__(self, config, shapes):
        super().__init__()
        names = ("promoter", "terminator")
        self.towers = nn.ModuleList(nn.Conv1d(shapes.inputs[name][0], 16, 5) for name in names)
        self.output = nn.Linear(32, len(shapes.targets))

    def forward(self, promoter, terminator):
        pooled = [torch.relu(tower(x)).mean(2) for tower, x in zip(self.towers, (promoter, terminator))]
        return self.output(torch.cat(pooled, 1))

    def initialize(self, inputs, target):
        assert list(inputs) == ["promoter", "terminator"]
        self.output.bias.copy_(target.mean(0))

    def optimizer(self, num_steps):
        return torch.optim.Adam(self.parameters(), lr=0.01), None
'''


def gc_of(sequence: str) -> float:
    return (sequence.count("G") + sequence.count("C")) / len(sequence)


def write_table(path, count: int = 400) -> pd.DataFrame:
    """Write rows whose expression is told by both sequences alike: one alone explains half of it."""
    rng = np.random.default_rng(0)
    columns = {}
    for name, length in (("promoter", 60), ("terminator", 40)):
        shares = [[(1 - gc) / 2] * 2 + [gc / 2] * 2 for gc in rng.uniform(0.2, 0.8, count)]
        columns[name] = ["".join(rng.choice(list("ATGC"), length, p=share)) for share in shares]
    told = np.array([sum(map(gc_of, pair)) for pair in zip(*columns.values(), strict=True)])
    usage = np.where(rng.random(count) < 0.2, "public", "train")
    frame = pd.DataFrame({**columns, "expression": told + rng.normal(0, 0.02, count), "usage": usage})
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_table(home / "t.csv")
    options = ("--sequence", "promoter,terminator", "--origin", "promoter=60", "--name", "toy")
    assert prepare(["table", str(home / "t.csv"), *options, "--output", str(home / "data/toy")]) == 0
    (home / "towers").mkdir()
    (home / "towers/solution.py").write_text(TWO_TOWERS)
    (home / "towers/README.md").write_text("Two towers. Source: this test.")
    return home


def folders(home, *names: str) -> list[str]:
    return [part for name in names for part in (f"--{name}", str(home / name))]


def train(home, solution, run_id: str, *more: str) -> None:
    options = ("--challenge", "toy", "--folds", "2", "--run-id", run_id, *more)
    assert run.main([str(solution), *options, *folders(home, "data", "runs", "submissions")]) == 0


def test_a_model_of_two_sequences_keeps_the_contract_and_learns_from_both(home):
    assert check.main([str(home / "towers"), "--challenge", "toy", *folders(home, "data")]) == 0
    train(home, home / "towers", "a")
    manifest = json.loads((home / "submissions/toy/towers-a.json").read_text())
    assert manifest["oof"]["pearson"] > 0.85  # a perfect model of one sequence reaches .71
    assert manifest["scores"]["public"]["pearson"] > 0.85


def test_the_floor_counts_kmers_in_both(home, request):
    train(home, request.config.rootpath / "solutions/kmer_ridge", "a", "--set", "k=2")
    manifest = json.loads((home / "submissions/toy/kmer_ridge-a.json").read_text())
    assert manifest["oof"]["pearson"] > 0.85


def test_a_solution_for_one_sequence_is_told_what_there_is(home, request, capsys):
    starter, kmer_ridge = (request.config.rootpath / "solutions" / name for name in ("starter", "kmer_ridge"))
    options = ("--challenge", "toy", "--no-check", *folders(home, "data", "runs", "submissions"))
    assert run.main([str(starter), *options]) == 2
    assert "wants the input 'sequence'; challenge 'toy' has: promoter, terminator" in capsys.readouterr().err
    assert run.main([str(kmer_ridge), *options, "--set", "window=[0, 40]"]) == 2
    assert "window (0, 40) does not say of which sequence" in capsys.readouterr().err


def test_predictions_of_several_sequences_are_known_by_id_alone(home, tmp_path, capsys):
    opened = open_challenge(home / "data/toy")
    promoters = decode(np.asarray(opened.test.sequences["promoter"].tokens))
    pd.DataFrame({"promoter": promoters, "y": 0.5}).to_csv(tmp_path / "p.csv", index=False)
    arguments = ("--challenge", "toy", *folders(home, "data"))
    assert submission.main(["check", str(tmp_path / "p.csv"), *arguments]) != 0
    assert "is no id; wanted ids, as the rows of toy have several sequences" in capsys.readouterr().out
    ids = opened.test.rows["id"]
    pd.DataFrame({"id": ids, "expression": np.arange(len(ids))}).to_csv(tmp_path / "p.csv", index=False)
    assert submission.main(["check", str(tmp_path / "p.csv"), *arguments]) == 0
    assert submission.main(["export", str(tmp_path / "p.csv"), *arguments, "--to", "dream-tsv"]) == 2


def test_a_comparison_shows_all_sequences_of_a_row(home, tmp_path, capsys):
    opened = open_challenge(home / "data/toy")
    ids = opened.test.rows["id"]
    for name, values in (("a", np.arange(len(ids))), ("b", np.sin(np.arange(len(ids))))):
        pd.DataFrame({"id": ids, "expression": values}).to_csv(tmp_path / f"{name}.csv", index=False)
    pair = (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert compare.main([*pair, "--challenge", "toy", *folders(home, "data"), "--rows", "1"]) == 0
    said = capsys.readouterr().out
    shown = {
        name: [text for text in decode(np.asarray(each.tokens)) if text in said]
        for name, each in opened.test.sequences.items()
    }
    assert {name: len(texts) for name, texts in shown.items()} == {"promoter": 1, "terminator": 1}


def test_an_audit_checks_each_sequence_and_rows_for_homologs_of_any(home, tmp_path, capsys):
    frame = pd.read_csv(home / "t.csv")
    leaking = frame.index[frame["usage"] == "public"][:9]
    donors = frame.index[frame["usage"] == "train"][:9]
    frame.loc[leaking, "terminator"] = frame.loc[donors, "terminator"].to_list()
    frame.to_csv(tmp_path / "t.csv", index=False)
    options = (
        "--sequence",
        "promoter,terminator",
        "--name",
        "leaking",
        "--output",
        str(tmp_path / "leaking"),
    )
    assert prepare(["table", str(tmp_path / "t.csv"), *options]) == 0
    assert audit.main([str(tmp_path / "leaking"), "--json"]) == 1
    found = {each["check"]: each for each in json.loads(capsys.readouterr().out.partition("\n")[2])}
    leak = found["test rows homologous to training rows"]
    assert leak["status"] == "FAIL" and leak["text"].startswith("9 of ") and "9 identical" in leak["text"]
    assert f"{leaking[0]} (test, terminator)" in leak["examples"][0]
    checked = {"adversarial validation", "shortcut: GC content"}
    assert all({f"{each}: promoter", f"{each} of terminator"} & found.keys() for each in checked)


def test_a_table_declares_what_was_said_of_each_sequence_and_shows_all_of_it(tmp_path):
    frame = write_table(tmp_path / "t.csv", 30)
    options = (
        "--sequence", "up=promoter, terminator", "--origin", "up=60", "--left-flank", "up=ACG,terminator=TT",
        "--right-flank", "terminator=GG", "--window", "terminator=-1:30",
    )  # fmt: skip
    assert prepare(["table", str(tmp_path / "t.csv"), *options, "--output", str(tmp_path / "c")]) == 0
    opened = open_challenge(tmp_path / "c")
    assert opened.declaration.sequences == (
        InputSequence("up", 60, "ACG", "", (-60, 0)),
        InputSequence("terminator", 0, "TT", "GG", (-1, 30)),
    )
    rows = frame[frame.usage == "train"]
    for name, column in (("up", "promoter"), ("terminator", "terminator")):
        assert decode(opened.train.sequences[name].tokens) == rows[column].to_list()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sequence", "promoter,terminater"), "did you mean 'terminator'"),
        (("--sequence", "a=promoter,a=terminator"), "wanted each name once"),
        (("--sequence", "promoter,terminator", "--origin", "3"), "--origin 3: wanted NAME=VALUE"),
        (("--sequence", "promoter,terminator", "--origin", "promotor=3"), "did you mean 'promoter'"),
        (("--sequence", "promoter", "--origin", "x"), "--origin x: wanted a whole number"),
        (("--sequence", "promoter", "--window", "5"), "--window 5: wanted START:STOP"),
        (("--sequence", "promoter", "--window", "5:5"), "sequence has the window (5, 5)"),
        (("--sequence", "promoter", "--origin", "3", "--origin", "4"), "sequence has a value already"),
        (
            ("--sequence", "promoter,terminator", "--input", "promoter=expression"),
            "an input cannot be called",
        ),
        (("--sequence", "promoter,usage"), "t.csv, usage: line"),
    ],
)
def test_sequences_that_are_said_wrong_are_refused_and_leave_nothing(tmp_path, capsys, options, words):
    write_table(tmp_path / "t.csv", 30)
    assert prepare(["table", str(tmp_path / "t.csv"), *options, "--output", str(tmp_path / "out/c")]) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*") if (tmp_path / "out").exists() else [])
