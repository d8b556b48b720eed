"""Audit a challenge before it is used: leaks, contradictory labels and shortcuts.

    python -m competition.audit promoters
    python -m competition.audit data/my_library --folds 5

Searches for training sequences that are identical to, the reverse complement of, shifted against or nearly
identical to one in another fold or in the test set; for barcodes and other traits that distinguish test rows
from training rows; for rows of equal inputs with different labels; for length, GC content and flanks that
predict the target, and inputs that are a copy of it; and for a model that predicts permuted labels across
folds. Folds are those that a run would use. Test answers are not read. Exits with 1 where a check fails.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from competition.auditing.checks import audit
from competition.auditing.finding import FAIL
from competition.auditing.report import print_json, print_table
from competition.base.errors import exit_status
from competition.base.parser import make_parser
from competition.data.find import find_challenge


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    parser = make_parser("competition.audit", __doc__)
    add = parser.add_argument
    add("challenge", metavar="NAME|PATH")
    add("--folds", type=int, help="folds of the runs (default: 4, or as many as the rows declare)")
    add("--ignore-folds", action="store_true", help="assign folds even where the rows declare them")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--json", action="store_true", help="print the findings for programs")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    challenge = find_challenge(options.challenge, options.data)
    findings = audit(
        challenge, num_folds=options.folds, ignore_folds=options.ignore_folds, quiet=options.json
    )
    print_json(findings) if options.json else print_table(challenge, findings)
    return int(any(finding.status == FAIL for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
