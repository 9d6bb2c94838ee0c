"""``likeness request``: ask for samples."""

import asyncio
import sys
import uuid
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal.output import Json, console, emit, say
from streams.errors import BadInput, RequestConflict
from streams.events import DEFAULT_MODEL, SAMPLES_PER_REQUEST, GenerationRequested
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.receipts import Conflict, Receipt
    from streams.events import ImageRef


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(request)


def request(
    identity: Annotated[
        str | None, typer.Option(help="Whom to show; without it, JSON lines are read from standard input.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sample i is made with seed + i.")] = 0,
    strength: Annotated[float, typer.Option(min=0, max=1, help="How far to wander from the identity.")] = 0.0,
    count: Annotated[int, typer.Option(min=1, max=SAMPLES_PER_REQUEST, help="Samples.")] = 1,
    model: Annotated[str, typer.Option(help="Which served generator.")] = DEFAULT_MODEL,
    request_id: Annotated[
        str | None, typer.Option(help="The same id asked again changes nothing; drawn where left out.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who asks.")] = "likeness-cli",
    territory: Annotated[
        str | None, typer.Option(metavar="DE|US-TN|…", help="Where the images are to be shown, ISO 3166.")
    ] = None,
    frame: Annotated[
        Path | None, typer.Option(help="Source frame, a face that fills it, for models that put faces into frames.")
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="The video that the samples are frames of: they are also judged together.")
    ] = None,
    first_frame: Annotated[int, typer.Option(min=0, help="Which frame of it the first sample is.")] = 0,
    frames: Annotated[
        int | None, typer.Option(min=1, help="How many frames it has: it is judged once they are there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask for samples of an identity; or publish requests from standard input.

    Standard input has one JSON object a line, as `likeness schema` describes it for generation.requests. Where one of
    them is wrong, none is published. Requests are registered before they are published where the ledger is known
    (LIKENESS_LEDGER, or the parts of `likeness up`): then no broker can lose them.
    """
    if identity is not None:
        content = {
            "source": source,
            "request_id": request_id or uuid.uuid4().hex,
            "identity": identity,
            "model": model,
            "seed": seed,
            "strength": strength,
            "count": count,
            "territory": territory,
            "clip_id": clip,
            "frame_index": None if clip is None else first_frame,
            "frames": frames,
            "frame": asyncio.run(_stored(read_settings(), frame)) if frame else None,
        }
        requests = [_checked(content, "the request")]
    else:
        if frame:
            raise BadInput("expected --frame beside --identity; requests on standard input name theirs themselves")
        requests = _from_standard_input()
    receipts = asyncio.run(_ask(read_settings(), requests))
    ids = [one.request_id for one in requests]
    samples = sum(one.count for one in requests)
    if as_json:
        emit({"requests": len(requests), "samples": samples, "request_ids": ids, "registered": receipts is not None})
    else:
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        say(f"asked for {samples} sample{'s' if samples > 1 else ''}: {', '.join(ids[:5])}{more}")
        console.print(_how(receipts), soft_wrap=True)


def _how(receipts: "list[Receipt] | None") -> str:
    if receipts is None:
        return "published, not registered: until a worker reads them, the brokers' disks are all they rest on"
    waiting = sum(not one.published for one in receipts)
    later = f"; Kafka has yet to take {waiting} of them, which the reconciler brings" if waiting else ""
    return f"registered in the ledger{later}"


def _from_standard_input() -> "list[GenerationRequested]":
    example = '{"source": "shop", "request_id": "r-1", "identity": "anna"}'
    if sys.stdin.isatty():
        raise BadInput(f"expected --identity, or requests on standard input, one a line, such as {example}")
    lines = enumerate(sys.stdin.buffer, start=1)
    requests = [_checked(line, f"line {number} of standard input") for number, line in lines if line.strip()]
    if not requests:
        raise BadInput(f"expected requests on standard input, one a line, such as {example}; got none")
    return requests


def _checked(content: dict[str, object] | bytes, where: str) -> "GenerationRequested":
    from pydantic import ValidationError

    try:
        if isinstance(content, bytes):
            return GenerationRequested.model_validate_json(content)
        return GenerationRequested.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors())
        raise BadInput(
            f"{where} is no generation request ({faults}): nothing was published; `likeness schema` prints the schema"
        ) from error


async def _stored(settings: Settings, frame: Path) -> "ImageRef":
    """Put a source frame into the image store."""
    from streams.adapters.images.store import ImageStore
    from streams.cli.wiring.addresses import addressed

    try:
        encoded = await asyncio.to_thread(frame.read_bytes)
    except OSError as error:
        raise BadInput(f"expected an image in {frame}, got {error}") from error
    images = ImageStore(addressed(settings, "images").address("images"))
    await images.open()
    return await images.put(encoded)


async def _ask(settings: Settings, requests: "list[GenerationRequested]") -> "list[Receipt] | None":
    """Register and publish, and return the receipts; where no ledger is known, publish alone and return None."""
    from streams.cli.wiring.addresses import addressed, answering
    from streams.client import Publisher
    from streams.embedded import state

    running = state.read(settings.data_dir)
    # Parts that run beside a Kafka of somebody else's have a ledger that its workers know nothing of.
    ledger_known = settings.ledger or (running and settings.kafka in (None, running.kafka))
    settings = addressed(settings, "kafka")
    await answering(settings, "kafka")
    if ledger_known:
        return await _register(settings, requests)
    async with Publisher(settings.address("kafka")) as publisher:
        await publisher.request(*requests)
    return None


async def _register(settings: Settings, requests: "list[GenerationRequested]") -> "list[Receipt]":
    from streams.adapters.ledger.samples import SqlLedger
    from streams.cli.wiring.addresses import CONNECT_SECONDS
    from streams.cli.wiring.database import opened_database
    from streams.core.receipts import REQUESTS_AT_ONCE
    from streams.runtime.courier import KafkaCourier
    from streams.steps.intake import intake

    kafka, now = settings.address("kafka"), partial(datetime.now, UTC)
    receipts: list[Receipt] = []
    conflicts: list[Conflict] = []
    async with opened_database(settings) as database, KafkaCourier(kafka, wait_seconds=CONNECT_SECONDS) as courier:
        for start in range(0, len(requests), REQUESTS_AT_ONCE):
            found = await intake(requests[start : start + REQUESTS_AT_ONCE], SqlLedger(database), courier, now=now)
            receipts += found.requests
            conflicts += found.conflicts
    if conflicts:
        names = ", ".join(f"{one.request_id} of {one.source}" for one in conflicts)
        raise RequestConflict(f"asked before with another content: {names}; choose another --request-id")
    return receipts
