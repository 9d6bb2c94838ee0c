"""The cascade on real networks: fewer faces in 32-bit floats, the same verdicts."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from generators.sample_faces import STRENGTHS, draw
from streams.adapters.engines import onnx_models
from streams.adapters.engines.self_check import known_images
from streams.adapters.faces.engine import FaceEngine, embedding_space
from streams.adapters.precision import bf16 as bf16_models
from streams.adapters.precision import int8 as int8_models
from streams.adapters.precision.choice import LOOKED_AT_AGAIN
from streams.adapters.precision.error import SAFETY
from streams.cards import read_card, write_card
from streams.core.faces import Sighting
from streams.errors import WeightsUnusable
from streams.events import Precision
from streams.ports import Services
from streams.settings import Settings
from tests.bench.flips import Flips
from tests.bench.precision import compare, peopled
from tests.bfloat16 import needs_bfloat16

SAMPLES, IDENTITIES = 320, 40
MODELS = {"bf16": bf16_models, "int8": int8_models}


@pytest.fixture(scope="module", params=["bf16", "int8"])
def precision(request: pytest.FixtureRequest) -> Precision:
    if request.param == "bf16":
        needs_bfloat16()
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(precision: Precision) -> AsyncIterator[Services]:
    async with peopled(Settings(), IDENTITIES, precision) as services:
        yield services


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flips(services: Services) -> Flips:
    return await compare(services, SAMPLES)


@pytest.fixture
def models(services: Services, precision: Precision) -> ModuleType:
    """What keeps this precision in the cache; everything is there."""
    return MODELS[precision]


@pytest.fixture
def copied(models: ModuleType, tmp_path: Path) -> Settings:
    """Settings with a copy of the networks in a cache of its own."""
    copied = Settings(cache_dir=tmp_path)
    for folder in (onnx_models.folder_of, models.folder_of):
        shutil.copytree(folder(Settings()), folder(copied))
    return copied


def test_the_cascade_changes_no_verdict(flips: Flips):
    assert flips.judged > 0.9 * SAMPLES
    assert flips.changed == []


def test_some_faces_are_looked_at_again_and_about_as_many_as_the_choice_counts_with(flips: Flips, precision: Precision):
    assert flips.again > 0
    assert flips.again / flips.faces == pytest.approx(LOOKED_AT_AGAIN[precision], abs=0.15)


def test_similarities_of_the_first_look_are_as_near_as_stated(flips: Flips):
    assert flips.most_of_stated < 1


def test_all_precisions_share_one_embedding_space(flips: Flips, services: Services):
    assert services.examiner.space == embedding_space(Settings())
    assert min(flips.cosines) >= 0.99


def test_a_verdict_that_rests_on_the_first_look_says_in_which_numbers(flips: Flips, precision: Precision):
    assert flips.precisions == {precision, None}


def test_the_card_states_the_error_and_where_it_comes_from(models: ModuleType):
    stated = models.check(Settings()).conversion

    largest = stated["similarity error times length, largest"]
    assert stated["similarity error times length, stated"] == pytest.approx(SAFETY * largest, abs=3e-4)
    assert stated["cosine, least"] >= 0.99
    assert "sha256" in stated["measured on"] != stated.get("calibrated on")


def test_what_was_made_from_another_network_is_refused(models: ModuleType, copied: Settings):
    assert models.check(copied)
    card = onnx_models.folder_of(copied) / "card.json"
    card.write_text(card.read_text().replace('"embed.onnx": "', '"embed.onnx": "0'))

    with pytest.raises(WeightsUnusable, match=r"present embed\.onnx|of embed\.onnx"):
        models.check(copied)


@pytest.mark.parametrize("precision", ["int8"], indirect=True, scope="module")
def test_a_file_in_integers_that_was_altered_is_refused(copied: Settings):
    file = int8_models.folder_of(copied) / int8_models.FILE
    file.write_bytes(file.read_bytes()[:-1] + b"\0")

    with pytest.raises(WeightsUnusable, match=r"expected .*embed\.int8\.onnx as its card.json says"):
        int8_models.check(copied)


@pytest.mark.parametrize("precision", ["bf16"], indirect=True, scope="module")
def test_an_error_that_was_measured_with_another_release_is_not_believed(copied: Settings):
    folder = bf16_models.folder_of(copied)
    card = read_card(folder)
    card.conversion["engine"] = "OpenVINO 2024.0.0"
    write_card(folder, card)

    with pytest.raises(WeightsUnusable, match=r"expected a card .* in OpenVINO .*LIKENESS_PRECISION=bf16"):
        bf16_models.check(copied)


@pytest.mark.usefixtures("services")
def test_a_worker_may_choose_by_itself_and_says_why():
    told: list[str] = []
    engine = FaceEngine.load(Settings(precision="auto"), told.append)

    (choice,) = (line.split(":")[0].removeprefix("precision ") for line in told if line.startswith("precision "))
    sightings = [one for one in engine.examine(known_images()) if isinstance(one, Sighting)]
    rough = [one.largest.rough for one in sightings]
    assert {"fp32" if one is None else one.precision for one in rough} == {choice}


def test_a_person_has_the_same_faces_whoever_else_is_drawn():
    source, both = draw(Settings().cache_dir, people=2, first=7)
    _, alone = draw(Settings().cache_dir, people=1, first=8)

    assert both.shape == (2 * len(STRENGTHS), 64, 64, 3)
    assert (both[len(STRENGTHS) :] == alone).all()
    assert "people 7 to 8" in source
