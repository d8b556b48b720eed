"""A user's mistake and an interrupt end a program with one line and a status, and nothing is half written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from competition.base.errors import InputError, exit_status, resumable

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
    assert capsys.readouterr().err.endswith("; go on with: python -m competition.run x --resume y\n")
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
