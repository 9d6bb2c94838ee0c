"""Families as ONNX, from the weights that are shipped: the pictures of the Python backend, without Python."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig
from typer.testing import CliRunner

from generators import latent, onnx_export
from generators.families import FAMILIES
from generators.families_command import families as families_app
from generators.learners import trained
from generators.serve import Sampler
from generators.served import shipped_weights
from streams.errors import BadInput, WeightsUnusable
from tests.blobs import unit

SEEDS = (3, 1, 4, 1, 5)
STRENGTHS = np.array([0, 0, 0.3, 1, 0.1], dtype=np.float32)

#: What onnxruntime calls the types of a model's configuration.
TYPES = {"TYPE_FP32": "tensor(float)", "TYPE_UINT8": "tensor(uint8)", "TYPE_BOOL": "tensor(bool)"}


def people() -> npt.NDArray[np.float32]:
    return unit(np.random.default_rng(9).standard_normal((len(SEEDS), 128)))


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / f"face_{family}_onnx"
    done = CliRunner().invoke(families_app, ["export", family, "--format", "onnx", "--output", str(folder)])
    assert (done.exit_code, done.stdout) == (0, f"{folder}\n"), done.exception
    return folder


@cache
def sampler(family: str) -> Sampler:
    return trained(shipped_weights()[family]).sampler


@cache
def session(model: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model / "1" / "model.onnx")


def made(model: Path, **inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    (images,) = session(model).run(["image"], inputs)
    return np.asarray(images)


def given() -> dict[str, npt.NDArray[np.generic]]:
    """What stands in the place of seeds and strengths: a client needs numpy alone to draw it."""
    return {
        "drawn": latent.drawn(SEEDS, 128),
        "identity": latent.wander_on_sphere(people(), SEEDS, STRENGTHS),
    }


def without_frames() -> dict[str, npt.NDArray[np.generic]]:
    return {"frame": np.zeros((len(SEEDS), 64, 64, 3), np.uint8), "framed": np.zeros((len(SEEDS), 1), bool)}


def test_onnxruntime_makes_the_pictures_of_the_python_backend(model: Path, family: str):
    """At most one level of 255 apart on 99.9 % of the values, whatever the size of the batch."""
    expected = sampler(family).sample(SEEDS, people(), STRENGTHS)
    asked = given() | (without_frames() if family == "encoder_decoder" else {})
    images = made(model, **asked)
    assert (images.shape, images.dtype) == ((5, 64, 64, 3), np.uint8)
    assert expected.std() > 10
    apart = np.abs(images.astype(int) - expected)
    assert (apart <= 1).mean() >= 0.999
    alone = made(model, **{name: values[2:3] for name, values in asked.items()})
    assert (np.abs(alone.astype(int) - expected[2:3]) <= 1).mean() >= 0.999


@pytest.mark.parametrize("family", ["encoder_decoder"], indirect=True)
def test_rows_with_a_source_frame_and_rows_without_one_go_together(model: Path):
    frames = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    framed = np.array([[True], [False], [True], [True], [False]])
    images = made(model, **given(), frame=frames, framed=framed).astype(int)
    network = sampler("encoder_decoder")
    with_them = network.sample(SEEDS, people(), STRENGTHS, frames)
    without = network.sample(SEEDS, people(), STRENGTHS)
    expected = np.where(framed[..., None, None], with_them, without)
    assert np.abs(with_them.astype(int) - without).mean() > 5
    assert (np.abs(images - expected) <= 1).mean() >= 0.999


def test_the_configuration_declares_what_the_network_takes_and_gives(model: Path, family: str):
    config = text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())
    network = session(model)
    for declared, has in ((config.input, network.get_inputs()), (config.output, network.get_outputs())):
        assert [(one.name, TYPES[DataType.Name(one.data_type)], [*one.dims]) for one in declared] == [
            (one.name, one.type, one.shape[1:]) for one in has
        ]
        assert {one.shape[0] for one in has} == {"samples"}
    assert (config.name, config.backend) == (model.name, "onnxruntime")
    assert config.HasField("dynamic_batching")
    assert max(config.dynamic_batching.preferred_batch_size) <= config.max_batch_size
    meta = json.loads((model / "1" / "meta.json").read_bytes())
    assert meta == json.loads((shipped_weights()[family] / "meta.json").read_bytes())


@pytest.mark.parametrize("family", ["gan"], indirect=True)
def test_a_version_that_is_there_is_not_written_over(model: Path, family: str):
    with pytest.raises(BadInput, match="expected no version 1"):
        onnx_export.export(shipped_weights()[family], model)


@pytest.mark.parametrize("family", ["gan"], indirect=True)
def test_a_file_that_makes_other_pictures_is_found_out(model: Path, family: str):
    assert onnx_export.agreement(model / "1" / "model.onnx", sampler(family)) >= onnx_export.AGREEMENT
    moved = trained(shipped_weights()[family]).sampler
    moved.network.start.bias += 0.2
    assert onnx_export.agreement(model / "1" / "model.onnx", moved) < onnx_export.AGREEMENT


def test_an_export_needs_one_folder_to_write_into_and_something_to_export(tmp_path: Path):
    def refused(*arguments: str) -> BaseException | None:
        return CliRunner().invoke(families_app, ["export", *arguments]).exception

    assert isinstance(refused("gan"), BadInput)
    assert isinstance(refused("gan", str(tmp_path / "one"), "--output", str(tmp_path / "two")), BadInput)
    assert isinstance(refused("nothing", "--output", str(tmp_path / "one")), WeightsUnusable)
    assert not any(tmp_path.iterdir())
