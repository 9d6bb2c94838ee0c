"""What every test starts from: no settings from outside, and the real ledger on a file of its own."""

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.ports import Services
from streams.testing.services import enrol
from streams.testing.services import services as on_stand_ins
from tests.docker import servers
from tests.postgres_binaries import kind

if TYPE_CHECKING:
    from tests.postgres import Server

# What every implementation of a port promises is asserted in modules of their own.
pytest.register_assert_rewrite("tests.promises")

# No deadline: a slow machine is not a fault. No example database: a checkout stays clean.
settings.register_profile("likeness", max_examples=25, deadline=None, database=None)
settings.load_profile("likeness")


def pytest_report_header() -> list[str]:
    return [f"servers: {servers()}", f"PostgreSQL: {kind()}"]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LIKENESS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def ledger_folder() -> Iterator[Path]:
    """A folder in memory where the system has one: the ledger syncs every transaction, and tests make thousands."""
    in_memory = Path("/dev/shm")  # noqa: S108 - the folder in it is a fresh one of our own
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Server]":
    """A real PostgreSQL server for the whole run; each test takes a database of its own from it."""
    from tests.postgres import server

    with server() as running:
        yield running


@pytest.fixture
def database_url(ledger_folder: Path) -> str:
    """The address of an empty database; the contract tests have one on every kind of database."""
    return f"sqlite:///{ledger_folder}/ledger.db"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def ledger(database: Database) -> SqlLedger:
    return SqlLedger(database)


@pytest.fixture
def consent(database: Database) -> SqlConsentRegister:
    return SqlConsentRegister(database)


@pytest.fixture
async def services(ledger: SqlLedger, consent: SqlConsentRegister) -> Services:
    return await _peopled(ledger, consent)


@pytest.fixture
async def fresh_services(ledger_folder: Path) -> AsyncIterator[Callable[[], Awaitable[Services]]]:
    """As many services as a test wants, each with a ledger of its own."""
    databases: list[Database] = []

    async def build() -> Services:
        databases.append(Database(f"sqlite:///{ledger_folder}/fresh-{len(databases)}.db"))
        await databases[-1].open()
        return await _peopled(SqlLedger(databases[-1]), SqlConsentRegister(databases[-1]))

    yield build
    for database in databases:
        await database.close()


async def _peopled(ledger: SqlLedger, consent: SqlConsentRegister) -> Services:
    """Return stand-ins, with anna and bert enrolled, vip protected, and carl enrolled without consent."""
    services = on_stand_ins(ledger=ledger, consent=consent)
    await enrol(services, "anna", [1, 0, 0, 0, 0, 0, 0, 0])
    await enrol(services, "bert", [0, 1, 0, 0, 0, 0, 0, 0])
    await enrol(services, "vip", [0, 0, 1, 0, 0, 0, 0, 0], protected=True)
    await enrol(services, "carl", [0, 0, 0, 1, 0, 0, 0, 0], consent=False)
    return services
