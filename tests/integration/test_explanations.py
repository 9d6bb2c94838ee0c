"""Explanations on real networks: of a face in which one thing was changed, that thing is named first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from streams.adapters.facenet.align import aligned_face
from streams.adapters.images.decode import encode_png
from streams.core.explain.compare import explain
from streams.core.explain.look import Look, Measure
from streams.core.explain.spread import Spread, pooled
from streams.core.faces import Face, Pixels, Sighting
from streams.events import Explanation
from streams.settings import Settings
from tests.altered_faces import (
    Alteration,
    blurred,
    darkened,
    hair_replaced,
    mouth_moved,
    noisy_as_film,
    skin_darkened,
    unaltered,
)
from tests.bench.copies import Studio

PEOPLE, REFERENCES, SAMPLES = 12, 6, 2

Compared = list[tuple[Pixels, Face, list[Look]]]
"""Samples, their faces, and the looks of the references that they are compared with."""


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(Settings())


def faces_of(studio: Studio, pictures: Sequence[Pixels]) -> list[Face | None]:
    seen = studio.engine.examine([encode_png(one) for one in pictures])
    return [one.largest if isinstance(one, Sighting) else None for one in seen]


@pytest.fixture(scope="module")
def compared(studio: Studio) -> Compared:
    who = studio.people(PEOPLE)
    takes = REFERENCES + SAMPLES
    pictures = [
        studio.drawn(who, 0.05 + 0.1 * take / (takes - 1), take) for take in np.random.default_rng(0).permutation(takes)
    ]
    found: Compared = []
    for one in zip(*pictures, strict=True):
        faces = faces_of(studio, one)
        looks = [look for look in studio.engine.describe([f for f in faces[:REFERENCES] if f]) if look]
        found += [
            (picture, face, looks) for picture, face in zip(one[REFERENCES:], faces[REFERENCES:], strict=True) if face
        ]
    return found


@pytest.fixture(scope="module")
def spread(compared: Compared) -> Spread:
    spread = pooled([looks for _, _, looks in compared[::SAMPLES]])
    assert spread is not None
    return spread


def altered(studio: Studio, compared: Compared, spread: Spread, alter: Alteration) -> Iterator[tuple[Explanation, ...]]:
    """Give the explanations of each sample that was altered."""
    for picture, face, references in compared:
        place = aligned_face(np.array(face.landmarks))
        assert place is not None
        [now] = faces_of(studio, [alter(picture, place)])
        looks = studio.engine.describe([now]) if now else []
        yield from (explain(look, references, spread) for look in looks if look)


def differences(studio: Studio, compared: Compared, spread: Spread, alter: Alteration) -> dict[str, float]:
    """Return the median |z| of each explanation, over samples that were altered."""
    told: dict[str, list[float]] = {}
    for one in [each for found in altered(studio, compared, spread, alter) for each in found]:
        told.setdefault(one.name, []).append(abs(one.z))
    return {name: float(np.median(values)) for name, values in told.items()}


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (skin_darkened, {"skin-tone"}),
        (mouth_moved, {"mouth", "mouth-width", "mouth-height"}),
        (hair_replaced, {"upper-band"}),
        (blurred, {"sharpness", "stability"}),
        (darkened, {"brightness", "exposure"}),
    ],
)
def test_what_was_changed_differs_most_and_the_rest_stays_small(
    studio: Studio, compared: Compared, spread: Spread, alter: Alteration, named: set[str]
):
    z = differences(studio, compared, spread, alter)
    print(alter.__name__, sorted(z.items(), key=lambda one: -one[1]))

    right, rest = max(z[name] for name in named), max(value for name, value in z.items() if name not in named)
    assert right > 3
    assert rest < 0.7 * right


def test_a_sample_like_its_references_differs_by_about_their_noise(studio: Studio, compared: Compared, spread: Spread):
    z = differences(studio, compared, spread, unaltered)
    print(sorted(z.items(), key=lambda one: -one[1]))

    assert max(z.values()) < 1.5


def test_how_a_face_looks_does_not_depend_on_its_company_or_its_file(studio: Studio, compared: Compared):
    pictures = [picture for picture, _, _ in compared[:4]]
    together = studio.engine.describe([face for face in faces_of(studio, pictures) if face])
    for picture, look in zip(pictures, together, strict=True):
        [face] = faces_of(studio, [picture])
        [alone] = studio.engine.describe([face] if face else [])
        assert look is not None
        assert alone is not None
        np.testing.assert_allclose(alone.regions, look.regions, atol=0.02)
        assert alone.measures == pytest.approx(look.measures, rel=1e-2, abs=1e-2)


def test_a_face_without_a_portrait_has_no_look(studio: Studio, compared: Compared):
    nowhere = partial(Face, compared[0][1].embedding, (0, 0, 9, 9), (), 1.0, 1.0)
    assert studio.engine.describe([nowhere()]) == [None]


def test_noise_makes_an_embedding_less_stable(studio: Studio, compared: Compared, spread: Spread):
    plain, noisy = (
        float(np.median([one.z for one in of_stability(studio, compared, spread, alter)]))
        for alter in (unaltered, noisy_as_film)
    )
    print(plain, noisy)
    assert abs(plain) < 1.5
    assert noisy < -5


def test_stability_is_told_only_by_the_layer_that_made_the_embedding(studio: Studio, compared: Compared):
    face = compared[0][1]
    [look] = studio.engine.describe([face])
    [other, unknown] = studio.engine.describe([replace(face, embedding=-face.embedding), replace(face, features=None)])

    assert look is not None
    assert 0.5 < look.measures[Measure.STABILITY] < 1
    for one in (other, unknown):
        assert one is not None
        assert one.measures.keys() == look.measures.keys() - {Measure.STABILITY}


def of_stability(studio: Studio, compared: Compared, spread: Spread, alter: Alteration) -> list[Explanation]:
    told = [each for one in altered(studio, compared, spread, alter) for each in one]
    return [one for one in told if one.name == Measure.STABILITY]
