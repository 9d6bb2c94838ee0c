"""``likeness request`` and ``likeness watch``: publish, and follow what comes of it."""

import asyncio
import sys
import uuid
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from streams import topics
from streams.cli.output import Json, console, emit
from streams.cli.wiring import addressed
from streams.client import Publisher
from streams.errors import BadInput, DependencyUnavailable
from streams.events import GenerationRequested, SampleJudged
from streams.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(request)
    app.command()(watch)


def request(
    identity: Annotated[
        str | None, typer.Option(help="Whom to show; without it, JSON lines are read from standard input.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sample i is made with seed + i.")] = 0,
    strength: Annotated[float, typer.Option(min=0, max=1, help="How far to wander from the identity.")] = 0.0,
    count: Annotated[int, typer.Option(min=1, max=64, help="Samples.")] = 1,
    model: Annotated[str, typer.Option(help="Which served generator.")] = "face_gan",
    request_id: Annotated[
        str | None, typer.Option(help="The same id asked again changes nothing; drawn where left out.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who asks.")] = "likeness-cli",
    as_json: Json = False,
) -> None:
    """Ask for samples of an identity, or publish requests from standard input, one JSON object a line."""
    if identity is not None:
        content = {
            "source": source,
            "request_id": request_id or uuid.uuid4().hex,
            "identity": identity,
            "model": model,
            "seed": seed,
            "strength": strength,
            "count": count,
        }
        requests = [_checked(content, "the request")]
    else:
        requests = [_checked(line, f"line {number}") for number, line in enumerate(sys.stdin, start=1) if line.strip()]
    settings = addressed(Settings())
    asyncio.run(_publish(settings, requests))
    ids = [one.request_id for one in requests]
    if as_json:
        emit({"requests": len(requests), "samples": sum(one.count for one in requests), "request_ids": ids})
    else:
        console.print(f"asked for {sum(one.count for one in requests)} samples: {', '.join(ids[:5])}")


def _checked(content: object, where: str) -> GenerationRequested:
    try:
        if isinstance(content, str):
            return GenerationRequested.model_validate_json(content)
        return GenerationRequested.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise BadInput(f"{where} is no generation request ({faults}); `likeness schema` prints the schema") from error


async def _publish(settings: Settings, requests: list[GenerationRequested]) -> None:
    async with Publisher(settings.kafka or "") as publisher:
        await publisher.request(*requests)


def watch(
    topic: Annotated[str, typer.Argument(help="Which topic to follow.")] = topics.SAMPLES_FLAGGED.name,
    from_beginning: Annotated[bool, typer.Option(help="Begin with the oldest message.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    as_json: Json = False,
) -> None:
    """Follow a topic readably, until Ctrl-C."""
    known = [one.name for one in topics.ALL]
    if topic not in known:
        raise BadInput(f"no topic {topic!r}: choose one of {', '.join(known)}")
    asyncio.run(_watch(addressed(Settings()), topic, from_beginning, limit, as_json))


async def _watch(settings: Settings, topic: str, from_beginning: bool, limit: int | None, as_json: bool) -> None:
    offset = "earliest" if from_beginning else "latest"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=settings.kafka, auto_offset_reset=offset)
    try:
        await consumer.start()
        seen = 0
        async for record in consumer:
            if as_json:
                sys.stdout.write(record.value.decode(errors="replace") + "\n")
                sys.stdout.flush()
            else:
                console.print(_line(topic, record), highlight=False, markup=False)
            seen += 1
            if seen == limit:
                return
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{settings.kafka}: {error}") from error
    finally:
        await consumer.stop()


def _line(topic: str, record: object) -> str:
    """Return one line that says what a message is about."""
    value: bytes = getattr(record, "value", None) or b""
    if topic in (topics.SAMPLES_ACCEPTED.name, topics.SAMPLES_FLAGGED.name):
        judged = SampleJudged.model_validate_json(value)
        similarity = "      " if judged.similarity is None else f"{judged.similarity:.4f}"
        why = "; ".join(reason.text for reason in judged.reasons)
        return f"{judged.sample_id[:8]}  {judged.decision:8}  {judged.identity:16}  {similarity}  {why}"
    headers = dict(getattr(record, "headers", ()))
    if topic == topics.DEAD_LETTERS.name:
        reason = headers.get("likeness.dlq.reason", b"").decode()
        return f"{reason:18}  {headers.get('likeness.dlq.detail', b'').decode()}"
    return value.decode(errors="replace")[:200]
