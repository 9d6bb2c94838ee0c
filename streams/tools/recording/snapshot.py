"""The gallery and the consent register beside recorded samples, as they were when the recording was finished."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter

from streams.core.consent import Entry, Purpose, agrees, state
from streams.core.gallery import Identity, Reference
from streams.errors import DependencyUnavailable
from streams.events import ImageRef
from streams.ports import Services
from streams.tools.recording.files import write_whole
from streams.tools.recording.images import keep
from streams.tools.recording.manifest import Snapshot
from streams.tools.recording.rows import IDENTITIES, REFERENCES, write_table

IDENTITIES_FILE, REFERENCES_FILE, CONSENT_FILE = "identities.parquet", "references.parquet", "consent.json"

#: People that are asked for together.
_TOGETHER = 500
#: How often a gallery that changes meanwhile is read anew.
_TRIES = 5

REGISTER = TypeAdapter(dict[str, tuple[Entry, ...]])


async def snapshot(folder: Path, services: Services, *, asked: set[str], images: bool) -> Snapshot:
    """Write who is enrolled, with what, and what everybody agreed to; return what it is.

    References and their images are left out of those who agree to nothing any more; of who is enrolled the centroid
    is there, as without it nobody would know a likeness of theirs.

    Args:
        folder: The recording's.
        services: The gallery, consent register and images.
        asked: Whom samples should show: they are in the register, and need not be enrolled.
        images: Whether images of references are wanted.

    Raises:
        DependencyUnavailable: If people are enrolled all the time, so that no two readings are alike.
    """
    for _ in range(_TRIES):
        version = await services.gallery.version()
        people = await _people(services)
        entries = await services.consent.entries(sorted({*people, *asked}))
        shown = [name for name in people if agrees(entries[name], services.now())]
        references = [one for name in shown for one in await services.gallery.references(name)]
        if await services.gallery.version() == version:
            break
    else:
        raise DependencyUnavailable(
            "milvus", "people are enrolled all the time: give the command again when it is quiet"
        )
    if images:
        await _keep(references, services, folder)
    await asyncio.to_thread(_write, folder, people, references, entries, services.now())
    domain = await services.gallery.domain()
    return Snapshot(version=version, domain=domain, identities=len(people), references=len(references))


async def _people(services: Services) -> dict[str, Identity]:
    names = await services.gallery.names()
    found: dict[str, Identity] = {}
    for start in range(0, len(names), _TOGETHER):
        found |= await services.gallery.identities(names[start : start + _TOGETHER])
    return dict(sorted(found.items()))


async def _keep(references: Sequence[Reference], services: Services, folder: Path) -> None:
    for one in references:
        ref = await services.images.find(one.image_sha256)
        if isinstance(ref, ImageRef):
            await keep(folder, ref, services.images)


def _write(
    folder: Path,
    people: Mapping[str, Identity],
    references: Sequence[Reference],
    entries: Mapping[str, Sequence[Entry]],
    now: datetime,
) -> None:
    rows = [_identity(one, entries[name], now) for name, one in people.items()]
    write_table(pa.Table.from_pylist(rows, schema=IDENTITIES), folder / IDENTITIES_FILE)
    images = [{**asdict(one), "embedding": one.embedding.tolist()} for one in references]
    write_table(pa.Table.from_pylist(images, schema=REFERENCES), folder / REFERENCES_FILE)
    register = {name: tuple(entries[name]) for name in sorted(entries)}
    write_whole(folder / CONSENT_FILE, lambda file: file.write(REGISTER.dump_json(register, indent=1)))


def _identity(one: Identity, entries: Sequence[Entry], now: datetime) -> dict[str, Any]:
    return {
        "identity": one.identity,
        "origin": one.origin.value,
        "references": one.references,
        "concentration": one.concentration,
        "protected": one.protected,
        "consent": state(entries, Purpose.GENERATION, now).value,
        "centroid": one.centroid.tolist(),
    }
