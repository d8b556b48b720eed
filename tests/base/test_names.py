"""A name that becomes a file or a folder stays inside the folder that it is meant for."""

import pytest

from competition import run, score
from competition.base.errors import InputError
from competition.base.names import require_name
from competition.data.challenge import open_challenge
from data_prep.__main__ import main as prepare

OUTSIDE = ["../../evil", "a/b", "/tmp/evil", "..", ".", "", ".hidden", "-x", "a\nb", "a\\b", "é" * 150]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("spaced", [False, True])
def test_a_name_that_is_no_plain_file_is_refused(name, spaced):
    with pytest.raises(InputError, match="wanted letters, digits"):
        require_name(name, "--name", spaced=spaced)


@pytest.mark.parametrize("name", ["my_library", "v1.2-b", "données", "Table S2 1"])
def test_plain_names_are_taken(name):
    require_name(name, "--name", spaced=True)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_no_program_writes_outside_by_a_name(toy_challenge, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    toy_challenge(home / "data" / "toy")
    (home / "t.csv").write_text("sequence,expression\nACGT,1\nGGTT,2\n")
    (home / "p.csv").write_text("id,expression\n")
    monkeypatch.chdir(home)
    before = files(tmp_path)
    for program, *arguments in (
        (prepare, "table", "t.csv", "--name", "../../evil"),
        (run.main, "nothing", "--run-id", "a/b"),
        (run.main, "nothing", "--resume", "../a"),
        (score.main, "p.csv", "--challenge", "toy", "--record", "--as", "../up"),
    ):
        assert program(arguments) == 2
        assert "wanted letters, digits" in capsys.readouterr().err
    assert files(tmp_path) == before


def test_files_from_elsewhere_name_nothing_outside(toy_challenge, tmp_path):
    folder = toy_challenge(tmp_path / "toy")
    declaration = folder / "public" / "challenge.toml"
    declaration.write_text(declaration.read_text().replace('name = "toy"', 'name = "../../evil"', 1))
    with pytest.raises(InputError, match=r"challenge\.toml: name '../../evil'"):
        open_challenge(folder)
