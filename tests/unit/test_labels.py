"""Labels are read as people write them, and what cannot be read is named with its line."""

from pathlib import Path

import pytest

from streams.errors import BadInput
from streams.tools.rates.labels import Labelled, Pair, Reviewed, identities_in, images_in, read_pairs, read_reviewed

ID = "0123456789abcdef" * 2


def written(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_pairs_are_read_with_columns_in_any_order_and_case_and_others_beside(tmp_path):
    path = written(tmp_path, "\ufeffnote,decision,FILE_Y,file_x,age\n,Yes,b.png,a.png,30\nx, no ,c.pgm,a.png,\n")
    assert read_pairs(path, Path("images"), group="age") == [
        Pair(Path("images/a.png"), Path("images/b.png"), True, "30"),
        Pair(Path("images/a.png"), Path("images/c.pgm"), False, ""),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file_x,file_y\na,b\n", "lacks the columns Decision: it has file_x, file_y"),
        ("", "lacks the columns file_x, file_y, Decision: it has none"),
        ("file_x,file_y,Decision\n", "lists nothing"),
        (
            "file_x,file_y,Decision\na,b,Yes\na,b,perhaps\n",
            "line 3: expected Yes or No in the column Decision, got 'perhaps'",
        ),
        ("file_x,file_y,Decision\na,b\n", "line 2: expected Yes or No in the column Decision, got ''"),
    ],
)
def test_a_list_that_is_none_is_refused_with_what_is_wrong(tmp_path, text, said):
    with pytest.raises(BadInput, match=r"list\.csv") as refused:
        read_pairs(written(tmp_path, text), tmp_path)
    assert said in str(refused.value)


def test_a_group_that_is_no_column_is_refused(tmp_path):
    with pytest.raises(BadInput, match="lacks the columns age"):
        read_pairs(written(tmp_path, "file_x,file_y,Decision\na,b,Yes\n"), tmp_path, group="age")


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(BadInput, match="cannot be read"):
        read_pairs(tmp_path / name, tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"file_x,file_y,Decision\n\xff\xfe,b,Yes\n")
    with pytest.raises(BadInput, match="CSV file in UTF-8"):
        read_pairs(tmp_path / "list.csv", tmp_path)


def test_reviewed_samples_are_ids_or_files(tmp_path):
    path = written(tmp_path, f"sample,Decision,identity\n{ID},yes,\nface.png,no,anna\n")
    assert read_reviewed(path, tmp_path) == [
        Reviewed(ID, None, True),
        Reviewed(tmp_path / "face.png", "anna", False),
    ]
    assert read_reviewed(written(tmp_path, f"sample,Decision\n{ID},No\n"), tmp_path) == [Reviewed(ID, None, False)]


def test_a_reviewed_file_needs_the_person_that_it_should_show(tmp_path):
    with pytest.raises(BadInput, match=r"line 2: expected a column identity beside the file face\.png"):
        read_reviewed(written(tmp_path, "sample,Decision\nface.png,Yes\n"), tmp_path)


def test_images_of_people_are_known_by_their_names_in_any_format(tmp_path):
    for name in ("anna/1.pgm", "anna/2.JPG", "anna/more/3.tif", "anna/consent.toml", "bert/1.webp", "stray.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert identities_in(tmp_path) == [
        Labelled(tmp_path / "anna/1.pgm", "anna"),
        Labelled(tmp_path / "anna/2.JPG", "anna"),
        Labelled(tmp_path / "anna/more/3.tif", "anna"),
        Labelled(tmp_path / "bert/1.webp", "bert"),
    ]
    assert len(images_in(tmp_path)) == 5


def test_a_folder_of_people_without_images_is_refused(tmp_path):
    (tmp_path / "anna").mkdir()
    with pytest.raises(BadInput, match="has no images"):
        identities_in(tmp_path)
