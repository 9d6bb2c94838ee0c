"""What the ledger's adapters promise, they promise on every database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, ledger_folder: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{ledger_folder}/ledger.db"
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def sqlite_url(ledger_folder: Path) -> str:
    return f"sqlite:///{ledger_folder}/ledger.db"
