"""What is said of a frame of a clip goes the whole road with the sample, and what cannot be is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from streams.core.measurement import Measurement
from streams.events import FRAMES_PER_CLIP, SampleGenerated, SampleJudged
from streams.ports import Services
from streams.steps import generate, judge
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, read_back, request, training_sample
from streams.tools.audit.records import asked_content

ANNA = np.eye(8)[0]
OF_A_CLIP = {"clip_id": "c-1", "frame_index": 3, "frames": 24}


def place(body: SampleGenerated | SampleJudged) -> tuple[str | None, int | None, int | None]:
    return body.clip_id, body.frame_index, body.frames


async def test_the_samples_of_a_request_are_frames_that_follow_one_another(services: Services):
    made = await deliver(generate, [message(request(count=3, **OF_A_CLIP))], services)
    judged = await deliver(judge, [read_back(one) for one in made], services)

    for records, body in ((made, SampleGenerated), (judged, SampleJudged)):
        said = sorted(place(body.model_validate_json(one.value)) for one in records)
        assert said == [("c-1", index, 24) for index in (3, 4, 5)]


async def test_a_training_sample_may_be_a_frame_and_its_look_is_kept_in_the_measurement(services: Services):
    frame = message(training_sample(png(picture(ANNA, sharpness=90)), **OF_A_CLIP))
    still = message(training_sample(png(picture(ANNA, sharpness=90)), index=1))
    records = await deliver(judge, [frame, still], services)

    said = [SampleJudged.model_validate_json(one.value) for one in records]
    held = await services.ledger.outcomes([one.sample_id for one in said])
    looks = [Measurement.model_validate_json(held[one.sample_id].measurement or "").look for one in said]
    assert [place(one) for one in said] == [("c-1", 3, 24), (None, None, None)]
    assert looks == [{"sharpness": 90.0, "mouth-width": 1.0}, None]


async def test_nothing_of_the_look_is_kept_of_whom_consent_does_not_cover(services: Services):
    frame = message(training_sample(png(picture(ANNA)), identity="carl", **OF_A_CLIP))
    [record] = await deliver(judge, [frame], services)

    sample_id = SampleJudged.model_validate_json(record.value).sample_id
    held = (await services.ledger.outcomes([sample_id]))[sample_id]
    assert Measurement.model_validate_json(held.measurement or "").look is None


async def test_the_same_request_for_another_clip_conflicts_and_the_audit_sees_that_too(services: Services):
    await deliver(generate, [message(request(**OF_A_CLIP))], services)
    other = message(request(**OF_A_CLIP | {"clip_id": "c-2"}))
    [record] = await deliver(generate, [other], services)

    assert record.topic == "dead.letters"
    contents = {asked_content(message(request(**said)).value) for said in ({}, OF_A_CLIP, OF_A_CLIP | {"frames": None})}
    assert len(contents | {asked_content(other.value)}) == 4


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"clip_id": "c-1"}, "together"),
        ({"frame_index": 0}, "together"),
        ({"frames": 3}, "beside clip_id"),
        ({"clip_id": "c-1", "frame_index": 2, "frames": 3, "count": 2}, "frame 3 is none of a clip of 3 frames"),
        ({"clip_id": "c-1", "frame_index": FRAMES_PER_CLIP - 1, "count": 2}, "is none of a clip"),
    ],
)
def test_what_is_no_frame_of_a_clip_is_refused_with_what_was_expected(said, why):
    with pytest.raises(ValidationError, match=why):
        request(**said)


def test_the_last_frame_of_a_clip_is_one_of_it():
    assert request(clip_id="c-1", frame_index=1, frames=3, count=2).frames == 3
