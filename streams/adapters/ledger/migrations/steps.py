"""The steps, taken by Alembic: without its ini file and its environment, because the connection is there already."""

import logging
import threading
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from streams.adapters.ledger.migrations import HEAD, VERSION_TABLE
from streams.errors import Unready

log = logging.getLogger(__name__)

#: A step speaks to its connection through ``alembic.op``, of which there is one in a process.
_one_at_a_time = threading.Lock()

_REMEDY = "set LIKENESS_LEDGER to another database, or run the version of Likeness that made this one"


def every_step() -> ScriptDirectory:
    """Return the steps in this package."""
    return ScriptDirectory(Path(__file__).parent)


def take(connection: Connection, reached: str | None) -> None:
    """Take the steps after ``reached``; None: all.

    Raises:
        Unready: If this version does not know the step ``reached``, or the tables of before there were steps.
    """
    steps = every_step()
    if reached is not None and reached not in {step.revision for step in steps.walk_revisions()}:
        raise Unready(
            f"expected a ledger whose tables have version {HEAD} or an earlier one, got version {reached}, which is"
            f" later: {_REMEDY}"
        )
    if reached is None:
        _forget_the_old_version(connection)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    with _one_at_a_time, Operations.context(context):
        for step in reversed(list(steps.iterate_revisions(HEAD, reached))):
            log.info("the ledger's tables: %s", step.doc)
            step.module.upgrade()
            context.stamp(steps, step.revision)


def _forget_the_old_version(connection: Connection) -> None:
    """Before there were steps, a table ``meta`` said 1, beside the tables that had been used; 0001 adds the rest."""
    if not inspect(connection).has_table("meta"):
        return
    found = connection.execute(text("SELECT schema_version FROM meta")).scalar()
    if found != 1:
        raise Unready(f"expected a ledger whose tables have version 1 or {HEAD}, got version {found}: {_REMEDY}")
    connection.execute(text("DROP TABLE meta"))
