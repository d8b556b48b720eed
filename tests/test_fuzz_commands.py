"""A thousand commands, right and wrong, of every program: each ends with a status and no traceback.

Half of the commands are drawn by a seed from the programs' own parsers: values that fit and values that do
not, files of the wrong kind, folders for files, swapped and missing arguments. The others are commands that
work, after a change or none; before one in four a file that it may read is killed. COMPETITION_FUZZ_COMMANDS
sets how many there are, COMPETITION_FUZZ_SEED which.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import random
import shutil
import traceback
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from competition import ensemble, run
from competition.__main__ import programs
from data_prep.__main__ import main as prepare
from data_prep.__main__ import preparers

NUM_COMMANDS = int(os.environ.get("COMPETITION_FUZZ_COMMANDS", "1000"))
SEED = int(os.environ.get("COMPETITION_FUZZ_SEED", "0"))
FRESH = 25  # commands, then the folder is as at the beginning
STATUSES = {0, 1, 2, 130, 143}
SOLUTION = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (0, 110)
    share: float = 1.0
    epochs: int = 1

    @classmethod
    def search(cls, trial):
        return cls(share=trial.suggest_float("share", 0.5, 2))

class Estimator:
    def __init__(self, config, shapes):
        self.config = config

    def fit(self, inputs, target):
        self.mean = target.mean(0)

    def predict(self, inputs):
        gc = ((inputs["sequence"] == 1) | (inputs["sequence"] == 2)).mean(1, keepdims=True)
        return self.mean + self.config.share * gc

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"]
"""
TABLE = "id,sequence,expression,group,usage\n" + "".join(
    f"r{n},{'ACGT'[n % 4] * 9}ACGTTGCA{'GATC'[n // 4 % 4] * 5},{n / 7},g{n % 5},{usage}\n"
    for n, usage in enumerate(6 * ["public", "train", "train", "train"])
)
SLOW = {"run": 0.6, "tune": 0.3, "check": 0.6, "promoters": 0.005, "genes": 0.01, "histone": 0.01}  # are rare
COMMANDS = """
run solution --folds 2 --device cpu --no-check --run-id new
run solution --folds 2 --device cpu --no-check --resume killed
run solution --folds 2 --device cpu --no-check --resume
run solution --folds 2 --device cpu --no-check --init runs/toy/solution/one
run solution --folds 2 --device cpu --exclude-homologs-of data/table
check solution --device cpu
tune solution --trials 2 --folds 2 --device cpu
audit toy --folds 2
audit table
score submissions/toy/solution-one.csv
score submissions/toy/solution-one.csv --record
score predictions.tsv --challenge toy --record --as team
score predictions.tsv --challenge toy --usage public --json
submission check submissions/toy/solution-one.csv
submission export submissions/toy/solution-one.csv --to dream-json --output out.json
submission export submissions/toy/solution-one.csv --to dream-tsv
submission verify submissions/toy/solution-one.csv
submission verify submissions/toy/ensemble-all.csv
compare submissions/toy/solution-one.csv submissions/toy/solution-two.csv
ensemble toy
ensemble toy --members submissions/toy/solution-one.csv submissions/toy/solution-two.csv --take mean
leaderboard
leaderboard toy --write --html board.html --csv board.csv
table table.csv --output new/table
table table.tsv --output new/table --target expression --input f=expression --standardise --group group
table table.csv --output data/table --overwrite --where group!=g1 --weight expression --subset group
dream2022 dream --output new/dream
vaishnav2022 dream/train_sequences.txt --medium complex --output new/vaishnav
deepchrome chrome/E003 --output new/deepchrome
histone_dna marks --output new/marks
histone_dna marks --output new/marks --hold-out-genes 1 --hold-out-cells 1
xpresso genes.txt --output new/xpresso --test-genes 1
xpresso h5 --output new/xpresso
expecto atlas --genome atlas/hg19.fa --window -30 12 --output new/expecto
"""
DAMAGES = (
    b"", b"\xff\xfe{", b"{}", b"[]", b"null", b"\0" * 40, b"a,b\n1,2\n", b"id,sequence,expression\n", b"3"
)  # fmt: skip
TEXTS = (
    "", " ", "toy", "no such", "é", "日本", "\udcff", "--", "-1", "a=b", "=", "share=2", "share=nan",
    "epochs=0", "window=0,1", "window=[0, 99999999999]", "share=[", "../up", "x" * 300, "id",
    "expression", "sequence", "group=g1", "usage=public", "r1", "log10(expression+1)", "log10(",
    "log10(expression+e)", "pearson", "mse", "f=expression", "f=expression,expression", "sqlite:///tune.db",
    "sqlite:////no/such/x.db", "bad://", "a\nb", "%s", "{}", "ACGT", "XYZ", "one", "solution-1",
)  # fmt: skip
FILES = {
    "empty.csv": b"", "latin.csv": b"id,expression\nr\xe9,1\n", "header.csv": b"id,expression\n",
    "cut.csv.gz": b"\x1f\x8b\x08", "broken.json": b'{"a": ', "list.json": b"[1, 2]", "broken.toml": b"a = ",
    "huge.csv": b"sequence,expression\nACGT,3e38\nGGTT,-3e38\nTTTT,1e999\n", "broken.npz": b"PK\x03\x04",
    "genome.fa": b">chr1\nACGT\nACG\n", "protein.csv": b"sequence,expression\nMKVL,1\nEFIL,2\n",
}  # fmt: skip
NUMBERS = (
    "0", "1", "2", "3", "-1", "5", "40", "1e3", "nan", "inf", "-inf", "1.5", "99999999999999999999"
)  # fmt: skip
OUTPUTS = (
    "new", "new/deep/er", "file.csv", "file.csv/x", "folder", "/dev/full", "/proc/self/x", "", "\udcff", "."
)  # fmt: skip
WRITTEN = ("output", "runs", "submissions", "html", "csv")  # options whose files are written, or looked for


