"""What the judge's own rules say of labelled images: each is taken as asked for, of the person that it shows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from streams.core.biometrics.comparisons import Comparisons, Trial
from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.measurement import Measurement, NearOther
from streams.core.policy import Policy
from streams.core.similarity import rounded
from streams.events import Decision, SecondOpinion
from streams.tools.rates.acquire import Seen
from streams.tools.rates.labels import Pair


def of_pairs(
    pairs: Sequence[Pair],
    similarities: Sequence[float | None],
    seen: Mapping[Path, Seen],
    policy: Policy,
    second: Sequence[float | None],
) -> dict[str, int]:
    """Return how often the mated pairs end in each way, the first image enrolled alone and the second judged.

    ``second`` are the similarities of the second verifier, None where it has none.
    """
    scored = zip(pairs, similarities, second, strict=True)
    measurements = (
        _measurement(seen[pair.second], value, second=_opinion(policy, other))
        for pair, value, other in scored
        if pair.mated
    )
    return _counted(measurements, policy)


def of_trial(
    trial: Trial, scores: Comparisons, probes: Sequence[Seen], policy: Policy, second: Trial | None
) -> dict[str, int]:
    """Return how often the probes of a trial end in each way, where their person has another image.

    Args:
        trial: What was compared.
        scores: The same comparisons, normalised where the policy has them so.
        probes: What is seen in each image.
        policy: Whose rules say it.
        second: The trial of the same probes by the second verifier, where there is one.
    """
    normalised = dict(zip(trial.mated_probes.tolist(), scores.mated.tolist(), strict=True))
    own = dict(zip(trial.mated_probes.tolist(), trial.comparisons.mated_subjects.tolist(), strict=True))
    measurements = (
        _measurement(
            probes[probe],
            float(trial.own[probe]),
            tuple(_others(trial, probe, person)),
            second=None if second is None else _opinion(policy, float(second.own[probe])),
            normalised=(normalised[probe], policy.normalisation.cohort) if policy.normalisation else (None, None),
        )
        for probe, person in own.items()
    )
    return _counted(measurements, policy)


def _others(trial: Trial, probe: int, person: int) -> Iterator[NearOther]:
    near = trial.near[probe]
    alike = trial.centroids[near] @ trial.centroids[person]
    for who, similarity, resembles in zip(near, trial.near_similarities[probe], alike, strict=True):
        yield NearOther(identity=str(who), similarity=float(similarity), resembles_target=rounded(float(resembles)))


def _opinion(policy: Policy, similarity: float | None) -> SecondOpinion | None:
    if policy.second is None or similarity is None:
        return None
    return SecondOpinion(embedding_space=policy.second.embedding_space, references=1, similarity=similarity)


def _measurement(
    probe: Seen,
    similarity: float | None,
    others: tuple[NearOther, ...] = (),
    *,
    second: SecondOpinion | None = None,
    normalised: tuple[float | None, str | None] = (None, None),
) -> Measurement:
    face = probe.face
    return Measurement(
        sample_id="",
        identity="",
        embedding_space="",
        gallery_version="",
        references=1,
        faces=probe.faces,
        face_side=face.side if face else None,
        sharpness=face.sharpness if face else None,
        similarity=similarity,
        normalised=normalised[0],
        cohort=normalised[1],
        second=second,
        others=others,
    )


def _counted(measurements: Iterable[Measurement], policy: Policy) -> dict[str, int]:
    ends: Counter[str] = Counter()
    for measurement in measurements:
        judgement = decide(measurement, policy, Consent.GRANTED)
        accepted = judgement.decision is Decision.ACCEPTED
        ends[Decision.ACCEPTED.value if accepted else judgement.reasons[0].code.value] += 1
    return dict(ends.most_common())
