"""What the errors of a database mean: an outage that passes, a database that is not ours, or a mistake of ours."""

import re
import sqlite3

from sqlalchemy.exc import DBAPIError

from streams.errors import BadInput, DependencyUnavailable, LikenessError, Unready

#: Primary result codes of SQLite that pass by themselves, or once somebody makes room or mounts a disk.
_SQLITE_OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_SQLITE_STRANGE_TABLE = re.compile(r"no such (table|column)|has no column named")

#: SQLSTATE of a transaction that was rolled back for another one's sake: no order that would give the same, deadlock.
_ROLLED_BACK = frozenset({"40001", "40P01"})
#: Classes of SQLSTATE, its first two characters: connection, rollback that a repetition mends, resources, a lock that
#: was not to be had, intervention of an operator, trouble of the system.
_STATE_OUTAGES = frozenset({"08", "40", "53", "55", "57", "58"})
#: Outages of other classes: a standby, which only reads, in the place of the server that it follows; a transaction that
#: the server ended because nothing came for long.
_OTHER_OUTAGES = frozenset({"25006", "25P03"})
#: SQLSTATE of a column and of a table that are not there.
_STRANGE_TABLE_STATES = frozenset({"42703", "42P01"})


def meaning_of(error: DBAPIError) -> LikenessError | None:
    """Return what an error means; None for a mistake of ours, which must not pass for an outage."""
    said = str(error.orig)
    if isinstance(error.orig, sqlite3.Error):
        outage, strange = _of_sqlite(error.orig)
    else:
        outage, strange = _of_server(error)
    if outage:
        return DependencyUnavailable("ledger", said)
    if strange:
        return Unready(
            f"expected the tables of this version of Likeness in the ledger's database, got {said}: set LIKENESS_LEDGER"
            " to a database of this version, or run the version that made it"
        )
    if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
        return BadInput(f"expected an SQLite database, got {said}: set LIKENESS_LEDGER to another file")
    return None


def mends_itself(error: BaseException) -> bool:
    """Return whether the same transaction may well succeed at once: on a new connection, or after the other one."""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _state(error) in _ROLLED_BACK)


def _of_sqlite(error: sqlite3.Error) -> tuple[bool, bool]:
    # The higher bits say more closely what it is. The driver's own errors have no code.
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in _SQLITE_OUTAGES, _SQLITE_STRANGE_TABLE.search(str(error)) is not None


def _of_server(error: DBAPIError) -> tuple[bool, bool]:
    state = _state(error)
    if state is None:  # the server has not said anything
        return error.connection_invalidated or type(error.orig).__name__ == "OperationalError", False
    return state[:2] in _STATE_OUTAGES or state in _OTHER_OUTAGES, state in _STRANGE_TABLE_STATES


def _state(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
