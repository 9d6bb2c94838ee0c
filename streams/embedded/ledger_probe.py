"""Does the ledger's database answer, where it is a server and no file?"""

import asyncio

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from streams.errors import DependencyUnavailable


def is_server(url: str) -> bool:
    """Return whether a URL names a server; what is no URL is none."""
    try:
        return make_url(url).get_backend_name() != "sqlite"
    except ArgumentError:
        return False


async def answers(url: str, *, timeout_seconds: float) -> None:
    """Ask the server for nothing in particular.

    Raises:
        DependencyUnavailable: If it does not answer in time, does not let us in, or cannot be asked.
    """
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise DependencyUnavailable("ledger", f"{error}; pip install 'likeness-qc[postgres]'") from error
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        async with asyncio.timeout(timeout_seconds), await psycopg.AsyncConnection.connect(address) as connection:
            await connection.execute("SELECT 1")
    except (psycopg.Error, TimeoutError) as error:
        detail = " ".join(str(error).split()) or f"no answer within {timeout_seconds:g} s"
        raise DependencyUnavailable("ledger", detail) from error
