"""How the balance is struck: rows of the ledger, records of the topics and committed offsets go in. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from streams import topics
from streams.tools.audit.balance import Balance, Hour, Offence
from streams.tools.audit.records import Ask, End, Raw, ask, end
from streams.tools.audit.rows import Reopened, Row, Superseded

#: So many offending samples are listed of each kind; all are counted.
LISTED = 50

#: Which state of a row belongs on which topic.
_TOPIC_OF = {
    "accepted": topics.SAMPLES_ACCEPTED.name,
    "flagged": topics.SAMPLES_FLAGGED.name,
    "dead": topics.DEAD_LETTERS.name,
}
_RETENTION_MS = {topic.name: topic.retention_ms for topic in topics.ENDS}
_HOUR_MS = 3_600_000
#: What is counted for every hour too. ``unaccounted`` has one addition: what no row knows is in no hour.
_BY_HOUR = ("requested", *_TOPIC_OF, "in_flight")
_Place = tuple[str, int]


def balance(
    rows: Mapping[str, Row],
    records: Iterable[Raw],
    committed: Mapping[_Place, int],
    *,
    now: datetime,
    before_rows: Mapping[_Place, int] | None = None,
    reopened: Reopened | None = None,
    overdue_seconds: float = math.inf,
) -> Balance:
    """Weigh the ledger against the topics.

    Args:
        rows: The ledger's rows, by sample id.
        records: Records of every topic, in any order.
        committed: (topic, partition) of the ways in to the offset that the worker has committed there.
        now: Decides which records are older than their topic keeps them.
        before_rows: (topic, partition) of the ends to the offset up to which records were there before the rows were
            read: a record behind it may be newer than the rows. None: all were there before.
        reopened: Dead letters that were taken back, read after every record was there. None: those that the rows know.
        overdue_seconds: A row that has been in flight for longer is overdue.
    """
    tally = Tally(rows, committed, now=now, before_rows=before_rows, reopened=reopened, overdue_seconds=overdue_seconds)
    for record in records:
        tally.see(record)
    return tally.balance()


class Tally:
    """Adds up record by record. Of a record it keeps digests; of one that only asks, nothing."""

    def __init__(
        self,
        rows: Mapping[str, Row],
        committed: Mapping[_Place, int],
        *,
        now: datetime,
        before_rows: Mapping[_Place, int] | None = None,
        reopened: Reopened | None = None,
        called: Callable[[str], str] = lambda name: name,
        overdue_seconds: float = math.inf,
    ) -> None:
        """See ``balance``; ``called`` says how somebody is called in the ledger who was forgotten."""
        self._called = called
        self._rows = rows
        self._reopened = reopened or {}
        self._committed = committed
        self._now_ms = now.timestamp() * 1000
        self._overdue_before_ms = self._now_ms - overdue_seconds * 1000
        self._before_rows = before_rows
        self._ends: dict[str, set[tuple[str, bytes]]] = {}
        self._envelopes: dict[str, bytes] = {}
        self._unread: dict[str, int] = {}
        self._offences: dict[str, dict[str, str]] = {
            kind: {} for kind in ("lost", "conflicting", "phantom", "misnamed", "inexact")
        }
        self._counts: Counter[str] = Counter()
        self._hours: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._overdue: list[Offence] = []
        self._reasons: Counter[str] = Counter()
        self._dead_reasons: Counter[str] = Counter()

    def see(self, raw: Raw) -> None:
        """Take one record of any of the topics."""
        if raw.topic in _RETENTION_MS:
            self._see_end(raw, end(raw))
        else:
            self._see_ask(raw, ask(raw))

    def balance(self) -> Balance:
        """Return the balance of everything seen."""
        for row in self._rows.values():
            overdue = self._counts["overdue"]
            self._count(row, "requested")
            self._place(row)
            if self._counts["overdue"] > overdue or any(row.sample_id in found for found in self._offences.values()):
                self._count(row, "unaccounted")
        for sample_id, since_ms in self._unread.items():
            self._counts["unaccounted"] += self._is_overdue(sample_id, since_ms, "asked for, and read by no worker,")
        nowhere = {sample_id for found in self._offences.values() for sample_id in found if sample_id not in self._rows}
        offences = {kind: self._listed(found) for kind, found in self._offences.items() if found}
        if self._overdue:
            offences["overdue"] = tuple(self._overdue)
        return Balance(
            **{name: self._counts[name] for name in (*_BY_HOUR, "expired", "duplicates", "superseded", "overdue")},
            unread=len(self._unread),
            unaccounted=self._counts["unaccounted"] + len(nowhere),
            **{kind: len(found) for kind, found in self._offences.items()},
            reasons=dict(self._reasons.most_common()),
            dead_reasons=dict(self._dead_reasons.most_common()),
            offences=offences,
            hours=tuple(_hour(number, self._hours[number]) for number in sorted(self._hours)),
        )

    @staticmethod
    def _listed(found: Mapping[str, str]) -> tuple[Offence, ...]:
        return tuple(Offence(sample_id, why) for sample_id, why in list(found.items())[:LISTED])

    def _count(self, row: Row, name: str) -> None:
        """Count in all, and in the hour in which the row was registered."""
        self._counts[name] += 1
        self._hours[row.registered_ms // _HOUR_MS][name] += 1

    def _offend(self, kind: str, sample_id: str, why: str) -> None:
        self._offences[kind].setdefault(sample_id, why)

    # -- what comes in -----------------------------------------------------------------------------------------------

    def _see_ask(self, raw: Raw, asked: Ask) -> None:
        if asked.own_id in self._rows:
            return
        held = [self._rows.get(sample_id) for sample_id in asked.sample_ids]
        missing = [sample_id for sample_id, row in zip(asked.sample_ids, held, strict=True) if row is None]
        renamed = ask(raw, self._called)
        known = all(row is not None and (_agrees(asked, row) or _agrees(renamed, row)) for row in held)
        if not missing and (not held or not known):
            # Nothing readable, or something else under a known id: the message itself must end, as a dead letter.
            missing = [asked.own_id]
        if raw.offset >= self._committed.get((raw.topic, raw.partition), 0):
            for sample_id in missing:
                self._unread[sample_id] = min(raw.time_ms, self._unread.get(sample_id, raw.time_ms))
            return
        for sample_id in missing:
            self._offend("lost", sample_id, f"{raw.place} asks for it and is committed, the ledger has no row")

    # -- what comes out ----------------------------------------------------------------------------------------------

    def _see_end(self, raw: Raw, ended: End) -> None:
        if ended.fault is not None:
            self._offend("misnamed", ended.sample_id or raw.place, f"{raw.place}: {ended.fault}")
        if ended.sample_id is None:
            self._offend("phantom", raw.place, f"{raw.place} names no sample")
            return
        if self._taken_back(raw, ended):
            self._counts["superseded"] += 1
            return
        known = self._ends.setdefault(ended.sample_id, set())
        this = (raw.topic, ended.value)
        if this in known:
            self._counts["duplicates"] += 1
            if self._envelopes[ended.sample_id] != ended.envelope:
                self._offend("inexact", ended.sample_id, f"{raw.place} repeats it with another key or other headers")
        elif known:
            where = ", ".join(sorted({topic for topic, _ in known}))
            self._offend("conflicting", ended.sample_id, f"{raw.place} ends it otherwise than a record on {where}")
        else:
            self._count_reason(raw.topic, ended.reason)
            self._envelopes[ended.sample_id] = ended.envelope
        known.add(this)
        row = self._rows.get(ended.sample_id)
        self._compare(raw, ended, None if row is None else self._as_reopened(row))

    def _taken_back(self, raw: Raw, ended: End) -> bool:
        """Say whether a redrive holds exactly this dead letter. No other end can be taken back."""
        sample_id, row = ended.sample_id or "", self._rows.get(ended.sample_id or "")
        if raw.topic != topics.DEAD_LETTERS.name or row is None:
            return False
        this = Superseded(raw.topic, ended.value, ended.envelope, raw.time_ms)
        return any(_same(this, one) for one in (*row.superseded, *self._reopened.get(sample_id, ())))

    def _count_reason(self, topic: str, reason: str | None) -> None:
        if topic == topics.DEAD_LETTERS.name:
            self._dead_reasons[reason or "unnamed"] += 1
        elif topic == topics.SAMPLES_FLAGGED.name:
            self._reasons[reason or "unnamed"] += 1

    def _compare(self, raw: Raw, ended: End, row: Row | None) -> None:
        """Hold a record against its row. One that is newer than the rows may be ahead of them, never contradict."""
        sample_id = ended.sample_id or ""
        limit = None if self._before_rows is None else self._before_rows.get((raw.topic, raw.partition), 0)
        older = limit is None or raw.offset < limit
        if row is None:
            if older:
                self._offend("phantom", sample_id, f"{raw.place} ends a sample that the ledger has no row of")
        elif row.topic is None:
            if older:
                self._offend("conflicting", sample_id, f"{raw.place} ends it, the ledger has not decided")
        elif (raw.topic, ended.value) != (row.topic, row.value):
            differs = f"the ledger's is on {row.topic}" if raw.topic != row.topic else "the ledger's has another value"
            self._offend("conflicting", sample_id, f"{raw.place} ends it, {differs}")
        elif ended.envelope != row.envelope or abs(raw.time_ms - row.time_ms) > 1:  # one: rounding of microseconds
            self._offend("inexact", sample_id, f"{raw.place} has another key, other headers or another time")

    # -- what the ledger says ----------------------------------------------------------------------------------------

    def _as_reopened(self, row: Row) -> Row:
        """Return the row as it stands if its dead letter was taken back after the row was read: in flight."""
        since = self._reopened.get(row.sample_id, ())
        if row.state == "dead" and any(_same(_end_of(row), one) for one in since):
            return replace(row, state="in_flight", topic=None)
        return row

    def _place(self, row: Row) -> None:
        """Count the row where it stands. A row that is nowhere breaks the sum."""
        if any(_same(_end_of(row), one) for one in row.superseded):
            why = "the ledger says that its dead letter was taken back, and holds it all the same"
            self._offend("conflicting", row.sample_id, why)
            return
        row = self._as_reopened(row)
        if row.topic is None:
            if row.state == "in_flight":
                self._in_flight(row)
            else:
                self._offend("lost", row.sample_id, f"the ledger says {row.state!r} and holds no record for it")
            return
        if _TOPIC_OF.get(row.state) != row.topic:
            self._offend("conflicting", row.sample_id, f"the ledger says {row.state!r} and publishes on {row.topic}")
            return
        found = self._ends.get(row.sample_id, set())
        if (row.topic, row.value) in found:
            self._count(row, row.state)
        elif not row.published:
            self._in_flight(row)
        elif self._now_ms - row.time_ms > _RETENTION_MS[row.topic]:
            self._count(row, row.state)
            self._counts["expired"] += 1
        elif not found:
            why = f"decided as {row.state} and noted as delivered, there is no record of it on {row.topic}"
            self._offend("lost", row.sample_id, why)

    def _in_flight(self, row: Row) -> None:
        """Count a row without an end, and say so where it has been without one for too long."""
        self._count(row, "in_flight")
        since = max([row.open_since_ms, *(one.at_ms for one in self._reopened.get(row.sample_id, ()))])
        what = "no verdict" if row.topic is None else f"decided as {row.state}, and not delivered,"
        self._is_overdue(row.sample_id, since, what)

    def _is_overdue(self, sample_id: str, since_ms: int, what: str) -> bool:
        """Say whether a sample has been without an end for too long; count and list it then."""
        if since_ms >= self._overdue_before_ms:
            return False
        self._counts["overdue"] += 1
        if len(self._overdue) < LISTED:
            self._overdue.append(Offence(sample_id, f"{what} for {(self._now_ms - since_ms) / _HOUR_MS:.1f} h"))
        return True


def _hour(number: int, counts: Counter[str]) -> Hour:
    began = datetime.fromtimestamp(number * _HOUR_MS / 1000, UTC)
    return Hour(f"{began:%Y-%m-%dT%H:%MZ}", **{name: counts[name] for name in (*_BY_HOUR, "unaccounted")})


def _end_of(row: Row) -> Superseded:
    return Superseded(row.topic or "", row.value, row.envelope, row.time_ms)


def _same(one: Superseded, other: Superseded) -> bool:
    """Compare to the byte; the time to a millisecond, for it is rounded on its way."""
    close = abs(one.time_ms - other.time_ms) <= 1
    return close and (one.topic, one.value, one.envelope) == (other.topic, other.value, other.envelope)


def _agrees(asked: Ask, row: Row) -> bool:
    """Say whether the row is the answer to this message, not to another one that used the same id."""
    if asked.brings is None:
        return asked.content is not None and asked.content == row.content
    identity, model, image = asked.brings
    return (identity, model) == (row.identity, row.model) and row.image_sha256 in (None, image)
