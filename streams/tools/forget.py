"""Forget a person: take everything that shows or names them out of every part, and prove it.

The order is what makes it safe to be cut off at any moment, and to be done while workers run. Consent ends first. Then
the name is taken from all rows at once, so that workers meet nobody of that name any more; what a worker has at hand
until then, the ledger refuses. Only then is deleted what the rows and the gallery point at. Each step may be done
again: whoever is cut off gives the same command once more.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streams.core.enrolment import require_name
from streams.core.erasure import Erasure, Inventory, Receipt, Remains, Search, names
from streams.ports import Clock, ConsentRegister, Erasures, Images, Vectors
from streams.tools.announce import announce
from streams.tools.byte_scan import scan
from streams.tools.retention import kept_on_topics

#: Seconds between two looks whether workers have ended what they have at hand.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Places:
    """Everywhere that there may be something of a person."""

    erasures: Erasures
    vectors: Vectors
    images: Images
    consent: ConsentRegister
    kafka: str
    now: Clock
    folders: Sequence[Path] = ()
    """Folders and files on this machine that parts keep their data in: they are looked through."""
    without: Sequence[Path] = ()
    """Folders among them that are not: those of Kafka."""
    reports: Sequence[Path] = ()
    """Reports that show samples: one that names the person is deleted."""


async def forget(
    identity: str,
    places: Places,
    *,
    verify: bool,
    wait_seconds: float = 30.0,
    report: Callable[[str], None] = lambda _: None,
) -> Receipt:
    """Forget a person, and return the receipt.

    Args:
        identity: Whom, by the name under which they were enrolled.
        places: Where to look.
        verify: Look everywhere afterwards for what should be gone.
        wait_seconds: How long to wait, twice, for workers to end what they have at hand.
        report: Told of every step.

    Raises:
        BadInput: If that is no name.
        DependencyUnavailable: If a part does not answer; give the same command again.
    """
    require_name(identity, "identity")
    erasure = await places.erasures.begin(identity, at=places.now())
    report(f"receipt {erasure.receipt}: consent is withdrawn")
    await announce(places.kafka, places.consent, of=identity)
    await _until_none(lambda: places.erasures.under_way(before=erasure.began, of=identity), wait_seconds)
    inventory = await places.erasures.rename(erasure, identity, at=places.now())
    report("no row of the ledger has the name of the person any more")
    await places.erasures.unchart(erasure, identity)
    report("no chart has a sample of the person any more")
    inventory, physically = await _erase_vectors(identity, erasure, places)
    report("nothing of the person is in the gallery any more")
    kept = await _remove_images(identity, inventory, places)
    await asyncio.to_thread(_remove_reports, identity, places.reports)
    report(f"{len(inventory.images) - len(kept)} images are deleted")
    # What was searched before the gallery forgot, may name the person in the verdicts on others.
    at = places.now()
    await _until_none(lambda: places.erasures.under_way(before=at), wait_seconds)
    undelivered = await _sweep(identity, erasure, places, wait_seconds)
    finished = None if undelivered else places.now()
    if finished is not None:
        await places.erasures.finish(erasure, at=finished)
    report("the ledger holds no row that names the person" if finished else f"{undelivered} ends are not delivered yet")
    compacted = await places.erasures.compact()
    receipt = Receipt(
        receipt=erasure.receipt,
        identity=identity,
        called=erasure.called,
        began_at=erasure.began.isoformat(timespec="seconds"),
        finished_at=None if finished is None else finished.isoformat(timespec="seconds"),
        found=inventory.counts,
        deleted=_deleted(inventory, kept),
        remains=[
            *_rows_remain(inventory, undelivered),
            *_copies_remain(kept, physically=physically, compacted=compacted),
            *await kept_on_topics(places.kafka, now=places.now()),
        ],
        left=None,
    )
    if verify:
        looked_for = replace(inventory, images=inventory.images - kept)
        receipt = await _verified(receipt, erasure, looked_for, places)
    if receipt.complete:
        await places.erasures.close(erasure)
        await places.erasures.compact()
    return receipt


async def _erase_vectors(identity: str, erasure: Erasure, places: Places) -> tuple[Inventory, bool]:
    """Note what is found before it is deleted: whoever is cut off in between still knows what to look for."""
    own = await places.erasures.samples_of(erasure)
    found = await places.vectors.find(identity, own)
    inventory = await places.erasures.note(erasure, found)
    inventory = await places.erasures.note(erasure, Inventory(counts={"images": len(inventory.images)}))
    return inventory, await places.vectors.erase(identity, own)


async def _remove_images(identity: str, inventory: Inventory, places: Places) -> frozenset[str]:
    """Delete the images, and return those that belong to somebody else too."""
    others = await places.erasures.pictured(inventory.images)
    others |= await places.vectors.depicted(inventory.images, except_of=identity)
    for image in sorted(inventory.images - others):
        await places.images.remove(image)
    return frozenset(others)


def _remove_reports(identity: str, reports: Sequence[Path]) -> None:
    for path in reports:
        if path.is_file() and names(path.read_bytes(), identity):
            path.unlink()


async def _sweep(identity: str, erasure: Erasure, places: Places, wait_seconds: float) -> int:
    """Rewrite rows until none is left that waits for its delivery; return how many do after all."""

    async def undelivered() -> int:
        return (await places.erasures.sweep(erasure, identity)).undelivered

    return await _until_none(undelivered, wait_seconds)


async def _until_none(count: Callable[[], Awaitable[int]], seconds: float) -> int:
    """Wait until a count is 0, and for so long at most; return the last count."""
    deadline = time.monotonic() + seconds
    while (number := await count()) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_SECONDS)
    return number


async def _verified(receipt: Receipt, erasure: Erasure, inventory: Inventory, places: Places) -> Receipt:
    """Look for the person by search, by SQL and byte by byte."""
    identity = receipt.identity
    own = await places.erasures.samples_of(erasure)
    found = await places.vectors.left(identity, own)
    left = {f"vectors in {name}": count for name, count in found.items()}
    mentions = await places.erasures.left(identity)
    left |= {f"name in {place}": count for place, count in mentions.places.items()}
    search = Search(identity, inventory, mentions.words)
    scanned = await asyncio.to_thread(scan, places.folders, search, without=places.without)
    remains = [*receipt.remains, *_words_remain(mentions.words)]
    how = [
        "every collection of Milvus, by search",
        "every column of every table of the ledger, by SQL",
        f"{scanned.files} files of {scanned.size} bytes, byte by byte: {len(inventory.vectors)} vectors,"
        f" {len(inventory.images)} images, the name",
    ]
    return replace(receipt, left={**left, **scanned.left}, verified=how, remains=remains)


def _deleted(inventory: Inventory, kept: frozenset[str]) -> dict[str, int]:
    deleted = {kind: count for kind, count in inventory.counts.items() if kind != "samples"}
    return deleted | {"images": inventory.counts.get("images", 0) - len(kept)}


def _rows_remain(inventory: Inventory, undelivered: int) -> list[Remains]:
    tombstone = Remains(
        "a keyed hash of the name, with the date and the number of this receipt",
        "so that the person is not enrolled again by mistake, and old messages are known; it leads to no name",
    )
    rows = Remains(
        f"{inventory.counts.get('samples', 0)} rows of the ledger: ids, times, the seed and how the sample ended",
        "so that every sample stays accounted for; without name, image, similarities or measurements",
    )
    others = Remains(
        "verdicts on others that had the person near: similarities, ids of references and file hashes of pictures",
        "these verdicts rest on them; the name is taken out, and nothing is left to which they lead",
    )
    sums = Remains(
        "points of charts that others are in too, and what was measured on steps of five samples and more",
        "sums over everybody's samples, without a name",
    )
    waiting = Remains(
        f"{undelivered} verdicts that are not known to be delivered", "let the workers run, then give the command again"
    )
    return [tombstone, rows, others, sums, *([waiting] if undelivered else [])]


def _copies_remain(kept: frozenset[str], *, physically: bool, compacted: bool) -> list[Remains]:
    remains = [
        Remains("backups and copies, of the database, the images and the gallery", "nothing here reaches them"),
        Remains("logs and reports outside of the data folder", "nothing here knows them"),
        Remains("recordings, and cohort files beside policies", "folders of yours; nobody is named in a cohort"),
        Remains("source frames of requests", "they show whom the asker chose, which nothing here knows"),
    ]
    if not compacted:
        why = "PostgreSQL keeps old versions of rows until VACUUM FULL, and its WAL and archives as they are set"
        remains.append(Remains("old versions of rows in PostgreSQL's files", why))
    if not physically:
        why = "Milvus drops what was deleted when it compacts and collects garbage (dataCoord.gc.dropTolerance)"
        remains.append(Remains("deleted vectors in Milvus' segments", why))
    if kept:
        remains.append(Remains(f"{len(kept)} images", "they are also references or samples of somebody else"))
    return remains


def _words_remain(words: frozenset[str]) -> list[Remains]:
    if not words:
        return []
    some = ", ".join(sorted(words)[:5])
    return [Remains(f"{len(words)} longer words of which the name is a part: {some}", "ids that others have chosen")]
