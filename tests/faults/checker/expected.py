"""What the manifest demands, sample by sample: whatever is not among it, nobody has asked for."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from streams.tools.audit.records import derived
from tests.faults.checker.ends import place_id
from tests.faults.manifest import Asked, Manifest, Poisoned, Trained

Place = tuple[str, int, int]
"""Topic, partition and offset of a message."""


@dataclass(frozen=True)
class Expected:
    """How one sample must end."""

    what: str
    """What people call it."""
    end: str
    """``judged``, ``flagged`` or ``dead``."""
    reasons: Collection[str]
    """Where not empty, the primary reason must be one of them."""
    needed: bool
    """Whether it must have an end at all: the broker has acknowledged the message."""
    poison: bool = False
    place: Place | None = None
    """Where the message is, if it names no sample."""

    def objection(self, decision: str, reasons: tuple[str, ...]) -> str | None:
        """Return what is wrong with an end, None where it is as demanded."""
        right = decision == self.end or (self.end == "judged" and decision in ("accepted", "flagged"))
        if right and (not self.reasons or (reasons[:1] and reasons[0] in self.reasons)):
            return None
        wanted = f"{self.end} ({' or '.join(sorted(self.reasons))})" if self.reasons else self.end
        return f"{self.what} must end as {wanted}, ended as {decision} ({', '.join(reasons) or 'no reason'})"


class Demands:
    """Everything that was asked, by sample id."""

    def __init__(self, manifest: Manifest) -> None:
        """Derive the id of everything in the manifest."""
        self._by_id: dict[str, Expected] = {}
        self._by_place: dict[Place, Expected] = {}
        self._unplaced: list[Poisoned] = []
        for asked in manifest.asked:
            self._ask(asked)
        for trained in manifest.training:
            self._train(trained)
        for poison in manifest.poison:
            self._poison(poison)

    def __iter__(self) -> Iterator[tuple[str, Expected]]:
        return iter(self._by_id.items())

    @property
    def samples(self) -> int:
        """How many samples were asked for, poison not counted."""
        return sum(one.needed and not one.poison for one in self._by_id.values())

    def of(self, sample_id: str, source: Place | None) -> Expected | None:
        """Return what is demanded of a sample; None where nobody has asked for it.

        Args:
            sample_id: Its id.
            source: Of a dead letter, where its message was. Poison that names no sample is known by its place, though
                bytes that no consumer can read come as others; where nobody was told its place, by its bytes.
        """
        found = self._by_id.get(sample_id)
        if found is None and source is not None:
            if source in self._by_place:
                return self._by_place[source]
            for poison in self._unplaced:
                if poison.topic == source[0] and place_id(*source, poison.value_sha256) == sample_id:
                    return self._poisoned(poison, needed=False)
        return found

    def _add(self, sample_id: str, expected: Expected) -> None:
        before = self._by_id.get(sample_id)
        if before is None or not before.needed:
            self._by_id[sample_id] = expected

    def _ask(self, asked: Asked) -> None:
        for index in range(asked.count):
            what = f"sample {index} of request {asked.request_id} of {asked.source}"
            sample_id = derived("generation", asked.source, asked.request_id, index)
            self._add(sample_id, Expected(what, asked.end, asked.reasons, asked.acknowledged))

    def _train(self, trained: Trained) -> None:
        what = f"training sample {trained.index} of step {trained.step} of {trained.run_id}"
        sample_id = derived("training", trained.run_id, trained.step, trained.index)
        self._add(sample_id, Expected(what, trained.end, trained.reasons, trained.acknowledged))

    def _poison(self, poison: Poisoned) -> None:
        placed = poison.partition is not None and poison.offset is not None
        for sample_id in poison.sample_ids:
            self._add(sample_id, self._poisoned(poison, needed=placed))
        if poison.sample_ids:
            return
        if poison.partition is None or poison.offset is None:
            self._unplaced.append(poison)
            return
        place = (poison.topic, poison.partition, poison.offset)
        self._by_place[place] = self._poisoned(poison, needed=True, place=place)
        self._add(place_id(*place, poison.value_sha256), self._by_place[place])

    @staticmethod
    def _poisoned(poison: Poisoned, *, needed: bool, place: Place | None = None) -> Expected:
        what = f"poison {poison.name} on {poison.topic}"
        return Expected(what, poison.end, poison.reasons, needed, poison=True, place=place)
