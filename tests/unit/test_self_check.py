"""A silent error of an engine is found before a sample is judged."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streams.adapters.engines import self_check as module
from streams.adapters.engines.self_check import self_check
from streams.core.faces import Face, Sighting
from streams.errors import Unready

KNOWN = np.array(json.loads((Path(module.__file__).with_name("known_faces") / "facenet-128.json").read_bytes()))


def sighting(embedding) -> Sighting:
    unit = np.asarray(embedding, np.float32) / np.float32(np.linalg.norm(embedding))
    return Sighting(1, Face(unit, (0.0, 0.0, 64.0, 64.0), (), 1.0, 9.0))


def right(images) -> list[Sighting]:
    return [sighting(known) for known in KNOWN]


def test_what_computes_the_known_embeddings_passes():
    assert self_check(right, "facenet-128", "torch") == pytest.approx(1, abs=1e-5)


def test_one_embedding_that_is_a_little_off_stops_the_worker_and_names_the_remedy():
    def wrong(images) -> list[Sighting]:
        turned = KNOWN[1] + 0.02 * np.roll(KNOWN[1], 1)
        return [
            replace(one, largest=sighting(turned).largest) if i == 1 else one for i, one in enumerate(right(images))
        ]

    with pytest.raises(Unready, match=r"known face with a cosine of 0\.99.*LIKENESS_ENGINE=torch"):
        self_check(wrong, "facenet-128", "onnxruntime")


def test_numbers_that_are_none_stop_the_worker():
    def wrong(images) -> list[Sighting]:
        return [
            replace(one, largest=replace(one.largest, embedding=one.largest.embedding * np.nan))
            for one in right(images)
        ]

    with pytest.raises(Unready, match="cosine of nan"):
        self_check(wrong, "facenet-128", "torch")


@pytest.mark.parametrize(("engine", "other"), [("torch", "onnxruntime"), ("openvino", "onnxruntime")])
def test_a_face_that_is_not_found_stops_the_worker_and_another_engine_is_the_remedy(engine: str, other: str):
    with pytest.raises(Unready, match=rf"engine {engine} .*finds 3 of 4 known faces.*LIKENESS_ENGINE={other}"):
        self_check(lambda images: [Sighting(0, None), *right(images)[1:]], "facenet-128", engine)


def test_of_weights_that_a_user_brings_nothing_is_known():
    assert self_check(right, "facenet-vggface2", "torch") is None


def test_the_known_faces_are_unit_vectors_and_as_many_as_the_pictures():
    assert np.linalg.norm(KNOWN, axis=1) == pytest.approx(1, abs=1e-4)
    assert len(KNOWN) == len(list(Path(module.__file__).with_name("known_faces").glob("*.png"))) == 4
