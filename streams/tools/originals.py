"""Register what no sample may be a copy of: enrolled photographs, and the images that a generator learns from."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from streams.core.enrolment import require_name
from streams.core.faces import Undecodable
from streams.core.gallery import Origin, Reference, reference_id
from streams.core.imprints import Original
from streams.errors import BadInput
from streams.ports import Imprinter, Originals, Services
from streams.tools.image_files import read_image
from streams.tools.references import BATCH, stored_in

T = TypeVar("T")

#: What counts as an image by its name; anything else in a folder is passed over.
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass
class Indexed:
    """What came of registering images."""

    images: int = 0
    """How many there are."""
    registered: int = 0
    """How many were registered now."""
    known: int = 0
    """How many were registered before, or are given twice."""
    skipped: dict[str, str] = field(default_factory=dict)
    """What cannot be registered, by file or reference, to why."""


@dataclass(frozen=True)
class TrainingImage:
    """One file that a generator learns from."""

    path: Path
    identity: str
    """Whom it shows; empty where nobody said."""


def training_images(folder: Path, identity: str | None = None) -> list[TrainingImage]:
    """Return every image under a folder, in order; blocks.

    Args:
        folder: With images, also in subfolders of any depth.
        identity: Whom they all show. Where it is not given, the subfolder of ``folder`` that an image is in is named
            after whom it shows, and an image in ``folder`` itself shows nobody in particular.

    Raises:
        BadInput: If there are none, or a subfolder is named as nobody can be.
    """
    if identity is not None:
        require_name(identity, "identity")
    if not folder.is_dir():
        raise BadInput(f"expected a folder of images, got {folder}")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not found:
        raise BadInput(f"{folder} holds no image: expected files {', '.join(sorted(IMAGE_SUFFIXES))}")
    images = []
    for path in found:
        first, *rest = path.relative_to(folder).parts
        whose = identity if identity is not None else first if rest else ""
        if whose:
            require_name(whose, f"name of the subfolder {first!r}, which says whom its images show (or --identity)")
        images.append(TrainingImage(path, whose))
    return images


async def index_training(
    images: Sequence[TrainingImage],
    imprinter: Imprinter,
    originals: Originals,
    report: Callable[[int], None] = lambda _: None,
) -> Indexed:
    """Register training images, a few at a time; those that are registered already are passed over.

    Args:
        images: The files.
        imprinter: Makes their imprints.
        originals: Where they are registered.
        report: Takes how many files are done.
    """
    indexed = Indexed(len(images))
    for batch in _batches(images):
        read = await asyncio.to_thread(_read, batch, indexed)
        known = await originals.known(list(read))
        new = {key: one for key, one in read.items() if key not in known}
        indexed.known += len(read) - len(new)
        imprints = await imprinter.imprint_originals([encoded for _, encoded in new.values()])
        made = []
        for (key, (image, encoded)), one in zip(new.items(), imprints, strict=True):
            if isinstance(one, Undecodable):
                indexed.skipped[str(image.path)] = one.detail
            else:
                made.append(Original(key, "training", image.identity, hashlib.sha256(encoded).hexdigest(), one))
        await originals.register(made)
        indexed.registered += len(made)
        report(len(batch))
    return indexed


def _read(images: Sequence[TrainingImage], indexed: Indexed) -> dict[str, tuple[TrainingImage, bytes]]:
    """Return what can be read by the id of the original that it is."""
    found: dict[str, tuple[TrainingImage, bytes]] = {}
    for image in images:
        encoded = read_image(image.path)
        if not isinstance(encoded, bytes):
            indexed.skipped[str(image.path)] = encoded.detail if isinstance(encoded, Undecodable) else encoded.why
            continue
        key = reference_id(image.identity, hashlib.sha256(encoded).hexdigest())
        indexed.known += key in found
        found[key] = (image, encoded)
    return found


async def photographs(references: Sequence[tuple[Reference, bytes]], services: Services) -> list[Original]:
    """Return the originals that references from photographs are; from synthetic images they are none."""
    photos = [(reference, encoded) for reference, encoded in references if reference.origin is Origin.PHOTO]
    imprints = await services.imprinter.imprint_originals([encoded for _, encoded in photos]) if photos else []
    return [
        Original(reference.reference_id, "photo", reference.identity, reference.image_sha256, one)
        for (reference, _), one in zip(photos, imprints, strict=True)
        if not isinstance(one, Undecodable)
    ]


async def replace_photographs(identity: str, originals: Sequence[Original], services: Services) -> None:
    """Register an identity's photographs in the place of those that it had; its training images stay."""
    await services.originals.register(originals)
    held = await services.originals.held(identity)
    kept = {one.original_id for one in originals}
    await services.originals.remove([key for key, kind in held.items() if kind == "photo" and key not in kept])


async def lacking(services: Services) -> int:
    """Return how many more photographs are enrolled than registered: no sample is compared with these."""
    if await services.gallery.domain() is not Origin.PHOTO:
        return 0
    people = await services.gallery.identities(await services.gallery.names())
    return max(0, sum(one.references for one in people.values()) - await services.originals.count("photo"))


async def _unregistered(services: Services) -> list[Reference]:
    if await services.gallery.domain() is not Origin.PHOTO:
        return []
    found = []
    for name in await services.gallery.names():
        references = await services.gallery.references(name)
        known = await services.originals.known([one.reference_id for one in references])
        found += [one for one in references if one.reference_id not in known]
    return found


async def index_references(services: Services, report: Callable[[int], None] = lambda _: None) -> Indexed:
    """Register every enrolled photograph that is not yet, from the image store; ``report`` takes how many are done."""
    wanted = await _unregistered(services)
    indexed, image_of = Indexed(len(wanted)), stored_in(services.images)
    for batch in _batches(wanted):
        read = []
        for reference in batch:
            encoded = await image_of(reference)
            if isinstance(encoded, str):
                indexed.skipped[reference.reference_id] = encoded
            else:
                read.append((reference, encoded))
        made = await photographs(read, services)
        await services.originals.register(made)
        indexed.registered += len(made)
        registered = {one.original_id for one in made}
        unreadable = [one.reference_id for one, _ in read if one.reference_id not in registered]
        indexed.skipped |= dict.fromkeys(unreadable, "its image cannot be decoded")
        report(len(batch))
    return indexed


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
