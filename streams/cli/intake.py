"""``likeness intake``: take requests over HTTP, and register them before they are published."""

import asyncio
import ipaddress
import logging
import signal
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal.output import say
from streams.errors import BadInput
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.adapters.ledger.database import Database


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Run")(intake)


def intake(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where; beyond this machine only with LIKENESS_INTAKE_TOKEN set.")
    ] = "127.0.0.1:8080",
) -> None:
    """Take requests over HTTP. What it acknowledges is in the ledger: no broker can lose it.

    POST /requests takes one request as a JSON object, an array, or JSON lines; GET /samples/ID says where a sample
    stands; GET /health and GET /ready are for those who watch over it. It runs until Ctrl-C or SIGTERM.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    settings = read_settings()
    host, port = _place(listen)
    if not settings.intake_token.get_secret_value() and not _is_loopback(host):
        raise BadInput(
            f"--listen {listen} can be reached from elsewhere, and nothing would keep strangers out: set"
            " LIKENESS_INTAKE_TOKEN, and put a server that speaks TLS in front; or listen on 127.0.0.1"
        )
    asyncio.run(_serve(settings, host, port))


def _place(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"expected --listen HOST:PORT, such as 127.0.0.1:8080, got {listen!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(settings: Settings, host: str, port: int) -> None:
    from streams.adapters.ledger.samples import SqlLedger
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import prepared_database
    from streams.runtime.courier import KafkaCourier
    from streams.runtime.http_intake import HttpIntake, listening
    from streams.runtime.logs import quieten

    quieten(logging.getLogger())
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings = addressed(settings, "kafka", "ledger")
    async with prepared_database(settings) as database, KafkaCourier(settings.address("kafka")) as courier:
        token = settings.intake_token.get_secret_value()
        service = HttpIntake(SqlLedger(database), courier, now=partial(datetime.now, UTC), token=token)
        async with listening(service.app(), host, port) as url:
            say(f"listening on {url}")
            await _open_until(database, stopping)


async def _open_until(database: "Database", stopping: asyncio.Event) -> None:
    """Open the ledger however long that takes: until then every request is told to come again. Wait for the signal.

    Raises:
        BadInput, Unready: If the ledger cannot be used as it is.
    """
    from streams.runtime.patience import Patience

    opening = asyncio.create_task(Patience()(database.open))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({opening, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if opening.done():
        opening.result()
    else:
        opening.cancel()
    await stopped
