"""What travels, described for programs in any language: topic, CloudEvents type, JSON Schema (2020-12)."""

from typing import Any

from streams import topics
from streams.events import (
    TYPES,
    Body,
    ClipJudged,
    ConsentChanged,
    DriftAlerted,
    GenerationRequested,
    SampleGenerated,
    SampleJudged,
    TrainingAdvised,
    TrainingSamplePublished,
)

#: The body that each topic carries. Dead letters carry whatever could not be processed, as it was.
BODIES: dict[topics.Topic, type[Body]] = {
    topics.GENERATION_REQUESTS: GenerationRequested,
    topics.GENERATION_SAMPLES: SampleGenerated,
    topics.TRAINING_SAMPLES: TrainingSamplePublished,
    topics.SAMPLES_ACCEPTED: SampleJudged,
    topics.SAMPLES_FLAGGED: SampleJudged,
    topics.DRIFT_ALERTS: DriftAlerted,
    topics.TRAINING_FEEDBACK: TrainingAdvised,
    topics.CLIPS_JUDGED: ClipJudged,
    topics.CONSENT_EVENTS: ConsentChanged,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the type (header ``ce_type``) and the schema of each topic's bodies.

    >>> schemas()["generation.requests"]["type"]
    'dev.likeness.generation.requested.v1'
    """
    return {
        topic.name: {
            "type": TYPES[body],
            "schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", **body.model_json_schema()},
        }
        for topic, body in BODIES.items()
    }
