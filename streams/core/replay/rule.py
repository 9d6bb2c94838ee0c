"""The rule of ``streams.core.decide`` over columns. Tests hold the two together, row by row.

Normalised scores and second opinions have no columns: what rests on them is decided one by one, by that rule itself.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.measurement import Measurement
from streams.core.policy import Limits, Policy
from streams.core.replay.codes import Masks, bit, mask
from streams.core.replay.columns import Bools, Columns, Maybe
from streams.events import ReasonCode

Consents = npt.NDArray[np.uint8]
"""Shape (n,): places in ``list(Consent)``."""

_CONSENTS = tuple(Consent)
_PLACES = {consent: place for place, consent in enumerate(_CONSENTS)}


def consents(answers: Sequence[Consent]) -> Consents:
    """Return answers as ``regate`` takes them."""
    return np.array([_PLACES[answer] for answer in answers], dtype=np.uint8)


def granted(answers: Consents) -> Bools:
    """Return which answers are that the person agrees."""
    rows: Bools = answers == _PLACES[Consent.GRANTED]
    return rows


def regate(columns: Columns, limits: Limits, consent: Consents) -> Masks:
    """Return the reasons against each sample. As in ``decide``, only a comparison that is true keeps a limit.

    Args:
        columns: What was measured, n rows.
        limits: To compare with.
        consent: Of each row's person to this use of them.
    """
    given = {
        ReasonCode.NO_CONSENT: _refused(columns, consent),
        **_copies(columns, limits),
        ReasonCode.LEAK: _leaks(columns, limits),
        ReasonCode.NO_REFERENCE: columns.references == 0,
        ReasonCode.NO_FACE: columns.faces.there & (columns.faces.values == 0),
        ReasonCode.SEVERAL_FACES: columns.faces.there & (columns.faces.values > 1),
        ReasonCode.LOW_QUALITY: _low_quality(columns, limits),
        ReasonCode.MISMATCH: _under(columns.similarity, limits.similarity),
        ReasonCode.AMBIGUOUS: _under(columns.margin, limits.margin),
    }
    masks = np.zeros(len(columns.references), dtype=np.uint16)
    for code, rows in given.items():
        masks |= rows * bit(code)
    masks[(masks == 0) & ~columns.faces.there] = bit(ReasonCode.NO_FACE)  # there is no image to judge
    return masks


def has_columns(policy: Policy) -> bool:
    """Say whether everything that a policy compares is in ``Columns``."""
    return policy.normalisation is None and policy.second is None


def regate_one_by_one(measurements: Sequence[Measurement | None], policy: Policy, consent: Consents) -> Masks:
    """Return what ``regate`` does, for any policy; 0 where nothing was measured. Some thousands a second."""
    masks = np.zeros(len(measurements), dtype=np.uint16)
    for row, measurement in enumerate(measurements):
        if measurement is not None:
            judgement = decide(measurement, policy, _CONSENTS[consent[row]])
            masks[row] = mask(reason.code for reason in judgement.reasons)
    return masks


def _under(column: Maybe, limit: float) -> Bools:
    return column.there & ~(column.values >= limit)


def _refused(columns: Columns, consent: Consents) -> Bools:
    nobody = (consent == _PLACES[Consent.MISSING]) & (columns.references == 0)
    rows: Bools = columns.protected | (~granted(consent) & ~nobody)
    return rows


def _copies(columns: Columns, limits: Limits) -> dict[ReasonCode, Bools]:
    bits, nearness = columns.copy_bits, columns.copy_similarity
    copy = bits.there & (bits.values <= limits.copy_bits)
    copy |= nearness.there & ~(nearness.values < limits.copy_similarity)
    near = bits.there & (bits.values <= limits.near_copy_bits)
    near |= nearness.there & ~(nearness.values < limits.near_copy_similarity)
    return {ReasonCode.COPY: copy, ReasonCode.NEAR_COPY: near & ~copy}


def _leaks(columns: Columns, limits: Limits) -> Bools:
    others, limit = columns.others, limits.other_similarity
    look_alike = others.resembles_target.there & (others.resembles_target.values >= limit)
    leaks = ~(others.similarity < limit) & (others.protected | ~look_alike)
    before = np.concatenate([[0], np.cumsum(leaks)])
    rows: Bools = before[others.ends[1:]] > before[others.ends[:-1]]
    return rows


def _low_quality(columns: Columns, limits: Limits) -> Bools:
    side, sharpness, similarity = columns.face_side, columns.sharpness, columns.similarity
    unmeasured = ~side.there | ~sharpness.there | ((columns.references != 0) & ~similarity.there)
    poor = unmeasured | _under(side, limits.face_side) | _under(sharpness, limits.sharpness)
    rows: Bools = columns.faces.there & (columns.faces.values != 0) & poor
    return rows
