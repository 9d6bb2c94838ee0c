"""How the references of a whole gallery look: those of older releases too, and how much one person's differ."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.core.explain.look import Look
from streams.core.explain.spread import Spread, pooled
from streams.core.gallery import Reference
from streams.ports import Services
from streams.tools.references import seen_again, stored_in


@dataclass(frozen=True)
class Measured:
    """What was found."""

    identities: int
    references: int
    added: int
    """References whose look was not known before."""
    unknown: int
    """References whose look cannot be measured: their images are gone, or show no single face now."""
    spread: Spread | None
    """None where too few people have references enough."""


async def measure(services: Services, report: Callable[[str], None] = lambda _: None) -> Measured:
    """Measure how every reference looks whose look is not known, and store the spread within a person, pooled."""
    looks: list[Sequence[Look]] = []
    references = added = 0
    for name in await services.gallery.names():
        enrolled = await services.gallery.references(name)
        known = (await services.gallery.looks([name])).get(name, {})
        new = await _looks([one for one in enrolled if one.reference_id not in known], services)
        if new:
            await services.gallery.put_looks(name, new)
            report(f"{name}: {len(new)} references")
        looks.append(list((known | new).values()))
        references, added = references + len(enrolled), added + len(new)
    spread = await asyncio.to_thread(pooled, looks)
    if spread is not None:
        await services.gallery.put_spread(spread)
    return Measured(len(looks), references, added, references - sum(map(len, looks)), spread)


async def _looks(references: Sequence[Reference], services: Services) -> dict[str, Look]:
    """Return the looks of those references whose image is still there and shows one face."""
    found: dict[str, Look] = {}
    async for seen in seen_again(references, stored_in(services.images), services.examiner):
        faces = {one.reference_id: face for one, face in seen if not isinstance(face, str)}
        looks = await services.describer.describe(list(faces.values()))
        found |= {key: look for key, look in zip(faces, looks, strict=True) if look is not None}
    return found
