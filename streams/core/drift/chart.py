"""What a chart is of, which windows it has, and what one verdict adds to which charts."""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pydantic import TypeAdapter, ValidationError

from streams.events import Name, ReasonCode, SampleJudged

#: Similarities as integers, in units of what similarities are rounded to: they add and compare exactly.
PER_SIMILARITY = 10_000
#: The score of a sample in which no face was found: less similar than any.
NO_FACE = -PER_SIMILARITY - 1

#: Reasons that are nobody's drift: no generator made these, or nothing is enrolled to compare them with.
_NOT_MADE = frozenset({ReasonCode.NO_CONSENT, ReasonCode.NO_REFERENCE})


_NAME = TypeAdapter(Name)
_LAST_STEP = 2**62


class Kind(StrEnum):
    """What a chart looks at, and how its windows are cut."""

    IDENTITY = "identity"
    """One identity by one model version, by time."""
    MODEL = "model"
    """All identities by all versions of a model, by time."""
    RUN = "run"
    """One training run; each step is a window."""


@dataclass(frozen=True)
class Chart:
    """One stream of samples, charted by itself. What it is not about is empty."""

    kind: Kind
    model: str = ""
    version: str = ""
    identity: str = ""
    run: str = ""
    basis: str = ""
    """By which plan its windows are cut, and in which embedding space its similarities are: others do not mix in."""

    @cached_property
    def key(self) -> str:
        """The chart's name: as text that no names can collide in."""
        return _text(self.kind, self.model, self.version, self.identity, self.run, self.basis)

    @cached_property
    def scope(self) -> str:
        """The charts that share a calibration: all versions of a model are held to the same one."""
        return _text(self.kind, self.model, self.identity, self.run, self.basis)

    @staticmethod
    def of(key: str) -> "Chart":
        """Return the chart of this name; the inverse of ``key``.

        >>> Chart.of(Chart(Kind.RUN, run="a/b").key).title
        'run a/b'
        """
        kind, *names = json.loads(key)
        return Chart(Kind(kind), *names)

    @staticmethod
    def run_of(scope: str) -> str:
        """Return the training run that a scope is of."""
        return str(json.loads(scope)[3])

    @staticmethod
    def space_of(scope: str) -> str | None:
        """Return the fingerprint of the embedding space that a scope's similarities are in."""
        return str(json.loads(scope)[4]).partition(" ")[2] or None

    @property
    def title(self) -> str:
        """What people call it."""
        version = f"@{self.version}" if self.version else ""
        return f"run {self.run}" if self.kind is Kind.RUN else f"{self.model}{version} {self.identity}".strip()


@dataclass(frozen=True)
class Observation:
    """What one sample says to one chart. The same sample says the same for ever."""

    chart: Chart
    window: int
    """Number of the window since 1970, or the step."""
    sample_id: str
    at: int
    """When it was judged, in microseconds since 1970."""
    identity: str
    score: int | None
    """Its similarity in units of 1 / ``PER_SIMILARITY``; None where that is nobody's doing, as without consent."""
    margin: int | None
    """The same unit; None where nobody else is near."""
    reasons: tuple[str, ...]
    """Why it was flagged, the primary reason first; empty where it was accepted."""


def observe(judged: SampleJudged, *, window_seconds: int, plan: str) -> tuple[Observation, ...]:
    """Return what a verdict says to the charts that it belongs to; ``plan`` is the version of the plan.

    A generated sample that has no score says nothing to a chart; of a training step it counts as one of its samples.
    """
    basis = f"{plan} {judged.embedding_space or ''}"
    at = round(judged.judged_at.timestamp() * 1_000_000)
    codes = tuple(reason.code.value for reason in judged.reasons)
    score = None if judged.similarity is None else _units(judged.similarity)
    if score is None and judged.faces == 0 and not _NOT_MADE.intersection(reason.code for reason in judged.reasons):
        score = NO_FACE
    if judged.kind == "training":
        charts: tuple[Chart, ...] = (Chart(Kind.RUN, run=judged.source, basis=basis),)
        window = judged.step or 0
    elif score is None:
        return ()
    else:
        identity = Chart(Kind.IDENTITY, judged.model, judged.model_version or "", judged.identity, basis=basis)
        charts, window = (identity, Chart(Kind.MODEL, judged.model, basis=basis)), at // (window_seconds * 1_000_000)
    margin = None if judged.margin is None else _units(judged.margin)
    return tuple(
        Observation(chart, window, judged.sample_id, at, judged.identity, score, margin, codes) for chart in charts
    )


def unchartable(judged: SampleJudged) -> str | None:
    """Say why a verdict cannot be charted: strangers can write one with names that no request could have."""
    for field in ("source", "identity", "model", "model_version"):
        value = getattr(judged, field)
        try:
            _NAME.validate_python("none" if value is None else value)
        except ValidationError:
            return f"{field} should be a name of at most 200 letters, digits and . _ : / @ + -"
    return None if judged.step is None or 0 <= judged.step <= _LAST_STEP else f"step should be from 0 to {_LAST_STEP}"


def closed_before(kind: Kind, newest: int, *, window_seconds: int, lateness_seconds: int) -> int:
    """Return the first window that is still open, where ``newest`` is the latest time, or step, of the whole scope.

    >>> closed_before(Kind.MODEL, 130_000_000, window_seconds=60, lateness_seconds=10), closed_before(
    ...     Kind.RUN, 500, window_seconds=60, lateness_seconds=10
    ... )
    (2, 500)
    """
    return newest if kind is Kind.RUN else (newest - lateness_seconds * 1_000_000) // (window_seconds * 1_000_000)


def _units(similarity: float) -> int:
    return round(similarity * PER_SIMILARITY)


def _text(*names: str) -> str:
    return json.dumps(names, separators=(",", ":"), ensure_ascii=False)
