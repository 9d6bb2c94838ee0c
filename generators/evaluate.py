"""What a family's samples are worth, judged by the product's own engine on identities that were not in training."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from generators.copying import copy_rate
from generators.data import Faces, Indices
from generators.judges import by_second, examined
from generators.serve import FrameSampler, Images, Sampler
from streams.adapters.faces.engine import FaceEngine
from streams.core.faces import Embedding
from streams.core.metrics.distances import frechet, mmd2
from streams.core.metrics.diversity import vendi
from streams.core.metrics.identification import Identification, identification
from streams.core.metrics.manifold import manifold
from streams.core.metrics.sketch import Sketch
from streams.errors import BadInput

#: Identities that are sampled, and samples of each.
IDENTITIES, EACH = 50, 4

#: Samples that are made at a time.
_BATCH = 25


@dataclass(frozen=True)
class Figures:
    """What was measured; not-a-number where too few faces were found to say."""

    family: str
    step: int
    samples: int
    identities: int
    abstained: float
    """Share of samples in which the engine does not find exactly one face; else they count in the copy rate alone."""
    mean_similarity: float = math.nan
    shuffled_similarity: float = math.nan
    rank1: float = math.nan
    frechet: float = math.nan
    """Fréchet distance in FaceNet space, to as many real faces of the same identities."""
    mmd2: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    density: float = math.nan
    coverage: float = math.nan
    vendi: float = math.nan
    vendi_real: float = math.nan
    """The Vendi score of as many real faces of the same identities."""
    copy_rate: float = math.nan
    """Share of samples that are near copies of a training image, as whole pictures by the product's perceptual hash."""
    second: Identification | None = None
    """What the second judge says, through which nobody learned; None where none looked."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures with null for what could not be measured."""
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples at strength 0 of identities that were kept out of training."""

    pixels: Images
    """Shape (n, 64, 64, 3)."""
    targets: Indices
    """Index of the target of each in ``faces.centroids``, shape (n,)."""
    frames: Images | None
    """The source frame of each, for a family that takes one; they show other people than the targets."""


def sample(sampler: Sampler, faces: Faces, *, identities: int = IDENTITIES, each: int = EACH, seed: int = 0) -> Samples:
    """Sample the first identities that were kept out, ``each`` times; sampling begins at ``seed``.

    Raises:
        BadInput: If fewer than two were kept out: there is nobody to mistake the one for.
    """
    count = min(identities, len(faces.names))
    if count < 2:
        raise BadInput(f"expected two people and more who were kept out of training, got {count}: take more people")
    targets = np.arange(count).repeat(each)
    seeds = [seed + number for number in range(len(targets))]
    frames = _frames(faces, targets, seed) if isinstance(sampler, FrameSampler) else None
    made: list[Images] = []
    for start in range(0, len(targets), _BATCH):
        rows = slice(start, start + _BATCH)
        centroids = faces.centroids[targets[rows]]
        nought = np.zeros(len(centroids), dtype=np.float32)
        if isinstance(sampler, FrameSampler) and frames is not None:
            made.append(sampler.sample(seeds[rows], centroids, nought, frames[rows]))
        else:
            made.append(sampler.sample(seeds[rows], centroids, nought))
    return Samples(np.concatenate(made), targets, frames)


def figures(
    family: str,
    step: int,
    samples: Samples,
    faces: Faces,
    engine: FaceEngine,
    learned: Images | None = None,
    second: Mapping[int, Embedding] | None = None,
) -> Figures:
    """Judge samples by the product's engine: it finds the faces, cuts them out and embeds them.

    Args:
        family: Its name.
        step: Updates that it was taught by.
        samples: Those to judge.
        faces: The people who were kept out, among them the targets.
        engine: The judge.
        learned: The training images, RGB (m, 64, 64, 3): what samples may be copies of. Without them, nobody looks.
        second: The second judge's centroids of the targets. Without them, it says nothing.
    """
    found = examined(samples.pixels, engine)
    seen = np.array([face is not None for face in found])
    count = int(samples.targets.max()) + 1
    copied = math.nan if learned is None else copy_rate(samples.pixels, learned)
    told = Figures(
        family,
        step,
        len(seen),
        count,
        abstained=float(1 - seen.mean()),
        copy_rate=copied,
        second=by_second(found, samples.targets.tolist(), second or {}),
    )
    if seen.sum() < 10:
        return told
    made = np.stack([face.embedding for face in found if face is not None])
    told_of = identification(made, samples.targets[seen].tolist(), faces.centroids[:count])
    real = faces.embeddings[faces.identities < count]
    size = min(len(real), len(made))
    real, fake = _spread(real, size), _spread(made, size)
    of_real, of_fake = Sketch.of(real), Sketch.of(fake)
    near = manifold(real, fake, k=5)
    return replace(
        told,
        mean_similarity=told_of.mean_similarity,
        shuffled_similarity=told_of.shuffled_similarity,
        rank1=told_of.rank1,
        frechet=frechet(of_real, of_fake),
        mmd2=mmd2(of_real, of_fake),
        precision=near.precision,
        recall=near.recall,
        density=near.density,
        coverage=near.coverage,
        vendi=vendi(of_fake),
        vendi_real=vendi(of_real),
    )


def sheet(samples: Samples, faces: Faces, columns: int = 10) -> Images:
    """Lay out what a person looks at: a row of real faces of the targets, the frames if there are any, the samples.

    Returns:
        RGB, shape (rows * 64, columns * 64, 3).
    """
    first = [
        int(np.flatnonzero(samples.targets == target)[0]) for target in range(min(columns, samples.targets[-1] + 1))
    ]
    real = [int(np.flatnonzero(faces.identities == target)[0]) for target in samples.targets[first]]
    rows = [faces.pixels[real]]
    for turn in range(int((samples.targets == 0).sum())):
        here = [row + turn for row in first]
        rows += [samples.pixels[here]] if samples.frames is None else [samples.frames[here], samples.pixels[here]]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def _frames(faces: Faces, targets: Indices, seed: int) -> Images:
    """Draw a source frame for each target, of somebody else who was kept out."""
    draw = np.random.default_rng(seed)
    rows = draw.integers(len(faces), size=len(targets))
    while (same := faces.identities[rows] == targets).any():
        rows[same] = draw.integers(len(faces), size=int(same.sum()))
    frames: Images = faces.pixels[rows]
    return frames


def _spread(rows: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Take so many rows, from everywhere: rows of one identity lie beside each other."""
    taken: npt.NDArray[np.float32] = rows[np.linspace(0, len(rows) - 1, size).astype(int)]
    return taken
