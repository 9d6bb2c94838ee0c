"""From looks to explanations: by how many standard deviations a sample differs from the references of whom it shows.

Nothing here decides: a verdict is made before, and is the same without.
"""

from collections.abc import Iterator, Sequence

from streams.core.explain.look import Look, Measure, Region
from streams.core.explain.spread import (
    LEAST,
    OWN,
    Floats,
    Spread,
    distance,
    distances_among,
    noise,
    pictures_of,
    values_of,
)
from streams.core.explain.words import words
from streams.events import Explanation

#: What differs by fewer standard deviations is seldom worth a person's time.
TELLING = 2.0

_REGIONS = frozenset(region.value for region in Region)


def explain(look: Look, references: Sequence[Look], spread: Spread | None) -> tuple[Explanation, ...]:
    """Say how a sample differs from references of one person, the greatest difference first.

    Args:
        look: The sample's.
        references: The references'; their order does not matter.
        spread: Pooled over people; without it, fewer than ``OWN`` references explain nothing.
    """
    found = [*_measures(look, references, spread), *_regions(look, references, spread)]
    return tuple(sorted(found, key=lambda one: (-abs(one.z), one.name)))


def telling(explanations: Sequence[Explanation], most: int = 3) -> tuple[Explanation, ...]:
    """Return those that a person should be shown, the greatest difference first.

    A region that is more like the references than these are like each other, z < 0, differs in nothing.
    """
    return tuple(one for one in explanations if (one.z if one.name in _REGIONS else abs(one.z)) >= TELLING)[:most]


def _measures(look: Look, references: Sequence[Look], spread: Spread | None) -> Iterator[Explanation]:
    for measure, value in look.measures.items():
        values = values_of(references, measure)
        if len(values):
            pool = spread.measures.get(measure) if spread else None
            yield from _explanation(measure, value - float(values.mean()), values, pool)


def _regions(look: Look, references: Sequence[Look], spread: Spread | None) -> Iterator[Explanation]:
    for region in Region if references else ():
        usual = spread.regions.get(region) if spread else None
        apart = distances_among(references, region) if len(references) >= OWN else None
        if apart is None and usual is None:
            continue
        mean = float(apart.mean()) if apart is not None else usual.mean if usual else 0.0
        pictures = pictures_of(references, region)
        here = distance(pictures_of([look], region)[0], pictures.mean(axis=0))
        values = pictures[:, 0] if apart is None else apart  # of fewer than OWN only the number counts
        yield from _explanation(region, here - mean, values, usual.sd if usual else None)


def _explanation(name: Measure | Region, off: float, values: Floats, pool: float | None) -> Iterator[Explanation]:
    sd = noise(values, pool, LEAST[name])
    if sd is None:
        return
    z = round(off / sd, 2)
    text = words(name, z, len(values), own=len(values) >= OWN)
    yield Explanation(name=name.value, text=text, z=z, noise=float(f"{sd:.4g}"), references=len(values))
