"""A rough look decides nothing that its error could change, and what is kept is what the verdict rests on."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from streams import topics
from streams.core.faces import only_face
from streams.core.ids import training_sample_id
from streams.core.measurement import Measurement
from streams.events import SampleJudged
from streams.ports import Services
from streams.steps import judge
from streams.testing.examiner import StubExaminer
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, training_sample
from streams.tools.exactly import examine_exactly

ANNA, BERT = np.eye(8)[:2]
#: So far off may a similarity be at the first look; the stand-in turns everybody towards the same side.
ERROR = 0.2
#: In truth just under anna's limit of 0.6, and over it as roughly seen.
NEARLY_ANNA = png(picture(ANNA * 0.59 - np.eye(8)[7] * 0.807))
CLEARLY_ANNA = png(picture(ANNA))


@pytest.fixture
def examiner() -> StubExaminer:
    return StubExaminer(error=ERROR)


@pytest.fixture
def rough(services: Services, examiner: StubExaminer) -> Services:
    return replace(services, examiner=examiner)


async def judged(services: Services, *encoded: bytes) -> list[SampleJudged]:
    messages = [message(training_sample(each, index=index), offset=index) for index, each in enumerate(encoded)]
    records = await deliver(judge, messages, services)
    return [SampleJudged.model_validate_json(one.value) for one in records if one.topic != topics.DEAD_LETTERS.name]


async def kept(services: Services, index: int) -> np.ndarray:
    key = training_sample_id("run-1", 100, index)
    return (await services.gallery.recall([key]))[key]


async def test_what_the_error_could_change_is_decided_by_the_second_look(rough: Services, examiner: StubExaminer):
    (roughly,) = await examiner.examine([NEARLY_ANNA])
    assert roughly.largest.embedding[0] > 0.6

    [said] = await judged(rough, NEARLY_ANNA)

    assert [reason.code for reason in said.reasons] == ["mismatch"]
    assert said.similarity == pytest.approx(0.59, abs=0.01)
    assert (said.precision, said.similarity_error) == (None, None)


async def test_a_verdict_that_rests_on_the_first_look_says_so_and_by_how_much_it_may_be_off(rough: Services):
    [said] = await judged(rough, CLEARLY_ANNA)

    assert (said.decision, said.precision, said.similarity_error) == ("accepted", "int8", ERROR)
    assert 1 - ERROR <= said.similarity < 1
    key = said.sample_id
    stored = Measurement.model_validate_json((await rough.ledger.outcomes([key]))[key].measurement)
    assert (stored.precision, stored.similarity_error) == ("int8", ERROR)


async def test_all_faces_of_a_batch_that_need_it_are_embedded_again_in_one_call(
    rough: Services, examiner: StubExaminer
):
    await judged(rough, CLEARLY_ANNA, NEARLY_ANNA, png(picture(ANNA, faces=0)), NEARLY_ANNA, b"no image")

    assert examiner.second_looks == [2]


async def test_a_batch_in_which_everything_is_settled_is_looked_at_once(rough: Services, examiner: StubExaminer):
    [said] = await judged(rough, CLEARLY_ANNA)

    assert examiner.second_looks == []
    assert "second_look" not in said.timings_ms


async def test_the_embedding_that_is_remembered_is_the_one_of_the_verdict(rough: Services, examiner: StubExaminer):
    await judged(rough, CLEARLY_ANNA, NEARLY_ANNA)

    (clearly, nearly) = await examiner.examine([CLEARLY_ANNA, NEARLY_ANNA])
    (exactly,) = await examiner.look_again([nearly])
    np.testing.assert_allclose(await kept(rough, 0), clearly.largest.embedding, atol=1e-6)
    np.testing.assert_allclose(await kept(rough, 1), exactly.largest.embedding, atol=1e-6)


async def test_references_are_embedded_in_floats_whatever_the_first_look(examiner: StubExaminer):
    seen = await examine_exactly([CLEARLY_ANNA, b"no image", png(picture(BERT))], examiner)

    faces = [only_face(one) for one in seen]
    assert [isinstance(face, str) for face in faces] == [False, True, False]
    assert faces[0].rough is faces[2].rough is None
    np.testing.assert_allclose(faces[0].embedding, ANNA, atol=0.02)


async def test_an_error_larger_than_the_stated_one_is_told(services: Services, caplog: pytest.LogCaptureFixture):
    seems_at_the_limit = png(picture(ANNA * 0.57 - np.eye(8)[7] * 0.822))
    understated = Understating(error=ERROR)
    with caplog.at_level(logging.WARNING):
        await judged(replace(services, examiner=understated), seems_at_the_limit)

    assert "set LIKENESS_PRECISION=fp32" in caplog.text


class Understating(StubExaminer):
    """States a tenth of its error."""

    async def examine(self, encoded):
        seen = await super().examine(encoded)
        return [
            replace(one, largest=replace(one.largest, rough=replace(one.largest.rough, error=ERROR / 10)))
            for one in seen
        ]
