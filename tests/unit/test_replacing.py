"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from streams.replacing import replacing


def half_written(file: Path) -> None:
    with replacing(file) as part:
        part.write_text("new")
        raise ZeroDivisionError


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path):
    file = tmp_path / "card.json"
    file.write_text("old")
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
    assert (file.read_text(), list(tmp_path.iterdir())) == ("new", [file])


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path):
    file = tmp_path / "card.json"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError):
        half_written(file)
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])


def test_what_nobody_has_written_takes_no_place(tmp_path: Path):
    file = tmp_path / "card.json"
    file.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(file):
        pass
    assert file.read_text() == "old"
