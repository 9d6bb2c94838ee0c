"""From scores with labels to a policy whose limits have measured error rates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.core.biometrics import conformal
from streams.core.biometrics.agreement import agreement
from streams.core.biometrics.cohort import COHORT
from streams.core.biometrics.comparisons import Comparisons, Floats, contradictions
from streams.core.biometrics.measured import Place, digest, likelihood_ratio, operating_points, place_fmr, table
from streams.core.biometrics.rates import Det, det, eer, fmr_for, rates_at
from streams.core.biometrics.resampling import Interval
from streams.core.biometrics.tail import Tail, tail
from streams.core.calibration import Calibration
from streams.core.gallery import Origin
from streams.core.policy import Comparator, Domain, Limits, Normalisation, Policy, Second
from streams.core.similarity import DECIMALS
from streams.errors import BadInput
from streams.tools.rates.cohort_file import Vectors
from streams.tools.rates.cohort_file import digest as cohort_digest

#: The share of mated samples that may be flagged as ambiguous.
AMBIGUOUS = 0.05
#: So many of the nearest strangers of a cohort say what is usual.
TOP = 100
#: Steps of the table of rates by normalised scores, in standard deviations.
_SCORE_STEP = 0.1
#: Below so many people an error rate says little about others.
PEOPLE = 30


@dataclass(frozen=True)
class Targets:
    """What the limits are to keep."""

    fmr: float = 0.001
    """False match rate of one comparison, for the limit of similarity."""
    fpir: float = 0.01
    """False positive identification rate of one search of the whole gallery, for the limit of others."""
    gallery_size: int | None = None
    """Other people in that gallery; None: as many as were compared."""
    false_flags: float | None = None
    """Sets the limit of similarity instead of ``fmr``: the share of good samples that it may flag."""
    second_fmr: float | None = None
    """False match rate of the second verifier's limit; None: the policy does not require one."""
    normalised: bool = False
    """Whether the policy has similarity to the target score-normalised."""


