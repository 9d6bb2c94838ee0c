"""How well the road from an image to a decision tells people apart, measured on images of one's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from streams.core.biometrics.agreement import agreement
from streams.core.biometrics.cohort import Cohort
from streams.core.biometrics.comparisons import Comparisons, Trial, against_centroids, contradictions, of_pairs
from streams.core.biometrics.measured import widened
from streams.core.biometrics.normalisation import normalised_trial
from streams.core.biometrics.rates import (
    Det,
    accuracy_best,
    auc,
    det,
    eer,
    fmr_at,
    fnmr_at,
    rule_of_three,
    threshold_at_fmr,
    tmr_at_fmr,
)
from streams.core.biometrics.resampling import Interval, intervals
from streams.core.calibration import Agreement
from streams.core.policy import JUDGED_BY, Policy
from streams.core.similarity import similarity
from streams.errors import BadInput
from streams.tools.rates.acquire import Seen, failures, missing, seen_by_second
from streams.tools.rates.evaluation import Evaluation, Figures, Files, Group, OpenSet
from streams.tools.rates.labels import Labelled, Pair
from streams.tools.rates.verdicts import of_pairs as verdicts_of_pairs
from streams.tools.rates.verdicts import of_trial as verdicts_of_trial

#: False match rates at which the true match rate is told.
FMRS = (0.01, 0.001)
#: False positive identification rates at which the false negative one is told.
FPIRS = (0.1, 0.01)
#: So many non-mated comparisons of images with centroids are kept.
MOST_NON_MATED = 2_000_000


@dataclass(frozen=True)
class _Weights:
    """What an accuracy is the share of."""

    mated: float
    non_mated: float
    always: float
    """Share that is right at every limit: non-mated attempts that failed to acquire."""


def evaluate_pairs(
    pairs: Sequence[Pair], seen: Mapping[Path, Seen], policy: Policy, space: str, *, resamples: int = 500, seed: int = 0
) -> Evaluation:
    """Compare the two images of each pair. To a policy a pair is somebody enrolled with one image, and a probe.

    Args:
        pairs: What is to be compared.
        seen: What was seen in every file that they name.
        policy: Whose limit of similarity is looked at.
        space: Fingerprint of the embedding space.
        resamples: Draws of the people for the intervals.
        seed: Of these draws.

    Raises:
        BadInput: If no file of any pair can be read.
    """
    readable = [pair for pair in pairs if not (seen[pair.first].missing or seen[pair.second].missing)]
    if not readable:
        raise BadInput(f"of {len(pairs)} pairs none has two files that can be read: {pairs[0].first} …; see --images")
    similarities = [_similarity(seen[pair.first], seen[pair.second]) for pair in readable]
    comparisons = compared(readable, similarities)
    applies = policy.holds_for.embedding_space == space and policy.normalisation is None
    limit = policy.limits.similarity if applies else None
    failed = sum(value is None for value in similarities)
    spared = sum(value is None and not pair.mated for pair, value in zip(readable, similarities, strict=True))
    total = len(readable)
    again = {path: seen_by_second(one) for path, one in seen.items()}
    second = [_similarity(again[pair.first], again[pair.second]) for pair in readable]
    weights = _Weights(len(comparisons.mated) / total, len(comparisons.non_mated) / total, spared / total)
    return Evaluation(
        "pairs",
        _figures(comparisons, weights, limit, resamples, seed),
        total,
        _files(seen),
        policy=policy.version,
        embedding_space=space,
        verdicts={} if limit is None else verdicts_of_pairs(readable, similarities, seen, policy, second),
        pairs_failed=failed,
        pairs_left_out=len(pairs) - total,
        contradictions=len(contradictions(comparisons)),
        groups=_groups(readable, similarities, limit),
        agreement=None if limit is None else _pairs_agree(readable, similarities, second, policy, resamples, seed),
    )


def compared(pairs: Sequence[Pair], similarities: Sequence[float | None]) -> Comparisons:
    """Return the pairs that have a similarity as comparisons."""
    made = [(pair, value) for pair, value in zip(pairs, similarities, strict=True) if value is not None]
    return of_pairs(
        np.array([value for _, value in made], dtype=np.float64),
        np.array([pair.mated for pair, _ in made], dtype=bool),
        [(str(pair.first), str(pair.second)) for pair, _ in made],
    )


def evaluate_identities(
    images: Sequence[Labelled],
    seen: Mapping[Path, Seen],
    policy: Policy,
    space: str,
    *,
    cohort: Cohort | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Evaluation:
    """Search every image in a gallery of all others: verification, closed-set and open-set identification.

    Accuracies are balanced, the mean over mated and non-mated attempts: non-mated ones are many times as many.

    Args:
        images: Images of people, each of whom is enrolled with all but the image that is looked at.
        seen: What was seen in each of them.
        policy: Whose limits are looked at.
        space: Fingerprint of the embedding space.
        cohort: By whom the policy has scores normalised; None where it compares plain ones.
        resamples: Draws of the people for the intervals.
        seed: Of these draws, and of the non-mated comparisons that are kept where there are too many.

    Raises:
        BadInput: If there are not two people with a face.
    """
    shown = [image for image in images if seen[image.path].face is not None]
    trial = tried([(image.identity, seen[image.path]) for image in shown], seed)
    probes = [seen[image.path] for image in shown]
    again = [(image.identity, seen_by_second(seen[image.path])) for image in shown]
    # Where it did not see a face that the first one saw, the two have not compared the same images.
    second = tried(again, seed) if policy.second and all(one.face for _, one in again) else None
    applies = policy.holds_for.embedding_space == space and policy.holds_for.comparator in JUDGED_BY
    scores, limit = trial.comparisons, policy.limits.similarity
    if cohort is not None and policy.normalisation is not None:
        faces = np.stack([one.face.embedding for one in probes if one.face]).astype(np.float64)
        scores, limit = normalised_trial(trial, faces, cohort.vectors, top=cohort.top), policy.normalisation.limit
    elif policy.normalisation is not None:
        applies = False
    readable = sum(not seen[image.path].missing for image in images)
    lost = 1 - len(shown) / readable
    weights = _Weights((1 - lost) / 2, (1 - lost) / 2, lost / 2)
    found = trial.searched & (trial.own > trial.near_similarities[:, 0])
    return Evaluation(
        "identities",
        _figures(scores, weights, limit if applies else None, resamples, seed),
        len(trial.comparisons.mated) + len(trial.comparisons.non_mated),
        _files(seen),
        policy=policy.version,
        embedding_space=space,
        verdicts=verdicts_of_trial(trial, scores, probes, policy, second) if applies else {},
        rank1=float(found.sum() / trial.searched.sum()) if trial.searched.any() else None,
        open_set=_open_set(trial, policy.limits.other_similarity if applies else None),
        agreement=_agree(scores, second.comparisons, policy, resamples, seed) if applies and second else None,
    )


def tried(images: Sequence[tuple[str, Seen]], seed: int) -> Trial:
    """Return every image against a gallery of all others.

    Raises:
        BadInput: If there are not two people with a face.
    """
    with_face = [(identity, one.face.embedding) for identity, one in images if one.face is not None]
    names = sorted({identity for identity, _ in with_face})
    if len(names) < 2:
        raise BadInput(f"expected images of two people at least with a face in them, got {len(names)}")
    number = {name: place for place, name in enumerate(names)}
    embeddings = np.stack([embedding for _, embedding in with_face]).astype(np.float64)
    subjects = np.array([number[identity] for identity, _ in with_face], dtype=np.intp)
    return against_centroids(embeddings, subjects, most_non_mated=MOST_NON_MATED, seed=seed)


def _pairs_agree(
    pairs: Sequence[Pair],
    similarities: Sequence[float | None],
    second: Sequence[float | None],
    policy: Policy,
    resamples: int,
    seed: int,
) -> Agreement | None:
    """Return what both say of the pairs that both have compared."""
    made = [one is not None and other is not None for one, other in zip(similarities, second, strict=True)]
    kept = [pair for pair, both in zip(pairs, made, strict=True) if both]
    if not any(pair.mated for pair in kept) or all(pair.mated for pair in kept):
        return None
    first, other = (
        compared(kept, [value for value, both in zip(values, made, strict=True) if both])
        for values in (similarities, second)
    )
    return _agree(first, other, policy, resamples, seed)


def _agree(first: Comparisons, second: Comparisons, policy: Policy, resamples: int, seed: int) -> Agreement | None:
    if policy.second is None or not len(first.mated) or not len(first.non_mated):
        return None
    by = policy.normalisation
    limits = policy.limits.similarity if by is None else by.limit, policy.second.similarity
    return agreement(first, second, limits, times=resamples, seed=seed)


def _similarity(first: Seen, second: Seen) -> float | None:
    if first.face is None or second.face is None:
        return None
    return similarity(first.face.embedding, second.face.embedding)


def _files(seen: Mapping[Path, Seen]) -> Files:
    unreadable, failed = missing(seen), failures(seen)
    several = sum(one.faces > 1 for one in seen.values())
    return Files(len(seen) - len(unreadable), len(failed), several, failed, unreadable)


def _figures(comparisons: Comparisons, weights: _Weights, limit: float | None, resamples: int, seed: int) -> Figures:
    mated, non_mated = len(comparisons.mated), len(comparisons.non_mated)
    if not mated or not non_mated:
        return Figures(mated, non_mated, tpr_at_fmr=dict.fromkeys(map(str, FMRS)), threshold_policy=limit)
    curve = det(comparisons.mated, comparisons.non_mated)
    read: dict[str, Callable[[Det], float]] = {"auc": auc, "eer": eer}
    read |= {f"tpr_at_fmr {fmr}": partial(tmr_at_fmr, fmr=fmr) for fmr in FMRS}
    if limit is not None:
        read |= {"fmr_policy": partial(fmr_at, threshold=limit), "fnmr_policy": partial(fnmr_at, threshold=limit)}
    values = {name: figure(curve) for name, figure in read.items()}
    best, threshold = accuracy_best(curve, weights.mated, weights.non_mated, weights.always)
    fmr_policy, fnmr_policy = values.get("fmr_policy"), values.get("fnmr_policy")
    accuracy = None
    if fmr_policy is not None and fnmr_policy is not None:
        accuracy = weights.mated * (1 - fnmr_policy) + weights.non_mated * (1 - fmr_policy) + weights.always
    return Figures(
        mated=mated,
        non_mated=non_mated,
        auc=values["auc"],
        eer=values["eer"],
        tpr_at_fmr={str(fmr): values[f"tpr_at_fmr {fmr}"] for fmr in FMRS},
        resolved={str(fmr): fmr >= rule_of_three(non_mated) for fmr in FMRS},
        accuracy_best=best,
        threshold_best=threshold,
        accuracy_policy=accuracy,
        threshold_policy=limit,
        fmr_policy=fmr_policy,
        fnmr_policy=fnmr_policy,
        intervals=_honest(intervals(comparisons, read, times=resamples, seed=seed), values, mated, non_mated),
        curve=curve,
        comparisons=comparisons,
    )


def _honest(
    found: Mapping[str, Interval], values: Mapping[str, float], mated: int, non_mated: int
) -> dict[str, Interval]:
    """Widen the intervals of figures without an error: no draw of the people has one either.

    The area under the ROC and the equal error rate are of both kinds: that of which there are fewer says how much is
    shown. So many comparisons that share nothing can be put in pairs, each of which is in the right order.
    """
    counts = {"auc": min(mated, non_mated), "eer": min(mated, non_mated), "fmr_policy": non_mated}
    return {name: widened(values[name], interval, counts.get(name, mated)) for name, interval in found.items()}


def _open_set(trial: Trial, limit: float | None) -> OpenSet | None:
    if not trial.searched.any():
        return None
    own, other = trial.own[trial.searched], trial.near_similarities[:, 0]
    second = other[trial.searched]
    searches = det(own, other)
    limits = {fpir: threshold_at_fmr(searches, fpir) for fpir in FPIRS}
    return OpenSet(
        gallery=len(trial.centroids) - 1,
        fpir_policy=None if limit is None else float((other >= limit).mean()),
        fnir_at_fpir={str(fpir): float(((own < at) | (own <= second)).mean()) for fpir, at in limits.items()},
    )


def _groups(pairs: Sequence[Pair], similarities: Sequence[float | None], limit: float | None) -> tuple[Group, ...]:
    names = sorted({pair.group for pair in pairs if pair.group is not None})
    scored = list(zip(pairs, similarities, strict=True))
    return tuple(_group(name, [one for one in scored if one[0].group == name], limit) for name in names)


def _group(name: str, scored: Sequence[tuple[Pair, float | None]], limit: float | None) -> Group:
    mated = [value for pair, value in scored if pair.mated and value is not None]
    non_mated = [value for pair, value in scored if not pair.mated and value is not None]
    failed = len(scored) - len(mated) - len(non_mated)
    of = (name, len(scored), failed, len(mated), len(non_mated))
    if limit is None:
        return Group(*of, None, None, None, None, None)
    false_matches = sum(value >= limit for value in non_mated)
    false_non_matches = sum(value < limit for value in mated)
    right = sum(pair.mated == (value is not None and value >= limit) for pair, value in scored)
    fmr, fmr_interval = _rate(false_matches, len(non_mated))
    fnmr, fnmr_interval = _rate(false_non_matches, len(mated))
    return Group(*of, fmr, fmr_interval, fnmr, fnmr_interval, right / len(scored))


def _rate(errors: int, of: int) -> tuple[float, Interval] | tuple[None, None]:
    if not of:
        return None, None
    interval = binomtest(errors, of).proportion_ci(0.95, "exact")
    return errors / of, (float(interval.low), float(interval.high))