@pytest.fixture(scope="module")
def template(toy_challenge, tmp_path_factory):
    """Make a folder of a challenge, a solution, a run of it, and files of every kind, whole and damaged."""
    home = tmp_path_factory.mktemp("fuzz") / "template"
    toy_challenge(home / "data" / "toy", num_train=40, num_test=8)
    (home / "folder").mkdir()
    (home / "solution").mkdir()
    (home / "solution" / "README.md").write_text("Source: our own idea.")
    (home / "table.csv").write_text(TABLE)
    (home / "solution" / "solution.py").write_text(SOLUTION)
    with contextlib.chdir(home), contextlib.redirect_stdout(io.StringIO()):
        assert run.main(["solution", "--folds", "2", "--device", "cpu", "--no-check", "--run-id", "one"]) == 0
        for other in ("two", "three"):
            more = ["--run-id", other, "--set", f"share={len(other)}", "--folds", "2", "--device", "cpu"]
            assert run.main(["solution", "--no-check", *more]) == 0
        assert prepare(["table", "table.csv"]) == 0
        assert ensemble.main(["toy"]) == 0
    for path in (home / "submissions" / "toy").glob("ensemble-*"):
        shutil.copyfile(path, path.with_name(f"ensemble-all{path.suffix}"))
    predictions = (home / "submissions/toy/solution-one.csv").read_text()
    (home / "predictions.tsv").write_text(predictions.replace(",", "\t"))
    finished = home / "runs" / "toy" / "solution" / "one"
    shutil.copytree(finished, killed := finished.with_name("killed"))
    (killed / "finished.json").unlink()
    (killed / "fold1" / "fold.json").unlink()
    shutil.copytree(home / "solution", home / "broken")
    (home / "broken" / "tuned.toml").write_text("toy = 3")
    (home / "table.tsv").write_text(TABLE.replace(",", "\t"))
    for name, content in FILES.items():
        (home / name).write_bytes(content)
    np.savez(home / "folder" / "train.npz", a=np.zeros((2, 100, 7)))
    (home / "folder" / "seq_data.csv").write_text("1,ACGT\n")
    _write_raw_files(home)
    for name in ("toy", "other"):  # challenges that are damaged
        shutil.copytree(home / "data" / "toy", bad := home / "data" / f"bad_{name}")
        path = bad / "public" / ("challenge.toml" if name == "toy" else "train/target.npy")
        path.write_bytes(path.read_bytes()[:-30])
    return home


def _write_raw_files(home):
    """Write small downloads in the official layouts, by what writes them for the tests of their preparers."""
    writers = {
        name: _load(name) for name in ("preparers", "deepchrome", "histone_dna", "expecto", "xpresso_files")
    }
    writers["preparers"].write_dream(home / "dream")
    writers["deepchrome"].write_cell(home / "chrome", "E003")
    writers["histone_dna"].write_download(home / "marks")
    writers["expecto"].write_download(home / "atlas")
    writers["xpresso_files"].write_table(home / "genes.txt")
    writers["xpresso_files"].write_h5(home / "h5", writers["xpresso_files"].make_arrays())


def _load(name):
    path = Path(__file__).parent / "data_prep" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"raw_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Parsed(Exception):
    """Carries a program's parser out of it."""


def parsers():
    """Return main, the arguments before its own, and the parser of every command."""

    def stop(self, *_, **__):
        raise Parsed(self)

    mains = {name: (importlib.import_module(f"competition.{name}").main, []) for name in programs()}
    mains |= {name: (prepare, [name]) for name in preparers()}
    found = {}
    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        for name, (main, before) in mains.items():
            try:
                main(before)
            except Parsed as parsed:
                found[name] = (main, before, parsed.args[0])
    return found


