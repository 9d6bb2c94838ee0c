"""The cascade on real networks: fewer faces in 32-bit floats, the same verdicts."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from generators.sample_faces import STRENGTHS, draw
from streams.adapters import int8_models, onnx_models
from streams.adapters.face_engine import FaceEngine, embedding_space
from streams.adapters.int8_error import SAFETY
from streams.adapters.self_check import known_images
from streams.cards import read_card
from streams.core.faces import Sighting
from streams.errors import WeightsUnusable
from streams.ports import Services
from streams.settings import Settings
from tests.bench.flips import Flips
from tests.bench.precision import compare, peopled

SAMPLES, IDENTITIES = 480, 40
INT8 = Settings(precision="int8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services() -> AsyncIterator[Services]:
    async with peopled(Settings(), IDENTITIES) as services:
        yield services


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flips(services: Services) -> Flips:
    return await compare(services, SAMPLES)


@pytest.fixture
def cached(services: Services, tmp_path: Path) -> Settings:
    """Settings with a copy of the networks in a cache of its own."""
    copied = Settings(cache_dir=tmp_path)
    for folder in (onnx_models.folder_of, int8_models.folder_of):
        shutil.copytree(folder(INT8), folder(copied))
    return copied


def test_the_cascade_changes_no_verdict(flips: Flips):
    assert flips.judged > 0.9 * SAMPLES
    assert flips.changed == []


def test_most_faces_are_looked_at_once(flips: Flips):
    assert 0 < flips.again < 0.5 * flips.faces


def test_similarities_of_the_first_look_are_as_near_as_stated(flips: Flips):
    assert flips.most_of_stated < 1


def test_both_precisions_share_one_embedding_space(flips: Flips, services: Services):
    assert services.examiner.space == embedding_space(Settings())
    assert min(flips.cosines) >= 0.98


def test_the_card_states_the_error_and_where_it_comes_from(services: Services):
    made, card = int8_models.check(INT8), read_card(int8_models.folder_of(INT8))

    assert made.least_cosine >= 0.98
    largest = card.conversion["similarity error times length, largest"]
    assert made.scaled_error == pytest.approx(SAFETY * largest, abs=3e-4)
    assert "sha256" in card.conversion["calibrated on"] != card.conversion["measured on"]


def test_a_file_that_was_altered_is_refused(cached: Settings):
    file = int8_models.check(cached).file
    file.write_bytes(file.read_bytes()[:-1] + b"\0")

    with pytest.raises(WeightsUnusable, match=r"expected .*embed\.int8\.onnx as its card.json says"):
        int8_models.check(cached)


def test_integers_made_from_other_floats_are_refused(cached: Settings):
    card = onnx_models.folder_of(cached) / "card.json"
    card.write_text(card.read_text().replace('"embed.onnx": "', '"embed.onnx": "0'))

    with pytest.raises(WeightsUnusable, match=r"made from the present embed\.onnx"):
        int8_models.check(cached)


@pytest.mark.usefixtures("services")
def test_a_worker_may_choose_by_itself_and_says_why():
    told: list[str] = []
    engine = FaceEngine.load(Settings(precision="auto"), told.append)

    (choice,) = (line for line in told if line.startswith("precision "))
    sightings = [one for one in engine.examine(known_images()) if isinstance(one, Sighting)]
    assert {one.largest.rough is not None for one in sightings} == {choice.startswith("precision int8")}


def test_a_person_has_the_same_faces_whoever_else_is_drawn():
    source, both = draw(Settings().cache_dir, people=2, first=7)
    _, alone = draw(Settings().cache_dir, people=1, first=8)

    assert both.shape == (2 * len(STRENGTHS), 64, 64, 3)
    assert (both[len(STRENGTHS) :] == alone).all()
    assert "people 7 to 8" in source
