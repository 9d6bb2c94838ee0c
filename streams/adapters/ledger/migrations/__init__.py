"""How the ledger's database becomes that of this version of Likeness: a file in ``versions`` for each step."""

from sqlalchemy import Connection, inspect, text

#: The last step. Compared before Alembic is imported: every process opens the database, hardly one has a step to take.
HEAD = "0005"

#: Says which steps a database has behind it. The name is Likeness' own, beside whoever else uses Alembic there.
VERSION_TABLE = "likeness_version"

#: Key of the lock that whoever changes the tables holds, of PostgreSQL's advisory ones: "like" in ASCII.
_LOCK = 0x6C696B65


def bring_to_head(connection: Connection) -> None:
    """Take the steps that the database has not behind it, in this transaction: all of them or none.

    Raises:
        Unready: If the tables are those of a later version, or of somebody else.
    """
    if reached(connection) == HEAD:
        return
    if connection.dialect.name == "postgresql":
        # One worker at a time; SQLite's transaction is that already. A step may take longer than an ordinary call, and
        # the others are told after a while that the lock was not to be had.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    from streams.adapters.ledger.migrations.steps import take

    take(connection, reached(connection))


def reached(connection: Connection) -> str | None:
    """Return the last step that the database has behind it, None where it has none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)
