"""FaceNet as a served model, on the real server: the judge's own embeddings."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException

from generators import serve_facenet, weights
from generators.serve import Refused
from generators.served import own_server
from streams.adapters.engines import onnx_models, onnx_sessions
from streams.adapters.facenet.crops import cut_out, whitened
from streams.adapters.faces.engine import FaceEngine
from streams.core.faces import Embedding, Pixels, Sighting
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.settings import Settings
from streams.shipped import shipped
from tests.absent import absent

PICTURES = sorted((Path(__file__).parent / "faces").glob("*.png"))


@cache
def engine() -> FaceEngine:
    try:
        return FaceEngine.load(Settings())
    except (Unready, WeightsUnusable) as error:
        absent(str(error))


@cache
def faces() -> list[tuple[Pixels, Embedding]]:
    """Crops as the judge cuts them out, and what it embeds them as."""
    found = []
    for file in PICTURES:
        (seen,) = engine().examine([file.read_bytes()])
        assert isinstance(seen, Sighting)
        assert seen.largest is not None
        pixels = np.asarray(Image.open(file).convert("RGB"))
        found.append((cut_out(pixels, seen.largest.box), seen.largest.embedding))
    return found


def crops() -> Pixels:
    return np.stack([crop for crop, _ in faces()])


def embedded() -> npt.NDArray[np.float32]:
    return np.stack([embedding for _, embedding in faces()])


@pytest.fixture(scope="module")
def served() -> Iterator[InferenceServerClient]:
    if find_spec("pytriton") is None:
        absent("no Triton server: pip install 'likeness-qc[embedded]'")
    engine()
    with asyncio.Runner() as runner, own_server(Settings(), runner, ["facenet"]) as address:
        client = InferenceServerClient(address)
        yield client
        client.close()


def asked(crops: Pixels) -> list[InferInput]:
    tensor = InferInput("crop", list(crops.shape), "UINT8")
    tensor.set_data_from_numpy(crops)
    return [tensor]


def test_its_embeddings_are_those_of_the_judge(served: InferenceServerClient):
    embeddings = served.infer("facenet", asked(crops())).as_numpy("embedding")
    assert embeddings.dtype == np.float32
    assert float((embeddings * embedded()).sum(axis=1).min()) >= 0.9999
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_requests_that_come_together_get_each_its_own(served: InferenceServerClient):
    """They go as requests of their own at the same time, of one crop and of several, so that the server joins them."""
    rows = [[0], [1, 2], [3], [3, 2, 1], [0]] * 4

    def ask(of: list[int]) -> npt.NDArray[np.float32]:
        embeddings: npt.NDArray[np.float32] = served.infer("facenet", asked(crops()[of])).as_numpy("embedding")
        return embeddings

    with ThreadPoolExecutor(len(rows)) as pool:
        for of, embeddings in zip(rows, pool.map(ask, rows), strict=True):
            assert embeddings.shape == (len(of), 128)
            assert float((embeddings * embedded()[of]).sum(axis=1).min()) >= 0.9999


def test_a_crop_of_another_size_is_refused(served: InferenceServerClient):
    with pytest.raises(InferenceServerException, match="crop") as refused:
        served.infer("facenet", asked(np.zeros((1, 112, 112, 3), np.uint8)))
    assert "INVALID_ARGUMENT" in str(refused.value.status())


def test_the_exported_network_is_what_the_readme_declares_for_the_onnx_backend():
    """And gives the judge's embeddings to whoever normalises as the README says."""
    engine()
    text = (shipped("triton_models") / "facenet/README.md").read_text(encoding="utf-8")
    config = text_format.Parse(text.split("```")[1], ModelConfig())
    file = onnx_models.folder_of(Settings()) / onnx_models.EMBED
    session = onnx_sessions.open_session(file, threads=1, providers=["CPUExecutionProvider"])
    for declared, has in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(one.name, [*one.dims]) for one in declared] == [(one.name, one.shape[1:]) for one in has]
        assert {one.type for one in has} == {"tensor(float)"}
    (embeddings,) = session.run(["embedding"], {"pixels": whitened(crops()).transpose(0, 3, 1, 2)})
    assert float((embeddings * embedded()).sum(axis=1).min()) >= 0.9999


class Flat:
    """Stands in for the networks: embeds a crop by its mean colour alone, and black by no direction at all."""

    def normalised(self, crops: Pixels) -> npt.NDArray[np.float32]:
        return crops.astype(np.float32)

    def embed(self, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return faces.mean(axis=(1, 2))


def test_a_crop_without_direction_is_refused_and_its_neighbours_are_embedded():
    red, black = np.zeros((2, 1, 160, 160, 3), np.uint8)
    red[..., 0] = 9
    first, refused, last = serve_facenet.answer(Flat(), [red, np.concatenate([red, black]), red])
    assert isinstance(refused, Refused)
    assert "with a direction" in refused.why
    for embeddings in (first, last):
        np.testing.assert_array_equal(embeddings, [[1, 0, 0]])


@pytest.mark.parametrize(("embedder", "values"), [("vggface2", 128), ("facenet-128", 512)])
def test_a_configuration_of_other_embeddings_than_the_settings_name_is_refused(embedder: str, values: int):
    with pytest.raises(BadInput, match=f"'facenet-128'.* 128 values, got .'{embedder}', .{values}"):
        serve_facenet.load(arguments(embedder, values))


def test_a_server_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIKENESS_CACHE_DIR", str(tmp_path))
    with pytest.raises(WeightsUnusable, match="got no file"):
        serve_facenet.load(arguments("facenet-128", 128))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("models", "exported"), [("face_gan", False), ("face_gan,facenet", True)])
def test_whoever_starts_a_server_of_it_has_its_network_exported_before(
    models: str, exported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine()
    weights.ensure(weights.DCGAN_DIGIFACE, Settings().cache_dir)
    (tmp_path / "weights").mkdir()
    for name in (weights.DCGAN_DIGIFACE.name, "facenet-128"):
        (tmp_path / "weights" / name).symlink_to(Settings().cache_dir / "weights" / name)
    monkeypatch.setenv("LIKENESS_MODELS", models)
    weights.ensure_all(tmp_path)
    assert onnx_models.complete(onnx_models.folder_of(Settings(cache_dir=tmp_path))) == exported


def arguments(embedder: str, values: int) -> dict[str, str]:
    parameters = {"embedder": {"string_value": embedder}}
    return {"model_config": json.dumps({"parameters": parameters, "output": [{"dims": [str(values)]}]})}
