"""What is left of a row of the ledger when somebody was forgotten."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from streams.adapters.ledger.rows import headers_to_text, record_of
from streams.core.erasure import (
    emptied,
    emptied_payload,
    envelope_digest,
    renamed,
    renamed_headers,
    value_digest,
)
from streams.core.ledger import State
from streams.core.records import Record


@dataclass(frozen=True)
class Rewritten:
    """The columns of a row that change, and digests of the record as it was published."""

    sample_id: str
    n: int = 0
    columns: dict[str, Any] = field(default_factory=dict)
    value: bytes | None = None
    """None where the record stays as it is."""
    envelope: bytes | None = None


def of_sample(row: Row[Any], identity: str, called: str) -> Rewritten:
    """Return a sample's row without the name; of a row of the person with nothing else of them either."""
    own = row.identity == called
    columns: dict[str, Any] = {}
    if own or row.kind == "message":
        payload = bytes(row.payload)
        columns["payload"] = emptied_payload(payload) if own else renamed(payload, identity, called)
    if row.measurement is not None:
        columns["measurement"] = None if own else renamed(row.measurement.encode(), identity, called).decode()
    if row.topic is None:
        return Rewritten(row.sample_id, columns=_changed(row, columns))
    dead = row.state == State.DEAD
    record = record_of(row)
    rewritten = _record(record, identity, called, own=own, dead=dead)
    value, envelope = value_digest(record.value), envelope_digest(record.key, record.headers)
    changed = _changed(row, columns | rewritten)
    published = own or changed.keys() & rewritten.keys()
    return Rewritten(row.sample_id, 0, changed, *((value, envelope) if published else (None, None)))


def of_redrive(row: Row[Any], identity: str, called: str, *, own: bool) -> Rewritten:
    """Return a redrive's row without the name; the dead letter of a sample of the person is emptied."""
    record = record_of(row)
    columns = _record(record, identity, called, own=own, dead=True)
    columns["note"] = renamed(row.note.encode(), identity, called).decode()
    value, envelope = value_digest(record.value), envelope_digest(record.key, record.headers)
    return Rewritten(row.sample_id, row.n, _changed(row, columns), value, envelope)


def _record(record: Record, identity: str, called: str, *, own: bool, dead: bool) -> dict[str, Any]:
    value = None if record.value is None else renamed(record.value, identity, called)
    if own and value is not None:
        # What died was never judged: nothing of it is evidence, and it may point at an image.
        value = b"{}" if dead else emptied(value, called) or b"{}"
    key = None if record.key is None else renamed(record.key, identity, called)
    headers = renamed_headers(record.headers, identity, called)
    return {"key": key, "value": value, "headers": headers_to_text(headers)}


def _changed(row: Row[Any], columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if _plain(getattr(row, name)) != value}


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
