"""Copies on real networks: planted ones are found, different pictures are not, and both by every engine alike."""

from itertools import pairwise

import numpy as np
import pytest

from streams.adapters.copies.hash import HASH
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.images.decode import encode_png
from streams.core.faces import Sighting, Undecodable
from streams.settings import Settings
from tests.bench.copies import DIFFERENT_FROM, NEAR_COPY, STRENGTHS, Bits, Studio, bits, ladder, planted, row, strangers
from tests.bench.edits import SINGLE

PEOPLE = 25


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(Settings())


@pytest.fixture(scope="module")
def people(studio: Studio) -> list[int]:
    return studio.people(PEOPLE)


@pytest.fixture(scope="module")
def apart(studio: Studio, people: list[int]) -> dict[float, Bits]:
    """Two pictures of each person, by how far both have wandered."""
    return ladder(studio, people)


def test_planted_copies_are_found(studio: Studio, people: list[int]):
    found = planted(studio, people)
    print(*((name, row(distances)) for name, distances in found.items()), sep="\n")

    single = np.concatenate([found[name] for name in SINGLE])
    assert row(single)["within 60 bits"] >= 0.95
    for name, distances in found.items():
        assert row(distances)["within 60 bits"] >= 0.8, name


def test_different_pictures_are_no_copies_of_one_person_nor_of_two(
    studio: Studio, people: list[int], apart: dict[float, Bits]
):
    print(*((strength, row(distances)) for strength, distances in apart.items()), sep="\n")
    one_person = np.concatenate([apart[strength] for strength in STRENGTHS if strength >= DIFFERENT_FROM])
    different = np.concatenate([strangers(studio, people), one_person])

    assert len(different) >= 300
    assert len(one_person) >= 3 * PEOPLE - 9
    assert (different > NEAR_COPY).all()


def test_the_farther_a_picture_wanders_the_more_bits_differ(apart: dict[float, Bits]):
    medians = [row(distances)["median"] for distances in apart.values()]

    assert medians[0] < 31 < medians[-1]
    assert all(later > earlier - 6 for earlier, later in pairwise(medians))


@pytest.fixture(scope="module")
def pictures(studio: Studio, people: list[int]) -> list[bytes]:
    return [encode_png(one) for one in studio.drawn(people[:8], 0.0)]


def test_what_is_seen_of_a_sample_gives_the_imprints_that_the_original_has(studio: Studio, pictures: list[bytes]):
    originals = studio.engine.imprint_originals(pictures)
    seen = [one for one in studio.engine.examine(pictures) if isinstance(one, Sighting)]

    for imprints, original in zip(studio.engine.imprint(seen), originals, strict=True):
        assert (len(imprints), len(original)) == (2, 4)
        for one, same in zip(imprints, original[::2], strict=True):
            np.testing.assert_array_equal(one, same)
            assert one.shape == (HASH.dimension,)
            assert set(np.unique(one)) == {0, 1}


def test_an_image_without_a_face_has_the_imprints_of_the_whole_and_bad_bytes_have_none(studio: Studio):
    ramp = encode_png(np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3))
    faceless, garbage = studio.engine.imprint_originals([ramp, b"no image"])

    assert len(faceless) == 2
    assert isinstance(garbage, Undecodable)
    [seen] = studio.engine.examine([ramp])
    [imprints] = studio.engine.imprint([seen])
    assert bits(imprints, faceless) == 0


def test_imprints_do_not_depend_on_the_numbers_that_embed_a_face(studio: Studio, pictures: list[bytes]):
    rough = FaceEngine.load(Settings(precision="int8"))
    roughly = [one for one in rough.examine(pictures) if isinstance(one, Sighting)]
    exactly = [one for one in studio.engine.examine(pictures) if isinstance(one, Sighting)]
    again = rough.look_again(roughly)

    assert any(one.largest.rough is not None for one in roughly)
    told = [rough.imprint(roughly), rough.imprint(again), studio.engine.imprint(exactly)]
    for three in zip(*told, strict=True):
        for one, two, exact in zip(*three, strict=True):
            np.testing.assert_array_equal(one, exact)
            np.testing.assert_array_equal(two, exact)


def test_torch_makes_the_same_imprints(studio: Studio, pictures: list[bytes]):
    torch = FaceEngine.load(Settings(engine="torch"))

    for ours, theirs in zip(studio.engine.imprint_originals(pictures), torch.imprint_originals(pictures), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert (one != other).sum() <= 4
    assert torch.descriptor == studio.engine.descriptor == HASH


async def test_the_descriptor_is_known_before_anything_is_loaded():
    examiner = FaceExaminer(Settings())
    assert examiner.descriptor == HASH
    await examiner.close()
