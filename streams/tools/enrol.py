"""Enrol people from a folder: one subfolder a person, with images and a consent record."""

import asyncio
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from streams.core.consent import Consent, Entry, Purpose, Terms, state
from streams.core.explain.look import Look
from streams.core.faces import only_face
from streams.core.gallery import Identity, Origin, Reference, reference_id
from streams.core.imprints import Original
from streams.core.similarity import centroid, concentration
from streams.errors import BadInput
from streams.events import Name, Territory
from streams.ports import Services
from streams.tools.exactly import examine_exactly
from streams.tools.originals import IMAGE_SUFFIXES, photographs, replace_photographs
from streams.tools.second import enrol_everywhere

#: The file in each person's folder that says that, and until when, the person agreed.
CONSENT_FILE = "consent.toml"
#: Images that are examined at a time.
BATCH = 16

_NAME = TypeAdapter(Name)


class ConsentFile(BaseModel):
    """``consent.toml``: either consent with its evidence and its terms, or ``protected = true``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    granted_on: date | None = None
    evidence: str = ""
    """Where the signed agreement can be seen."""
    expires_on: date | None = None
    purposes: tuple[Purpose, ...] = (Purpose.GENERATION,)
    """What the person agrees to: ``generation``, ``training``."""
    models: tuple[str, ...] = ()
    """By which models only, ``model`` or ``model@version``."""
    territories: tuple[Territory, ...] = ()
    """Where only, ISO 3166 codes."""
    protected: bool = False
    """Enrolled only so that nobody generates this person; needs no consent to be generated, and gives none."""

    @property
    def agreed_to(self) -> tuple[Purpose, ...]:
        """What consent is given to."""
        return (Purpose.PROTECTION,) if self.protected else self.purposes


@dataclass
class Enrolled:
    """What became of one person's folder."""

    identity: str
    references: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    """File name to why it was not used."""
    refused: str | None = None
    """Why nobody was enrolled; None where somebody was."""


def people_in(folder: Path) -> list[Path]:
    """Return the subfolders, one a person; blocks.

    Raises:
        BadInput: If there are none.
    """
    try:
        people = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be read: {error.strerror}; expected a folder of one folder a person"
        ) from error
    if not people:
        raise BadInput(f"{folder} has no subfolders: expected one a person, with images and {CONSENT_FILE}")
    return people


async def enrol_folder(
    people: Sequence[Path], services: Services, origin: Origin = Origin.PHOTO, *, protected: bool = False
) -> list[Enrolled]:
    """Enrol the person of each folder; one that cannot be enrolled is told, and stops nobody else.

    Args:
        people: The folders.
        services: Where to.
        origin: Where the images come from.
        protected: Enrol them all only so that nobody generates them, whatever they agreed to.

    Raises:
        BadInput: If the gallery holds people of another origin.
    """
    await refuse_other_origin(origin, services)
    return [await _enrol_person(person, services, origin, protected=protected) for person in people]


async def _enrol_person(person: Path, services: Services, origin: Origin, *, protected: bool) -> Enrolled:
    report = Enrolled(person.name)
    try:
        identity = _NAME.validate_python(person.name)
        consent = _read_consent(person / CONSENT_FILE, protected=protected)
    except ValidationError:
        report.refused = "the folder's name is no identity: letters, digits and . _ : @ + - only"
        return report
    except BadInput as error:
        report.refused = str(error)
        return report
    if (await services.ledger.called([identity]))[identity] != identity:
        report.refused = "was forgotten: enrol them with --again if they agree once more"
        return report
    if refusal := await _refusal(identity, consent, services):
        await _enter(identity, consent, services)  # so that whoever looks it up finds why
        report.refused = refusal
        return report
    references, looks, originals = await _references(person, identity, origin, services, report)
    if not references:
        report.refused = "no image shows exactly one face"
        return report
    await _enter(identity, consent, services)
    # First: no photograph may be enrolled of which a copy would come through.
    await replace_photographs(identity, originals, services)
    summary = summarise(identity, references, protected=consent.protected)
    await enrol_everywhere(summary, references, services, looks)
    report.references = len(references)
    return report


async def _refusal(identity: str, consent: ConsentFile, services: Services) -> str | None:
    """Return why the person must not be enrolled, though the form says so: nothing is stored of them then."""
    if consent.protected:
        return None
    known = (await services.consent.entries([identity]))[identity]
    entries = [*known, *_entries(identity, consent)]
    states = [state(entries, purpose, services.now()) for purpose in consent.agreed_to]
    return None if Consent.GRANTED in states else f"consent is {states[0]}: get it anew, with a later granted_on"


