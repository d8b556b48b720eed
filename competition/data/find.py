"""Find a challenge by name: in the data folder, or made on first use where it is built in."""

from importlib import import_module
from pathlib import Path

from competition.base.errors import InputError
from competition.data.challenge import Challenge, open_challenge

# The simulated challenges and what makes them: the one place where the harness calls data_prep.
BUILT_IN = {name: f"data_prep.{name}:build" for name in ("promoters", "genes", "histone")}


def find_challenge(name: str, data: Path) -> Challenge:
    """Open a challenge given by its name in the data folder, or by a path; make it where it is built in."""
    folder = Path(name) if (Path(name) / "public").is_dir() else data / name
    if not folder.exists() and name in BUILT_IN:
        print(f"making the built-in challenge {name!r} in {folder}", flush=True)
        module, function = BUILT_IN[name].split(":")
        getattr(import_module(module), function)(folder)
    if not folder.exists():
        there = sorted({path.parent.name for path in data.glob("*/public")} | set(BUILT_IN))
        raise InputError(
            f"there is no challenge {name!r} in {data}; wanted a path or one of: {', '.join(there)}"
        )
    return open_challenge(folder)
