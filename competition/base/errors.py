"""A user's mistake, an interrupt, and the status that a program ends with."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, ParamSpec

Arguments = ParamSpec("Arguments")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InputError(ValueError):
    """A user's mistake. The message names the thing, what was got and what is wanted."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, raised wherever the program was, so that everything open is closed."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.command = ""  # that resumes the work; see resumable


def exit_status(
    program: Callable[Arguments, int | None], *arguments: Arguments.args, **options: Arguments.kwargs
) -> int:
    """Run a program and return its status; what ends it early is one line on standard error.

    The status is 2 after a user's mistake or a machine's fault, such as a full disk, 130 after Ctrl-C, 143
    after SIGTERM, and 141 where the reader of the output, such as head, has gone.
    """
    with _signals_raised():
        try:
            _print_any_text()
            status = program(*arguments, **options) or 0
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            _discard_output()
            return 141
        except InputError as error:
            return _report(str(error))
        except OSError as error:
            return _report(describe(error))
        except UnicodeEncodeError as error:  # bytes on the command line that are no text
            return _report(f"{error.object[:60]!a} is not text in UTF-8; wanted names and values that are")
        except MemoryError as error:
            return _report(f"there is not enough memory for this: {error}")
        except Interrupted as interrupt:
            if os.environ.get("RANK", "0") == "0":  # of several processes only the first prints
                how = f"; continue with: {interrupt.command}" if interrupt.command else ""
                print(f"interrupted by {signal.Signals(interrupt.number).name}{how}", file=sys.stderr)
            return 128 + interrupt.number


def describe(error: OSError) -> str:
    """Say in a line what the system refused, and of which file."""
    what = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {what}" if error.filename else what


def _print_any_text() -> None:
    """Have characters escaped that the terminal's encoding, or UTF-8, does not have."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _report(message: str) -> int:
    """Print an error as one line, and return the status for it."""
    try:
        sys.stdout.flush()
    except OSError:  # the output is what could not be written
        _discard_output()
    print(f"error: {message}", file=sys.stderr)
    return 2


def _discard_output() -> None:
    """Send what is still to be printed nowhere, or Python's flush at exit would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_process(status: int) -> NoReturn:
    """End the process with a status; one of several, as torchrun starts them, without Python's own shutdown.

    A thread of gloo that frees a tensor during the shutdown aborts the process (PyTorch pull request 179291).
    """
    if "RANK" not in os.environ:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def resumable(command: str) -> Iterator[None]:
    """Name the command that resumes the work inside, should that be interrupted or a disk be full."""
    try:
        yield
    except Interrupted as interrupt:
        interrupt.command = command
        raise
    except OSError as error:
        raise InputError(f"{describe(error)}; then continue with: {command}") from error


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise Interrupted at the first signal; a second one, while files are closed, ends the process at once.

    A signal that is ignored stays so, as it is in what a script starts in the background.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(number)

    is_main = threading.current_thread() is threading.main_thread()  # no other may set a handler
    before = {each: signal.getsignal(each) for each in SIGNALS if is_main}
    before = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def one_of(name: str, got: str, wanted: list[str]) -> InputError:
    """Return the error for an unknown name, with the nearest known one as a suggestion."""
    from difflib import get_close_matches

    near = get_close_matches(got, wanted, n=1)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    return InputError(f"unknown {name} {got!r}; {hint}: {', '.join(sorted(wanted)) or 'none'}")
