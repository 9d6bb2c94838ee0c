"""One message of a topic, as a few readable lines and as one JSON object."""

import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from rich.text import Text

from streams import topics
from streams.cli.terminal.output import printable
from streams.core.deadletter import explanation
from streams.core.explain.compare import telling
from streams.events import ClipJudged, Decision, DriftAlerted, SampleJudged, TrainingAdvised

_VERDICTS = (topics.SAMPLES_ACCEPTED.name, topics.SAMPLES_FLAGGED.name)
_TOLD: dict[str, type[DriftAlerted] | type[TrainingAdvised] | type[ClipJudged]] = {
    topics.DRIFT_ALERTS.name: DriftAlerted,
    topics.TRAINING_FEEDBACK.name: TrainingAdvised,
    topics.CLIPS_JUDGED.name: ClipJudged,
}
#: So many characters of a message that is shown as it is.
_SHOWN = 200


def as_object(topic: str, record: Any) -> str:
    """Return the message's body where it is a JSON object; else an object that holds its text.

    A dead letter is a message that could not be read, or not be served: its object says why, and what it held.
    """
    text = (record.value or b"").decode(errors="replace")
    if topic == topics.DEAD_LETTERS.name:
        return json.dumps({**explanation(record.headers), "value": text}, ensure_ascii=False)
    try:
        body = from_json(text, allow_inf_nan=False)  # stricter than json: what it takes can be written again
    except ValueError:
        body = None
    return json.dumps(body if isinstance(body, dict) else {"value": text}, ensure_ascii=False)


def for_reading(topic: str, record: Any) -> Text:
    """Return what a person wants to know of a message, without markup from outside."""
    value = record.value or b""
    if topic == topics.DEAD_LETTERS.name:
        dlq = explanation(record.headers)
        where = f"{dlq.get('topic', '?')}[{dlq.get('partition', '?')}]@{dlq.get('offset', '?')}"
        what, why = f"{dlq.get('reason', '?')}  from {where}", dlq.get("detail", "")
        return _lines("✗", "red", printable(what), [printable(why)])
    if topic in _VERDICTS:
        try:
            return _verdict(SampleJudged.model_validate_json(value))
        except ValidationError:
            pass  # written by somebody else: shown as it is
    if topic in _TOLD:
        try:
            return _of_monitor(_TOLD[topic].model_validate_json(value))
        except ValidationError:
            pass
    text = value.decode(errors="replace")
    return Text(printable(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else ""))


def _verdict(judged: SampleJudged) -> Text:
    similarity = "" if judged.similarity is None else f"  similarity {judged.similarity:.4f}"
    what = f"{judged.identity}{similarity}  {judged.sample_id[:8]}"
    why = [f"{reason.code.value}: {reason.text}" for reason in judged.reasons]
    why += [printable(one.text) for one in telling(judged.explanations or ())]
    return _lines(*("✓", "green") if judged.decision is Decision.ACCEPTED else ("✗", "yellow"), what, why)


def _of_monitor(told: DriftAlerted | TrainingAdvised | ClipJudged) -> Text:
    if isinstance(told, ClipJudged):
        accepted = told.decision is Decision.ACCEPTED
        revised = f"  revision {told.revision}" if told.revision > 1 else ""
        what = f"clip {told.clip_id} of {told.source}  {told.identity}  {told.frames} frames{revised}"
        return _lines(
            *("✓", "green") if accepted else ("✗", "yellow"), printable(what), [*map(printable, told.reasons)]
        )
    if isinstance(told, TrainingAdvised):
        what = f"{told.advice}  run {told.run_id} step {told.step}"
        return _lines(
            "→", "green" if told.advice == "continue" else "yellow", printable(what), [printable(told.reason)]
        )
    names = (told.model, told.model_version, told.identity, told.run_id)
    since = told.since or f"step {told.since_step}"
    what = f"{told.change}  {told.statistic} of {' '.join(name for name in names if name)} since {since}"
    why = f"{told.value:.1f}, limit {told.limit:.1f}"
    return _lines("▲", "red" if told.active else "green", printable(what), [why])


def _lines(mark: str, style: str, what: str, why: list[str]) -> Text:
    text = Text()
    text.append(f"{mark} ", style=f"bold {style}").append(what)
    for line in why:
        text.append(f"\n    {line}", style="dim")
    return text
