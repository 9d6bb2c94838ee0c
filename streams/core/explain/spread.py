"""How much pictures of one person differ among themselves: what a difference is measured in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from streams.core.explain.look import KIND, Look, Measure, Region

Floats = npt.NDArray[np.float64]

#: From so many references on, an identity's own spread counts.
OWN = 3
#: A spread is pooled over so many people at least: of fewer it would tell something about each.
PEOPLE = 5
#: For so many references the pooled spread counts, where an identity's own is known too: of a few it is a guess.
PRIOR = 10

#: The least noise: about what one picture gives when it is scaled by 0.9 or saved as JPEG 80 (24 faces of the DigiFace
#: DCGAN).
LEAST: Mapping[str, float] = {
    Measure.EYE_HEIGHT: 0.01,
    Measure.MOUTH_HEIGHT: 0.01,
    Measure.MOUTH_WIDTH: 0.01,
    Measure.SKIN_TONE: 0.7,
    Measure.BRIGHTNESS: 0.01,
    Measure.EXPOSURE: 0.01,
    Measure.SHARPNESS: 0.2,
    Measure.STABILITY: 0.0005,
    **dict.fromkeys(Region, 0.01),
}

Positive = Annotated[float, Field(ge=0)]


class Usual(BaseModel):
    """How far a region of a reference lies from the mean of the person's others."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    mean: Positive
    sd: Positive


class Spread(BaseModel):
    """The spread within one person, pooled over many. Says nothing about any of them."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    kind: str = KIND
    people: int
    references: int
    measures: dict[Measure, Positive]
    """Standard deviations."""
    regions: dict[Region, Usual]


def pooled(people: Iterable[Sequence[Look]]) -> Spread | None:
    """Return the spread over everybody who has ``OWN`` looks and more; None where these are fewer than ``PEOPLE``."""
    counted = [looks for looks in people if len(looks) >= OWN]
    if len(counted) < PEOPLE:
        return None
    measures = {
        measure: deviation
        for measure in Measure
        if (deviation := _within([values_of(looks, measure) for looks in counted])) is not None
    }
    apart = {region: [distances_among(looks, region) for looks in counted] for region in Region}
    regions = {
        region: Usual(mean=float(np.concatenate(each).mean()), sd=_within(each) or 0.0)
        for region, each in apart.items()
    }
    references = sum(len(looks) for looks in counted)
    return Spread(people=len(counted), references=references, measures=measures, regions=regions)


def noise(values: Floats, pool: float | None, least: float) -> float | None:
    """Return the standard deviation by which one more picture differs from the mean of these n.

    s^2 (1 + 1/n), with s^2 shrunk towards the pooled variance; None where neither is known.

    Args:
        values: Of the references, shape (n,).
        pool: Pooled standard deviation, where it was measured.
        least: What is not gone below.
    """
    n = len(values)
    own = float(values.var(ddof=1)) if n >= OWN else None
    if own is None and pool is None:
        return None
    if own is None or pool is None:
        variance = own if own is not None else (pool or 0.0) ** 2
    else:
        variance = (n * own + PRIOR * pool**2) / (n + PRIOR)
    return max(least, float(np.sqrt(variance * (1 + 1 / n))))


def values_of(looks: Sequence[Look], measure: Measure) -> Floats:
    """Return the measure of those looks that have it."""
    return np.array([look.measures[measure] for look in looks if measure in look.measures], dtype=np.float64)


def distances_among(looks: Sequence[Look], region: Region) -> Floats:
    """Return how far each look's region lies from the mean of all the others, (n,), for n of 2 and more."""
    pictures = pictures_of(looks, region)
    others = (pictures.sum(axis=0) - pictures) / (len(pictures) - 1)
    return np.array([distance(*pair) for pair in zip(pictures, others, strict=True)])


def pictures_of(looks: Sequence[Look], region: Region) -> Floats:
    """Return the region of each look, (n, VALUES)."""
    place = list(Region).index(region)
    return np.array([look.regions[place] for look in looks], dtype=np.float64)


def distance(one: Floats, other: Floats) -> float:
    """Return 1 - cosine, in [0, 2]; 1 where either is all zeros."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 1.0 if lengths < 1e-9 else 1.0 - float(one @ other) / lengths


def _within(groups: Sequence[Floats]) -> float | None:
    """Return the standard deviation within the groups that have ``OWN`` values, pooled; None where none has."""
    groups = [group for group in groups if len(group) >= OWN]
    if not groups:
        return None
    freedom = sum(len(group) - 1 for group in groups)
    return float(np.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / freedom))
