"""From a judgement to the record that says it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from streams import topics
from streams.core.decide import Judgement
from streams.core.ledger import Outcome, State
from streams.core.measurement import Measurement
from streams.core.policy import Policy
from streams.core.records import Record
from streams.core.subject import Subject
from streams.events import Decision, Headers, SampleJudged, cloud_event, to_json

#: Where a decision is published, and the state in which it leaves the row.
ROUTES = {
    Decision.ACCEPTED: (topics.SAMPLES_ACCEPTED, State.ACCEPTED),
    Decision.FLAGGED: (topics.SAMPLES_FLAGGED, State.FLAGGED),
}

#: ``ce_source`` of every verdict.
SOURCE = "/likeness/judge"


def verdict(
    subject: Subject,
    measurement: Measurement,
    judgement: Judgement,
    policy: Policy,
    *,
    now: datetime,
    timings_ms: Mapping[str, float] | None = None,
) -> SampleJudged:
    """Return the verdict in words and numbers."""
    return SampleJudged(
        **asdict(subject) | {"image": subject.image},
        decision=judgement.decision,
        reasons=judgement.reasons,
        similarity=measurement.similarity,
        normalised_similarity=measurement.normalised,
        margin=measurement.margin,
        second=measurement.second,
        nearest=measurement.nearest,
        originals=measurement.originals,
        originals_searched=measurement.originals_searched,
        copy_descriptor=measurement.copy_descriptor,
        precision=measurement.precision,
        similarity_error=measurement.similarity_error,
        faces=measurement.faces,
        face_box=measurement.face_box,
        limits=policy.numbers,
        false_match_rate=policy.false_match_rate(measurement.similarity, measurement.normalised),
        log_likelihood_ratio=policy.log_likelihood_ratio(measurement.similarity),
        p_value=policy.p_value(measurement.similarity, measurement.normalised),
        policy_version=policy.version,
        embedding_space=measurement.embedding_space,
        gallery_version=measurement.gallery_version,
        judged_at=now,
        timings_ms=dict(timings_ms or {}),
    )


def outcome(judged: SampleJudged, measurement: Measurement, trace: Headers) -> Outcome:
    """Return the row's end: where the verdict goes, and its bytes."""
    topic, state = ROUTES[judged.decision]
    headers = cloud_event(judged, id=judged.sample_id, source=SOURCE, time=judged.judged_at, trace=trace)
    record = Record(topic.name, judged.sample_id.encode(), to_json(judged), headers, judged.judged_at)
    return Outcome(judged.sample_id, state, record, measurement.model_dump_json(exclude_none=True))
