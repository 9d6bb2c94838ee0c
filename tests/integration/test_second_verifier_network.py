"""The second verifier's real network: fetched, loaded, and of another opinion where faces differ."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generators import digiface_dcgan
from generators.weights import DCGAN_DIGIFACE, ensure, read
from streams.adapters.facenet.align import moved, similarity_transform
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.adapters.second.chosen import second_embedder, second_space
from streams.adapters.second.dlib_resnet import FILE, NAME, SIDE, SPACE, TEMPLATE, DlibResnet, check, weights
from streams.core.faces import Pixels, Sighting
from streams.core.similarity import similarity
from streams.errors import WeightsUnusable
from streams.settings import Settings
from tests.absent import absent

FACES = Path(__file__).with_name("faces")
ANCHORS = (4000, 4001, 4005, 4006)


@pytest.fixture(scope="module")
def engine() -> Iterator[FaceEngine]:
    """Both verifiers."""
    if importlib.util.find_spec("dlib") is None:
        absent("dlib is not installed: pip install 'likeness-qc[second]'")
    settings = Settings(second_embedder="dlib-resnet")
    try:
        weights(settings.cache_dir / "weights" / NAME)
    except WeightsUnusable as error:
        absent(str(error))
    return FaceEngine.load(settings)


def made(each: int) -> list[list[Pixels]]:
    """Return synthetic people, so many images of each."""
    cache = Settings().cache_dir
    ensure(DCGAN_DIGIFACE, cache)
    network = digiface_dcgan.load(read(DCGAN_DIGIFACE, cache))
    strengths = np.linspace(0.05, 0.3, each, dtype=np.float32)
    return [
        list(network.sample(range(each), np.tile(np.float32(digiface_dcgan.anchor(anchor)), (each, 1)), strengths))
        for anchor in ANCHORS
    ]


def sightings(engine: FaceEngine, pictures: list[bytes]) -> list[Sighting]:
    seen = engine.examine(pictures)
    assert all(isinstance(one, Sighting) and one.largest is not None for one in seen)
    return seen


def test_both_verifiers_tell_people_apart_each_in_its_own_space(engine: FaceEngine):
    pictures = [(who, encode_png(one)) for who, group in enumerate(made(3)) for one in group]
    seen = sightings(engine, [data for _, data in pictures])
    for vectors in ([one.largest.embedding for one in seen], [one.largest.second for one in seen]):
        mated, non_mated = [], []
        for i, (who, _) in enumerate(pictures):
            for j, (other, _) in enumerate(pictures[:i]):
                (mated if who == other else non_mated).append(similarity(vectors[i], vectors[j]))
        assert np.median(mated) > np.quantile(non_mated, 0.9)
    assert all(abs(np.linalg.norm(one.largest.second) - 1) < 1e-5 for one in seen)


def test_photographs_of_two_people_lie_apart_for_the_second_verifier_too(engine: FaceEngine):
    names = ("anna-1", "anna-2", "bela-1", "bela-2")
    anna, anna_again, bela, bela_again = (
        one.largest.second for one in sightings(engine, [(FACES / f"{name}.png").read_bytes() for name in names])
    )
    within = min(similarity(anna, anna_again), similarity(bela, bela_again))
    between = max(similarity(one, other) for one in (anna, anna_again) for other in (bela, bela_again))
    assert within > between


def test_what_the_second_verifier_says_does_not_depend_on_the_company(engine: FaceEngine):
    pictures = [encode_png(group[0]) for group in made(1)]
    together = sightings(engine, pictures)
    alone = [one for picture in pictures for one in sightings(engine, [picture])]
    for one, other in zip(together, alone, strict=True):
        assert one.largest.box == other.largest.box
        assert np.array_equal(one.largest.second, other.largest.second)


def test_a_second_look_keeps_the_second_opinion(engine: FaceEngine):
    [seen] = sightings(engine, [encode_png(made(1)[0][0])])
    assert engine.look_again([seen])[0].largest.second is seen.largest.second


def test_a_face_is_cut_out_with_its_landmarks_where_the_network_expects_them(engine: FaceEngine):
    turned = moved(TEMPLATE * 100, np.array([[0.8, -0.6, 90], [0.6, 0.8, 20]]))
    picture = np.zeros((200, 200, 3), np.uint8)
    left, top = turned[0].round().astype(int)
    picture[top - 3 : top + 4, left - 3 : left + 4] = 255
    face = DlibResnet(None).cut_out(picture, [tuple(point) for point in turned])
    assert face is not None
    assert face.shape == (SIDE, SIDE, 3)
    bright = np.argwhere(face[:, :, 0] > 128).mean(axis=0)[::-1]
    assert np.abs(bright - TEMPLATE[0] * SIDE).max() < 3
    back = similarity_transform(turned, TEMPLATE)
    assert np.allclose(moved(turned, back), TEMPLATE)


def test_landmarks_in_one_place_are_no_face():
    assert DlibResnet(None).cut_out(np.zeros((50, 50, 3), np.uint8), [(5.0, 5.0)] * 5) is None


def test_where_none_is_named_there_is_no_second_verifier():
    assert second_space(Settings()) is None
    assert second_embedder(Settings()) is None
    assert second_space(Settings(second_embedder="dlib-resnet")) == SPACE
    assert replace(SPACE, alignment="other").fingerprint != SPACE.fingerprint


def test_weights_that_were_altered_are_refused(tmp_path: Path):
    with pytest.raises(WeightsUnusable, match="likeness weights fetch dlib-resnet"):
        check(tmp_path)
    (tmp_path / FILE).write_bytes(b"other")
    with pytest.raises(WeightsUnusable, match="delete the folder"):
        weights(tmp_path)


def test_a_picture_of_no_face_has_no_second_opinion(engine: FaceEngine):
    grey = Image.new("RGB", (160, 160), (120, 120, 120))
    [seen] = engine.examine([encode_png(np.array(grey))])
    assert seen.largest is None
