"""The tables of those who were forgotten, and what somebody is called now."""

import secrets
from collections.abc import Iterable

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, String, Table, Text, select, text

from streams.adapters.ledger.database import metadata
from streams.core.erasure import name_hash

erasures = Table(
    "erasure",
    metadata,
    Column("receipt", String(32), primary_key=True),
    Column("name_hash", String(64), nullable=False, index=True),
    Column("called", String(64), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    # From then on the name means nobody, until it is lifted.
    Column("renamed_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("lifted_at", BigInteger),
    Column("inventory", Text, nullable=False),
)

erasure_key = Table(
    "erasure_key",
    metadata,
    Column("the_only_row", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
)

#: Digests of records as they were published, where the row holds less by now: so the audit still knows them.
erased_records = Table(
    "erased_record",
    metadata,
    Column("sample_id", String(32), primary_key=True),
    # 0 = the sample's end; else which of its redrives.
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("value", LargeBinary, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)

#: Key of PostgreSQL's advisory lock: whoever writes under a name shares it, whoever takes a name away has it alone.
_LOCK = 0x6E616D65


def share_names(connection: Connection) -> None:
    """Have nobody be forgotten until this transaction ends. SQLite runs one at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _LOCK})


def take_names(connection: Connection) -> None:
    """Have nobody write under a name until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def names_now(connection: Connection, identities: Iterable[str]) -> dict[str, str]:
    """Return what each is called."""
    called = {identity: identity for identity in identities}
    key = connection.execute(select(erasure_key.c.key)).scalar()
    if key is None:  # nobody was ever forgotten
        return called
    hashes = {name_hash(bytes(key), identity): identity for identity in called}
    in_force = (erasures.c.renamed_at.is_not(None), erasures.c.lifted_at.is_(None))
    statement = select(erasures.c.name_hash, erasures.c.called).where(erasures.c.name_hash.in_(hashes), *in_force)
    return called | {hashes[row.name_hash]: row.called for row in connection.execute(statement)}


def key_of(connection: Connection) -> bytes:
    """Return the key of this installation; made where there is none, under the lock of ``take_names``."""
    take_names(connection)
    key = connection.execute(select(erasure_key.c.key)).scalar()
    if key is None:
        key = secrets.token_bytes(32)
        connection.execute(erasure_key.insert().values(the_only_row=1, key=key))
    return bytes(key)
