"""Every engine against the reference: the same faces, the same embeddings."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generators import digiface_dcgan
from generators.weights import DCGAN_DIGIFACE, ensure, read
from streams.adapters.engines import onnx_models, onnx_sessions, openvino_sessions
from streams.adapters.facenet.weights import load_embedder
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.core.explain.look import Measure
from streams.core.faces import Face, Pixels, Sighting
from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings

#: Images of one face that fills the frame, and scenes with up to three faces on a larger canvas.
FACES, SCENES = 200, 40
BATCH = 16

#: Engines that read the exported networks, and how.
NETWORK = {
    "onnxruntime": partial(onnx_sessions.network, providers=["CPUExecutionProvider"]),
    "openvino": openvino_sessions.network,
}
EXPORTED = list(NETWORK)

#: Prints which of the two packages is loaded.
LOADED = "print(*(name for name in ('openvino', 'openvino_telemetry') if sys.modules.get(name)))"


@cache
def engine(name: str) -> FaceEngine:
    return FaceEngine.load(Settings(engine=name))


def made(count: int, seed: int) -> list[Pixels]:
    """Faces that wander from their anchors as the demonstration's do, 64 x 64."""
    settings = Settings()
    ensure(DCGAN_DIGIFACE, settings.cache_dir)
    network = digiface_dcgan.load(read(DCGAN_DIGIFACE, settings.cache_dir))
    anchors = np.array([digiface_dcgan.anchor(seed + i // 4) for i in range(count)], dtype=np.float32)
    strengths = np.resize(np.array([0.0, 0.2, 0.4, 0.6], dtype=np.float32), count)
    return list(network.sample(range(seed, seed + count), anchors, strengths))


def scene(faces: Sequence[Pixels], random: np.random.Generator) -> Pixels:
    """Paste faces of any size onto a canvas of any size."""
    height, width = ((160, 160), (256, 256), (240, 320), (480, 640))[random.integers(4)]
    noise = random.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    canvas = Image.fromarray(noise).resize((width, height), Image.Resampling.BILINEAR)
    for face in faces:
        side = int(random.integers(40, min(height, width) // (1 if len(faces) == 1 else 2)))
        at = (int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1)))
        canvas.paste(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC), at)
    return np.asarray(canvas)


@cache
def images() -> tuple[bytes, ...]:
    random = np.random.default_rng(7)
    pasted = iter(made(3 * SCENES, 10_000))
    scenes = [scene([next(pasted) for _ in range(1 + i % 3)], random) for i in range(SCENES)]
    return tuple(encode_png(image) for image in [*made(FACES, 0), *scenes])


@cache
def seen(name: str) -> tuple[Sighting, ...]:
    batches = [images()[start : start + BATCH] for start in range(0, len(images()), BATCH)]
    sightings = [each for batch in batches for each in engine(name).examine(batch)]
    assert all(isinstance(each, Sighting) for each in sightings)
    return tuple(each for each in sightings if isinstance(each, Sighting))


def pairs(name: str) -> list[tuple[Face, Face]]:
    both = zip(seen("torch"), seen(name), strict=True)
    return [(a.largest, b.largest) for a, b in both if a.largest is not None and b.largest is not None]


def overlap(a: Face, b: Face) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    common = max(0.0, width) * max(0.0, height)
    areas = [(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]) for face in (a, b)]
    return common / (sum(areas) - common)


@pytest.mark.parametrize("name", EXPORTED)
def test_an_engine_finds_the_faces_that_the_reference_finds(name: str):
    assert [one.faces for one in seen(name)] == [one.faces for one in seen("torch")]
    assert np.median([overlap(*pair) for pair in pairs(name)]) >= 0.98
    distances = [np.abs(np.subtract(a.landmarks, b.landmarks)).max() / a.side for a, b in pairs(name)]
    assert np.median(distances) < 0.01


@pytest.mark.parametrize("name", EXPORTED)
def test_an_engine_embeds_as_the_reference_does(name: str):
    cosines = [float(a.embedding @ b.embedding) for a, b in pairs(name)]
    assert len(cosines) > 0.9 * FACES
    assert np.median(cosines) >= 0.999


@pytest.mark.parametrize("name", EXPORTED)
def test_the_same_crop_has_the_same_embedding_to_the_fourth_digit(name: str):
    crops = np.stack([np.asarray(Image.fromarray(face).resize((160, 160))) for face in made(BATCH, 500)])
    embedded = (engine(which)._embed(crops) for which in ("torch", name))
    reference, other = (np.stack([each.vector for each in of_engine]) for of_engine in embedded)
    cosines = (reference * other).sum(axis=1) / np.linalg.norm(reference, axis=1) / np.linalg.norm(other, axis=1)
    assert cosines.min() >= 0.9999


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_embedder_also_gives_what_comes_before_its_last_layer_and_the_length(name: str):
    folder, whole = onnx_models.ensure(Settings()), load_embedder(Settings())[0]
    crops = np.random.default_rng(3).standard_normal((3, 3, 160, 160)).astype(np.float32)

    embedding, features, length = NETWORK[name](folder / onnx_models.EMBED, threads=2)(crops)

    with torch.inference_mode():
        vector = whole.last_bn(whole.last_linear(torch.from_numpy(features)))
        assert np.allclose(embedding, whole(torch.from_numpy(crops)), atol=1e-4)
    assert features.shape == (3, 1792)
    assert np.allclose(embedding * length, vector, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", EXPORTED)
def test_every_engine_tells_how_stable_an_embedding_is_as_the_reference_does(name: str):
    told = {which: _stabilities(which) for which in ("torch", name)}
    assert len(told[name]) > 12
    assert np.abs(np.subtract(told["torch"], told[name])).max() < 1e-3
    assert np.ptp(told["torch"]) > 1e-3


def _stabilities(name: str) -> list[float]:
    faces = [one.largest for one in seen(name)[:BATCH] if one.largest is not None]
    return [look.measures[Measure.STABILITY] for look in engine(name).describe(faces) if look is not None]


@pytest.mark.parametrize("name", EXPORTED)
def test_a_file_that_is_no_network_is_refused(name: str, tmp_path: Path):
    (tmp_path / "embed.onnx").write_bytes(b"no network")

    with pytest.raises(WeightsUnusable, match=r"expected an ONNX network in .*embed\.onnx.*delete"):
        NETWORK[name](tmp_path / "embed.onnx", threads=2)


def test_all_engines_share_one_embedding_space():
    assert engine("torch").space == engine("onnxruntime").space == engine("openvino").space


def test_what_the_networks_are_to_run_on_is_asked_of_onnxruntime():
    with pytest.raises(Unready, match=r"onnxruntime with NoSuchExecutionProvider, got one with .*LIKENESS_PROVIDERS"):
        FaceEngine.load(Settings(providers="NoSuchExecutionProvider,CPUExecutionProvider"))


def test_openvino_reports_to_nobody(tmp_path: Path):
    """Its package of telemetry would, at the import; a process of its own shows what one import does."""
    script = f"from streams.adapters.engines.openvino_sessions import release; release(); import sys; {LOADED}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["openvino"]
    assert not any(tmp_path.iterdir())


#: Embeds one face, and says how stable that is or why not, where nothing of the extra ``faces`` can be imported.
WITHOUT_FACES = """
import sys
for name in {absent!r}:
    sys.modules[name] = None
from pathlib import Path
from streams.adapters.faces.engine import FaceEngine
from streams.settings import Settings
engine = FaceEngine.load(Settings())
[seen] = engine.examine([Path({file!r}).read_bytes()])
[look] = engine.describe([seen.largest])
print(seen.faces, sorted(look.measures)[0])
"""


def test_a_worker_needs_nothing_of_the_extra_that_has_torch():
    """As in the image of the workers, whose cache was filled by another one."""
    onnx_models.ensure(Settings())
    extra = ("torch", "torchvision", "facenet_pytorch", "h5py", "onnx", "safetensors")
    file = str(Path(__file__).with_name("faces") / "anna-1.png")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FACES.format(absent=extra, file=file)], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout.split()) == (0, ["1", "brightness"]), done.stderr
