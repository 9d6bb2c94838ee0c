"""Enrolment for the second verifier: beside the first one's, from the same images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.core.explain.look import Look
from streams.core.gallery import Identity, Reference
from streams.core.similarity import centroid, concentration
from streams.errors import BadInput
from streams.ports import SecondVerifier, Services
from streams.tools.references import seen_again, stored_in


@dataclass
class Added:
    """What came of enrolling a gallery for the second verifier."""

    identities: int = 0
    """How many are enrolled for the first one."""
    enrolled: int = 0
    """How many were enrolled now."""
    known: int = 0
    """How many had all their references before."""
    skipped: dict[str, str] = field(default_factory=dict)
    """References that the second verifier does not have, to why: of their people it accepts nothing."""


async def enrol_everywhere(
    identity: Identity, references: Sequence[Reference], services: Services, looks: Mapping[str, Look] | None = None
) -> None:
    """Enrol somebody in the place of what they were, for both verifiers where there are two.

    The second one first: cut off in between, the two have other references, or another number of them, until the same
    is done again.
    """
    if services.second is not None:
        await _enrol(identity, references, services.second)
    await services.gallery.enrol(identity, references, looks)


async def add_second(services: Services, report: Callable[[int, int], None] = lambda _, __: None) -> Added:
    """Enrol everybody for the second verifier who is not yet, from the image store.

    Args:
        services: With a second verifier.
        report: Takes how many people are done, and of how many.

    Raises:
        BadInput: If there is no second verifier.
    """
    if services.second is None:
        raise BadInput("expected a second verifier, got none: set LIKENESS_SECOND_EMBEDDER=dlib-resnet")
    names = await services.gallery.names()
    added = Added(len(names))
    for done, name in enumerate(names, 1):
        references = await services.gallery.references(name)
        held = {one.reference_id for one in await services.second.gallery.references(name)}
        if held == {one.reference_id for one in references}:
            added.known += 1
        elif identity := (await services.gallery.identities([name])).get(name):
            seen = await _seen_again(references, services, added)
            added.enrolled += await _enrol(identity, seen, services.second)
        report(done, len(names))
    return added


async def lacking(services: Services) -> int:
    """Return how many people are enrolled with other references for the second verifier, or not at all."""
    if services.second is None:
        return 0
    names = await services.gallery.names()
    first, second = await services.gallery.identities(names), await services.second.gallery.identities(names)
    return sum(name not in second or second[name].references != one.references for name, one in first.items())


async def _enrol(identity: Identity, references: Sequence[Reference], second: SecondVerifier) -> bool:
    """Enrol what the second verifier has seen of somebody; return whether there was anything."""
    seen = [replace(one, embedding=one.second, second=None) for one in references if one.second is not None]
    if not seen:
        await second.gallery.remove(identity.identity)
        return False
    embeddings = [one.embedding for one in seen]
    centre = replace(
        identity,
        centroid=centroid(embeddings),
        references=len(seen),
        concentration=concentration(embeddings),
        conditioning={},
    )
    await second.gallery.enrol(centre, seen)
    return True


async def _seen_again(references: Sequence[Reference], services: Services, added: Added) -> list[Reference]:
    """Return the references with what the second verifier makes of their images."""
    found = []
    async for seen in seen_again(references, stored_in(services.images), services.examiner):
        for reference, face in seen:
            if isinstance(face, str) or face.second is None:
                added.skipped[reference.reference_id] = face if isinstance(face, str) else "no embedding of its face"
            else:
                found.append(replace(reference, second=face.second))
    return found
