"""A user's mistake, an interrupt, and the status that a program ends with."""

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

    The status is 2 after a user's mistake, 130 after Ctrl-C, 143 after SIGTERM, and 141 where the
    reader of the output, such as head, has gone.
    """
    with _signals_raised():
        try:
            status = program(*arguments, **options) or 0
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
            return 141
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except Interrupted as interrupt:
            if os.environ.get("RANK", "0") == "0":  # of several processes only the first prints
                how = f"; go on with: {interrupt.command}" if interrupt.command else ""
                print(f"interrupted by {signal.Signals(interrupt.number).name}{how}", file=sys.stderr)
            return 128 + interrupt.number


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
    """Name the command that resumes the work inside, should that be interrupted."""
    try:
        yield
    except Interrupted as interrupt:
        interrupt.command = command
        raise


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
