"""Does a generator copy what it learned from? Over many of its images, against images that it did not learn from."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from streams.core.faces import Sighting, Undecodable
from streams.core.metrics.copying import Floats, copying_z
from streams.errors import BadInput
from streams.events import NearOriginal
from streams.ports import Examiner, Imprinter, Originals
from streams.tools.image_files import read_image
from streams.tools.references import BATCH

#: Beyond so many standard deviations z is hardly chance.
CHANCE = 3.0
#: So many of the nearest generated images are named.
NAMED = 20

Report = Callable[[int, int], None]
"""Is told how many images are done, and of how many."""


@dataclass(frozen=True)
class Compared:
    """One image, and the training image that it is nearest to as a picture."""

    path: str
    distance: float
    """Differing bits, or 1 - similarity."""
    original_id: str
    training_sha256: str
    """Of the training image's file."""


@dataclass(frozen=True)
class Copying:
    """What the test says."""

    z: float
    """C_T: far below 0 is copying, far above 0 underfitting; beyond ±3 is hardly chance."""
    training_images: int
    """So many are registered."""
    generated: int
    """Images of each kind that were compared."""
    held_out: int
    generated_median: float
    """How far the nearest training image is in the median: differing bits, or 1 - similarity."""
    held_out_median: float
    left_out: dict[str, str]
    """Files that were not compared, and why."""
    nearest: tuple[Compared, ...] = ()
    """The generated images that are nearest to a training image, nearest first."""
    distances: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """Of every generated and of every held-out image."""

    @property
    def in_words(self) -> str:
        """What z says."""
        if self.z < -CHANCE:
            return (
                "The generated images are nearer to the training images than held-out ones are: the generator copies."
            )
        if self.z > CHANCE:
            return (
                "The generated images are farther from the training images than held-out ones are: no sign of copying."
            )
        return "Chance could do as much: no sign of copying."

    def as_dict(self) -> dict[str, Any]:
        """Return it without the single distances, for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "distances"}


async def measure_copying(
    generated: Sequence[Path],
    held_out: Sequence[Path],
    examiner: Examiner,
    imprinter: Imprinter,
    originals: Originals,
    report: Report = lambda _, __: None,
) -> Copying:
    """Compare generated and held-out images with the registered training images, as pictures.

    Args:
        generated: What the generator made.
        held_out: Like the training images, and not among them.
        examiner: Looks at the files.
        imprinter: Makes their imprints.
        originals: Where training images are registered.
        report: Is told how far it is.

    Raises:
        BadInput: If no training image is registered, or nothing of one kind can be compared.
    """
    registered = await originals.count("training")
    if not registered:
        raise BadInput(
            "no training image is registered: run `likeness index-training` with what the generator learned from"
        )
    left_out: dict[str, str] = {}
    total = len(generated) + len(held_out)
    compared = []
    for paths, before in ((generated, 0), (held_out, len(generated))):
        told = partial(_report_after, report, before, total)
        compared.append(await _compared(paths, examiner, imprinter, originals, left_out, told))
    far: list[Floats] = [np.array([one.distance for one in each], dtype=np.float64) for each in compared]
    if not len(far[0]) or not len(far[1]):
        raise BadInput(
            f"expected generated and held-out images that can be compared, got {len(far[0])} and {len(far[1])}:"
            f" {next(iter(left_out.values()), 'none was named')}"
        )
    return Copying(
        z=round(copying_z(*far), 3),
        training_images=registered,
        generated=len(far[0]),
        held_out=len(far[1]),
        generated_median=round(float(np.median(far[0])), 4),
        held_out_median=round(float(np.median(far[1])), 4),
        left_out=left_out,
        nearest=tuple(sorted(compared[0], key=lambda one: (one.distance, one.path))[:NAMED]),
        distances=(tuple(far[0].tolist()), tuple(far[1].tolist())),
    )


def _report_after(report: Report, before: int, total: int, done: int) -> None:
    report(before + done, total)


async def _compared(
    paths: Sequence[Path],
    examiner: Examiner,
    imprinter: Imprinter,
    originals: Originals,
    left_out: dict[str, str],
    report: Callable[[int], None],
) -> list[Compared]:
    """Return the training image that each file is nearest to; note those of which nothing can be said."""
    found = []
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        read = await asyncio.to_thread(_read, batch, left_out)
        seen = dict(zip(read, await examiner.examine(list(read.values())) if read else [], strict=True))
        pictures = {path: one for path, one in seen.items() if isinstance(one, Sighting)}
        left_out |= {str(path): one.detail for path, one in seen.items() if isinstance(one, Undecodable)}
        near = await originals.nearest(await imprinter.imprint(list(pictures.values()))) if pictures else []
        for path, those in zip(pictures, near, strict=True):
            training = [one for one in those if one.kind == "training"]
            if training:
                nearest = min(training, key=_distance)
                found.append(Compared(str(path), _distance(nearest), nearest.original_id, nearest.image_sha256))
            else:
                left_out[str(path)] = "enrolled photographs are nearer than any training image"
        report(start + len(batch))
    return found


def _distance(near: NearOriginal) -> float:
    return float(near.bits) if near.bits is not None else 1.0 - near.nearness


def _read(paths: Sequence[Path], left_out: dict[str, str]) -> dict[Path, bytes]:
    read = {}
    for path in paths:
        content = read_image(path)
        if isinstance(content, bytes):
            read[path] = content
        else:
            left_out[str(path)] = content.detail if isinstance(content, Undecodable) else content.why
    return read
