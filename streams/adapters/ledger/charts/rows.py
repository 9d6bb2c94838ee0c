"""The tables of the charts, and their rows as values."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Row, String, Table, Text

from streams.adapters.ledger.database import metadata, to_micros
from streams.adapters.ledger.rows import headers_to_text
from streams.core.drift.chart import Chart, Kind, Observation
from streams.core.drift.notices import Notice
from streams.core.records import Record

_KEY = String(1000)

#: What shares a calibration.
scopes = Table(
    "drift_scope",
    metadata,
    Column("scope", _KEY, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("edition", BigInteger, nullable=False),
    # Microseconds, or the step of a training run.
    Column("newest", BigInteger, nullable=False),
    # The first window that is to be looked at anew; none where nothing is.
    Column("dirty", BigInteger),
    Column("calibration", Text),
    # The first window that says what is in control, where that is not the first of all. Time alone: no run has one.
    Column("baseline", BigInteger),
)
charts = Table(
    "drift_chart",
    metadata,
    Column("chart", _KEY, primary_key=True),
    Column("scope", _KEY, nullable=False, index=True),
)
# One row for each chart that a sample belongs to. No embedding: those stay in Milvus, under the sample's id.
samples = Table(
    "drift_sample",
    metadata,
    Column("chart", _KEY, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("sample_id", String(32), primary_key=True),
    Column("scope", _KEY, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("identity", String(200), nullable=False),
    Column("score", Integer),
    Column("margin", Integer),
    Column("reasons", Text, nullable=False),
)
Index("ix_drift_sample_scope_window", samples.c.scope, samples.c.window)
points = Table(
    "drift_point",
    metadata,
    Column("chart", _KEY, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
steps = Table(
    "drift_step",
    metadata,
    Column("scope", _KEY, primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
# The last that was said of an alert or a step.
notices = Table(
    "drift_notice",
    metadata,
    Column("subject", String(32), primary_key=True),
    Column("topic", String(200), nullable=False),
    Column("scope", _KEY, nullable=False),
    Column("window", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("body", Text, nullable=False),
)
Index("ix_drift_notice_scope_window", notices.c.scope, notices.c.window)
# The outbox: what is published, to the byte, in this order; of charts and of clips.
outbox = Table(
    "drift_outbox",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("topic", String(200), nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("published_at", BigInteger),
)
unpublished = outbox.c.published_at.is_(None)
Index("drift_outbox_untold", outbox.c.entry, sqlite_where=unpublished, postgresql_where=unpublished)


def newest_of(one: Observation) -> int:
    """Return how far a sample takes its scope: a time, or a step."""
    return one.window if one.chart.kind is Kind.RUN else one.at


def sample_row(one: Observation) -> dict[str, Any]:
    """Return the row of one sample in one chart."""
    return {
        "chart": one.chart.key,
        "window": one.window,
        "sample_id": one.sample_id,
        "scope": one.chart.scope,
        "at": one.at,
        "identity": one.identity,
        "score": one.score,
        "margin": one.margin,
        "reasons": json.dumps(one.reasons, separators=(",", ":")),
    }


def observation_of(row: Row[Any], known: Mapping[str, Chart]) -> Observation:
    """Return what a row says; ``known`` has its chart, by key."""
    return Observation(
        chart=known[row.chart],
        window=row.window,
        sample_id=row.sample_id,
        at=row.at,
        identity=row.identity,
        score=row.score,
        margin=row.margin,
        reasons=tuple(json.loads(row.reasons)),
    )


def notice_of(row: Row[Any]) -> Notice:
    """Return what was last said."""
    return Notice(row.subject, row.topic, row.window, row.revision, row.body)


def notice_row(scope: str, notice: Notice) -> dict[str, Any]:
    """Return its row."""
    return {
        "subject": notice.subject,
        "topic": notice.topic,
        "scope": scope,
        "window": notice.window,
        "revision": notice.revision,
        "body": notice.body,
    }


def told_ids(subject: str, revision: int) -> list[str]:
    """Return the ids of everything that was told of a subject, up to its last revision."""
    return [_told_id(subject, number) for number in range(1, revision + 1)]


def outbox_row(notice: Notice, record: Record) -> dict[str, Any]:
    """Return the row of what is to be published."""
    return told_row(_told_id(notice.subject, notice.revision), record)


def told_row(name: str, record: Record) -> dict[str, Any]:
    """Return the row of a record that is told under a name."""
    return {
        "id": name,
        "topic": record.topic,
        "key": record.key,
        "value": record.value,
        "headers": headers_to_text(record.headers),
        "time": to_micros(record.time),
    }


def _told_id(subject: str, revision: int) -> str:
    return f"{subject}-{revision}"
