"""What people say their images show: a folder for each person, a list of pairs, or a list of reviewed samples."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from streams.errors import BadInput
from streams.tools.enrol import people_in

_YES = frozenset({"yes", "y", "true", "1", "same", "mated"})
_NO = frozenset({"no", "n", "false", "0", "different", "non-mated"})
_SAMPLE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Labelled:
    """An image of somebody."""

    path: Path
    identity: str


@dataclass(frozen=True)
class Pair:
    """Two images of which somebody says whether they show one person."""

    first: Path
    second: Path
    mated: bool
    group: str | None = None


@dataclass(frozen=True)
class Reviewed:
    """A generated sample of which a reviewer says whether it shows the person that it should."""

    sample: str | Path
    """The id of a judged sample, or an image file."""
    identity: str | None
    """Whom it should show; None where the ledger knows."""
    shows: bool


def identities_in(folder: Path) -> list[Labelled]:
    """Return the images in a folder of one folder a person; blocks. What has not the name of an image is passed over.

    Raises:
        BadInput: If there are none.
    """
    found = [Labelled(path, person.name) for person in people_in(folder) for path in images_in(person)]
    if not found:
        raise BadInput(f"{folder} has no images: expected one folder a person, with images in it")
    return found


def images_in(folder: Path) -> list[Path]:
    """Return the files in a folder, and in those within it, that have the name of an image; blocks."""
    suffixes = _image_suffixes()
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


def read_pairs(path: Path, images: Path, group: str | None = None) -> list[Pair]:
    """Return the pairs that a CSV file lists, with ``file_x``, ``file_y`` and ``Decision`` (Yes or No); blocks.

    Args:
        path: The file.
        images: What its file names are relative to.
        group: The column that says to which group a pair belongs.

    Raises:
        BadInput: If it cannot be read, lacks a column, or says neither Yes nor No somewhere.
    """
    columns = ["file_x", "file_y", "Decision", *([group] if group else [])]
    pairs = []
    for line, row in _rows(path, columns):
        mated = _decision(row["Decision"], path, line)
        pairs.append(Pair(images / row["file_x"], images / row["file_y"], mated, row[group] if group else None))
    return pairs


def read_reviewed(path: Path, images: Path) -> list[Reviewed]:
    """Return the reviewed samples that a CSV file lists: ``sample`` (an id or a file), ``identity`` and ``Decision``.

    ``identity`` may be missing where all are sample ids. Blocks.

    Raises:
        BadInput: If it cannot be read, lacks a column, or says neither Yes nor No somewhere.
    """
    reviewed = []
    for line, row in _rows(path, ["sample", "Decision"]):
        name, identity = row["sample"], row.get("identity") or None
        is_id = _SAMPLE_ID.fullmatch(name) is not None
        if not is_id and identity is None:
            raise BadInput(f"{path}, line {line}: expected a column identity beside the file {name}, got none")
        reviewed.append(Reviewed(name if is_id else images / name, identity, _decision(row["Decision"], path, line)))
    return reviewed


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and values; the columns' names may be written in any case, and there may be more."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            named = {name.strip().lower(): name for name in reader.fieldnames or ()}
            if missing := [column for column in columns if column.lower() not in named]:
                raise BadInput(f"{path} lacks the columns {', '.join(missing)}: it has {', '.join(named) or 'none'}")
            spelled = {**{name: name for name in named}, **{column: column.lower() for column in columns}}
            count = 0
            for count, row in enumerate(reader, start=1):  # noqa: B007 - read behind the loop
                yield reader.line_num, {name: (row[named[low]] or "").strip() for name, low in spelled.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read: {error}; expected a CSV file in UTF-8") from error
    if not count:
        raise BadInput(f"{path} lists nothing: expected a line for each, below the names of the columns")


def _decision(said: str, path: Path, line: int) -> bool:
    if said.lower() not in _YES | _NO:
        raise BadInput(f"{path}, line {line}: expected Yes or No in the column Decision, got {said!r}")
    return said.lower() in _YES


def _image_suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)
