"""What the steps need from the outside, in our own words. Adapters and stand-ins implement these.

Every coroutine may raise ``DependencyUnavailable``, but for ``Courier``, which never does; nothing else is transient.
No method blocks the event loop.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from streams.core.biometrics.cohort import Cohort
from streams.core.clips.book import ClipPage, ClipTurned
from streams.core.clips.gathered import Gathered
from streams.core.consent import ANYWHERE, Consent, Entry, Purpose, Terms
from streams.core.drift.book import Page, Turned
from streams.core.drift.chart import Observation
from streams.core.drift.plan import Plan
from streams.core.erasure import Erasure, Inventory, Mentions, Swept
from streams.core.explain.known import KnownLooks
from streams.core.explain.look import Look
from streams.core.explain.spread import Spread
from streams.core.faces import Embedding, EmbeddingSpace, Examined, Face, Pixels, Sighting, Undecodable
from streams.core.gallery import Identity, Neighbourhood, Origin, Reference
from streams.core.imprints import Descriptor, Imprints, Original
from streams.core.ledger import Outcome, Registered, Registration
from streams.core.policy import Policy
from streams.core.records import Record
from streams.core.redrive import Redrive
from streams.events import GenerationRequested, Headers, ImageRef, NearOriginal, OriginalKind
from streams.settings import Explained

S = TypeVar("S")


@dataclass(frozen=True)
class Prompt:
    """What one sample is made from."""

    seed: int
    conditioning: tuple[float, ...]
    """What the identity was enrolled with for this model; empty where that is nothing."""
    strength: float
    centroid: tuple[float, ...] = ()
    """The identity's centroid in the gallery: what a model that learned to show anybody is conditioned on."""
    frame: bytes | None = None
    """An encoded source frame, whose pose and light the sample takes; only some models can."""


