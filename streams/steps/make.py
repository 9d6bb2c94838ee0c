"""Having images made: one version at a time, each pinned as soon as it is stored, and nobody pays for another."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.core.deadletter import Burial
from streams.core.faces import Pixels
from streams.core.ledger import Registered
from streams.core.records import Message
from streams.core.subject import Subject
from streams.errors import DependencyUnavailable, ForgottenMeanwhile, GeneratorRejected, VersionRetired
from streams.events import DeadReason, ImageRef
from streams.ports import Prompt, Services

#: At most so many images are made, stored and pinned before the next ones: a crash repeats no more than these.
MADE_TOGETHER = 32


@dataclass(frozen=True)
class Order:
    """One sample that was asked for, and the message that asked."""

    subject: Subject
    message: Message
    prompt: Prompt
    frame: ImageRef | None = None
    """Where the prompt's source frame lies."""

    def as_held(self, row: Registered) -> "Order":
        """Return it with the version and the image that the ledger holds: they were pinned together."""
        pinned = row.registration
        return replace(self, subject=replace(self.subject, model_version=pinned.model_version, image=pinned.image))


async def make(orders: Sequence[Order], services: Services) -> tuple[dict[str, Order], list[Burial]]:
    """Have the images made that are not there yet; return by sample id what has one, and what was refused.

    Raises:
        DependencyUnavailable: If not all could be made now. What was made until then is pinned.
    """
    work = _Work(services)
    work.add(orders)
    while work.groups:
        await work.next_group()
    return work.made, work.refused


@dataclass
class _Work:
    """What is left to make, in groups of one version of one model, and what came of the rest."""

    services: Services
    groups: deque[Sequence[Order]] = field(default_factory=deque)
    made: dict[str, Order] = field(default_factory=dict)
    refused: list[Burial] = field(default_factory=list)
    _retired: set[tuple[str, str]] = field(default_factory=set)

    def add(self, orders: Iterable[Order]) -> None:
        """Sort orders into groups; those that have an image are made."""
        by_version: dict[tuple[str, str | None], list[Order]] = defaultdict(list)
        for order in orders:
            if order.subject.image:
                self.made[order.subject.sample_id] = order
            else:
                by_version[order.subject.model, order.subject.model_version].append(order)
        for alike in by_version.values():
            self.groups.extend(alike[start : start + MADE_TOGETHER] for start in range(0, len(alike), MADE_TOGETHER))

    async def next_group(self) -> None:
        """Make the next group, or as much of it as the model takes at once."""
        group = self.groups.popleft()
        subject = group[0].subject
        prompts = [order.prompt for order in group]
        try:
            pixels = await self.services.generator.generate(subject.model, subject.model_version or "", prompts)
        except VersionRetired as error:
            await self._repin(group, error)
        except GeneratorRejected as error:
            self._refuse(group, error)
        else:
            await self._keep(group[: len(pixels)], pixels)
            if rest := group[len(pixels) :]:
                self.groups.appendleft(rest)

    async def _keep(self, group: Sequence[Order], pixels: Sequence[Pixels]) -> None:
        """Store and pin images; of each sample that one counts which the ledger holds."""
        images = {
            order.subject.sample_id: await self.services.images.put_pixels(picture)
            for order, picture in zip(group, pixels, strict=True)
        }
        try:
            held = await self.services.ledger.pin_images(images, version=group[0].subject.model_version)
        except ForgottenMeanwhile:
            await self._remove_of_forgotten(group, images)
            raise
        for order in group:
            if image := held.get(order.subject.sample_id):
                self.made[order.subject.sample_id] = replace(order, subject=replace(order.subject, image=image))
        # Another worker met a server without this version, and pinned the one it found before our image was there.
        lost = [order for order in group if order.subject.sample_id not in held]
        if lost:
            self._add_as_held(lost, await self.services.ledger.registered([o.subject.sample_id for o in lost]))

    async def _remove_of_forgotten(self, group: Sequence[Order], images: Mapping[str, ImageRef]) -> None:
        """Take images back that no row leads to: whoever forgot somebody looked for them before they were here."""
        called = await self.services.ledger.called({order.subject.identity for order in group})
        for order in group:
            if called[order.subject.identity] != order.subject.identity:
                await self.services.images.remove(images[order.subject.sample_id].sha256)

    async def _repin(self, group: Sequence[Order], error: VersionRetired) -> None:
        """Have a group made in the version that is served now; what was made in its own keeps that one.

        Raises:
            DependencyUnavailable: If that version was retired, too, a moment ago: servers that differ take turns.
        """
        model, version = group[0].subject.model, group[0].subject.model_version or ""
        self._retired.add((model, version))
        if (model, error.served) in self._retired:
            detail = f"{error}; that one was retired a moment ago: let all servers have the same versions of {model!r}"
            raise DependencyUnavailable("triton", detail) from error
        ids = [order.subject.sample_id for order in group]
        held = await self.services.ledger.repin_versions(ids, retired=version, served=error.served)
        self._add_as_held(group, held)

    def _add_as_held(self, group: Sequence[Order], held: Mapping[str, Registered]) -> None:
        self.add(order.as_held(held[order.subject.sample_id]) for order in group)

    def _refuse(self, group: Sequence[Order], error: GeneratorRejected) -> None:
        """Look for the one that is refused: each half is asked for by itself, and what is refused alone is refused."""
        if len(group) > 1:
            middle = len(group) // 2
            self.groups.extendleft([group[middle:], group[:middle]])
            return
        order, name = group[0], type(error).__name__
        self.refused.append(
            Burial(order.subject.sample_id, order.message, DeadReason.GENERATOR_REJECTED, str(error), exception=name)
        )
