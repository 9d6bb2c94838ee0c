"""Synthetic identities: people who do not exist, drawn from a generator's latent space, for trying things out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streams.core.faces import Embedding, Face, Pixels, only_face
from streams.core.gallery import Origin, Reference, reference_id
from streams.core.latent import anchor as draw_anchor
from streams.core.similarity import similarity
from streams.errors import BadInput
from streams.events import ImageRef
from streams.ports import Prompt, Services
from streams.tools.enrol import refuse_other_origin, summarise
from streams.tools.exactly import examine_exactly
from streams.tools.second import enrol_everywhere

#: No two anchors may be as similar as this: strangers among real people hardly ever are.
ANCHOR_LIMIT = 0.35
#: References wander this far from their anchor, at least and at most.
NEAREST, FARTHEST = 0.05, 0.15
#: Faces are drawn and looked at so many at a time.
DRAWN = 32
#: After so many anchors without enough different people, the generator has no more of them.
MOST_DRAWN = 2000
#: After so many turns of references in which too few show a face, the generator does not make faces.
MOST_TURNS = 20

_EVIDENCE = "synthetic: shows nobody"


async def enrol_synthetic(
    count: int,
    services: Services,
    *,
    model: str,
    seed: int = 0,
    references: int = 6,
    report: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Enrol ``count`` synthetic identities with consent, and return their names: ``synthetic-01`` and on.

    Raises:
        BadInput: If the generator's faces are too alike to make so many identities, or the gallery is one of photos.
        GeneratorRejected: If no such model is served.
    """
    await refuse_other_origin(Origin.SYNTHETIC, services)
    names = [f"synthetic-{number:02d}" for number in range(1, count + 1)]
    forgotten = [name for name, called in (await services.ledger.called(names)).items() if called != name]
    if forgotten:
        raise BadInput(f"{', '.join(sorted(forgotten))} was forgotten: use --again to enrol somebody by that name")
    version = await services.generator.version(model)
    artist = _Artist(services, model, version)
    people = await _different_people(count, artist, seed)
    anchors = dict(zip(names, people, strict=True))
    for name, made in (await _references(anchors, artist, references)).items():
        found, faces = [reference for reference, _ in made], [face for _, face in made]
        described = zip(found, await services.describer.describe(faces), strict=True)
        looks = {reference.reference_id: look for reference, look in described if look}
        identity = summarise(name, found, conditioning={model: anchors[name]})
        await services.consent.grant(name, evidence=_EVIDENCE, at=services.now(), expires=None)
        await enrol_everywhere(identity, found, services, looks)
        report(name)
    return list(anchors)


@dataclass(frozen=True)
class _Artist:
    """One version of one model, and somebody who looks at what it makes."""

    services: Services
    model: str
    version: str

    async def faces(self, prompts: Sequence[Prompt]) -> list[tuple[ImageRef, Face] | None]:
        """Make one image a prompt and keep it; None where it does not show exactly one face."""
        pixels: list[Pixels] = []
        while rest := prompts[len(pixels) :]:
            pixels += await self.services.generator.generate(self.model, self.version, rest)
        refs = await asyncio.gather(*(self.services.images.put_pixels(picture) for picture in pixels))
        encoded = await asyncio.gather(*(self.services.images.get(ref) for ref in refs))
        faces = [only_face(seen) for seen in await examine_exactly(encoded, self.services.examiner)]
        return [None if isinstance(face, str) else (ref, face) for ref, face in zip(refs, faces, strict=True)]


async def _different_people(count: int, artist: _Artist, seed: int) -> list[tuple[float, ...]]:
    """Draw anchors, and return those that show one face unlike all before it."""
    length = await artist.services.generator.conditioning_length(artist.model)
    people: list[tuple[float, ...]] = []
    chosen: list[Embedding] = []
    for start in range(0, MOST_DRAWN, DRAWN):
        anchors = [draw_anchor(seed + start + place, length) for place in range(DRAWN)]
        made = await artist.faces([Prompt(0, anchor, 0.0) for anchor in anchors])
        for anchor, seen in zip(anchors, made, strict=True):
            if seen is None or any(similarity(seen[1].embedding, one) >= ANCHOR_LIMIT for one in chosen):
                continue
            chosen.append(seen[1].embedding)
            people.append(anchor)
            if len(people) == count:
                return people
    raise BadInput(
        f"among {MOST_DRAWN} faces of {artist.model} only {len(people)} differ by enough: ask for fewer than {count}"
    )


async def _references(
    anchors: Mapping[str, tuple[float, ...]], artist: _Artist, wanted: int
) -> dict[str, list[tuple[Reference, Face]]]:
    """Make references around every anchor, of all of them together, until each has enough that show one face."""
    found: dict[str, dict[str, tuple[Reference, Face]]] = {name: {} for name in anchors}
    strengths = [float(strength) for strength in np.linspace(NEAREST, FARTHEST, wanted)]
    turn = 0
    while lacking := [name for name in anchors if len(found[name]) < wanted]:
        if turn == MOST_TURNS:
            raise BadInput(f"hardly any face around the anchor of {lacking[0]}: {artist.model} does not make faces")
        asked = [
            (name, Prompt(turn * wanted + place, anchors[name], strength))
            for name in lacking
            for place, strength in enumerate(strengths)
        ]
        for start in range(0, len(asked), DRAWN):
            part = asked[start : start + DRAWN]
            for (name, _), seen in zip(part, await artist.faces([prompt for _, prompt in part]), strict=True):
                if seen is not None:
                    key, face = reference_id(name, seen[0].sha256), seen[1]
                    one = Reference(key, name, Origin.SYNTHETIC, seen[0].sha256, face.embedding, face.second)
                    found[name][key] = (one, face)
        turn += 1
    return {name: list(references.values())[:wanted] for name, references in found.items()}