class Generator(Protocol):
    """Served models that make faces."""

    async def version(self, model: str) -> str:
        """Return the version that the server would use now. Raises GeneratorRejected for a model it has not.

        What is missing for seconds, as in a redeploy, is waited for.
        """

    async def conditioning_length(self, model: str) -> int:
        """Return how many values the conditioning of this model has. Raises GeneratorRejected as ``version`` does."""

    async def generate(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        """Make an image of each of the first prompts, in order: at least one, and as many as the model takes at once.

        Whoever wants more asks for the rest: what is made can be kept before the rest may fail.

        Raises:
            GeneratorRejected: If one of these is refused, or fails where other prompts do not; then none is made.
            VersionRetired: If the server has the model, and no longer in this version.
        """


class Examiner(Protocol):
    """Decodes images, finds faces and embeds them."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings."""

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order. Bad bytes are an outcome, not an error."""


class TwofoldExaminer(Examiner, Protocol):
    """An examiner whose first look may be rough: then faces say so, and can be embedded again."""

    async def look_again(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Return the same, in order, with every rough face embedded in 32-bit floats."""


class Describer(Protocol):
    """Says how faces look: what differences are explained by."""

    async def describe(self, faces: Sequence[Face]) -> list[Look | None]:
        """Return how each face looks, in order; None where its landmarks are in no face."""


class Imprinter(Protocol):
    """Makes imprints: what copies of pictures are recognised by."""

    @property
    def descriptor(self) -> Descriptor:
        """What the imprints are."""

    async def imprint(self, sightings: Sequence[Sighting]) -> list[Imprints]:
        """Return the imprints of each picture that was seen, in order."""

    async def imprint_originals(self, encoded: Sequence[bytes]) -> list[Imprints | Undecodable]:
        """Return the imprints of each encoded image and of its mirror image, in order: each before its mirror's."""


class Compared(Protocol):
    """What a sample may be a copy of, as a look at it needs it."""

    async def about(self) -> int:
        """Return about how many are registered, quickly: none exactly where there are none, else as of a minute ago."""

    async def nearest(self, probes: Sequence[Imprints]) -> list[tuple[NearOriginal, ...]]:
        """Return, for each picture in order, the originals that are nearest to it: ``copies.TOLD`` of them."""


class Originals(Compared, Protocol):
    """Images that no sample may be a copy of: enrolled photographs and training images, by their imprints."""

    async def register(self, originals: Sequence[Original]) -> None:
        """Put originals, each in the place of the one that had its id."""

    async def remove(self, original_ids: Iterable[str]) -> None:
        """Take originals out; unknown ids are no error."""

    async def known(self, original_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are registered."""

    async def held(self, identity: str) -> dict[str, OriginalKind]:
        """Return the ids of all originals that show this identity, and what each is."""

    async def count(self, kind: OriginalKind | None = None) -> int:
        """Return how many originals are registered, of one kind or of any."""


class Searched(Protocol):
    """Who is enrolled, as a look at a sample needs it. Similarity is cosine in [-1, 1], larger is nearer."""

    async def identities(self, names: Sequence[str]) -> dict[str, Identity]:
        """Return those of the named identities that are enrolled."""

    async def search(
        self, probes: Sequence[Embedding], *, identities: int = 5, references: int = 3
    ) -> list[Neighbourhood]:
        """Return, for each probe in order, its nearest identities (by centroid) and nearest references."""


class Gallery(Searched, Protocol):
    """Who is enrolled, in one embedding space. Similarity is cosine in [-1, 1], larger is nearer."""

    async def enrol(
        self, identity: Identity, references: Sequence[Reference], looks: Mapping[str, Look] | None = None
    ) -> str:
        """Put an identity with all its references, replacing what it had; return the new gallery version.

        ``looks`` says how references look, by id. It is evidence alone, and part of no version.

        Raises BadInput where its origin differs from the gallery's domain.
        """

    async def remove(self, identity: str) -> str:
        """Take an identity and its references out; return the new gallery version. Unknown ones are no error."""

    async def names(self) -> list[str]:
        """Return every enrolled identity, sorted."""

    async def references(self, identity: str) -> list[Reference]:
        """Return the identity's references, ordered by id."""

    async def looks(self, names: Sequence[str]) -> dict[str, dict[str, Look]]:
        """Return how the references of the named identities look, by reference id, where that is known."""

    async def known_looks(self, names: Sequence[str], version: str) -> KnownLooks:
        """Return the same, and the spread, to who asks for it time and again: as of a minute ago, or of now.

        ``version`` is the gallery's, read before: what is returned is never older than that.
        """

    async def put_looks(self, identity: str, looks: Mapping[str, Look]) -> None:
        """Store how references of somebody look, by their ids: as ``enrol`` does, for those enrolled without."""

    async def put_spread(self, spread: Spread) -> None:
        """Store how much pictures of one person differ, over all people."""

    async def spread(self) -> Spread | None:
        """Return what was stored of it; None where that was never measured."""

    async def version(self) -> str:
        """Return the gallery's version: it changes with every enrolment and removal. Empty gallery: ``""``."""

    async def domain(self) -> Origin | None:
        """Return the one origin that all references have, None while nobody is enrolled."""

    async def remember(self, samples: Mapping[str, Embedding]) -> None:
        """Store samples' embeddings by sample id, apart from the gallery. Doing it again changes nothing."""

    async def unremember(self, sample_ids: Sequence[str]) -> None:
        """Take the stored embeddings of samples out; those that have none are no error."""

    async def recall(self, sample_ids: Sequence[str]) -> dict[str, Embedding]:
        """Return the stored embeddings of those of the samples that have one."""


class Images(Protocol):
    """Encoded images by the SHA-256 of their bytes."""

    async def put(self, encoded: bytes) -> ImageRef:
        """Store durably; the same bytes are stored once."""

    async def put_pixels(self, pixels: Pixels) -> ImageRef:
        """Encode as PNG and store."""

    async def find(self, sha256: str) -> ImageRef | None:
        """Return the pointer to an image of which only the digest is known; None where there is no such image."""

    async def get(self, ref: ImageRef) -> bytes:
        """Return the bytes. Raises ImageMissing or ImageAltered."""

    async def remove(self, sha256: str) -> bool:
        """Delete an image durably; return whether there was one."""


class Ledger(Protocol):
    """Decides once: one row a sample. Every method is one transaction, or one a small group of rows."""

    async def called(self, identities: Iterable[str]) -> dict[str, str]:
        """Return what each is called: whoever was forgotten by a name that leads to nobody, everybody else as ever."""

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        """Insert the rows that are absent; return what the table holds for each id.

        A group is what one message asks for, all or none: where its first row is held with another payload, none of
        its rows are inserted.

        Raises:
            ForgottenMeanwhile: If one is of somebody who was forgotten, by the name that they had.
        """

    async def attempt(self, sample_ids: Sequence[str]) -> dict[str, int]:
        """Count one more attempt for each row; return the counts."""

    async def take_back_attempt(self, sample_ids: Sequence[str]) -> None:
        """Take back one attempt of each row: it ended in order, without an outcome and through no fault of theirs."""

    async def child_death(self, sample_id: str) -> int:
        """Count the death of a child process that examined this sample alone; return the count."""

    async def registered(self, sample_ids: Sequence[str]) -> dict[str, Registered]:
        """Return what the table holds of those of the samples that are registered."""

    async def pin_versions(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Give each row its model version unless it has one; return the versions that the rows hold."""

    async def repin_versions(self, sample_ids: Sequence[str], *, retired: str, served: str) -> dict[str, Registered]:
        """Give rows that are in flight, have no image yet and hold ``retired`` the version ``served`` instead.

        Return what the table holds of all of them: whose image was made meanwhile keeps its version.
        """

    async def pin_images(self, images: Mapping[str, ImageRef], *, version: str | None = None) -> dict[str, ImageRef]:
        """Give each row its image unless it has one; return the images that the rows hold.

        Args:
            images: By sample id.
            version: The model version that made them: a row that holds another one is left out, and is not returned.

        Raises:
            ForgottenMeanwhile: If one is of somebody who was forgotten; then none is pinned.
        """

    async def decide(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Store each outcome unless the row has one; return what the rows hold, in the given order.

        Raises:
            ForgottenMeanwhile: If one speaks of somebody who was forgotten by the name that they had; then none is
                stored.
        """

    async def outcomes(self, sample_ids: Sequence[str]) -> dict[str, Outcome]:
        """Return the stored outcomes of those of the samples that have one."""

    async def unpublished(self, older_than: datetime, limit: int) -> list[Outcome]:
        """Return outcomes that were decided before ``older_than`` and never noted as delivered, oldest first."""

    async def published(self, delivered: Mapping[str, datetime]) -> None:
        """Note that records were delivered: sample id to the record's time.

        A row that holds another end by now is left alone: a late note must not hide that one is still to be delivered.
        """

    async def in_flight(
        self, older_than: datetime, limit: int, *, after: Registration | None = None
    ) -> list[Registration]:
        """Return rows that were registered before ``older_than`` and have no outcome, oldest first.

        The next ones are those ``after`` the last one.
        """

    async def delivers_to(self, cluster: str, *, newer_than: datetime) -> int:
        """Note to which Kafka cluster outcomes go; the first time that is all.

        Another one than before has none of the records: those of outcomes decided since ``newer_than`` count as never
        delivered from now on. Return how many these are.
        """


class Redrives(Protocol):
    """Takes dead letters back: the ledger's side of a redrive. Every method is one transaction."""

    async def reopen(self, sample_id: str, *, at: datetime, note: str, most: int | None) -> Redrive | None:
        """Write the audit row and put the sample back in flight, both or neither; None where there is nothing to do.

        There is nothing to do for a row that is absent, not dead, or not noted as delivered; for one that was reopened
        ``most`` times (None: no limit); and for a message that named no sample, once it was sent back: its row stays
        dead, because the message will have another place and so another id.
        """

    async def history(self, sample_ids: Sequence[str]) -> list[Redrive]:
        """Return every redrive of these ids, the oldest first."""

    async def unsent(self) -> list[Redrive]:
        """Return what was taken back and is not known to be delivered, the oldest first."""

    async def sent(self, redrive: Redrive, *, at: datetime) -> None:
        """Note that the message was delivered."""


class Agreed(Protocol):
    """Who agreed to what, as a verdict needs it."""

    async def entries(self, identities: Sequence[str]) -> dict[str, tuple[Entry, ...]]:
        """Return all entries of each, in the order of the register; none for whoever is not in it."""


class ConsentRegister(Agreed, Protocol):
    """Who agreed to what. Nothing is kept in between: what is asked after an entry was added, knows it."""

    async def states(self, identities: Sequence[str], now: datetime) -> dict[str, Consent]:
        """Return how each one's consent to be generated stands, whatever its terms."""

    async def grant(
        self,
        identity: str,
        *,
        evidence: str,
        at: datetime,
        expires: datetime | None,
        purpose: Purpose = Purpose.GENERATION,
        terms: Terms = ANYWHERE,
        digest: str | None = None,
    ) -> None:
        """Record that consent was given.

        Args:
            identity: By whom.
            evidence: Where it can be seen.
            at: From when on.
            expires: Until when; None = until it is withdrawn.
            purpose: To what.
            terms: By which models, and where.
            digest: SHA-256 of the file that shows it.
        """

    async def withdraw(self, identity: str, *, at: datetime, note: str, purpose: Purpose | None = None) -> None:
        """Record that consent was withdrawn, to everything where no purpose is named."""

    async def unannounced(self, limit: int, *, of: str | None = None) -> list[Entry]:
        """Return entries that were not published yet, the oldest first; of one person where one is named."""

    async def announced(self, numbers: Sequence[int]) -> None:
        """Note that entries were published."""


class Erasures(Protocol):
    """Forgets people in the ledger: their rows stay and are counted, and lead to nobody. Each call may be repeated."""

    async def begin(self, identity: str, *, at: datetime) -> Erasure:
        """Withdraw all consent, and begin a forgetting; return the one that has begun before, where there is one."""

    async def note(self, erasure: Erasure, inventory: Inventory) -> Inventory:
        """Add what was found to what is to be deleted, and return all of it: whoever goes on later knows it."""

    async def samples_of(self, erasure: Erasure) -> set[str]:
        """Return the ids of the person's samples, once they are renamed."""

    async def pictured(self, images: Collection[str]) -> set[str]:
        """Return those of the images that a row points at."""

    async def under_way(self, *, before: datetime, of: str | None = None) -> int:
        """Return how many samples that were registered ``before`` have no end: of one person, or at work by anybody."""

    async def rename(self, erasure: Erasure, identity: str, *, at: datetime) -> Inventory:
        """Take the name from every row and from the consent register, and mean nobody by it from then on.

        All of it or nothing; return what is to be deleted, with the images that the rows pointed at.
        """

    async def unchart(self, erasure: Erasure, identity: str) -> None:
        """Take the person out of the charts and out of the clips, once renamed, and note how much was there.

        Charts of others stay as they are, and so do points of charts that others are in too.
        """

    async def sweep(self, erasure: Erasure, identity: str) -> Swept:
        """Empty what is delivered of the person's samples, and take the name out of everybody else's rows."""

    async def finish(self, erasure: Erasure, *, at: datetime) -> None:
        """Note that all was done."""

    async def close(self, erasure: Erasure) -> None:
        """Forget also by what the person would be found again; only how much there was is kept."""

    async def lift(self, identity: str, *, at: datetime) -> bool:
        """Have a name mean somebody again; return whether it meant nobody."""

    async def left(self, identity: str) -> Mentions:
        """Return where the name stands, in any table."""

    async def compact(self) -> bool:
        """Write the database anew without what was deleted; False where only its operator can do that."""


class Vectors(Protocol):
    """Everything that is kept as vectors, in every embedding space."""

    async def find(self, identity: str, sample_ids: Collection[str]) -> Inventory:
        """Return what there is of somebody and of these samples."""

    async def depicted(self, images: Collection[str], *, except_of: str) -> set[str]:
        """Return those of the images that are references of anybody else."""

    async def erase(self, identity: str, sample_ids: Collection[str]) -> bool:
        """Delete it; return whether its bytes are gone with it.

        May be repeated, also after it was cut off. Everybody else is found as before, but for moments in which the
        server has no such collection.
        """

    async def left(self, identity: str, sample_ids: Collection[str]) -> dict[str, int]:
        """Return how many rows a search of each collection still finds; those with none are left out."""


class Courier(Protocol):
    """Takes registered requests to where the workers read them. What is down is its own affair: it raises nothing."""

    async def hand_over(self, request: GenerationRequested, *, at: datetime, trace: Headers = ()) -> bool:
        """Publish a request as of ``at``; return whether it is known to be published.

        Where it is not, nobody is kept waiting and nothing is raised: the reconciler brings it from the ledger.
        """


class ChartBook(Protocol):
    """The samples that charts are made of, and what was made of them. Every method is one transaction."""

    async def put(self, observations: Sequence[Observation]) -> list[str]:
        """Store those that are not there yet; return the scopes of all of them, sorted.

        Those of whoever was forgotten are left out: their verdicts lie on the topics for weeks.
        """

    async def pages(self, scopes: Sequence[str]) -> list[Page]:
        """Return the pages of those of the scopes that have something new in a closed window, or in a training step."""

    async def turn(self, turned: Sequence[Turned], *, at: datetime) -> bool:
        """Write what the pages have become, and what is to be told of it, found out ``at`` that time.

        Return whether all were written: one that somebody else has written to meanwhile is left as it is.
        """

    async def untold(self, limit: int) -> list[tuple[str, Record]]:
        """Return what is to be told and was never noted as delivered, by its id, in the order in which it came up."""

    async def told(self, ids: Sequence[str]) -> None:
        """Note that these were delivered."""


class ClipBook(Protocol):
    """The frames of clips, and what was said of them. Every method is one transaction."""

    async def put(self, frames: Sequence[Gathered], *, until: datetime) -> None:
        """Store those that are not there yet, and note ``until`` when the stream has gone on.

        Those of whoever was forgotten are left out: their verdicts lie on the topics for weeks.
        """

    async def pages(self) -> list[ClipPage]:
        """Return the pages of some clips that have something new and are complete; none where there are no more.

        A clip is complete once all its frames are there, where it was said how many it has; or else once the stream has
        gone on without it for long enough.
        """

    async def turn(self, turned: Sequence[ClipTurned], *, at: datetime) -> None:
        """Write what is said of clips, and what is to be told of it, found out ``at`` that time.

        A clip that somebody else has written to meanwhile is left as it is: its page comes again. What is to be told
        is told by the book of charts.
        """


class Clock(Protocol):
    """What time it is."""

    def __call__(self) -> datetime:
        """Return the time now, with a time zone."""


@dataclass(frozen=True)
class SecondVerifier:
    """Who is enrolled for the second verifier, in its own embedding space. Its embeddings come from the examiner."""

    space: EmbeddingSpace
    gallery: Gallery


class Appraising(Protocol):
    """What a verdict on an image needs, wherever the image comes from; ``Services`` has it among the rest."""

    @property
    def examiner(self) -> TwofoldExaminer:
        """Looks at the image."""

    @property
    def imprinter(self) -> Imprinter:
        """Makes what copies are recognised by."""

    @property
    def gallery(self) -> Searched:
        """Whom it may show."""

    @property
    def originals(self) -> Compared:
        """What it may be a copy of."""

    @property
    def consent(self) -> Agreed:
        """Who agreed."""

    @property
    def policy(self) -> Policy:
        """The limits."""

    @property
    def now(self) -> Clock:
        """When it is."""

    @property
    def cohort(self) -> Cohort | None:
        """Strangers against whom scores are normalised; None where they are not."""

    @property
    def second(self) -> SecondVerifier | None:
        """Who else has to agree; None: nobody."""


#: What services hold beside ports: values, which are nobody's answer to wait for. Only in ``second`` lies a port.
_VALUES = ("policy", "plan", "now", "cohort", "second", "explain")


def each_port(services: S, instead: Callable[[str, Any], Any]) -> S:
    """Return services, which are a dataclass, with ``instead(name, port)`` in the place of every port.

    The gallery of the second verifier is one of them, by the name ``second.gallery``.
    """
    if not is_dataclass(services) or isinstance(services, type):
        raise TypeError(f"expected services as a dataclass, got {type(services).__name__}")
    held = {field.name: getattr(services, field.name) for field in fields(services)}
    changed = {name: instead(name, port) for name, port in held.items() if name not in _VALUES}
    if isinstance(second := held.get("second"), SecondVerifier):
        changed["second"] = replace(second, gallery=instead("second.gallery", second.gallery))
    return replace(services, **changed)


@dataclass(frozen=True)
class Services:
    """All that ``generate`` and ``judge`` use. Built once, by the composition root."""

    generator: Generator
    examiner: TwofoldExaminer
    lone_examiner: Examiner
    """Examines in a child process of its own, so that an image that kills its reader kills no other; never rough."""
    imprinter: Imprinter
    describer: Describer
    gallery: Gallery
    originals: Originals
    images: Images
    ledger: Ledger
    consent: ConsentRegister
    policy: Policy
    now: Clock
    cohort: Cohort | None = None
    """Strangers by whom the policy has similarities normalised; None where it compares plain ones."""
    second: SecondVerifier | None = None
    """None where one verifier is enough."""
    explain: Explained = "flagged"
    """Which verdicts say how the face differs from the references."""


@dataclass(frozen=True)
class Monitoring:
    """All that ``monitor`` uses. Built once, by the composition root."""

    charts: ChartBook
    clips: ClipBook
    gallery: Gallery
    plan: Plan
    now: Clock
