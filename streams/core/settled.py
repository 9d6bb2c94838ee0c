"""Does a rough measurement decide as the exact one would? If not, the face is looked at again before anything is."""

from itertools import pairwise

from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.measurement import Measurement, NearOther
from streams.core.policy import Policy
from streams.core.similarity import DECIMALS
from streams.events import ReasonCode

#: What rounding adds to an error: half a unit for each of the two numbers, and as much again for what floats lose.
ROUNDING = 2 * 10**-DECIMALS

#: Stands for everybody whom the search left out. No identity has an empty name.
_UNSEEN = ""


def settled(
    measurement: Measurement, policy: Policy, consent: Consent, *, error: float, unseen: float | None = None
) -> bool:
    """Say whether every measurement within the error gets this one's decision, for the same reasons in the same order.

    Each rule is monotone in every similarity. So the reasons of the truth are among those of the worst case, where the
    target is as far and everybody else as near as can be, and hold those of the best case. Where both have the same,
    the truth has them too. So it is with whom each leak accuses, and with whom the primary reason names. Whom a
    reason of less weight names beside the target is evidence, and may be off as the numbers are.

    Args:
        measurement: What was measured with an embedding that may be off.
        policy: The limits to decide by.
        consent: Of the target.
        error: The most that any similarity may be off, before it was rounded.
        unseen: The similarity of the farthest identity that was found, where the gallery may hold more of them:
            whoever was not found is no nearer. None where everybody was found.
    """
    slack = error + ROUNDING
    left_out = () if unseen is None else (NearOther(identity=_UNSEEN, similarity=unseen),)
    all_others = measurement.model_copy(update={"others": (*measurement.others, *left_out)})
    codes = _codes(_moved(measurement, slack), policy, consent)
    return codes == _codes(_moved(all_others, -slack), policy, consent) and _surely_named(all_others, codes, slack)


def _moved(measurement: Measurement, by: float) -> Measurement:
    """Move the target nearer by so much, and everybody else away."""
    others = tuple(one.model_copy(update={"similarity": one.similarity - by}) for one in measurement.others)
    similarity = None if measurement.similarity is None else measurement.similarity + by
    return measurement.model_copy(update={"similarity": similarity, "others": others})


def _codes(measurement: Measurement, policy: Policy, consent: Consent) -> list[ReasonCode]:
    return [reason.code for reason in decide(measurement, policy, consent).reasons]


def _surely_named(measurement: Measurement, codes: list[ReasonCode], slack: float) -> bool:
    """Say whether those whom the reasons name have the same order: of several leaks all, or the one of a primary."""
    near = [one.similarity for one in measurement.others_by_nearness]
    named = len(near) if codes.count(ReasonCode.LEAK) > 1 else int(codes[:1] == [ReasonCode.AMBIGUOUS])
    return all(one - farther > 2 * slack for one, farther in pairwise(near[: named + 1]))


def difference(one: Measurement, other: Measurement) -> float:
    """Return the largest difference between two measurements' similarities of one sample; 0 where none can be compared.

    How far off a rough one was, once the exact one is there: whoever states an error is held to it.
    """
    first, second = _similarities(one), _similarities(other)
    return max((abs(first[name] - second[name]) for name in first.keys() & second.keys()), default=0.0)


def _similarities(measurement: Measurement) -> dict[str, float]:
    """Return the similarity to the target and to everybody else who was found, by identity."""
    others = {other.identity: other.similarity for other in measurement.others}
    target = {} if measurement.similarity is None else {measurement.identity: measurement.similarity}
    return others | target