@dataclass(frozen=True, eq=False)
class SecondEvidence:
    """What the second verifier measured."""

    comparisons: Comparisons
    """Of the same images, in the same order."""
    embedding_space: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was compared."""

    comparisons: Comparisons
    comparator: Comparator
    domain: Origin
    embedding_space: str
    measured_on: str
    """In words."""
    margins: Floats | None = None
    """Of mated samples: similarity to the target less that to the next identity; None where none was searched."""
    normalised: Comparisons | None = None
    """The same comparisons, score-normalised; None where there was no cohort."""
    cohort: Vectors | None = None
    """The strangers by whom they are, shape (k, d)."""
    second: SecondEvidence | None = None
    """None where there was no second verifier."""
    references: int | None = None
    """Images of a person in the median; None where no centroid was made from them."""
    images: int | None = None
    failures: int = 0
    missing: int = 0
    """Files that were named and could not be read."""


@dataclass(frozen=True, eq=False)
class Findings:
    """A calibration with all that the report shows."""

    policy: Policy
    measured: Calibration
    evidence: Evidence
    curve: Det
    eer: float
    eer_interval: Interval
    false_flags: Interval | None
    """Between what the share of good samples lies that the limit flags; None where that did not set the limit."""
    warnings: tuple[str, ...]


def calibrate(
    evidence: Evidence,
    targets: Targets,
    base: Policy,
    *,
    name: str,
    made_with: str,
    resamples: int = 500,
    seed: int = 0,
) -> Findings:
    """Measure, and return the policy that keeps the targets; limits that nothing was measured for are ``base``'s.

    Raises:
        BadInput: If there is too little to measure anything, or to keep ``false_flags``, or no second verifier to
            require.
    """
    comparisons = evidence.comparisons
    try:
        curve = det(comparisons.mated, comparisons.non_mated)
    except ValueError as error:
        raise BadInput(f"nothing can be calibrated from this: {error}") from error
    size, fitted = targets.gallery_size or max(1, comparisons.subjects - 1), tail(comparisons.non_mated)
    others, *own = _places(targets, size, comparisons, curve, fitted)
    points, eer_interval = operating_points([*own, others], comparisons, curve, fitted, times=resamples, seed=seed)
    limits, sources = _limits(own[-1], others, evidence.margins, base)
    normalisation = _normalisation(evidence, targets)
    if normalisation is not None:
        sources["similarity"] += "; not compared, as the judge normalises scores: see [normalisation]"
    measured = Calibration(
        measured_on=evidence.measured_on,
        scores_sha256=digest(comparisons),
        made_with=made_with,
        subjects=comparisons.subjects,
        mated=len(comparisons.mated),
        non_mated=len(comparisons.non_mated),
        references=evidence.references,
        images=evidence.images,
        failures_to_acquire=evidence.failures,
        gallery_size=size,
        sources=sources,
        operating_points=points,
        rates=table(curve, comparisons),
        likelihood_ratio=likelihood_ratio(comparisons),
        smallest_p_value=float(f"{conformal.smallest(len(comparisons.mated)):.4g}"),
    )
    policy = Policy(
        name=name,
        calibrated=True,
        provenance=_provenance(measured),
        holds_for=Domain(
            domain=evidence.domain,
            embedding_space=evidence.embedding_space,
            comparator="centroid/s-norm" if normalisation else evidence.comparator,
        ),
        limits=limits,
        normalisation=normalisation,
        second=_second(evidence, targets, limits, normalisation, times=resamples, seed=seed),
        calibration=measured,
    )
    flags = targets.false_flags and conformal.false_flags(measured.mated, targets.false_flags)
    warnings = tuple(_warnings(measured, evidence, [own[-1], others]))
    return Findings(policy, measured, evidence, curve, eer(curve), eer_interval, flags or None, warnings)


def _normalisation(evidence: Evidence, targets: Targets) -> Normalisation | None:
    """Return the limit of normalised scores that keeps the target, and the rates around it."""
    if not targets.normalised:
        return None
    scores = evidence.normalised
    if scores is None or evidence.cohort is None:
        raise BadInput("expected a cohort of strangers to normalise scores by, got none: see --cohort")
    curve, many = det(scores.mated, scores.non_mated), len(scores.non_mated)
    if targets.false_flags is None:
        target = f"FMR {targets.fmr:g}"
        place = place_fmr(target, targets.fmr, curve, tail(scores.non_mated), many, highest=math.inf)
    else:
        place = _conformal(scores.mated, targets.false_flags)
    fmr, fnmr = rates_at(curve, place.similarity)
    how = place.how if place.extrapolated else f"measured: FMR {fmr:.3g}, FNMR {fnmr:.3g}"
    return Normalisation(
        cohort=cohort_digest(evidence.cohort),
        strangers=len(evidence.cohort),
        top=TOP,
        limit=round(place.similarity, DECIMALS),
        provenance=f"{place.target}; {how} on {evidence.measured_on}",
        rates=table(curve, scores, step=_SCORE_STEP, highest=math.inf),
    )


def _second(
    evidence: Evidence,
    targets: Targets,
    limits: Limits,
    normalisation: Normalisation | None,
    *,
    times: int,
    seed: int,
) -> Second | None:
    """Return what the policy requires of the second verifier, and what that does to both error rates."""
    if targets.second_fmr is None:
        return None
    if evidence.second is None:
        raise BadInput(
            "expected what a second verifier measured of the same images, got nothing: set LIKENESS_SECOND_EMBEDDER"
        )
    comparisons = evidence.second.comparisons
    curve, many = det(comparisons.mated, comparisons.non_mated), len(comparisons.non_mated)
    place = place_fmr(f"FMR {targets.second_fmr:g}", targets.second_fmr, curve, tail(comparisons.non_mated), many)
    limit = round(place.similarity, DECIMALS)
    first, own = evidence.comparisons, limits.similarity
    if normalisation is not None and evidence.normalised is not None:
        first, own = evidence.normalised, normalisation.limit
    return Second(
        embedding_space=evidence.second.embedding_space,
        similarity=limit,
        provenance=f"{place.target} of the second verifier alone; {place.how} on {evidence.measured_on}",
        effect=agreement(first, comparisons, (own, limit), times=times, seed=seed),
    )


def _places(
    targets: Targets, size: int, comparisons: Comparisons, curve: Det, fitted: Tail | None
) -> tuple[Place, ...]:
    """Return where the limit of others lies, and where that of similarity does: the last of them is the one to take."""
    many, fmr = len(comparisons.non_mated), fmr_for(targets.fpir, size)
    others = place_fmr(f"FPIR {targets.fpir:g}, {size} others", fmr, curve, fitted, many)
    own = place_fmr(f"FMR {targets.fmr:g}", targets.fmr, curve, fitted, many)
    if targets.false_flags is None:
        return others, own
    return others, own, _conformal(comparisons.mated, targets.false_flags)


def _conformal(mated: Floats, alpha: float) -> Place:
    limit = conformal.limit(mated, alpha)
    if limit is None:
        raise BadInput(
            f"expected {round(1 / alpha) - 1} good samples at least to flag {alpha:g} of such, got {len(mated)}:"
            f" the smallest share that they can tell is {conformal.smallest(len(mated)):.2g}"
        )
    return Place(f"false flags {alpha:g}", limit)


def _limits(own: Place, others: Place, margins: Floats | None, base: Policy) -> tuple[Limits, dict[str, str]]:
    """Return the limits, and of each where it comes from."""
    values = base.limits.model_dump()
    sources = dict.fromkeys(values, f"of {base.version}; not measured here")
    for name, place in (("similarity", own), ("other_similarity", others)):
        values[name] = round(place.similarity, DECIMALS)
        sources[name] = f"{place.target}; {place.how}"
    if margins is not None and len(margins):
        values["margin"] = max(0.0, round(float(np.quantile(margins, AMBIGUOUS)), DECIMALS))
        sources["margin"] = f"{AMBIGUOUS:g} quantile of the margins of {len(margins)} mated samples"
    return Limits.model_validate(values), sources


def _provenance(measured: Calibration) -> str:
    return (
        f"Measured by {measured.made_with} on {measured.measured_on}: {measured.mated} mated and {measured.non_mated}"
        f" non-mated comparisons of {measured.subjects} people. Holds for people and images like these."
    )


def _warnings(measured: Calibration, evidence: Evidence, places: Sequence[Place]) -> list[str]:
    said = []
    if measured.subjects < PEOPLE:
        said.append(f"only {measured.subjects} people: rates of so few say little about others ({PEOPLE} at least)")
    said += [
        f"{place.target} is less than {measured.non_mated} non-mated comparisons can show: the limit is"
        f" {'extrapolated' if place.by_tail else place.how}"
        for place in places
        if place.extrapolated
    ]
    said += [f"no similarity keeps {place.target}: nothing would match" for place in places if place.similarity >= 1]
    if evidence.cohort is not None and len(evidence.cohort) < COHORT:
        said.append(f"only {len(evidence.cohort)} strangers say what is usual ({COHORT} at least)")
    if evidence.missing:
        said.append(f"{evidence.missing} files could not be read: nothing of them is in this")
    if wrong := len(contradictions(evidence.comparisons)):
        said.append(f"{wrong} pairs are labelled as different people though other pairs say that they are one")
    return said
