"""Gathers what the demonstration's report shows: verdicts, dead letters, and the images of both sides."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streams.errors import ImageAltered, ImageMissing
from streams.ports import Services
from streams.tools.audit.balance import Balance
from streams.tools.demo import Followed
from streams.tools.report.page import DeadLetter, ReportData, needed, write

_NOTE = (
    "People who do not exist were enrolled, and a generator was asked for samples that wander ever farther from them:"
    " σ says how far. Among the requests are some for a person whom nobody enrolled and for one whose consent was"
    " withdrawn, and some messages that are no requests at all."
)


async def write_report(path: Path, followed: Followed, balance: Balance, services: Services) -> None:
    """Write the HTML report of a demonstration."""
    verdicts = sorted(followed.verdicts.values(), key=lambda judged: (judged.request_id or "", judged.index))
    references: dict[str, str] = {}
    for identity in await services.gallery.names():
        enrolled = await services.gallery.references(identity)
        references |= {reference.reference_id: reference.image_sha256 for reference in enrolled}
    images: dict[str, bytes] = {}
    report = ReportData(
        title="Likeness: a demonstration",
        created_at=services.now(),
        samples=verdicts,
        versions={
            "policy": services.policy.version,
            "embedding space": services.examiner.space.fingerprint,
            "gallery": await services.gallery.version(),
            "generator": ", ".join(sorted({f"{v.model} {v.model_version}" for v in verdicts if v.model_version})),
        },
        balance=balance.as_dict(),
        dead_letters=[_dead_letter(headers) for headers in followed.dead.values()],
        references=references,
        image=images.get,
        note=_NOTE,
    )
    images |= await _fetch(sorted(needed(report)), services)
    await asyncio.to_thread(write, report, path)


async def _fetch(digests: Sequence[str], services: Services) -> dict[str, bytes]:
    """Read the images; one that is gone is shown as gone."""
    images: dict[str, bytes] = {}
    for digest in digests:
        ref = await services.images.find(digest)
        with suppress(ImageMissing, ImageAltered):
            if ref is not None:
                images[digest] = await services.images.get(ref)
    return images


def _dead_letter(headers: dict[str, str]) -> DeadLetter:
    return DeadLetter(
        sample_id=headers["id"],
        reason=headers["reason"],
        detail=headers["detail"],
        topic=headers["topic"],
        partition=int(headers["partition"]),
        offset=int(headers["offset"]),
    )
