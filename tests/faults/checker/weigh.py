"""Holds what was found against what was asked, and calls every deviation by its name. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tests.faults.checker.ends import End
from tests.faults.checker.expected import Demands, Expected, Place
from tests.faults.checker.ledger import Row

#: What can be wrong, and what that means.
ANOMALIES = {
    "lost": "asked for and acknowledged, or noted as delivered, and nowhere to be found",
    "conflicting": "two different ends of one sample, or another one than the ledger's",
    "phantom": "an end that nobody asked for",
    "unaccounted": "still without an end, and its message still waits",
    "wrong_dead": "a dead letter where a verdict belongs, or poison that did not end as it must",
    "misjudged": "a verdict that the manifest rules out",
    "inexact": "the right end with another key, headers or time than the ledger's, or at odds with itself",
    "unordered_commit": "a committed offset beyond a message whose outcome was not durable",
    "missing_image": "a verdict on an image that the store has not, or has with other bytes",
    "missing_embedding": "a verdict on an embedding that is not there once, finite and of unit length",
    "unwatched": "nobody has seen the workers commit anything: nothing is known about commits",
}

#: So many of each kind are told with their reasons; all are counted.
TOLD = 50


@dataclass
class Findings:
    """What is wrong, sample by sample."""

    found: dict[str, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in ANOMALIES})
    """Name of the anomaly to sample id to why."""
    records: int = 0
    """Records on the topics on which samples end."""
    duplicates: int = 0
    """Records that repeat an end, the same to the byte."""

    def add(self, kind: str, sample_id: str, why: str) -> None:
        """Note an anomaly; of each sample one a kind."""
        self.found[kind].setdefault(sample_id, why)

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not any(self.found.values())

    def counts(self) -> dict[str, int]:
        """Return how many samples there are of each anomaly."""
        return {kind: len(found) for kind, found in self.found.items()}

    def told(self) -> dict[str, list[dict[str, str]]]:
        """Return the first ones of each anomaly, with why."""
        return {
            kind: [{"id": sample_id, "why": why} for sample_id, why in list(found.items())[:TOLD]]
            for kind, found in self.found.items()
            if found
        }


class Scales:
    """Takes every end once, then the rows and whatever still waits."""

    def __init__(
        self,
        demands: Demands,
        rows: Mapping[str, Row],
        *,
        policies: Collection[str] = (),
        taken_back: Collection[tuple[str, str, bytes]] = (),
    ) -> None:
        """Know what was asked and what the ledger says.

        Args:
            demands: What was asked.
            rows: The ledger's rows by sample id.
            policies: Versions of the policies that were in force; none: any will do.
            taken_back: Id, topic and digest of dead letters that end nothing any more.
        """
        self.findings = Findings()
        self.ends: dict[str, list[End]] = {}
        """The different ends of each sample, in the order in which they came: one each, unless something is wrong."""
        self._demands, self._rows = demands, rows
        self._buried: set[Place] = set()
        self._policies, self._taken_back = frozenset(policies), frozenset(taken_back)

    def see(self, end: End) -> None:
        """Take one record of the topics on which samples end."""
        if (end.sample_id, end.topic, end.value) in self._taken_back:
            return
        self.findings.records += 1
        expected = self._demands.of(end.sample_id, end.source)
        if expected is None:
            self._note("phantom", end, "ends what nobody asked for")
            return
        if end.fault is not None:
            self._note("inexact", end, end.fault)
        if end.source is not None:
            self._buried.add(end.source)
        known = self.ends.setdefault(end.sample_id, [])
        if any((one.topic, one.value) == (end.topic, end.value) for one in known):
            self.findings.duplicates += 1
        else:
            if known and known[0].verdict != end.verdict:
                self._note("conflicting", end, f"{_words(end)}; {known[0].place} says {_words(known[0])}")
            known.append(end)
            if expected is not None:
                self._hold_against(expected, end)
        self._compare(end, self._rows.get(end.sample_id))

    def _hold_against(self, expected: Expected, end: End) -> None:
        objection = expected.objection(end.decision, end.reasons)
        if objection is not None:
            dead = expected.poison or end.decision == "dead"
            self._note("wrong_dead" if dead else "misjudged", end, objection)
        if self._policies and end.policy is not None and end.policy not in self._policies:
            self._note("misjudged", end, f"judged by the policy {end.policy}, which was never in force")

    def _compare(self, end: End, row: Row | None) -> None:
        if row is None:
            self._note("conflicting", end, "the ledger has no row for it")
        elif row.topic is None:
            self._note("conflicting", end, "the ledger has not decided")
        elif (end.topic, end.value) != (row.topic, row.value):
            self._note("conflicting", end, f"another end than the ledger's, which is on {row.topic}")
        elif end.envelope != row.envelope or abs(end.time_ms - row.time_ms) > 1:  # one: rounding of microseconds
            self._note("inexact", end, "another key, other headers or another time than the ledger's")

    def _note(self, kind: str, end: End, why: str) -> None:
        self.findings.add(kind, end.sample_id or end.place, f"{end.place}: {why}")

    def settle(self, waiting: Collection[str]) -> Findings:
        """Look for what has no end; ``waiting`` are ids that messages beyond the committed offsets ask for."""
        for sample_id, expected in self._demands:
            row = self._rows.get(sample_id)
            if sample_id in self.ends or expected.place in self._buried or (row is None and not expected.needed):
                continue
            if expected.poison:
                self.findings.add("wrong_dead", sample_id, f"{expected.what} has no end")
            elif row is not None and row.published_at is not None:
                why = f"{expected.what}: the ledger notes its end as delivered, {row.topic} has no record of it"
                self.findings.add("lost", sample_id, why)
            else:
                kind = "unaccounted" if sample_id in waiting else "lost"
                self.findings.add(kind, sample_id, f"{expected.what} has no end; the ledger says {_state(row)}")
        for sample_id, row in self._rows.items():
            asked = self._demands.of(sample_id, None) is not None
            if row.state != "in_flight" and not asked and sample_id not in self.ends:
                self.findings.add("phantom", sample_id, f"the ledger says {row.state} of what nobody asked for")
        return self.findings


def _words(end: End) -> str:
    reasons = f" for {', '.join(end.reasons)}" if end.reasons else ""
    return f"{end.decision}{reasons} by policy {end.policy}"


def _state(row: Row | None) -> str:
    return "nothing" if row is None else row.state
