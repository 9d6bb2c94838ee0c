"""The ledger's database, opened for one command and closed behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from streams.settings import Settings

if TYPE_CHECKING:
    from streams.adapters.ledger.database import Database
    from streams.cli.wiring.services import Patiently


@asynccontextmanager
async def opened_database(settings: Settings, *, patiently: "Patiently | None" = None) -> "AsyncIterator[Database]":
    """Open the database that holds the ledger and the consent register.

    Args:
        settings: With the ledger's address.
        patiently: Runs the opening, and may run it again; where there is none, what does not answer is an error.

    Raises:
        BadInput, DependencyUnavailable, Unready: As ``Database`` and its ``open`` say.
    """
    async with prepared_database(settings) as database:
        await (patiently(database.open) if patiently else database.open())
        yield database


@asynccontextmanager
async def prepared_database(settings: Settings) -> "AsyncIterator[Database]":
    """Give the database unopened, to whoever has something to do until it answers; close it at the end."""
    from streams.adapters.ledger.database import Database

    database = Database(settings.address("ledger"))
    try:
        yield database
    finally:
        await database.close()
