"""The images of references once more: read from where they are kept, and what is seen in them now."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from streams.core.faces import Face, only_face
from streams.core.gallery import Reference
from streams.errors import ImageAltered, ImageMissing
from streams.ports import Images, TwofoldExaminer
from streams.tools.exactly import examine_exactly

#: Images that are in memory at a time.
BATCH = 16

ImageOf = Callable[[Reference], Awaitable[bytes | str]]
"""Returns the image of a reference, or why it cannot be had."""


def stored_in(images: Images) -> ImageOf:
    """Return what reads the images of references from an image store."""

    async def image_of(reference: Reference) -> bytes | str:
        try:
            stored = await images.find(reference.image_sha256)
            return "its image is not in the image store" if stored is None else await images.get(stored)
        except (ImageMissing, ImageAltered) as error:
            return str(error)

    return image_of


async def seen_again(
    references: Sequence[Reference], image_of: ImageOf, examiner: TwofoldExaminer
) -> AsyncIterator[list[tuple[Reference, Face | str]]]:
    """Yield the references with the one face in each image, or why there is none; a batch at a time, in order."""
    for start in range(0, len(references), BATCH):
        batch = references[start : start + BATCH]
        read = [await image_of(one) for one in batch]
        held = [one for one in read if isinstance(one, bytes)]
        examined = iter(await examine_exactly(held, examiner) if held else ())
        faces = [one if isinstance(one, str) else only_face(next(examined)) for one in read]
        yield list(zip(batch, faces, strict=True))
