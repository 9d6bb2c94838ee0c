"""Every served model, what serves it, what is written about it, and the client agree on the tensors."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from generators import serve
from streams.adapters.triton import tensors as triton_tensors
from streams.shipped import shipped

MODELS = sorted(folder for folder in shipped("triton_models").iterdir() if folder.is_dir())


def config_of(model: Path) -> ModelConfig:
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())


@pytest.fixture(params=MODELS, ids=lambda folder: folder.name)
def model(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_gan_is_served():
    assert "face_gan" in [folder.name for folder in MODELS]


def test_a_model_declares_the_tensors_of_the_contract(model: Path):
    config = config_of(model)
    for declared, contract in ((config.input, serve.INPUTS), (config.output, serve.OUTPUTS)):
        found = tuple(
            serve.Tensor(t.name, DataType.Name(t.data_type).removeprefix("TYPE_"), tuple(t.dims)) for t in declared
        )
        assert found == contract


def test_a_model_says_what_the_server_needs(model: Path):
    config = config_of(model)
    assert config.name == model.name
    assert config.backend == "python"
    assert config.max_batch_size >= 16
    assert config.HasField("dynamic_batching")
    assert max(config.dynamic_batching.preferred_batch_size) <= config.max_batch_size
    assert config.parameters["family"].string_value in serve.FAMILIES
    assert int(config.parameters[serve.LENGTH].string_value) >= 1
    assert (model / "1" / "model.py").is_file()


def test_a_model_tells_people_of_every_tensor(model: Path):
    lines = (model / "README.md").read_text(encoding="utf-8").splitlines()
    for tensor in (*serve.INPUTS, *serve.OUTPUTS):
        assert any(f"`{tensor.name}`" in line and tensor.dtype in line for line in lines), tensor


def test_the_client_and_the_server_hold_the_same_contract():
    for ours, theirs in ((serve.INPUTS, triton_tensors.INPUTS), (serve.OUTPUTS, triton_tensors.OUTPUTS)):
        assert {tensor.name: (tensor.dtype, (-1, *tensor.dims)) for tensor in ours} == dict(theirs)
    assert serve.LENGTH == triton_tensors.LENGTH
