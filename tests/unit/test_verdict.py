"""From a judgement to the record that says it."""

from datetime import UTC, datetime

import pytest

from streams.core.decide import Judgement
from streams.core.ledger import State
from streams.core.measurement import Measurement
from streams.core.policy import parse
from streams.core.subject import Subject
from streams.core.verdict import outcome, verdict
from streams.events import Decision, ImageRef, Reason, ReasonCode, SampleJudged
from streams.testing.messages import TRACE
from streams.testing.services import policy
from tests.policy_texts import MEASURED

NOW = datetime(2030, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
IMAGE = ImageRef(sha256="a" * 64, size=5)
FLAGGED = Judgement(Decision.FLAGGED, (Reason(code=ReasonCode.MISMATCH, text="no", measured=0.1, limit=0.6),))
ACCEPTED = Judgement(Decision.ACCEPTED, ())


def judged(judgement: Judgement = ACCEPTED, image: ImageRef | None = IMAGE, **measured: object) -> SampleJudged:
    subject = Subject("5" * 32, "training", "run-1", 3, "anna", "gan", step=100, image=image)
    return verdict(subject, measurement(**measured), judgement, policy(), now=NOW, timings_ms={"examine": 1.5})


def measurement(**fields: object) -> Measurement:
    defaults = {"faces": 1, "similarity": 0.75, "references": 1, "embedding_space": "space", "gallery_version": "v"}
    return Measurement(**{"sample_id": "5" * 32, "identity": "anna"} | defaults | fields)


@pytest.mark.parametrize(
    ("judgement", "topic", "state"),
    [(ACCEPTED, "samples.accepted", State.ACCEPTED), (FLAGGED, "samples.flagged", State.FLAGGED)],
)
def test_a_decision_picks_the_topic_and_the_state(judgement: Judgement, topic: str, state: State):
    end = outcome(judged(judgement), measurement(), ())

    assert (end.record.topic, end.state, end.record.key) == (topic, state, b"5" * 32)


@pytest.mark.parametrize("image", [IMAGE, None])
@pytest.mark.parametrize("judgement", [ACCEPTED, FLAGGED])
@pytest.mark.parametrize("measured", [{}, {"faces": None, "similarity": None}, {"faces": 0, "similarity": None}])
def test_a_verdict_is_read_back_as_it_was_written(judgement, image, measured):
    said = judged(judgement, image, **measured)

    assert SampleJudged.model_validate_json(outcome(said, measurement(), ()).record.value) == said


def test_a_verdict_by_a_calibrated_policy_says_how_many_strangers_come_as_near():
    subject = Subject("5" * 32, "training", "run-1", 3, "anna", "gan", step=100, image=IMAGE)
    for found, expected in ((0.55, 0.03), (0.3, 0.2), (None, None)):
        said = verdict(subject, measurement(similarity=found), ACCEPTED, parse(MEASURED, "made-up.toml"), now=NOW)
        assert said.false_match_rate == expected
    assert judged().false_match_rate is None


def test_a_verdict_by_a_calibrated_policy_weighs_its_similarity():
    """Ten mated comparisons: a tenth stays below 0.2, four tenths below 0.5, and the ratio rises by 1.25 each 0.1."""
    subject = Subject("5" * 32, "training", "run-1", 3, "anna", "gan", step=100, image=IMAGE)
    for found, p_value, ratio in (
        (0.05, 1 / 11, -2.0),  # none of ten: the smallest p-value that ten can give
        (0.1, 2 / 11, -2.0),  # one at most lies below the next entry of the table, 0.2
        (0.4999, 5 / 11, 2.999),
        (0.5, 1.0, 3.0),  # above the table nothing is unusual
        (0.9, 1.0, 3.0),
        (None, None, None),
    ):
        said = verdict(subject, measurement(similarity=found), ACCEPTED, parse(MEASURED, "made-up.toml"), now=NOW)
        assert said.p_value == (None if p_value is None else pytest.approx(p_value, abs=1e-4))
        assert said.log_likelihood_ratio == ratio
    assert (judged().p_value, judged().log_likelihood_ratio) == (None, None)


def test_a_verdict_carries_its_evidence():
    said = judged(FLAGGED)

    assert said.similarity == 0.75
    assert said.limits == policy().limits.model_dump()
    assert said.policy_version == policy().version
    assert (said.step, said.index, said.source, said.image) == (100, 3, "run-1", IMAGE)
    assert (said.embedding_space, said.gallery_version, said.judged_at) == ("space", "v", NOW)


def test_the_trace_is_handed_on_and_the_time_is_that_of_the_decision():
    record = outcome(judged(), measurement(), TRACE).record

    assert record.headers[-len(TRACE) :] == TRACE
    assert record.time == NOW
    assert dict(record.headers)["ce_time"] == NOW.isoformat().encode()


def test_the_measurement_is_stored_beside_the_verdict():
    end = outcome(judged(), measurement(similarity=0.1234), ())

    assert Measurement.model_validate_json(end.measurement) == measurement(similarity=0.1234)
