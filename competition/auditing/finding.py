"""What a check of the audit reports."""

from dataclasses import dataclass

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"


@dataclass(frozen=True)
class Finding:
    """The result of one check: a status, a sentence, and examples to look at."""

    check: str
    status: str  # PASS, WARN or FAIL
    text: str
    examples: tuple[str, ...] = ()
