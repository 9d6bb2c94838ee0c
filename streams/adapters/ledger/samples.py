"""The ledger on SQL: one row a sample, decided once, with the record to publish in the row (transactional outbox).

Everybody takes the rows of a batch in the order of their ids, so that no two transactions wait for each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, select, tuple_, update

from streams.adapters.ledger.database import Database, to_micros
from streams.adapters.ledger.forgotten import erased_records, names_now, share_names
from streams.adapters.ledger.rows import (
    OUTCOME_COLUMNS,
    delivery,
    image_of,
    outcome_of,
    outcome_row,
    registered,
    row_of,
    samples,
    undelivered,
)
from streams.core.erasure import FORGOTTEN
from streams.core.ledger import Outcome, Registered, Registration, State
from streams.errors import ForgottenMeanwhile
from streams.events import ImageRef

_id = samples.c.sample_id


class SqlLedger:
    """Implements ``ports.Ledger``."""

    def __init__(self, database: Database, *, rows_at_a_time: int = 10_000) -> None:
        """Use an opened database; one transaction goes through at most so many rows."""
        self._database = database
        self._rows_at_a_time = rows_at_a_time

    async def called(self, identities: Iterable[str]) -> dict[str, str]:
        """See ``ports.Ledger``."""
        asked = set(identities)
        if not asked:
            return {}
        return await self._database.transact(lambda connection: names_now(connection, asked))

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        """See ``ports.Ledger``. The first rows go in first: their primary key is what two writers meet at."""
        firsts = [group[0] for group in groups]

        def work(connection: Connection) -> dict[str, Registered]:
            share_names(connection)
            asked = {first.identity for first in firsts if first.identity is not None}
            if any(now != then for then, now in names_now(connection, asked).items()):
                raise ForgottenMeanwhile
            self._database.insert_absent(connection, samples, _in_order(row_of(first) for first in firsts))
            held = {row.sample_id: bytes(row.payload) for row in _rows(connection, [f.sample_id for f in firsts])}
            rest = [row for group in groups if held[group[0].sample_id] == group[0].payload for row in group[1:]]
            self._database.insert_absent(connection, samples, _in_order(row_of(row) for row in rest))
            ids = [row.sample_id for group in groups for row in group]
            return {row.sample_id: registered(row) for row in _rows(connection, ids)}

        return await self._database.transact(work)

    async def attempt(self, sample_ids: Sequence[str]) -> dict[str, int]:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> dict[str, int]:
            _lock(connection, sample_ids)
            connection.execute(update(samples).where(_id.in_(sample_ids)).values(attempts=samples.c.attempts + 1))
            return {row.sample_id: row.attempts for row in _rows(connection, sample_ids)}

        return await self._database.transact(work)

    async def take_back_attempt(self, sample_ids: Sequence[str]) -> None:
        """See ``ports.Ledger``."""
        statement = update(samples).where(_id.in_(sample_ids), samples.c.attempts > 0)
        statement = statement.values(attempts=samples.c.attempts - 1)

        def work(connection: Connection) -> None:
            _lock(connection, sample_ids)
            connection.execute(statement)

        await self._database.transact(work)

    async def child_death(self, sample_id: str) -> int:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> int:
            deaths = samples.c.child_deaths + 1
            connection.execute(update(samples).where(_id == sample_id).values(child_deaths=deaths))
            return int(connection.execute(select(samples.c.child_deaths).where(_id == sample_id)).scalar_one())

        return await self._database.transact(work)

    async def registered(self, sample_ids: Sequence[str]) -> dict[str, Registered]:
        """See ``ports.Ledger``."""
        return await self._database.transact(
            lambda connection: {row.sample_id: registered(row) for row in _rows(connection, sample_ids)}
        )

    async def pin_versions(self, versions: Mapping[str, str]) -> dict[str, str]:
        """See ``ports.Ledger``."""
        statement = (
            update(samples)
            .where(_id == bindparam("wanted"), samples.c.model_version.is_(None))
            .values(model_version=bindparam("version"))
        )
        rows = [{"wanted": key, "version": version} for key, version in sorted(versions.items())]

        def work(connection: Connection) -> dict[str, str]:
            if rows:
                connection.execute(statement, rows)
            held = _rows(connection, list(versions))
            return {row.sample_id: row.model_version for row in held if row.model_version is not None}

        return await self._database.transact(work)

    async def repin_versions(self, sample_ids: Sequence[str], *, retired: str, served: str) -> dict[str, Registered]:
        """See ``ports.Ledger``."""
        unmade = (samples.c.state == State.IN_FLIGHT, samples.c.image_sha256.is_(None))
        statement = update(samples).where(_id.in_(sample_ids), *unmade, samples.c.model_version == retired)

        def work(connection: Connection) -> dict[str, Registered]:
            _lock(connection, sample_ids)
            connection.execute(statement.values(model_version=served))
            return {row.sample_id: registered(row) for row in _rows(connection, sample_ids)}

        return await self._database.transact(work)

    async def pin_images(self, images: Mapping[str, ImageRef], *, version: str | None = None) -> dict[str, ImageRef]:
        """See ``ports.Ledger``."""
        of_version = () if version is None else (samples.c.model_version == version,)
        statement = (
            update(samples)
            .where(_id == bindparam("wanted"), samples.c.image_sha256.is_(None), *of_version)
            .values(image_sha256=bindparam("sha256"), image_size=bindparam("size"))
        )
        rows = [{"wanted": key, "sha256": ref.sha256, "size": ref.size} for key, ref in sorted(images.items())]

        def work(connection: Connection) -> dict[str, ImageRef]:
            share_names(connection)
            if any(_forgotten(row) for row in _rows(connection, list(images))):
                raise ForgottenMeanwhile
            if rows:
                connection.execute(statement, rows)
            held = [row for row in _rows(connection, list(images)) if version in (None, row.model_version)]
            return {row.sample_id: image for row in held if (image := image_of(row)) is not None}

        return await self._database.transact(work)

    async def decide(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """See ``ports.Ledger``."""
        statement = (
            update(samples)
            .where(_id == bindparam("wanted"), samples.c.state == State.IN_FLIGHT)
            .values({name: bindparam(name) for name in OUTCOME_COLUMNS})
        )

        def work(connection: Connection) -> list[Outcome]:
            share_names(connection)
            if _speaks_of_forgotten(_rows(connection, [o.sample_id for o in outcomes]), outcomes):
                raise ForgottenMeanwhile
            if outcomes:
                # Of two outcomes of one sample the first stays the first.
                ordered = sorted(outcomes, key=lambda outcome: outcome.sample_id)
                connection.execute(statement, [outcome_row(outcome) for outcome in ordered])
            held = {row.sample_id: outcome_of(row) for row in _rows(connection, [o.sample_id for o in outcomes])}
            return [held[outcome.sample_id] for outcome in outcomes]

        return await self._database.transact(work)

    async def outcomes(self, sample_ids: Sequence[str]) -> dict[str, Outcome]:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> dict[str, Outcome]:
            rows = _rows(connection, sample_ids)
            return {row.sample_id: outcome_of(row) for row in rows if row.state != State.IN_FLIGHT}

        return await self._database.transact(work)

    async def unpublished(self, older_than: datetime, limit: int) -> list[Outcome]:
        """See ``ports.Ledger``."""
        statement = (
            select(samples)
            .where(
                samples.c.state != State.IN_FLIGHT,
                undelivered,
                samples.c.time < to_micros(older_than),
            )
            .order_by(samples.c.time, _id)
            .limit(limit)
        )
        return await self._database.transact(
            lambda connection: [outcome_of(row) for row in connection.execute(statement)]
        )

    async def published(self, delivered: Mapping[str, datetime]) -> None:
        """See ``ports.Ledger``."""
        statement = (
            update(samples)
            .where(_id == bindparam("wanted"), undelivered, samples.c.state != State.IN_FLIGHT)
            .where(samples.c.time == bindparam("delivered"))
            .values(published_at=to_micros(datetime.now(UTC)))
        )
        rows = [{"wanted": key, "delivered": to_micros(time)} for key, time in sorted(delivered.items())]

        def work(connection: Connection) -> None:
            if rows:
                _lock(connection, list(delivered))
                connection.execute(statement, rows)

        await self._database.transact(work)

    async def in_flight(
        self, older_than: datetime, limit: int, *, after: Registration | None = None
    ) -> list[Registration]:
        """See ``ports.Ledger``."""
        order = (samples.c.registered_at, _id)
        statement = (
            select(samples)
            .where(samples.c.state == State.IN_FLIGHT, undelivered, order[0] < to_micros(older_than))
            .order_by(*order)
            .limit(limit)
        )
        if after is not None:
            statement = statement.where(tuple_(*order) > (to_micros(after.at), after.sample_id))
        return await self._database.transact(
            lambda connection: [registered(row).registration for row in connection.execute(statement)]
        )

    async def delivers_to(self, cluster: str, *, newer_than: datetime) -> int:
        """See ``ports.Ledger``.

        Every row is gone through, which takes long where they are many: some at a time, so that nobody waits for it.
        The cluster is noted when all is done, so that whoever dies on the way leaves it to be done again.
        """

        def known(connection: Connection) -> bool:
            self._database.insert_absent(connection, delivery, [{"the_only_row": 1, "cluster": cluster}])
            return bool(connection.execute(select(delivery.c.cluster)).scalar_one() == cluster)

        if await self._database.transact(known):
            return 0
        forgotten, after = 0, ""
        while some := await self._database.transact(partial(self._forget, after, newer_than)):
            forgotten, after = forgotten + some[0], some[1]
        noted = update(delivery).values(cluster=cluster)
        await self._database.transact(lambda connection: connection.execute(noted))
        return forgotten

    def _forget(self, after: str, newer_than: datetime, connection: Connection) -> tuple[int, str] | None:
        """Forget deliveries among the next rows; return of how many, and the last row; None after the last."""
        following = select(_id).where(_id > after).order_by(_id).limit(self._rows_at_a_time).subquery()
        last = connection.execute(select(func.max(following.c.sample_id))).scalar_one()
        if last is None:
            return None
        # To another cluster goes what a row holds now, also of somebody who was forgotten.
        some = (erased_records.c.sample_id > after, erased_records.c.sample_id <= last, erased_records.c.n == 0)
        connection.execute(delete(erased_records).where(*some))
        delivered = (_id > after, _id <= last, samples.c.published_at.is_not(None))
        forget = update(samples).where(*delivered, samples.c.time >= to_micros(newer_than)).values(published_at=None)
        return int(connection.execute(forget).rowcount), last


def _forgotten(row: Row[Any]) -> bool:
    return row.identity is not None and row.identity.startswith(FORGOTTEN)


def _speaks_of_forgotten(rows: Iterable[Row[Any]], outcomes: Sequence[Outcome]) -> bool:
    """Say whether an end of somebody who was forgotten was found out under the name that they had before."""
    now = {row.sample_id: row.identity.encode() for row in rows if _forgotten(row) and row.state == State.IN_FLIGHT}
    return any(now.get(outcome.sample_id, b"") not in (outcome.record.value or b"") for outcome in outcomes)


def _rows(connection: Connection, sample_ids: Sequence[str]) -> list[Row[Any]]:
    return list(connection.execute(select(samples).where(_id.in_(sample_ids))))


def _lock(connection: Connection, sample_ids: Sequence[str]) -> None:
    """Take the rows in the order of their ids: an update of many takes them as it finds them. SQLite has one lock."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(_id).where(_id.in_(sample_ids)).order_by(_id).with_for_update())


def _in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    # The first of two with one id stays the first.
    return sorted(rows, key=lambda row: str(row["sample_id"]))
