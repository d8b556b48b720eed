"""Options are written out, and numbers are whole and in their range."""

import pytest

from competition.base.parser import make_parser, whole_number


def make():
    parser = make_parser("x", "What x does.")
    parser.add_argument("--folds", type=whole_number(2, 9), default=4)
    return parser


def test_the_beginning_of_an_option_is_not_taken_for_it(capsys):
    assert make().parse_args(["--folds", "9"]).folds == 9
    with pytest.raises(SystemExit):
        make().parse_args(["--fold", "9"])
    assert "unrecognized arguments: --fold" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1", "10", "-3", "2.5", "", "x", "9" * 5000, "inf"])
def test_other_than_a_whole_number_in_its_range_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        make().parse_args([f"--folds={text}"])
    assert f"got '{text[:40]}'; wanted a whole number from 2 to 9" in capsys.readouterr().err
