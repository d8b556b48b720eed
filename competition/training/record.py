"""The record of a run, run.json in its folder: what it was begun with, and whether it is finished."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_type_hints

from competition.base.errors import InputError
from competition.base.files import write_text
from competition.base.typed import fits, read_json

RECORD, FINISHED = "run.json", "finished.json"
# What a resumed run must share with its beginning; anything else would make it another run.
IDENTITY = (
    "challenge_digest", "source_digest", "config", "window", "seed", "num_folds", "fold_digest", "init",
    "excluded_digest", "num_processes", "precision",
)  # fmt: skip


@dataclass(frozen=True)
class RunRecord:
    """What a run was begun with: its identity, its settings and its surroundings."""

    challenge: str
    challenge_digest: str
    solution: str
    source_digest: str
    config: dict[str, object]
    seed: int
    num_folds: int
    fold_digest: str
    num_processes: int
    precision: str
    device: str
    command: str
    versions: dict[str, str]
    git_commit: str | None
    window: dict[str, list[int]] = field(default_factory=dict)  # that was read of each sequence
    ignore_folds: bool = False  # that the rows declare
    warnings: list[str] = field(default_factory=list)
    init: str = ""  # the run whose weights each fold starts from
    init_digest: str = ""  # of that run's source
    exclude_homologs_of: str = ""  # the challenge whose homologs no model is trained on
    excluded_digest: str = ""  # of that challenge

    @classmethod
    def read(cls, run: Path) -> "RunRecord":
        """Read the record of a run folder; InputError where it has none that can be read."""
        try:
            document = json.loads((run / RECORD).read_text())
            known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
            hints = get_type_hints(cls)
            for name, value in known.items():
                if not fits(value, hints[name]):
                    raise TypeError(f"{name} is {value!r:.60}")
            return cls(**known)
        except FileNotFoundError:
            raise InputError(
                f"{run}: there is no {RECORD}; wanted the folder of a run, runs/.../<run id>"
            ) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{run / RECORD} is not the record of a run: {error}") from None

    def write(self, run: Path) -> None:
        write_text(run / RECORD, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def misfit(self, other: "RunRecord") -> str | None:
        """Say in what this run differs from another; None where they are the same run."""
        for name in IDENTITY:
            # Through JSON, which has lists for tuples.
            before, now = (json.loads(json.dumps(getattr(each, name))) for each in (self, other))
            if before != now:
                return f"was begun with another {name}: {_brief(before, now)}"
        return None


def _brief(before: object, now: object) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return ", ".join(f"{name} {before.get(name)} then, {now.get(name)} now" for name in names)
    return f"{str(before)[:16]} then, {str(now)[:16]} now"


def finish(run: Path, submission: Path) -> None:
    """Note that a run is finished, and where its submission is: the last thing that is done for it."""
    write_text(run / FINISHED, json.dumps({"submission": str(submission)}) + "\n")


def is_finished(run: Path) -> bool:
    return (run / FINISHED).exists()


def require_unfinished(run: Path) -> None:
    if is_finished(run):
        submission = read_json(run / FINISHED, dict[str, str]).get("submission", "not known")
        raise InputError(
            f"{run} is finished; its submission is {submission}. Leave --resume away to train again"
        )
