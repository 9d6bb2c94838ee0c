"""Gathers what the demonstration's report shows: verdicts, dead letters, and the images of both sides."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streams.errors import ImageAltered, ImageMissing
from streams.ports import Services
from streams.tools.audit.balance import Balance
from streams.tools.demo import Followed, Prepared
from streams.tools.report.page import DeadLetter, ReportData, needed, write
from streams.tools.report.training import TrainingRun

_NOTE = (
    "People who do not exist were enrolled, and a generator was asked for samples that wander ever farther from them:"
    " σ says how far. Among the requests are some for a person whom nobody enrolled and for one whose consent was"
    " withdrawn, and some messages that are no requests at all."
)
_MORE = (
    " Three families of generators that were trained to show whoever is enrolled were asked for a few samples each, and"
    " a training run was made to break on purpose, to see whether that is noticed."
)

#: What each of the trained families is, in a sentence.
FAMILIES = {
    "face_encoder_decoder": "An encoder-decoder, which puts the person into a source frame: its pose, its light, and"
    " that face.",
    "face_identity_gan": "A GAN, which turns a seed and the person into a face.",
    "face_diffusion": "A latent diffusion, which makes the face out of noise step by step.",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a demonstration."""

    followed: Followed
    balance: Balance
    asked: Prepared
    training: TrainingRun | None


async def write_report(path: Path, outcome: Outcome, services: Services) -> None:
    """Write the HTML report of a demonstration."""
    followed, training = outcome.followed, outcome.training
    verdicts = sorted(followed.verdicts.values(), key=lambda judged: (judged.request_id or "", judged.index))
    references: dict[str, str] = {}
    enrolled: dict[str, str] = {}
    for identity in await services.gallery.names():
        theirs = await services.gallery.references(identity)
        references |= {reference.reference_id: reference.image_sha256 for reference in theirs}
        enrolled |= {identity: theirs[0].image_sha256}
    asked_for = {judged.identity for judged in verdicts if judged.model in FAMILIES}
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
        balance=outcome.balance.as_dict(),
        dead_letters=[_dead_letter(headers) for headers in followed.dead.values()],
        references=references,
        image=images.get,
        note=_NOTE + (_MORE if training else ""),
        families=FAMILIES,
        enrolled={identity: enrolled[identity] for identity in sorted(asked_for & set(enrolled))},
        frames=outcome.asked.frames,
        training=training,
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
