"""Judge image files by the steps that judge a stream; nothing is stored and nothing is published."""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.core.enrolment import require_name
from streams.core.faces import Face, Sighting, Undecodable
from streams.core.subject import Subject
from streams.errors import BadInput
from streams.events import TERRITORY, ImageRef, SampleJudged
from streams.ports import Services
from streams.steps.appraise import Appraised, appraise
from streams.steps.explain import explained


@dataclass(frozen=True)
class Said:
    """What is said of where files come from and go to: consent may have terms that ask for it."""

    model: str = "file"
    model_version: str | None = None
    territory: str | None = None

    @classmethod
    def of(cls, model: str | None, territory: str | None) -> "Said":
        """Return it as somebody types it: ``model`` or ``model@version``, and an ISO 3166 code.

        Raises:
            BadInput: If one of them is none.
        """
        name, _, version = (model or cls.model).partition("@")
        require_name(name, "model")
        if model is not None and "@" in model:
            require_name(version, "model's version")
        if territory is not None and not re.fullmatch(TERRITORY, territory):
            raise BadInput(f"expected a territory as ISO 3166 writes it, DE or US-TN, got {territory!r}: correct it")
        return cls(name, version or None, territory)


def read_files(paths: Sequence[Path]) -> list[tuple[Path, bytes]]:
    """Return each file with its bytes.

    Raises:
        BadInput: If one cannot be read.
    """
    return [(path, _read(path)) for path in paths]


@dataclass(frozen=True, eq=False)
class AppraisedFile:
    """One file, and what came of it."""

    path: Path
    result: Appraised | Undecodable
    face: Face | None
    """The largest face in it."""


async def judge_files(
    files: Sequence[tuple[Path, bytes]], identity: str, services: Services, said: Said | None = None
) -> list[tuple[Path, SampleJudged | Undecodable]]:
    """Return the verdict on each file, or why it is no image that can be judged.

    Args:
        files: Each file with its bytes.
        identity: Whom they should show.
        services: What to judge by.
        said: What is said of them; None: nothing.

    Raises:
        BadInput: If ``identity`` is no name.
    """
    appraised = await appraise_files(files, identity, services, said)
    return [(one.path, one.result if isinstance(one.result, Undecodable) else one.result.judged) for one in appraised]


async def appraise_files(
    files: Sequence[tuple[Path, bytes]], identity: str, services: Services, said: Said | None = None
) -> list[AppraisedFile]:
    """Return the verdict on each file, with what it rests on; arguments as ``judge_files`` takes them.

    Raises:
        BadInput: If ``identity`` is no name.
    """
    require_name(identity, "identity")
    encoded = [data for _, data in files]
    started = time.perf_counter()
    seen = await services.examiner.examine(encoded)
    examine_ms = round((time.perf_counter() - started) * 1000 / max(1, len(files)), 2)
    subjects = {str(number): _subject(number, identity, data, said or Said()) for number, data in enumerate(encoded)}
    sightings = {str(number): one for number, one in enumerate(seen) if isinstance(one, Sighting)}
    gallery_version = await services.gallery.version()
    appraised = await appraise(subjects, sightings, services, gallery_version=gallery_version, examine_ms=examine_ms)
    appraised = await explained(appraised, services)
    results = dict(zip(sightings, appraised, strict=True))
    return [
        AppraisedFile(path, one, None)
        if isinstance(one, Undecodable)
        else AppraisedFile(path, results[str(number)], one.largest)
        for number, ((path, _), one) in enumerate(zip(files, seen, strict=True))
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}; expected a PNG, JPEG or WebP file") from error


def _subject(number: int, identity: str, encoded: bytes, said: Said) -> Subject:
    digest = hashlib.sha256(encoded).hexdigest()
    return Subject(
        digest[:32],
        "training",
        "files",
        number,
        identity,
        said.model,
        model_version=said.model_version,
        territory=said.territory,
        image=ImageRef(sha256=digest, size=len(encoded)) if encoded else None,
    )