def draw_value(rng, action, files):
    if action.choices and rng.random() < 0.9:
        return str(rng.choice(list(action.choices)))
    if action.dest in WRITTEN and rng.random() < 0.8:
        return rng.choice(OUTPUTS)
    if action.dest in ("challenge", "exclude_homologs_of") and rng.random() < 0.7:
        return rng.choice(("toy", "data/toy", "bad_toy", "bad_other", "nothing"))
    if action.dest in ("solution", "init") and rng.random() < 0.7:
        return rng.choice(("solution", "broken", "runs/toy/solution/one", "runs/toy/solution/killed"))
    if action.type is Path:
        return rng.choice(files) if rng.random() < 0.9 else rng.choice(TEXTS)
    if action.type is not None:
        return rng.choice(NUMBERS[:5] if action.dest == "trials" else NUMBERS)  # a wish for many is granted
    return rng.choice(TEXTS) if rng.random() < 0.9 else rng.choice(files)


def draw_command(rng, parser, files):
    """Draw the arguments of a command; most have what is required."""
    positionals, options = [], []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if not action.option_strings:
            positionals += [draw_value(rng, action, files)] if rng.random() < 0.97 else []
        elif rng.random() < (0.9 if action.required else 0.25):
            name = rng.choice(action.option_strings)
            counts = {0: 0, "?": rng.randrange(2), "+": rng.randrange(4), "*": rng.randrange(3)}
            count = counts.get(action.nargs, action.nargs or 1)
            count += rng.random() < 0.02
            options.append([name, *(draw_value(rng, action, files) for _ in range(count))])
    rng.shuffle(options)
    arguments = [*positionals, *(each for option in options for each in option)]
    if rng.random() < 0.05 and arguments:
        rng.shuffle(arguments)
    return arguments


def change(rng, arguments, parser, files):
    """Change a command that works: other values, arguments dropped, doubled or added; or nothing."""
    arguments = list(arguments)
    options = [action for action in parser._actions if action.option_strings and action.dest != "help"]
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2)) if arguments else 0):
        place, kind = rng.randrange(len(arguments)), rng.randrange(10)
        before = next((each for each in options if arguments[place - 1] in each.option_strings), None)
        if kind < 4 and (before is not None or not arguments[place].startswith("-")):
            junk = rng.choice((rng.choice(TEXTS), rng.choice(files), rng.choice(NUMBERS)))
            arguments[place] = junk if before is None else draw_value(rng, before, files)
        elif kind == 4:
            arguments[place] = rng.choice((*TEXTS, *files))
        elif kind == 5:
            arguments.insert(place, rng.choice(arguments))
        elif kind == 6 and len(arguments) > 1:
            del arguments[place]
        else:
            action = rng.choice(options)
            count = {0: 0, None: 1}.get(action.nargs, 2)
            arguments += [action.option_strings[0], *(draw_value(rng, action, files) for _ in range(count))]
    return arguments


def damage(rng, home):
    """Damage a file, or put a folder or nothing in its place."""
    folder = rng.choice(
        (*(home / name for name in ("runs", "submissions", "data/toy")), *sorted(home.iterdir()))
    )
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")
    path = rng.choice(files) if files else home / "table.csv"
    if not path.is_file():
        return
    data, kind = path.read_bytes(), rng.randrange(8)
    place = rng.randrange(len(data) + 1)
    path.unlink()
    if kind == 0:
        path.mkdir()
    elif kind < 7:
        changed = (
            rng.choice(DAMAGES),
            data[:place],
            data[place:],
            data[:place] + rng.randbytes(3) + data[place + 3 :],
        )
        path.write_bytes(changed[kind % 4])


def call(main, arguments):
    """Run a command; return its status and what it printed, or the traceback that it would have ended in."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
        except BaseException:
            return None, traceback.format_exc()
    return status, said.getvalue()


def draw(rng, found, files):
    """Draw a command: its name, its main and its arguments."""
    names = sorted(found)
    if rng.random() < 0.5:
        [name] = rng.choices(names, [SLOW.get(name, 1) for name in names])
        main, before, parser = found[name]
        return name, main, [*before, *draw_command(rng, parser, files)]
    name, *arguments = rng.choice(COMMANDS.strip().splitlines()).split()
    main, before, parser = found[name]
    return name, main, [*before, *change(rng, arguments, parser, files)]


def test_no_command_ends_in_a_traceback(template, tmp_path, monkeypatch):
    rng, found, failures, statuses = random.Random(SEED), parsers(), [], set()
    files = sorted(str(path.relative_to(template)) for path in template.rglob("*"))
    files += ["missing", "table.csv/x", ""]
    for number in range(NUM_COMMANDS):
        if number % FRESH == 0:
            shutil.copytree(template, home := tmp_path / str(number))
            monkeypatch.chdir(home)
        name, main, arguments = draw(rng, found, files)
        if rng.random() < 0.25:
            damage(rng, home)
        status, said = call(main, arguments)
        statuses.add(status)
        if status not in STATUSES or "Traceback" in said:
            failures.append(f"{name} {json.dumps(arguments)}: {status}\n{said}")
    assert not failures, f"{len(failures)} of {NUM_COMMANDS}\n" + "\n".join(failures[:20])
    assert {0, 2} <= statuses
