"""The engine's two looks: which faces are rough, by how much, and what a second look makes of them."""

import numpy as np
import pytest

from streams.adapters.engines.networks import FaceNetworks, FastEmbedder
from streams.adapters.facenet.weights import Published
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.core.faces import Sighting

IMAGE = encode_png(np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3))
EXACT, ROUGH = np.eye(128, dtype=np.float32)[:2]
SCALED_ERROR = 0.6


def one_face(images, smallest):
    """One face in every image that fills it."""
    marks = np.full((1, 5, 2), 30, np.float32)
    return [(np.array([[0, 0, 64, 64]], np.float32), np.ones(1, np.float32), marks) for _ in images]


def engine(*lengths: float) -> FaceEngine:
    """An engine whose first looks have vectors of these lengths, in order; none: it is exact."""
    fast = FastEmbedder(
        "bf16",
        lambda faces: (np.tile(ROUGH, (len(faces), 1)), np.array(lengths, np.float32)),
        scaled_error=SCALED_ERROR,
        least_cosine=0.99,
    )
    return FaceEngine(
        FaceNetworks(
            detect=one_face,
            embed=lambda faces: np.tile(EXACT, (len(faces), 1)),
            landmarks=lambda faces: np.zeros((len(faces), 5, 2), np.float32),
            what=Published("facenet-128", "0" * 64, 128, whitened=True),
            fast=fast if lengths else None,
        )
    )


def seen(engine: FaceEngine, count: int) -> list[Sighting]:
    return [one for one in engine.examine([IMAGE] * count) if isinstance(one, Sighting)]


def test_the_longer_a_vector_the_smaller_its_error():
    short, long = seen(engine(2.0, 12.0), 2)

    assert (short.largest.rough.error, long.largest.rough.error) == pytest.approx((0.3, 0.05))
    assert short.largest.embedding @ ROUGH == 1
    assert short.largest.rough.precision == "bf16"


@pytest.mark.parametrize("length", [0.0, SCALED_ERROR / 2, float("nan")])
def test_a_first_look_that_says_nothing_is_followed_by_the_second_at_once(length: float):
    sound, lost = seen(engine(10.0, length), 2)

    assert sound.largest.rough is not None
    assert lost.largest.rough is None
    assert lost.largest.embedding @ EXACT == 1


def test_the_second_look_embeds_what_is_rough_and_leaves_the_rest():
    looking = engine(10.0, 0.0)
    rough, exact = seen(looking, 2)
    nobody = Sighting(0, None)

    again, same, still_nobody = looking.look_again([rough, exact, nobody])

    assert again.largest.rough is None
    assert again.largest.embedding @ EXACT == 1
    assert (again.largest.box, again.largest.sharpness) == (rough.largest.box, rough.largest.sharpness)
    assert same is exact
    assert still_nobody is nobody


def test_an_engine_without_a_fast_embedder_has_nothing_rough():
    (only,) = seen(engine(), 1)

    assert only.largest.rough is None
    assert only.largest.embedding @ EXACT == 1
