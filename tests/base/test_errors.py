"""A user's mistake and an interrupt end a program with one line and a status, and nothing is half written."""

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from competition.base.errors import InputError, exit_status, resumable
from competition.base.files import require_writable, write_text
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge

REPOSITORY = Path(__file__).parents[2]
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
PROGRAM = """
import sys, time
from pathlib import Path
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.base.errors import exit_status

def build(folder):
    challenge = Declaration("toy", (Target("y"),), (Score.of("pearson", "r"),))
    with create_challenge(folder, challenge):
        print("ready", flush=True)
        time.sleep(60)

sys.exit(exit_status(build, Path(sys.argv[1]) / "toy"))
"""


KILLED = """
import os, sys
from pathlib import Path
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge

folder = Path(sys.argv[1]) / "toy"

def die(event, arguments):
    if event == "os.rename" and arguments[1] == str(folder):
        os.kill(os.getpid(), 9)  # which no program comes back from

sys.addaudithook(die)
challenge = Declaration("toy", (Target("y"),), (Score.of("pearson", "r"),))
with create_challenge(folder, challenge, overwrite=True) as writer:
    writer.train.append(*encode(["ACGT", "GGTT"]), target=[1.0, 2.0])
"""


def default_signals() -> None:
    """Undo what the tests may have been started with: in the background Ctrl-C is ignored."""
    for each in STATUS:
        signal.signal(each, signal.SIG_DFL)


def interrupt(folder: Path, number: int, **environment: str) -> tuple[int, str]:
    """Send a signal to a program that is building a challenge; return its status and standard error."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], cwd=REPOSITORY, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=default_signals,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize("number", STATUS)
def test_an_interrupt_is_one_line_and_a_status_and_leaves_nothing_half_written(tmp_path, number):
    status, errors = interrupt(tmp_path, number)
    assert (status, errors) == (STATUS[number], f"interrupted by {number.name}\n")
    assert not list(tmp_path.iterdir())


def test_of_several_processes_only_the_first_speaks_of_an_interrupt(tmp_path):
    assert interrupt(tmp_path, signal.SIGTERM, RANK="1") == (143, "")


def stop(number: int) -> None:
    with resumable("python -m competition.run x --resume y"):
        os.kill(os.getpid(), number)


@pytest.fixture
def heeded():
    """Have Ctrl-C heeded where the tests were started in the background, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", STATUS)
def test_an_interrupt_names_the_command_that_goes_on(capsys, number):
    before = [signal.getsignal(each) for each in STATUS]
    assert exit_status(stop, number) == STATUS[number]
    assert capsys.readouterr().err.endswith("; continue with: python -m competition.run x --resume y\n")
    assert [signal.getsignal(each) for each in STATUS] == before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert exit_status(os.kill, os.getpid(), signal.SIGINT) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_mistake_is_one_line_and_status_2(capsys):
    def mistaken() -> None:
        raise InputError("a is 1; wanted 2")

    assert exit_status(mistaken) == 2
    assert capsys.readouterr().err == "error: a is 1; wanted 2\n"


def test_a_reader_of_the_output_that_has_gone_is_no_traceback():
    program = "import sys; from competition.base.errors import exit_status as run; "
    program += "sys.exit(run(lambda: print('x' * 10**6)))"
    command = f'{sys.executable} -c "{program}" | head -c 1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("x141\n", "")


@pytest.mark.parametrize("environment", [{}, {"RANK": "0"}])
def test_one_of_several_processes_ends_without_pythons_shutdown(environment):
    program = (
        "import atexit; from competition.base.errors import end_process;"
        "atexit.register(print, 'shutdown'); print('said'); end_process(3)"
    )
    clean = {name: value for name, value in os.environ.items() if name != "RANK"}
    clean["PYTHONPATH"] = str(REPOSITORY)
    done = subprocess.run([sys.executable, "-c", program], env=clean | environment, capture_output=True)
    assert done.returncode == 3
    assert done.stdout.split() == ([b"said"] if environment else [b"said", b"shutdown"])


def build(folder: Path, text: str = "ACGT") -> None:
    challenge = Declaration("toy", (Target("y"),), (Score.of("pearson", "r"),))
    with create_challenge(folder, challenge, overwrite=True) as writer:
        writer.train.append(*encode([text]), target=[1.0])


