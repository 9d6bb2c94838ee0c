"""Record a bounded part of the stream: part by part, so that whoever is killed goes on where the last part ended."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq

from streams.errors import BadInput
from streams.ports import Services
from streams.tools.audit.records import Raw
from streams.tools.recording import manifest as manifests
from streams.tools.recording.arrivals import Arrival, arrival
from streams.tools.recording.files import UNFINISHED
from streams.tools.recording.lookup import rows_of
from streams.tools.recording.manifest import Manifest, Part, Place, Selection
from streams.tools.recording.rows import Row, samples, write_table
from streams.tools.recording.snapshot import snapshot

#: Records of one part: so many are read again at most after a kill.
PART_RECORDS = 10_000
#: Samples that are looked up together.
_TOGETHER = 500

#: Where the samples lie, below a recording's folder.
SAMPLES_FOLDER = "samples"


class Source(Protocol):
    """Where records are read."""

    async def places(self, selection: Selection) -> list[Place]:
        """Return the partitions of a selection and their bounds as of now, in order."""

    def records(self, place: Place) -> AsyncGenerator[Raw, None]:
        """Yield the records of one place, in order."""


async def record(
    folder: Path,
    selection: Selection,
    source: Source,
    services: Services,
    *,
    report: Callable[[str], None] = lambda _: None,
    part_records: int = PART_RECORDS,
) -> Manifest:
    """Record a selection, or go on with it where it was begun; return what the recording says of itself.

    Whoever was forgotten is left out. Where consent does not stand, neither image nor embedding is recorded.

    Args:
        folder: A folder of its own; made where there is none.
        selection: Which part of the stream.
        source: Where it is read.
        services: The ledger, images, gallery and consent register of the same road.
        report: Told of every part.
        part_records: Records of one part.

    Raises:
        BadInput: If the folder holds something else, or a recording of something else.
    """
    held = await asyncio.to_thread(_begun, folder, selection)
    if held is None:
        held = await _new(selection, source, services)
        await asyncio.to_thread(manifests.write, held, folder)  # whoever goes on has the same bounds
    if held.complete:
        return held
    if held.embedding_space != services.examiner.space.fingerprint:
        raise BadInput(f"{folder} was begun in the embedding space {held.embedding_space}: go on with its embedder")
    await asyncio.to_thread(_sweep, folder, held)
    known = set(await asyncio.to_thread(_column, folder, held, "sample_id"))
    recorder = _Recorder(folder, selection, services, known)
    for place in held.left():
        first = place.first
        async with aclosing(source.records(place)) as records:
            async for raws in _in_parts(records, part_records):
                end = raws[-1].offset + 1 if len(raws) == part_records else place.end
                if first == end:
                    continue
                part = await recorder.part(raws, place.model_copy(update={"first": first, "end": end}), len(held.parts))
                first = end
                held = held.model_copy(update={"parts": (*held.parts, part)})
                await asyncio.to_thread(manifests.write, held, folder)
                report(f"{place.topic}[{place.partition}] to offset {end} of {place.end}: {held.rows} samples")
    asked = set(await asyncio.to_thread(_column, folder, held, "identity"))
    gallery = await snapshot(folder, services, asked=asked, images=selection.images)
    held = held.model_copy(update={"gallery": gallery, "complete": True})
    await asyncio.to_thread(manifests.write, held, folder)
    return held


class _Recorder:
    """Makes parts."""

    def __init__(self, folder: Path, selection: Selection, services: Services, known: set[str]) -> None:
        self._folder = folder
        self._selection = selection
        self._services = services
        self._known = known

    async def part(self, raws: list[Raw], place: Place, number: int) -> Part:
        """Return what became of these records, once its rows are on the disk."""
        counts: Counter[str] = Counter({"read": len(raws)})
        arrivals = self._belonging(raws, counts)
        images = self._folder if self._selection.images else None
        rows: list[Row] = []
        for start in range(0, len(arrivals), _TOGETHER):
            together = arrivals[start : start + _TOGETHER]
            rows += await rows_of(together, self._services, counts, images=images)
        file = f"{SAMPLES_FOLDER}/part-{number:06}.parquet" if rows else None
        if file is not None:
            await asyncio.to_thread(lambda: write_table(samples(rows), self._folder / file))
        return Part(
            place=place,
            file=file,
            rows=len(rows),
            counts=+counts,
            policies=Counter(row.judged.policy_version for row in rows if row.judged is not None),
            galleries=Counter(row.measurement.gallery_version for row in rows if row.measurement is not None),
        )

    def _belonging(self, raws: list[Raw], counts: "Counter[str]") -> list[Arrival]:
        """Return the samples of the selection, each once: a record may come twice, and a sample be on two topics."""
        belonging = []
        for raw in raws:
            one = arrival(raw)
            if one is None:
                counts["unreadable"] += 1
            elif not self._selection.takes(one.subject, raw.time_ms):
                counts["not-selected"] += 1
            elif one.subject.sample_id in self._known:
                counts["repeated"] += 1
            else:
                self._known.add(one.subject.sample_id)
                belonging.append(one)
        return belonging


async def _in_parts(records: AsyncIterator[Raw], size: int) -> AsyncIterator[list[Raw]]:
    """Yield the records in lists of ``size``, the last one shorter, and perhaps empty: the place ends there."""
    part: list[Raw] = []
    async for raw in records:
        part.append(raw)
        if len(part) == size:
            yield part
            part = []
    yield part


def _begun(folder: Path, selection: Selection) -> Manifest | None:
    held = manifests.read(folder)
    if held is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"expected a folder of its own for the recording, {folder} has something else in it")
        return None
    if held.selection != selection:
        asked = held.selection.model_dump_json(exclude_defaults=True)
        raise BadInput(f"{folder} holds a recording of another part, {asked}: name another folder")
    return held


def _sweep(folder: Path, held: Manifest) -> None:
    """Delete what a kill left: parts that no manifest names would be read by whoever reads the folder."""
    listed = {part.file for part in held.parts}
    parts = [file for file in (folder / SAMPLES_FOLDER).glob("*") if f"{SAMPLES_FOLDER}/{file.name}" not in listed]
    for file in (*parts, *folder.rglob(f"{UNFINISHED}*")):
        file.unlink(missing_ok=True)


async def _new(selection: Selection, source: Source, services: Services) -> Manifest:
    space = services.examiner.space
    return Manifest(
        selection=selection,
        places=tuple(await source.places(selection)),
        begun_at=services.now(),
        space=asdict(space),
        embedding_space=space.fingerprint,
        policy=services.policy,
    )


def _column(folder: Path, held: Manifest, name: str) -> list[str]:
    """Return one column of all samples that are recorded so far."""
    files = [folder / part.file for part in held.parts if part.file]
    return [value for file in files for value in pq.read_table(file, columns=[name])[0].to_pylist()]
