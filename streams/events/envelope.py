"""What is around a body: the CloudEvents headers, the trace that is handed on, and the bytes that travel."""

from datetime import datetime

from streams.events.body import Body
from streams.events.clips import ClipJudged
from streams.events.consent import ConsentChanged
from streams.events.drift import DriftAlerted
from streams.events.samples import GenerationRequested, SampleGenerated, TrainingSamplePublished
from streams.events.training import TrainingAdvised
from streams.events.verdicts import SampleJudged

#: CloudEvents ``type`` of each body: also says which schema a topic carries.
TYPES: dict[type[Body], str] = {
    GenerationRequested: "dev.likeness.generation.requested.v1",
    SampleGenerated: "dev.likeness.sample.generated.v1",
    TrainingSamplePublished: "dev.likeness.training.sample.v1",
    SampleJudged: "dev.likeness.sample.judged.v1",
    DriftAlerted: "dev.likeness.drift.alerted.v1",
    TrainingAdvised: "dev.likeness.training.advised.v1",
    ClipJudged: "dev.likeness.clip.judged.v1",
    ConsentChanged: "dev.likeness.consent.changed.v1",
}

Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka headers, in order. Kafka allows a header without a value, and strangers send some."""

#: W3C Trace Context headers that every message hands on to the messages that follow from it.
TRACE_HEADERS = ("traceparent", "tracestate")

#: The longest value of a trace header that is handed on: what W3C asks everybody to take.
TRACE_BYTES = 512


def trace_of(headers: Headers) -> Headers:
    """Return only the trace headers, each once and none that is too long: what a stranger sends is handed on."""
    found = {name: value for name, value in headers if name in TRACE_HEADERS and len(value or b"") <= TRACE_BYTES}
    return tuple(found.items())


def cloud_event(body: Body, *, id: str, source: str, time: datetime, trace: Headers = ()) -> Headers:  # noqa: A002
    """Return the headers of CloudEvents 1.0, Kafka binary content mode (spec v1.0.2, section 3.2).

    Args:
        body: The body, which gives the type.
        id: Unique for the source: the sample id, or the request id.
        source: A URI reference that says who made the event.
        time: When it happened, with a time zone.
        trace: Trace headers to hand on.
    """
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_source": source,
        "ce_type": TYPES[type(body)],
        "ce_time": time.isoformat(),
        "content-type": "application/json",
    }
    return (*((name, value.encode()) for name, value in attributes.items()), *trace)


def to_json(body: Body) -> bytes:
    """Return the body as the bytes that travel; the same body always gives the same bytes."""
    return body.model_dump_json(exclude_none=True).encode()