def killed(folder: Path) -> list[Path]:
    """Kill a preparer before it renames its challenge to folder/toy; return what it leaves."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=REPOSITORY)
    assert done.returncode == -signal.SIGKILL
    return [path for path in folder.iterdir() if path.name.startswith(".toy.partial-")]


def test_what_a_killed_preparer_left_is_cleared_by_the_next_of_the_same_folder(tmp_path, capsys):
    assert killed(tmp_path)
    (tmp_path / ".other.partial-x").mkdir()
    build(tmp_path / "toy")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.partial-x", "toy"]
    assert "MB that a killed preparer left" in capsys.readouterr().out


def test_what_a_living_preparer_writes_is_left_alone(tmp_path):
    challenge = Declaration("toy", (Target("y"),), (Score.of("pearson", "r"),))
    with create_challenge(tmp_path / "toy", challenge) as writer:
        writer.train.append(*encode(["ACGT"]), target=[1.0])
        build(tmp_path / "toy")
        assert writer.folder.exists()
        (tmp_path / "toy").rename(tmp_path / "first")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "toy"]


def test_a_challenge_whose_replacement_was_killed_is_put_back(tmp_path, capsys):
    build(tmp_path / "toy", "GATTACA")
    assert len(killed(tmp_path)) == 2
    challenge = Declaration("toy", (Target("y"),), (Score.of("pearson", "r"),))
    with pytest.raises(InputError, match="exists already"), create_challenge(tmp_path / "toy", challenge):
        pass
    assert open_challenge(tmp_path / "toy").train.sequence.tokens.shape == (1, 7)
    assert "put back" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_file_is_whole_or_as_it_was_and_a_killed_writer_leaves_nothing_that_stays(tmp_path):
    path = tmp_path / "a.txt"
    (tmp_path / ".a.txt.partial").write_text("of one that was killed")
    with ThreadPoolExecutor(8) as pool:  # that take turns
        list(pool.map(lambda number: write_text(path, str(number) * 100_000), range(8)))
    assert len(set(path.read_text())) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_cannot_be_written_is_one_clear_error_and_stays_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match=r"a\.txt cannot be written: File too large"):
            write_text(path, "after" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "before" and [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(InputError, match=r"a\.txt/b cannot be written: Not a directory"):
        write_text(path / "b", "")
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_text(Path("/dev/full"), "x" * 10_000)
    assert Path("/dev/full").is_char_device()


def test_what_cannot_be_written_is_known_before_it_is_to_be(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "runs", Path("/dev/full"), Path("/proc/1/x")):
        with pytest.raises(InputError, match=f"--runs {folder} cannot be written"):
            require_writable(folder, "--runs")
    require_writable(tmp_path / "new" / "runs", "--runs")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def open_missing() -> None:
    Path("/no/such/file").read_text()


def test_what_the_system_refuses_is_one_line_that_names_the_file(capsys):
    assert exit_status(open_missing) == 2
    assert capsys.readouterr().err == "error: /no/such/file: No such file or directory\n"

    def resumed() -> None:
        with resumable("python -m competition.run x --resume y"):
            open_missing()

    assert exit_status(resumed) == 2
    assert capsys.readouterr().err.endswith(
        "directory; then continue with: python -m competition.run x --resume y\n"
    )


def test_too_little_memory_is_one_line(capsys):
    assert exit_status(np.zeros, 2**58) == 2
    assert capsys.readouterr().err.startswith(
        "error: there is not enough memory for this: Unable to allocate"
    )


@pytest.mark.parametrize(
    ("printed", "to"), [("x", "/dev/full"), ("\\xe9", "/dev/null"), ("\\udcff", "/dev/null")]
)
def test_an_output_that_cannot_be_printed_is_no_traceback(printed, to):
    program = "from competition.base.errors import exit_status as run; "
    program += f"raise SystemExit(run(lambda: print('{printed}')))"
    with Path(to).open("w") as output:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=output, stderr=subprocess.PIPE, text=True, env=environment
        )
    full = to == "/dev/full"
    assert (done.returncode, done.stderr) == ((2, "error: No space left on device\n") if full else (0, ""))


def test_what_is_no_text_is_one_line(capsys):
    assert exit_status(lambda: len("chr\udcff".encode())) == 2
    assert (
        capsys.readouterr().err
        == "error: 'chr\\udcff' is not text in UTF-8; wanted names and values that are\n"
    )
