"""The commands on weights say what is missing, and how to get it, where nothing but the base is installed."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from generators.weights import DCGAN_DIGIFACE, ensure, folder_of
from generators.weights_command import weights
from streams.adapters.facenet import weights as facenet_weights
from streams.errors import Unready


@pytest.fixture(autouse=True)
def cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LIKENESS_CACHE_DIR", str(tmp_path))
    for name in ("torch", "safetensors", "safetensors.numpy", "safetensors.torch", "facenet_pytorch", "h5py", "onnx"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # importing it fails from now on
    return tmp_path


def test_the_list_has_a_row_for_what_cannot_be_read(cache_dir: Path):
    folder = folder_of(DCGAN_DIGIFACE, cache_dir)
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"some")

    listed = CliRunner().invoke(weights, ["list"], catch_exceptions=False)

    assert listed.exit_code == 0
    rows = dict(line.split("\t") for line in listed.stdout.splitlines())
    assert "pip install 'likeness-qc[faces]'" in rows["dcgan-digiface"]
    assert "likeness weights fetch" in rows["facenet-128"]
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("bf16", {"bf16": "pip install 'likeness-qc[openvino]'"}),
        ("int8", {"int8": "delete the folder"}),
        ("auto", {"int8": "delete the folder"}),
    ],
)
def test_the_shorter_numbers_that_are_asked_for_and_can_be_had_here_have_a_row(
    monkeypatch: pytest.MonkeyPatch, precision: str, said: dict[str, str]
):
    monkeypatch.setenv("LIKENESS_PRECISION", precision)
    monkeypatch.setitem(sys.modules, "openvino", None)  # type: ignore[arg-type]

    listed = CliRunner().invoke(weights, ["list"], catch_exceptions=False)

    rows = dict(line.split("\t") for line in listed.stdout.splitlines()[3:])
    assert [name.split("-")[-2] for name in rows] == list(said)
    assert all(words in row for words, row in zip(said.values(), rows.values(), strict=True))


@pytest.mark.parametrize("name", ["dcgan-digiface", "facenet-128"])
def test_nothing_is_fetched_that_could_not_be_converted(cache_dir: Path, name: str):
    fetched = CliRunner().invoke(weights, ["fetch", name])

    assert isinstance(fetched.exception, Unready)
    assert "pip install 'likeness-qc[faces]'" in str(fetched.exception)
    assert "fetching" not in fetched.output
    assert not [path for path in cache_dir.rglob("*") if path.is_file() and path.name != ".lock"]


def test_programs_are_told_the_same(cache_dir: Path):
    with pytest.raises(Unready, match="safetensors"):
        ensure(DCGAN_DIGIFACE, cache_dir)
    with pytest.raises(Unready, match="got no torch"):
        facenet_weights.prepared(cache_dir / "facenet-128")
