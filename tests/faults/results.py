"""What a whole run comes to, in numbers."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.kinds.fault import Happened
from tests.faults.phase import Outcome

#: What a run must have none of, as the checker calls it.
ANOMALIES = (
    "lost",
    "conflicting",
    "phantom",
    "unaccounted",
    "wrong_dead",
    "misjudged",
    "inexact",
    "unordered_commit",
    "missing_image",
    "missing_embedding",
    "unwatched",
)


@dataclass
class Results:
    """Everything that was done and found."""

    seed: int
    kind: str
    machine: Mapping[str, Any]
    outcomes: list[Outcome] = field(default_factory=list)
    mutations: Mapping[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """What kept the run itself from its end."""
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether every phase came to its end and nothing is wrong with any of it."""
        whole = bool(self.outcomes) and not self.broken
        phases = all(one.settled and one.checked.get("sound") for one in self.outcomes)
        trials = self.mutations.get("mutations_caught") == self.mutations.get("mutations") and self.mutations.get(
            "controls_clean"
        ) == self.mutations.get("controls")
        return whole and phases and trials

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, the sums first."""
        checked = [one.checked for one in self.outcomes]
        happened = [one for outcome in self.outcomes for one in outcome.happened]
        records = sum(one.get("records", 0) for one in checked)
        duplicates = sum(one.get("duplicates", 0) for one in checked)
        stops = [seconds for outcome in self.outcomes for seconds in outcome.stops]
        return {
            "sound": self.sound,
            "samples": sum(one.get("samples", 0) for one in checked),
            "faults": sum(not one.failed for one in happened),
            **{name: sum(one.get(name, 0) for one in checked) for name in ANOMALIES},
            "mutations_caught": self.mutations.get("mutations_caught", 0),
            "mutations": self.mutations.get("mutations", 0),
            "records": records,
            "duplicates": duplicates,
            "duplicates_percent": round(100 * duplicates / max(1, records), 3),
            "unmet": sum(bool(one.failed) for one in happened),
            "settled": bool(self.outcomes) and all(one.settled for one in self.outcomes),
            "broken": self.broken,
            "kind": self.kind,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "classes": classes(happened),
            "sigterm_seconds": spread(stops),
            "most_rss_mib": _most_rss(self.outcomes),
            "exits": dict(sum((Counter(one.exits) for one in self.outcomes), Counter())),
            "policy_changes": sum(one.flips for one in self.outcomes),
            "poison": sum(one.poison for one in self.outcomes),
            "oddities": [odd for one in self.outcomes for odd in one.oddities],
            "phases": [_phase(one) for one in self.outcomes],
            "failed_faults": [f"{one.name}: {one.failed}" for one in happened if one.failed],
            "controls": self.mutations.get("controls", 0),
            "controls_clean": self.mutations.get("controls_clean", 0),
            "trials": self.mutations.get("trials", []),
            "machine": dict(self.machine),
        }


def _phase(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "seconds": round(outcome.seconds, 1),
        "settled": outcome.settled,
        "faults": sum(not one.failed for one in outcome.happened),
        **outcome.checked,
    }


def _most_rss(outcomes: Iterable[Outcome]) -> dict[str, int]:
    most: dict[str, int] = defaultdict(int)
    for outcome in outcomes:
        for role, rss in outcome.most_rss.items():
            most[role] = max(most[role], round(rss / 2**20))
    return dict(most)


def classes(happened: Sequence[Happened]) -> dict[str, dict[str, Any]]:
    """Return, for each class of faults, how many there were and how soon the road recovered."""
    by_name: dict[str, list[Happened]] = defaultdict(list)
    for one in happened:
        by_name[one.name].append(one)
    return {
        name: {
            "count": sum(not one.failed for one in some),
            "failed": sum(bool(one.failed) for one in some),
            "recovery_seconds": _recovery(some),
            "recovery_seconds_alone": _recovery(one for one in some if one.alone),
        }
        for name, some in sorted(by_name.items())
    }


def _recovery(happened: Iterable[Happened]) -> dict[str, float] | None:
    return spread([one.recovered_seconds for one in happened if one.recovered_seconds is not None])


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return how many values there are, the median, the 95th percentile and the largest; None where there are none.

    >>> spread([3.0, 1.0, 2.0])
    {'n': 3, 'p50': 2.0, 'p95': 3.0, 'max': 3.0}
    """
    if not values:
        return None
    ordered = sorted(values)
    # The nearest rank: a value that was measured.
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    found = {"p50": statistics.median(ordered), "p95": p95, "max": ordered[-1]}
    return {"n": len(ordered)} | {name: round(value, 2) for name, value in found.items()}
