"""The examiner with its real networks, on synthetic faces and on all that is none."""

import importlib.util
import io
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from threadpoolctl import threadpool_info

from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.engines.torch_networks import Mtcnn
from streams.adapters.facenet.crops import cut_out, sharpness, whitened
from streams.adapters.facenet.detector import Detector
from streams.adapters.facenet.weights import Published
from streams.adapters.faces.engine import FaceEngine, embedding_space
from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.faces.lone import LoneExaminer, known_good
from streams.adapters.images.decode import encode_png
from streams.core.faces import Examined, Face, Pixels, Undecodable
from streams.core.similarity import similarity
from streams.errors import Unready, WeightsUnusable
from streams.events import DeadReason
from streams.settings import Settings
from tests.absent import absent

FACES = Path(__file__).parent / "faces"
ANNA, ANNA_TOO, BELA, BELA_TOO = (
    (FACES / f"{name}.png").read_bytes() for name in ("anna-1", "anna-2", "bela-1", "bela-2")
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["onnxruntime", "torch"])
async def examiner(request: pytest.FixtureRequest) -> AsyncIterator[FaceExaminer]:
    if importlib.util.find_spec("facenet_pytorch") is None:
        absent("facenet-pytorch is not installed: pip install 'likeness-qc[faces]'")
    examiner = FaceExaminer(Settings(engine=request.param))
    try:
        await examiner.open()
    except WeightsUnusable as error:
        absent(str(error))
    yield examiner
    await examiner.close()


def test_beside_the_networks_numpy_computes_with_one_thread(examiner: FaceExaminer) -> None:
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    assert blas
    assert all(library["num_threads"] == 1 for library in blas)


def pixels_of(encoded: bytes) -> Pixels:
    return np.array(Image.open(io.BytesIO(encoded)).convert("RGB"))


def face_of(examined: Examined) -> Face:
    assert not isinstance(examined, Undecodable), examined
    assert examined.faces == 1
    assert examined.largest is not None
    return examined.largest


def faces_in(examined: Examined) -> int:
    assert not isinstance(examined, Undecodable), examined
    assert (examined.largest is None) == (examined.faces == 0)
    return examined.faces


def on_grey(*faces: tuple[bytes, int, int, int], width: int, height: int) -> bytes:
    """Return an image with faces pasted on grey: (face, side, left, top) each."""
    canvas = Image.new("RGB", (width, height), (120, 120, 120))
    for encoded, side, left, top in faces:
        face = Image.fromarray(pixels_of(encoded)).resize((side, side), Image.Resampling.BICUBIC)
        canvas.paste(face, (left, top))
    return encode_png(np.array(canvas))


async def test_one_person_is_near_and_another_is_far(examiner: FaceExaminer):
    seen = await examiner.examine([ANNA, ANNA_TOO, BELA, BELA_TOO])
    anna, anna_too, bela, bela_too = (face_of(each).embedding for each in seen)
    assert min(similarity(anna, anna_too), similarity(bela, bela_too)) > 0.8
    others = [similarity(a, b) for a in (anna, anna_too) for b in (bela, bela_too)]
    assert max(others) < 0.35


async def test_an_embedding_is_float32_of_unit_length_in_the_space_that_was_promised(examiner: FaceExaminer):
    embedding = face_of((await examiner.examine([ANNA]))[0]).embedding
    assert embedding.shape == (examiner.space.dimension,)
    assert embedding.dtype == np.float32
    assert abs(np.linalg.norm(embedding.astype(np.float64)) - 1) < 1e-6
    assert examiner.space == embedding_space(Settings(embedder="facenet-128", embedder_weights=None))


async def test_the_same_images_give_the_same_answer(examiner: FaceExaminer):
    once, again = [await examiner.examine([ANNA, BELA]) for _ in range(2)]
    for a, b in zip(once, again, strict=True):
        assert np.array_equal(face_of(a).embedding, face_of(b).embedding)
        assert face_of(a).box == face_of(b).box


async def test_answers_come_in_order_whatever_the_sizes(examiner: FaceExaminer):
    large = on_grey((BELA, 200, 120, 60), width=480, height=320)
    blank = encode_png(np.full((64, 64, 3), 90, np.uint8))
    seen = await examiner.examine([large, b"garbage", ANNA, blank, ANNA_TOO])
    assert isinstance(seen[1], Undecodable)
    assert seen[1].reason is DeadReason.IMAGE_UNDECODABLE
    assert faces_in(seen[3]) == 0
    large_bela, anna, anna_too = (face_of(seen[i]).embedding for i in (0, 2, 4))
    assert similarity(anna, anna_too) > 0.8
    assert similarity(anna, large_bela) < 0.35


async def test_nothing_to_examine_gives_nothing(examiner: FaceExaminer):
    assert await examiner.examine([]) == []


async def test_a_face_lies_where_the_box_and_the_landmarks_say(examiner: FaceExaminer):
    face = face_of((await examiner.examine([on_grey((ANNA, 160, 300, 100), width=640, height=480)]))[0])
    left, top, right, bottom = face.box
    assert 300 <= left < right <= 460
    assert 100 <= top < bottom <= 260
    assert len(face.landmarks) == 5
    assert all(left < x < right and top < y < bottom for x, y in face.landmarks)
    (left_eye, right_eye, nose, left_mouth, right_mouth) = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert face.probability >= 0.9


async def test_of_two_faces_both_count_and_the_largest_is_embedded(examiner: FaceExaminer):
    both = on_grey((ANNA, 220, 380, 120), (BELA, 120, 60, 200), width=640, height=480)
    seen, alone = await examiner.examine([both, on_grey((ANNA, 220, 380, 120), width=640, height=480)])
    assert faces_in(seen) == 2
    assert not isinstance(seen, Undecodable)
    assert seen.largest is not None
    assert similarity(seen.largest.embedding, face_of(alone).embedding) > 0.9


