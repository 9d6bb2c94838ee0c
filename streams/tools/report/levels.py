"""The verdicts, summed up: by strength σ and by reason."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from streams.events import ABSTENTIONS, Decision, SampleJudged
from streams.tools.report.words import REASONS


@dataclass(frozen=True)
class Level:
    """Samples, most often all that were made with one strength."""

    strength: float | None
    """σ in [0, 1]; None of samples that name none, such as those of a training run."""
    samples: tuple[SampleJudged, ...]

    @property
    def label(self) -> str:
        """How the level is called in text."""
        return "no σ" if self.strength is None else f"σ = {self.strength:g}"

    @property
    def accepted(self) -> int:
        """Samples that were accepted."""
        return sum(judged.decision is Decision.ACCEPTED for judged in self.samples)

    @property
    def flagged(self) -> int:
        """Samples that were flagged, those that could not be judged among them."""
        return len(self.samples) - self.accepted

    @property
    def reasons(self) -> dict[str, int]:
        """Primary reason of the flagged samples to their number."""
        return dict(Counter(judged.reasons[0].code.value for judged in self.samples if judged.reasons))

    @property
    def abstained(self) -> int:
        """Samples that could not be judged."""
        return sum(abstains(judged) for judged in self.samples)

    @property
    def similarities(self) -> list[float]:
        """Of every sample that has one, in [-1, 1]."""
        return [judged.similarity for judged in self.samples if judged.similarity is not None]

    @property
    def mean(self) -> float | None:
        """Mean similarity."""
        return statistics.fmean(self.similarities) if self.similarities else None

    @property
    def spread(self) -> float:
        """Standard deviation of the similarities; 0 of fewer than two."""
        return statistics.stdev(self.similarities) if len(self.similarities) > 1 else 0.0


@dataclass(frozen=True)
class ReasonLine:
    """One reason, and how often it was given."""

    code: str
    meaning: str
    primary: int
    """Samples of which it is the gravest reason."""
    given: int
    """Samples that it was given for at all."""


def abstains(judged: SampleJudged) -> bool:
    """Say whether the sample could not be judged: that is not the same as judged and wrong."""
    return bool(judged.reasons) and judged.reasons[0].code in ABSTENTIONS


def by_strength(samples: Sequence[SampleJudged]) -> list[Level]:
    """Return the levels in rising order, the one without a strength last; samples in order of similarity.

    Samples that were never made are in none of them: they wandered nowhere.
    """
    groups: defaultdict[float | None, list[SampleJudged]] = defaultdict(list)
    for judged in samples:
        if judged.image is not None:
            groups[judged.strength].append(judged)
    order = sorted(groups, key=lambda strength: (strength is None, strength or 0.0))
    return [Level(strength, tuple(sorted(groups[strength], key=_nearest_first))) for strength in order]


def unmade(samples: Sequence[SampleJudged]) -> Level:
    """Return the samples that were never made, for want of consent or of enrolled images."""
    return Level(None, tuple(judged for judged in samples if judged.image is None))


def by_reason(samples: Sequence[SampleJudged]) -> list[ReasonLine]:
    """Return the reasons that were given, the most frequent primary one first."""
    primary = Counter(judged.reasons[0].code for judged in samples if judged.reasons)
    given = Counter(code for judged in samples for code in {reason.code for reason in judged.reasons})
    lines = [ReasonLine(code.value, meaning, primary[code], given[code]) for code, meaning in REASONS.items()]
    return sorted((line for line in lines if line.given), key=lambda line: (-line.primary, -line.given))


def choose(level: Level, most: int) -> list[SampleJudged]:
    """Return at most ``most`` samples: accepted and flagged mixed, every reason if there is room.

    The nearest to and the farthest from the target are among them; in order of similarity.
    """
    accepted = [judged for judged in level.samples if judged.decision is Decision.ACCEPTED]
    flagged = _one_of_each_first([judged for judged in level.samples if judged.decision is Decision.FLAGGED])
    from_flagged = min(len(flagged), max(most // 2, most - len(accepted)))
    chosen = [*_spread(accepted, most - from_flagged), *flagged[:from_flagged]]
    return sorted(chosen, key=_nearest_first)


def _nearest_first(judged: SampleJudged) -> tuple[float, str]:
    return (2.0 if judged.similarity is None else -judged.similarity, judged.sample_id)


def _one_of_each_first(flagged: Sequence[SampleJudged]) -> list[SampleJudged]:
    """Order so that every primary reason comes once before any comes twice."""
    turn: Counter[str] = Counter()
    turns = []
    for place, judged in enumerate(flagged):
        code = judged.reasons[0].code
        turns.append((turn[code], place, judged))
        turn[code] += 1
    return [judged for _, _, judged in sorted(turns, key=lambda one: one[:2])]


def _spread(ordered: Sequence[SampleJudged], most: int) -> list[SampleJudged]:
    """Return ``most`` of them at even distances, both ends included."""
    if len(ordered) <= most:
        return list(ordered)
    if most < 2:
        return list(ordered[:most])
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]
