"""Clips on real networks: a smooth walk through a latent space is one person, and who is put in is named."""

from collections.abc import Sequence

import numpy as np
import pytest

from generators import digiface_dcgan, latent
from streams.adapters.images.decode import encode_png
from streams.core.clips.frames import Frame
from streams.core.clips.verdict import judge_clip
from streams.core.faces import Pixels, Sighting
from streams.core.similarity import similarity
from streams.events import Decision
from streams.settings import Settings
from tests.bench.copies import Studio

PEOPLE, FRAMES = 8, 24
SWAPPED = range(9, 14)


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(Settings())


@pytest.fixture(scope="module")
def clips(studio: Studio) -> list[list[Frame]]:
    return [frames_of(studio, walked(studio, person)) for person in studio.people(PEOPLE)]


def walked(studio: Studio, person: int) -> list[Pixels]:
    """Return a clip of one person, whose looks change smoothly."""
    anchor = np.array(digiface_dcgan.anchor(person), np.float32)
    path = latent.walk(anchor, FRAMES, seed=person, strength=0.2)
    return list(studio._network.sample([0] * FRAMES, path, np.zeros(FRAMES, np.float32)))


def frames_of(studio: Studio, pictures: Sequence[Pixels]) -> list[Frame]:
    seen = [one for one in studio.engine.examine([encode_png(one) for one in pictures]) if isinstance(one, Sighting)]
    faces = {index: one.largest for index, one in enumerate(seen) if one.largest}
    looks = dict(zip(faces, studio.engine.describe(list(faces.values())), strict=True))
    first = next(iter(faces.values())).embedding
    return [
        Frame(
            index,
            f"{index:032x}",
            Decision.ACCEPTED,
            similarity(face.embedding, first),
            face.embedding,
            look.measures if (look := looks[index]) else {},
        )
        for index, face in faces.items()
    ]


def test_a_smooth_walk_is_one_person_and_hardly_flickers(clips: list[list[Frame]]):
    verdicts = [judge_clip(one) for one in clips]
    print([(one.apart, one.flicker, one.brightness_flicker, one.drift) for one in verdicts])

    assert sum(bool(one.apart) for one in verdicts) <= 1
    assert float(np.median([one.flicker or 0.0 for one in verdicts])) < 0.05


def test_an_identity_that_is_put_in_the_middle_is_named_with_its_frames(clips: list[list[Frame]]):
    named = []
    for mine, theirs in zip(clips, clips[1:] + clips[:1], strict=True):
        mixed = [one for one in mine if one.index not in SWAPPED] + [one for one in theirs if one.index in SWAPPED]
        verdict = judge_clip(mixed)
        lying = {index for first, last in verdict.apart for index in range(first, last + 1)}
        named.append(lying == {one.index for one in theirs if one.index in SWAPPED})
        assert (verdict.flicker_most or 0) > 5 * (verdict.flicker or 0)
    print(named)

    assert sum(named) >= PEOPLE - 1


def test_frames_drawn_apart_flicker_more_than_a_walk(studio: Studio, clips: list[list[Frame]]):
    person = studio.people(1)
    jumping = frames_of(studio, [studio.drawn(person, 0.2, take)[0] for take in range(FRAMES)])
    still, restless = judge_clip(clips[0]), judge_clip(jumping)

    assert (restless.flicker or 0) > 3 * (still.flicker or 1)
    assert (restless.brightness_flicker or 0) > (still.brightness_flicker or 1)