async def _enter(identity: str, consent: ConsentFile, services: Services) -> None:
    """Enter what the form says, unless that was done when the folder was enrolled before."""
    known = (await services.consent.entries([identity]))[identity]
    before = {(one.at, one.purpose or Purpose.GENERATION, one.terms, one.expires, one.note) for one in known}
    for one in _entries(identity, consent):
        purpose = one.purpose or Purpose.GENERATION
        if (one.at, purpose, one.terms, one.expires, one.note) not in before:
            await services.consent.grant(
                identity, evidence=one.note, at=one.at, expires=one.expires, purpose=purpose, terms=one.terms
            )


def _entries(identity: str, consent: ConsentFile) -> list[Entry]:
    """Return what the form gives. The day on it counts, not today: enrolling again must not undo a withdrawal."""
    if consent.granted_on is None:
        return []
    at = _midnight(consent.granted_on)
    expires = _midnight(consent.expires_on) if consent.expires_on else None
    terms = Terms(tuple(sorted(set(consent.models))), tuple(sorted(set(consent.territories))))
    return [
        Entry(0, identity, "granted", at, purpose, terms, expires, note=consent.evidence)
        for purpose in dict.fromkeys(consent.agreed_to)
    ]


async def _references(
    person: Path, identity: str, origin: Origin, services: Services, report: Enrolled
) -> tuple[list[Reference], dict[str, Look], list[Original]]:
    readable = await asyncio.to_thread(_read_images, person, report)
    references: dict[str, Reference] = {}
    looks: dict[str, Look] = {}
    originals: list[Original] = []
    for start in range(0, len(readable), BATCH):
        batch = readable[start : start + BATCH]
        examined = await examine_exactly([data for _, data in batch], services.examiner)
        usable: list[tuple[Reference, bytes]] = []
        faces = [only_face(seen) for seen in examined]
        described = iter(await services.describer.describe([one for one in faces if not isinstance(one, str)]))
        for (name, data), face in zip(batch, faces, strict=True):
            if isinstance(face, str):
                report.skipped[name] = face
                continue
            ref = await services.images.put(data)
            key = reference_id(identity, ref.sha256)
            references[key] = Reference(key, identity, origin, ref.sha256, face.embedding, face.second)
            look = next(described)
            looks |= {key: look} if look else {}
            usable.append((references[key], data))
        originals += await photographs(usable, services)
    return list(references.values()), looks, originals


async def refuse_other_origin(origin: Origin, services: Services) -> None:
    """Refuse to mix origins before anything of it is written: limits of one do not hold for the other.

    Raises:
        BadInput: If the gallery holds people of another origin.
    """
    domain = await services.gallery.domain()
    if domain not in (None, origin):
        raise BadInput(
            f"this gallery holds {domain} identities, expected {origin} ones or none: enrol these in a gallery of their"
            " own (another LIKENESS_DATA_DIR or LIKENESS_MILVUS)"
        )


def _read_images(person: Path, report: Enrolled) -> list[tuple[str, bytes]]:
    """Return name and bytes of every image that can be read; note the others."""
    readable = []
    for path in sorted(path for path in person.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES):
        try:
            readable.append((path.name, path.read_bytes()))
        except OSError as error:
            report.skipped[path.name] = f"cannot be read: {error.strerror}"
    return readable


def summarise(
    identity: str,
    references: Sequence[Reference],
    *,
    protected: bool = False,
    conditioning: dict[str, tuple[float, ...]] | None = None,
) -> Identity:
    """Return the identity that the references make: their renormalised centroid, and how alike they are."""
    embeddings = [reference.embedding for reference in references]
    return Identity(
        identity=identity,
        origin=references[0].origin,
        centroid=centroid(embeddings),
        references=len(references),
        concentration=concentration(embeddings),
        protected=protected,
        conditioning=conditioning or {},
    )


def _read_consent(path: Path, *, protected: bool) -> ConsentFile:
    """Return what the form says; whoever is to be protected alone, needs none."""
    if protected and not path.exists():
        return ConsentFile(protected=True)
    example = 'granted_on = 2026-01-31 and evidence = "signed form 17", or protected = true'
    try:
        consent = ConsentFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise BadInput(f"no {path.name}: write one with {example}") from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise BadInput(f"{path.name} cannot be read ({_fault(error)}): write {example}") from error
    if protected:
        return consent.model_copy(update={"protected": True})
    if not consent.protected and (consent.granted_on is None or not consent.evidence):
        raise BadInput(f"{path.name} gives no consent: expected {example}")
    return consent


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors())
    return str(error)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
