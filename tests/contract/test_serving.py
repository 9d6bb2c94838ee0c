"""Every served model, what serves it, what is written about it, and the client agree on the tensors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from generators import serve, serve_facenet, weights
from generators.families import FAMILIES
from streams.adapters.triton import tensors as triton_tensors
from streams.settings import Settings
from streams.shipped import shipped

FACENET = shipped("triton_models") / "facenet"
#: Those that make faces.
MODELS = sorted(folder for folder in FACENET.parent.iterdir() if folder.is_dir() and folder != FACENET)


def config_of(model: Path) -> ModelConfig:
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())


def declared(tensor: Any) -> serve.Tensor:
    return serve.Tensor(tensor.name, DataType.Name(tensor.data_type).removeprefix("TYPE_"), tuple(tensor.dims))


@pytest.fixture(params=MODELS, ids=lambda folder: folder.name)
def model(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_published_gan_and_every_family_that_is_trained_here_are_served():
    families = {config_of(folder).parameters["family"].string_value for folder in MODELS}
    assert families == set(serve.FAMILIES) == {"digiface_dcgan", *FAMILIES}


def test_a_model_declares_the_tensors_of_the_contract(model: Path):
    config = config_of(model)
    required = [tensor for tensor in config.input if not tensor.optional]
    assert tuple(map(declared, required)) == serve.INPUTS
    assert tuple(map(declared, config.output)) == serve.OUTPUTS


def test_the_encoder_decoder_alone_takes_a_source_frame(model: Path):
    config = config_of(model)
    optional = [declared(tensor) for tensor in config.input if tensor.optional]
    assert optional == ([serve.FRAME] if config.parameters["family"].string_value == "encoder_decoder" else [])


def test_what_is_trained_here_is_conditioned_on_centroids_and_the_published_gan_on_its_own_anchors(model: Path):
    config = config_of(model)
    told = config.parameters[triton_tensors.CONDITIONED_ON].string_value
    assert told == ("" if config.parameters["family"].string_value == "digiface_dcgan" else triton_tensors.CENTROID)


def test_a_model_says_what_the_server_needs(model: Path):
    config = config_of(model)
    _can_be_served(model, config)
    assert config.parameters["family"].string_value in serve.FAMILIES
    assert int(config.parameters[serve.LENGTH].string_value) >= 1
    assert config.version_policy.latest.num_versions == 2  # one goes on while the next takes over


def test_a_model_tells_people_of_every_tensor(model: Path):
    _tells_of(model, (*serve.INPUTS, *serve.OUTPUTS))


def test_facenet_declares_its_own_tensors_and_whose_embeddings_it_gives():
    config = config_of(FACENET)
    _can_be_served(FACENET, config)
    assert [*map(declared, config.input), *map(declared, config.output)] == [serve_facenet.INPUT, serve_facenet.OUTPUT]
    assert config.parameters[serve_facenet.EMBEDDER].string_value == Settings().embedder
    assert FACENET.name == weights.FACENET_MODEL
    _tells_of(FACENET, (serve_facenet.INPUT, serve_facenet.OUTPUT))


def _can_be_served(model: Path, config: ModelConfig) -> None:
    assert config.name == model.name
    assert config.backend == "python"
    assert config.max_batch_size >= 16
    assert config.HasField("dynamic_batching")
    assert max(config.dynamic_batching.preferred_batch_size) <= config.max_batch_size
    assert (model / "1" / "model.py").is_file()


def _tells_of(model: Path, tensors: Sequence[serve.Tensor]) -> None:
    lines = (model / "README.md").read_text(encoding="utf-8").splitlines()
    for tensor in tensors:
        assert any(f"`{tensor.name}`" in line and tensor.dtype in line for line in lines), tensor


def test_the_client_and_the_server_hold_the_same_contract():
    for ours, theirs in ((serve.INPUTS, triton_tensors.INPUTS), (serve.OUTPUTS, triton_tensors.OUTPUTS)):
        assert {tensor.name: (tensor.dtype, (-1, *tensor.dims)) for tensor in ours} == dict(theirs)
    assert serve.LENGTH == triton_tensors.LENGTH
