"""From when batches ended to samples per second, and from several rounds to one number with its spread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Batch:
    """Samples that were done together."""

    ended: float
    """Seconds on any clock that all batches of a round share."""
    samples: int
    engine_seconds: float = 0.0
    """What examining and searching took of it, by the verdicts' own timings, which count the gallery's version, the
    identities and the consent to the search; 0 where nobody noted it."""


def rate(batches: Iterable[Batch], workers: int = 1) -> float:
    """Return samples per second from the end of the first batch to the end of the last.

    The first batch of each worker is its warm-up: it gives the start of the clock, and its samples are not counted.

    >>> rate([Batch(10.0, 16), Batch(11.0, 16), Batch(12.0, 8)])
    12.0
    >>> rate([Batch(10.0, 16), Batch(10.5, 16), Batch(11.0, 16), Batch(11.5, 16)], workers=2)
    32.0
    """
    ordered = sorted(batches, key=lambda batch: batch.ended)
    if len(ordered) <= workers:
        raise ValueError(
            f"expected more than {workers} batches, got {len(ordered)}: nothing is left after the warm-up; ask for more"
            " samples"
        )
    return sum(batch.samples for batch in ordered[workers:]) / (ordered[-1].ended - ordered[workers - 1].ended)


def engine_share(batches: Iterable[Batch]) -> float:
    """Return the part of the time after the first batch that is examining and searching; in [0, 1].

    >>> engine_share([Batch(10.0, 16, 0.5), Batch(11.0, 16, 0.9), Batch(12.0, 16, 0.7)])
    0.8
    """
    first, *rest = sorted(batches, key=lambda batch: batch.ended)
    return sum(batch.engine_seconds for batch in rest) / (rest[-1].ended - first.ended)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the median, the extremes and the values themselves."""
    return {
        "median": round(median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
        "rounds": [round(value, 3) for value in values],
    }


def ratio(road: Sequence[float], bare: Sequence[float]) -> dict[str, Any]:
    """Return the ratio of the medians, and each road round against the mean of the bare rounds around it.

    >>> ratio([9.0], [9.0, 11.0])["of_medians"]
    0.9
    """
    beside = [own / ((before + after) / 2) for own, (before, after) in zip(road, pairwise(bare), strict=True)]
    return {"of_medians": round(median(road) / median(bare), 3), "beside": summary(beside)}


def union(spans: Iterable[tuple[float, float]]) -> float:
    """Return how much time the spans cover together; where they overlap it counts once.

    >>> union([(0, 2), (1, 3), (5, 6)])
    4.0
    """
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def per_batch(spans: Mapping[str, Sequence[tuple[float, float]]], batches: int) -> dict[str, dict[str, float]]:
    """Return for each kind of call how often it is made in one batch, and the milliseconds that it takes there."""
    return {
        name: {"calls": round(len(some) / batches, 2), "ms": round(union(some) * 1000 / batches, 2)}
        for name, some in spans.items()
    }
