"""The verdict on one sample: every rule is evaluated, every reason is reported, the gravest is first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.core.consent import Consent
from streams.core.imprints import nearest
from streams.core.measurement import Measurement
from streams.core.policy import Limits, Normalisation, Policy, Second
from streams.events import Decision, NearOriginal, Reason, ReasonCode

_GRAVITY = {code: place for place, code in enumerate(ReasonCode)}


@dataclass(frozen=True)
class Judgement:
    """What was decided, and why; no reasons exactly when accepted."""

    decision: Decision
    reasons: tuple[Reason, ...]


def decide(measurement: Measurement, policy: Policy, consent: Consent, unmet: Sequence[str] = ()) -> Judgement:
    """Judge one measurement. Accepted means: shown to be good, by every rule.

    A limit counts as kept only where the comparison with it is true, so that NaN never passes.

    Args:
        measurement: What was measured.
        policy: The limits.
        consent: Whether the person agrees to this use.
        unmet: Which terms are not met, in words.
    """
    reasons = [*_consent(measurement, consent, unmet), *_reasons(measurement, policy)]
    reasons = sorted(reasons, key=lambda reason: _GRAVITY[reason.code])
    if not reasons and measurement.faces is None:
        reasons = [Reason(code=ReasonCode.NO_FACE, text="there is no image to judge")]
    decision = Decision.FLAGGED if reasons else Decision.ACCEPTED
    return Judgement(decision, tuple(reasons))


def may_generate(*, enrolled: bool, protected: bool, consent: Consent) -> bool:
    """Say whether a request for this identity may reach a generator at all."""
    return enrolled and not protected and consent is Consent.GRANTED


def _reasons(measurement: Measurement, policy: Policy) -> Iterator[Reason]:
    limits = policy.limits
    yield from _copy(measurement, limits)
    yield from _abstain(measurement, limits)
    yield from _leak(measurement, limits)
    yield from _mismatch(measurement, policy)
    yield from _ambiguous(measurement, limits)
    if policy.second is not None and measurement.faces and measurement.references:
        yield from _second(measurement, policy.second)


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if value != value else value


def _consent(measurement: Measurement, consent: Consent, unmet: Sequence[str]) -> Iterator[Reason]:
    """An identity that nobody ever enrolled has no one to ask: that is ``no-reference``."""
    if measurement.protected:
        yield Reason(code=ReasonCode.NO_CONSENT, text="the person is protected: enrolled only to be kept out")
    elif consent is not Consent.GRANTED and not (consent is Consent.MISSING and not measurement.references):
        yield Reason(code=ReasonCode.NO_CONSENT, text="; ".join(unmet) or f"consent is {consent}")


def _copy(measurement: Measurement, limits: Limits) -> Iterator[Reason]:
    """Only the nearest original is named: the others near it are evidence."""
    for near in nearest(measurement.originals, 1):
        bits = near.bits is not None
        copy = limits.copy_bits if bits else limits.copy_similarity
        near_copy = limits.near_copy_bits if bits else limits.near_copy_similarity
        measured = -near.nearness if bits else near.nearness
        how = f"{near.bits} bits differ" if bits else f"similarity {measured:.4f}"
        if not near.nearness < (-copy if bits else copy):
            text = f"is a copy of {_named(near)}: {how}, limit {copy}"
            yield Reason(code=ReasonCode.COPY, text=text, measured=_number(measured), limit=copy)
        elif not near.nearness < (-near_copy if bits else near_copy):
            text = f"is nearly a copy of {_named(near)}: {how}, limit {near_copy}"
            yield Reason(code=ReasonCode.NEAR_COPY, text=text, measured=_number(measured), limit=near_copy)


def _named(original: NearOriginal) -> str:
    kind = "reference" if original.kind == "photo" else "training image"
    whose = f" of {original.identity}" if original.identity else ""
    return f"{kind} {original.original_id}{whose}" + (", mirrored" if original.mirrored else "")


def _abstain(measurement: Measurement, limits: Limits) -> Iterator[Reason]:
    if not measurement.references:
        yield Reason(code=ReasonCode.NO_REFERENCE, text=f"nobody is enrolled as {measurement.identity}")
    if measurement.faces == 0:
        yield Reason(code=ReasonCode.NO_FACE, text="no face was found", measured=0, limit=1)
    if measurement.faces is not None and measurement.faces > 1:
        text = f"{measurement.faces} faces were found, expected one"
        yield Reason(code=ReasonCode.SEVERAL_FACES, text=text, measured=measurement.faces, limit=1)
    yield from _low_quality(measurement, limits)


def _low_quality(measurement: Measurement, limits: Limits) -> Iterator[Reason]:
    if not measurement.faces:
        return
    side, sharpness = measurement.face_side, measurement.sharpness
    if side is None or sharpness is None or (measurement.references and measurement.similarity is None):
        yield Reason(code=ReasonCode.LOW_QUALITY, text="the face could not be measured")
    if side is not None and not side >= limits.face_side:
        text = f"the face is {side:.1f} pixels wide, less than {limits.face_side:.1f}"
        yield Reason(code=ReasonCode.LOW_QUALITY, text=text, measured=_number(side), limit=limits.face_side)
    if sharpness is not None and not sharpness >= limits.sharpness:
        text = f"the face is blurred: sharpness {sharpness:.1f} is under {limits.sharpness:.1f}"
        yield Reason(code=ReasonCode.LOW_QUALITY, text=text, measured=_number(sharpness), limit=limits.sharpness)


def _leak(measurement: Measurement, limits: Limits) -> Iterator[Reason]:
    """Two enrolled look-alikes are told apart by the margin, not accused of each other."""
    limit = limits.other_similarity
    for other in measurement.others_by_nearness:
        look_alike = other.resembles_target is not None and other.resembles_target >= limit
        if not other.similarity < limit and (other.protected or not look_alike):
            text = f"resembles {other.identity}, not asked for: similarity {other.similarity:.4f}, limit {limit:.4f}"
            yield Reason(code=ReasonCode.LEAK, text=text, measured=_number(other.similarity), limit=limit)


def _mismatch(measurement: Measurement, policy: Policy) -> Iterator[Reason]:
    if measurement.similarity is None:
        return
    if policy.normalisation is not None:
        yield from _normalised_mismatch(measurement, policy.normalisation)
        return
    similarity, limit = measurement.similarity, policy.limits.similarity
    if not similarity >= limit:
        text = f"similarity {similarity:.4f} to {measurement.identity} is under the limit {limit:.4f}"
        yield Reason(code=ReasonCode.MISMATCH, text=text, measured=_number(similarity), limit=limit)


def _normalised_mismatch(measurement: Measurement, by: Normalisation) -> Iterator[Reason]:
    score = measurement.normalised if measurement.cohort == by.cohort else None
    if score is None:
        text = f"similarity to {measurement.identity} was not normalised by the cohort of the policy"
        yield Reason(code=ReasonCode.MISMATCH, text=text, limit=by.limit)
    elif not score >= by.limit:
        text = (
            f"similarity to {measurement.identity} is {score:.4f} standard deviations above what strangers have, under"
            f" the limit {by.limit:.4f}"
        )
        yield Reason(code=ReasonCode.MISMATCH, text=text, measured=_number(score), limit=by.limit)


def _ambiguous(measurement: Measurement, limits: Limits) -> Iterator[Reason]:
    margin = measurement.margin
    if margin is not None and not margin >= limits.margin:
        other = measurement.others_by_nearness[0].identity
        asked = measurement.identity
        nearer = f"{-margin:.4f} nearer to {other} than to {asked}"
        text = nearer if margin < 0 else f"only {margin:.4f} nearer to {asked} than to {other}"
        yield Reason(code=ReasonCode.AMBIGUOUS, text=text, measured=_number(margin), limit=limits.margin)


def _second(measurement: Measurement, required: Second) -> Iterator[Reason]:
    """What was not measured is no agreement. References that one of the two lacks make another person of them."""
    seen, who = measurement.second, measurement.identity
    if seen is None or seen.embedding_space != required.embedding_space:
        text = f"the second verifier, {required.embedding_space}, did not look at it"
        yield Reason(code=ReasonCode.SECOND_VERIFIER, text=text, limit=required.similarity)
    elif seen.references != measurement.references:
        text = f"{seen.references} of {measurement.references} references of {who} are enrolled for the second verifier"
        yield Reason(code=ReasonCode.NO_REFERENCE, text=text, measured=seen.references, limit=measurement.references)
    elif seen.similarity is None:
        yield Reason(code=ReasonCode.LOW_QUALITY, text="the face could not be measured by the second verifier")
    elif not seen.similarity >= required.similarity:
        text = (
            f"second verifier: similarity {seen.similarity:.4f} to {who} is under its limit {required.similarity:.4f}"
        )
        measured = _number(seen.similarity)
        yield Reason(code=ReasonCode.SECOND_VERIFIER, text=text, measured=measured, limit=required.similarity)
