"""A network that its user brings in the place of the hash: small ones, made here."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from streams.adapters.copies.descriptor import described
from streams.adapters.copies.network import SIDE, CopyNetwork
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.core.faces import Sighting, Undecodable
from streams.core.imprints import Measure
from streams.core.similarity import similarity
from streams.errors import BadInput
from streams.settings import Settings
from streams.wheels import sha256_of

#: Cells along each side over which the network takes means.
CELLS = 4


def network(file: Path, side: int | str = 64, outputs: int = 1, channels: int = 3) -> Path:
    """Write a network that takes means over 4 x 4 cells of each channel: 48 values; of ``outputs`` axes."""
    kernel = [(side if isinstance(side, int) else SIDE) // CELLS] * 2
    steps = [helper.make_node("AveragePool", ["pixels"], ["means"], kernel_shape=kernel, strides=kernel)]
    if outputs == 1:
        steps.append(helper.make_node("Flatten", ["means"], ["vector"]))
    taken = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", channels, side, side])
    given = helper.make_tensor_value_info(["means", "vector"][outputs == 1], TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(steps, "means", [taken], [given]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, file)
    return file


def settings(file: Path) -> Settings:
    return Settings(copy_descriptor=file)


def picture(seed: int, side: int = 80) -> np.ndarray:
    """Five by five blocks of colour."""
    blocks = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((side // 5, side // 5, 1), np.uint8))


def test_an_onnx_network_describes_pictures_by_vectors_of_unit_length(tmp_path: Path):
    file = network(tmp_path / "tiny.v1.onnx")
    copies = CopyNetwork.load(file, settings(file))

    views = [copies.views(one, None) for one in (picture(1), picture(1, 160), picture(2))]
    (one,), (larger,), (other,) = copies.imprints(views)

    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert (one.shape, one.dtype) == ((48,), np.float32)
    assert similarity(one, larger) > 0.99
    assert similarity(one, other) < 0.9
    assert (copies.what.name, copies.what.weights, copies.what.measure) == ("tiny", sha256_of(file), Measure.COSINE)
    assert described(settings(file)) == copies.what


def test_a_picture_is_given_as_imagenet_has_it(tmp_path: Path):
    """White is (1 - 0.485) / 0.229 in red, by the mean and deviation that SSCD's authors name."""
    file = network(tmp_path / "tiny.onnx")
    copies = CopyNetwork.load(file, settings(file))

    [(white,)] = copies.imprints([copies.views(np.full((64, 64, 3), 255, np.uint8), None)])

    expected = np.repeat([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], CELLS * CELLS)
    np.testing.assert_allclose(white, expected / np.linalg.norm(expected), atol=1e-5)


def test_the_mirror_image_of_an_original_is_described_too(tmp_path: Path):
    file = network(tmp_path / "tiny.onnx")
    copies = CopyNetwork.load(file, settings(file))

    [(upright, mirrored)] = copies.imprints([copies.views(picture(1), None)], mirrored=True)
    [(sample,)] = copies.imprints([copies.views(picture(1)[:, ::-1], None)])

    assert similarity(sample, mirrored) > 0.999
    assert similarity(sample, upright) < 0.9


def test_a_network_of_any_size_of_picture_gets_the_size_that_is_usual(tmp_path: Path):
    file = network(tmp_path / "free.onnx", side="side")
    copies = CopyNetwork.load(file, settings(file))

    [view] = copies.views(picture(1), None)
    assert view.shape == (SIDE, SIDE, 3)
    assert copies.what.dimension == 48


def test_another_network_is_another_descriptor(tmp_path: Path):
    one, other = network(tmp_path / "one.onnx"), network(tmp_path / "two.onnx", side=128)

    assert described(settings(one)).fingerprint != described(settings(other)).fingerprint


def test_a_torchscript_network_does_as_well(tmp_path: Path):
    import torch

    module = torch.nn.Sequential(torch.nn.AvgPool2d(SIDE // CELLS), torch.nn.Flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.trace(module, torch.zeros(1, 3, SIDE, SIDE)), str(tmp_path / "tiny.torchscript.pt"))
    file = network(tmp_path / "tiny.onnx", side=SIDE)
    script, same = (CopyNetwork.load(one, settings(one)) for one in (tmp_path / "tiny.torchscript.pt", file))

    [(one,)] = script.imprints([script.views(picture(3), None)])
    [(other,)] = same.imprints([same.views(picture(3), None)])
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", ["nothing.onnx", "words.onnx", "words.pt", "axes.onnx", "grey.onnx", "nothing.pt"])
def test_what_is_no_such_network_is_refused_by_name(tmp_path: Path, name: str):
    file = tmp_path / name
    if name.startswith("words"):
        file.write_text("no network")
    if name.startswith("axes"):
        network(file, outputs=3)
    if name.startswith("grey"):
        network(file, channels=1)

    with pytest.raises(BadInput, match=r"LIKENESS_COPY_DESCRIPTOR") as refused:
        CopyNetwork.load(file, settings(file))
    assert name in str(refused.value)


def test_the_engine_describes_samples_by_the_network_that_is_set(tmp_path: Path):
    file = network(tmp_path / "tiny.onnx")
    engine = FaceEngine.load(settings(file))

    encoded = encode_png(picture(4))
    [seen] = engine.examine([encoded])
    [original] = engine.imprint_originals([encoded])
    assert isinstance(seen, Sighting)
    assert not isinstance(original, Undecodable)
    [(imprint,)] = engine.imprint([seen])
    assert similarity(imprint, original[0]) > 0.9999
    assert engine.descriptor == described(settings(file))
