"""What a precision changes: samples judged three ways, counted."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.core.settled import difference
from streams.events import Precision, Reason, ReasonCode, SampleJudged
from streams.steps.appraise import Appraised


@dataclass
class Flips:
    """What came of all samples so far."""

    judged: int = 0
    faces: int = 0
    again: int = 0
    changed: list[str] = field(default_factory=list)
    """Samples on which the cascade and 32-bit floats disagree."""
    precisions: set[Precision | None] = field(default_factory=set)
    """Of the cascade's verdicts on faces."""
    alone_decided: int = 0
    alone_said: int = 0
    renamed: int = 0
    """Samples on which a reason of less weight names somebody else than in 32-bit floats."""
    cosines: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    stated: list[float] = field(default_factory=list)
    """Of the samples that were looked at once."""
    most_of_stated: float = 0.0
    """The largest part of its stated error by which a similarity of these is off."""
    decisions: Counter[str] = field(default_factory=Counter)
    """In 32-bit floats: accepted, or the primary reason."""

    def add(self, exact: Appraised, cascade: Appraised, alone: Appraised) -> None:
        """Count one sample: in 32-bit floats, through the cascade, and in the shorter numbers alone."""
        self.judged += 1
        self.decisions[exact.judged.reasons[0].code if exact.judged.reasons else "accepted"] += 1
        if verdict(cascade.judged) != verdict(exact.judged):
            self.changed.append(exact.judged.sample_id)
        self.alone_decided += alone.judged.decision != exact.judged.decision
        self.alone_said += verdict(alone.judged) != verdict(exact.judged)
        self.renamed += [*map(_names, cascade.judged.reasons)] != [*map(_names, exact.judged.reasons)]
        if exact.embedding is None or alone.embedding is None:
            return
        self.faces += 1
        self.again += cascade.measurement.precision is None
        self.precisions.add(cascade.judged.precision)
        if cascade.measurement.similarity_error is not None:
            self.stated.append(cascade.measurement.similarity_error)
            off = difference(exact.measurement, cascade.measurement)
            self.most_of_stated = max(self.most_of_stated, off / cascade.measurement.similarity_error)
        self.cosines.append(float(exact.embedding @ alone.embedding))
        self.errors.append(difference(exact.measurement, alone.measurement))

    def summary(self) -> dict[str, Any]:
        """Return the figures, in words."""
        return {
            "samples": self.judged,
            "with a face": self.faces,
            "verdicts changed by the cascade": len(self.changed),
            "bound on the share changed (rule of three, 95 %)": round(3 / self.judged, 6) if not self.changed else None,
            "changed": self.changed,
            "beside the primary reason another person named": self.renamed,
            "looked at again": round(self.again / self.faces, 4),
            "decisions changed by it alone": self.alone_decided,
            "verdicts changed by it alone": self.alone_said,
            "least cosine to fp32": round(min(self.cosines), 4),
            "largest error of a similarity": round(max(self.errors), 4),
            "stated error, median of those looked at once": round(float(np.median(self.stated)), 4),
            "largest part of a stated error": round(self.most_of_stated, 4),
            "in fp32": dict(self.decisions),
        }


def verdict(judged: SampleJudged) -> tuple[str, list[tuple[str, frozenset[str]]]]:
    """Return the decision, the reasons in order, whom each leak accuses and whom the primary reason names."""
    named = [
        (str(reason.code), _names(reason) if place == 0 or reason.code is ReasonCode.LEAK else frozenset())
        for place, reason in enumerate(judged.reasons)
    ]
    return str(judged.decision), named


def _names(reason: Reason) -> frozenset[str]:
    return frozenset(re.findall(r"synthetic-\d+", reason.text))
