"""The rule over columns says what the rule over one measurement says, whatever is measured, and whatever is not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.measurement import Measurement, NearOther
from streams.core.policy import Limits, Policy
from streams.core.replay.changes import NOTHING, tally
from streams.core.replay.codes import codes, mask
from streams.core.replay.columns import Columns
from streams.core.replay.rule import consents, regate
from streams.events import ReasonCode
from streams.testing.services import policy
from tests.measured import limits, measurements

rows = st.lists(st.tuples(measurements, st.sampled_from(Consent)), max_size=8)


def by_rows(drawn: list[tuple[Measurement, Consent]], limits: Limits) -> list[int]:
    one_by_one = policy().model_copy(update={"limits": limits})
    return [mask(reason.code for reason in decide(one, one_by_one, consent).reasons) for one, consent in drawn]


def by_columns(drawn: list[tuple[Measurement, Consent]], limits: Limits) -> list[int]:
    columns = Columns.of([one for one, _ in drawn])
    return [int(one) for one in regate(columns, limits, consents([consent for _, consent in drawn]))]


@settings(max_examples=400)
@given(rows, limits)
def test_columns_are_judged_as_rows_are(drawn: list[tuple[Measurement, Consent]], limits: Limits):
    assert by_columns(drawn, limits) == by_rows(drawn, limits)


@pytest.mark.parametrize("away", [-0.0001, 0.0, 0.0001])
def test_a_limit_is_met_in_columns_where_it_is_met_in_rows(away: float):
    kept: Policy = policy(similarity=0.6, other_similarity=0.5, margin=0.1, face_side=40, sharpness=20)
    one = Measurement(
        sample_id="s",
        identity="anna",
        embedding_space="space",
        gallery_version="v",
        references=1,
        faces=1,
        face_side=40 + away,
        sharpness=20 + away,
        similarity=round(0.6 + away, 4),
        others=(NearOther(identity="bert", similarity=0.5, resembles_target=round(0.5 + away, 4)),),
    )

    drawn = [(one, Consent.GRANTED)]

    assert by_columns(drawn, kept.limits) == by_rows(drawn, kept.limits)


@pytest.mark.parametrize("field", ["similarity", "face_side", "sharpness"])
def test_what_is_not_a_number_passes_in_neither(field: str):
    one = Measurement(
        sample_id="s",
        identity="anna",
        embedding_space="space",
        gallery_version="v",
        references=1,
        faces=1,
        face_side=80,
        sharpness=50,
        similarity=0.9,
    ).model_copy(update={field: math.nan})

    drawn = [(one, Consent.GRANTED)]

    assert by_columns(drawn, policy().limits) == by_rows(drawn, policy().limits) != [0]


@given(st.lists(st.sampled_from(ReasonCode)))
def test_a_mask_holds_each_reason_once_and_the_gravest_first(given: list[ReasonCode]):
    assert list(codes(mask(given))) == [code for code in ReasonCode if code in given]


verdicts = st.lists(
    st.tuples(st.integers(0, 2 ** len(ReasonCode) - 1), st.integers(0, 2 ** len(ReasonCode) - 1), st.booleans()),
    max_size=12,
)


def counted(drawn: list[tuple[int, int, bool]]):
    before, after, judged = (np.array([one[place] for one in drawn]) for place in range(3))
    return tally(before.astype(np.uint16), after.astype(np.uint16), judged.astype(np.bool_))


@given(verdicts, verdicts)
def test_tallies_of_parts_add_up_to_that_of_the_whole(one: list, other: list):
    assert counted(one).plus(counted(other)) == counted(one + other)
    assert NOTHING.plus(counted(one)) == counted(one)


def test_a_tally_tells_what_became_of_each_sample():
    leak, mismatch = mask([ReasonCode.LEAK]), mask([ReasonCode.MISMATCH])

    found = counted([(0, leak, True), (leak, 0, True), (leak, mismatch, True), (0, 0, True), (0, mismatch, False)])

    assert (found.samples, found.unjudged, found.accepted, found.flagged) == (5, 1, 2, 3)
    assert (found.changed, found.newly_flagged, found.newly_accepted) == (3, 1, 1)
    of_leak, of_mismatch = found.by_reason[ReasonCode.LEAK], found.by_reason[ReasonCode.MISMATCH]
    assert (of_leak.before, of_leak.after, of_leak.gained, of_leak.lost) == (2, 1, 1, 2)
    assert (of_mismatch.before, of_mismatch.after, of_mismatch.gained, of_mismatch.lost) == (0, 2, 1, 0)