async def test_a_face_far_in_the_background_does_not_count(examiner: FaceExaminer):
    far = on_grey((ANNA, 380, 60, 60), (BELA, 60, 900, 600), width=1000, height=1000)
    assert faces_in((await examiner.examine([far]))[0]) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3, 10_000), (10_000, 3), (19, 19), (20, 20), (21, 4000)])
@pytest.mark.parametrize("kind", ["noise", "black", "white"])
async def test_an_odd_image_has_no_face_and_breaks_nothing(examiner: FaceExaminer, shape: tuple[int, int], kind: str):
    fill = {"black": 0, "white": 255}
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    pixels = noise if kind == "noise" else np.full((*shape, 3), fill[kind], np.uint8)
    seen = await examiner.examine([encode_png(pixels), encode_png(pixels), ANNA])
    assert [faces_in(each) for each in seen] == [0, 0, 1]


async def test_a_blurred_face_is_less_sharp(examiner: FaceExaminer):
    small = Image.fromarray(pixels_of(ANNA)).resize((32, 32)).resize((64, 64), Image.Resampling.BICUBIC)
    sharp, blurred = await examiner.examine([ANNA, encode_png(np.array(small))])
    assert face_of(blurred).sharpness < face_of(sharp).sharpness / 2


async def test_an_examiner_that_is_not_open_says_so():
    unopened = FaceExaminer(Settings())
    with pytest.raises(Unready, match="open"):
        await unopened.examine([ANNA])
    await unopened.close()


async def test_the_image_that_is_known_to_be_good_is_one_without_a_face(examiner: FaceExaminer):
    assert [faces_in(each) for each in await examiner.examine([known_good()])] == [0]


@pytest.mark.usefixtures("examiner")
async def test_the_lone_examiner_sees_the_same_in_its_child(examiner: FaceExaminer):
    settings = Settings(embedder="facenet-128", embedder_weights=None)
    lone = LoneExaminer(partial(FaceEngine.load, settings), embedding_space(settings), canary=known_good())
    try:
        (theirs, garbage), (ours, _) = await lone.examine([ANNA, b"x"]), await examiner.examine([ANNA, b"x"])
    finally:
        await lone.close()
    assert lone.space == examiner.space
    assert isinstance(garbage, Undecodable)
    assert similarity(face_of(theirs).embedding, face_of(ours).embedding) > 0.999


@pytest.mark.usefixtures("examiner")
@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_an_embedding_without_direction_is_no_face(value: float):
    lost = FaceNetworks(
        detect=Mtcnn().detect,
        embed=lambda faces: np.full((len(faces), 128), value, np.float32),
        landmarks=Mtcnn().landmarks,
        what=Published("facenet-128", "0" * 64, 128, whitened=True),
    )
    assert faces_in(FaceEngine(lost).examine([ANNA])[0]) == 0


class Tripping:
    """A detector that raises on every bucket with a black image in it, as facenet-pytorch does on some images."""

    min_face_size = 0

    def __init__(self, real) -> None:
        self.real = real

    def detect(self, images, *, landmarks: bool):
        if any(image.max() == 0 for image in images):
            raise IndexError("The shape of the mask [3] does not match the shape of the tensor [4]")
        return self.real.detect(images, landmarks=landmarks)


@pytest.mark.usefixtures("examiner")
def test_an_image_that_trips_the_detector_takes_no_other_with_it():
    networks = Mtcnn()
    networks._mtcnn = Tripping(networks._mtcnn)
    detector = Detector(networks.detect)
    black = np.zeros((64, 64, 3), np.uint8)
    found = detector.find([pixels_of(ANNA), black, pixels_of(BELA)])
    assert [len(each) for each in found] == [1, 0, 1]


class OutOfMemory:
    min_face_size = 0

    def detect(self, images, *, landmarks: bool):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.usefixtures("examiner")
def test_running_out_of_memory_is_not_taken_for_an_image_without_a_face():
    networks = Mtcnn()
    networks._mtcnn = OutOfMemory()
    with pytest.raises(RuntimeError, match="memory"):
        Detector(networks.detect).find([pixels_of(ANNA)])


def test_a_crop_is_cut_and_resized_as_facenet_pytorch_does_with_a_pillow_image():
    module = pytest.importorskip("facenet_pytorch.models.mtcnn")
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    for box in [(10.7, 20.2, 99.9, 140.5), (0.0, 0.0, 320.0, 240.0), (300.2, 3.0, 301.9, 9.0)]:
        theirs = module.extract_face(Image.fromarray(noise), np.array(box), image_size=160, margin=0)
        # Their tensor is (3, H, W) of unscaled floats.
        assert np.array_equal(cut_out(noise, box), theirs.permute(1, 2, 0).numpy().astype(np.uint8))


def test_whitening_takes_each_crops_mean_away_and_survives_a_flat_one():
    crops = np.random.default_rng(2).integers(0, 256, (2, 160, 160, 3), np.uint8)
    crops[1] = 77
    white = whitened(crops)
    assert white.dtype == np.float32
    assert abs(float(white[0].mean())) < 1e-5
    assert abs(float(white[0].std()) - 1) < 1e-5
    assert np.array_equal(white[1], np.zeros_like(white[1]))


def test_sharpness_is_the_variance_of_the_laplacian():
    flat = np.full((160, 160, 3), 50, np.uint8)
    assert sharpness(flat) == 0
    dot = flat.copy()
    dot[80, 80] += 10
    # The Laplacian is -40 at the dot and 10 at its four neighbours, of 158 x 158 values; its mean is 0.
    assert sharpness(dot) == pytest.approx((40**2 + 4 * 10**2) / 158**2)
