"""Where it travels: every topic, how it is cut and how long it is kept."""

from dataclasses import dataclass

#: Header of a record that stands for a whole batch of records which nobody can read; it says why. Its value is the
#: batch as Kafka holds it.
UNREADABLE = "likeness.unreadable"

DAY_MS = 24 * 60 * 60 * 1000

#: Partitions of every topic that carries samples: a sample keeps its partition along the whole road.
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic."""

    name: str
    retention_ms: int
    partitions: int = PARTITIONS


GENERATION_REQUESTS = Topic("generation.requests", 7 * DAY_MS)
GENERATION_SAMPLES = Topic("generation.samples", 7 * DAY_MS)
TRAINING_SAMPLES = Topic("training.samples", 7 * DAY_MS)
SAMPLES_ACCEPTED = Topic("samples.accepted", 30 * DAY_MS)
SAMPLES_FLAGGED = Topic("samples.flagged", 30 * DAY_MS)
DEAD_LETTERS = Topic("dead.letters", 30 * DAY_MS)
DRIFT_ALERTS = Topic("drift.alerts", 30 * DAY_MS)
TRAINING_FEEDBACK = Topic("training.feedback", 30 * DAY_MS)
CLIPS_JUDGED = Topic("clips.judged", 30 * DAY_MS)
CONSENT_EVENTS = Topic("consent.events", 30 * DAY_MS)

#: Topics that samples travel on: from who asks for them to their ends.
ROAD = (
    GENERATION_REQUESTS,
    GENERATION_SAMPLES,
    TRAINING_SAMPLES,
    SAMPLES_ACCEPTED,
    SAMPLES_FLAGGED,
    DEAD_LETTERS,
)

#: What is told of samples together.
TOLD = (DRIFT_ALERTS, TRAINING_FEEDBACK, CLIPS_JUDGED)

ALL = (*ROAD, *TOLD, CONSENT_EVENTS)

#: Topics on which a sample ends.
ENDS = (SAMPLES_ACCEPTED, SAMPLES_FLAGGED, DEAD_LETTERS)
