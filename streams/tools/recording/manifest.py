"""What a recording says of itself: ``manifest.json``, written anew after every part, so that it never says too much."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from streams import topics
from streams.core.policy import Policy
from streams.core.subject import Subject
from streams.errors import BadInput
from streams.tools.recording.files import write_whole

FILE = "manifest.json"

#: The topics that verdicts are on.
VERDICTS = (topics.SAMPLES_ACCEPTED.name, topics.SAMPLES_FLAGGED.name)


class Selection(BaseModel):
    """Which part of the stream is recorded. What is not said is no bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topics: tuple[str, ...] = VERDICTS
    run: str | None = None
    """Only samples of this training run."""
    first_step: int | None = None
    """Only samples of training steps from this one on, to ``last_step``, which is among them."""
    last_step: int | None = None
    since: AwareDatetime | None = None
    """Only records from this time on, to before ``until``."""
    until: AwareDatetime | None = None
    offsets: dict[int, tuple[int, int]] = Field(default_factory=dict)
    """By partition: only records from the first offset on, to before the second; no other partitions."""
    images: bool = True

    @property
    def bounded(self) -> bool:
        """Whether it is anything but all verdicts up to now."""
        return bool(self.model_dump(exclude={"images"}, exclude_defaults=True))

    def takes(self, subject: Subject, time_ms: int) -> bool:
        """Say whether a sample that was published at this time, in milliseconds since 1970, belongs to it."""
        of_run = subject.kind == "training" and subject.source == self.run
        return (
            (self.run is None or of_run)
            and (self.since is None or time_ms >= self.since.timestamp() * 1000)
            and (self.until is None or time_ms < self.until.timestamp() * 1000)
            and (self.first_step is None or (subject.step is not None and subject.step >= self.first_step))
            and (self.last_step is None or (subject.step is not None and subject.step <= self.last_step))
        )


class Place(BaseModel):
    """A partition, and which of its records are read: from ``first`` to before ``end``."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    first: int
    end: int


class Part(BaseModel):
    """What was done in one go: some records of one partition, and the file with those that belong to the recording."""

    model_config = ConfigDict(frozen=True)

    place: Place
    file: str | None
    """Below the recording's folder; None where nothing belongs to it."""
    rows: int
    counts: dict[str, int]
    policies: dict[str, int]
    """Verdicts by policy version."""
    galleries: dict[str, int]
    """Measurements by gallery version."""


class Snapshot(BaseModel):
    """The gallery as it was when the recording was finished."""

    model_config = ConfigDict(frozen=True)

    version: str
    domain: str | None
    identities: int
    references: int


class Manifest(BaseModel):
    """All that is known of a recording but the samples themselves."""

    model_config = ConfigDict(frozen=True)

    format: Literal["likeness-recording"] = "likeness-recording"
    version: Literal[1] = 1
    """Of the folder's layout and columns."""
    schema_version: int = 1
    """Of the messages that were recorded."""
    selection: Selection
    places: tuple[Place, ...]
    begun_at: AwareDatetime
    space: dict[str, Any]
    """The embedding space, field by field."""
    embedding_space: str
    """Its fingerprint."""
    policy: Policy
    """In force where it was recorded; each verdict says by which one it was made."""
    parts: tuple[Part, ...] = ()
    gallery: Snapshot | None = None
    """None until it is complete."""
    complete: bool = False

    @property
    def rows(self) -> int:
        """Samples."""
        return sum(part.rows for part in self.parts)

    @property
    def counts(self) -> dict[str, int]:
        """What was read, and what became of it."""
        return dict(sorted(sum((Counter(part.counts) for part in self.parts), Counter()).items()))

    @property
    def policies(self) -> dict[str, int]:
        """Verdicts by policy version."""
        return dict(sorted(sum((Counter(part.policies) for part in self.parts), Counter()).items()))

    @property
    def galleries(self) -> dict[str, int]:
        """Measurements by gallery version."""
        return dict(sorted(sum((Counter(part.galleries) for part in self.parts), Counter()).items()))

    def left(self) -> list[Place]:
        """Return what is still to be read, in order."""
        reached = {(part.place.topic, part.place.partition): part.place.end for part in self.parts}
        begun = [
            one.model_copy(update={"first": reached.get((one.topic, one.partition), one.first)}) for one in self.places
        ]
        return [one for one in begun if one.first < one.end]


def write(manifest: Manifest, folder: Path) -> None:
    """Write the manifest in the place of the one before. Blocks; raises BadInput where it cannot."""
    text = manifest.model_dump_json(indent=1) + "\n"
    write_whole(folder / FILE, lambda file: file.write(text.encode()))


def read(folder: Path) -> Manifest | None:
    """Return what a folder says of itself; None where there is nothing to say it.

    Raises:
        BadInput: If it is no recording that this release can read.
    """
    try:
        text = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{folder} is no recording: {error.strerror}; expected a folder with a {FILE}") from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or FILE
        raise BadInput(f"{folder / FILE} is no manifest of a recording: {where}: {first['msg']}") from error
