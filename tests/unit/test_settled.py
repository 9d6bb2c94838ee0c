"""What a rough measurement settles, the exact one decides alike: for every truth within the error, by every rule."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.consent import Consent
from streams.core.decide import Judgement, decide
from streams.core.measurement import Measurement, NearOther
from streams.core.settled import difference, settled
from streams.core.similarity import rounded
from streams.events import ReasonCode
from streams.steps.search import NEAREST
from streams.testing.services import policy

POLICY = policy(similarity=0.6, other_similarity=0.5, margin=0.1)
GOOD = Measurement(
    sample_id="s",
    identity="anna",
    embedding_space="space",
    gallery_version="v",
    references=3,
    faces=1,
    face_side=80,
    sharpness=50,
    similarity=0.9,
    others=(NearOther(identity="bert", similarity=0.2), NearOther(identity="carl", similarity=0.1)),
)


@dataclass(frozen=True)
class Enrolled:
    """Somebody near the sample: how near in truth, and how near as it was roughly measured."""

    name: str
    truth: float
    rough: float
    resembles_target: float
    protected: bool


def seen(people: list[Enrolled], *, roughly: bool) -> tuple[Measurement, float | None]:
    """What a search for the nearest finds and a measurement holds; the first of the people is the target."""
    near = {one.name: rounded(one.rough if roughly else one.truth) for one in people}
    found = sorted(people, key=lambda one: (-near[one.name], one.name))[:NEAREST]
    others = tuple(
        NearOther(
            identity=one.name,
            similarity=near[one.name],
            resembles_target=one.resembles_target,
            protected=one.protected,
        )
        for one in found
        if one is not people[0]
    )
    measurement = GOOD.model_copy(
        update={"identity": people[0].name, "similarity": near[people[0].name], "others": others}
    )
    return measurement, near[found[-1].name] if len(found) == NEAREST else None


def said(judgement: Judgement) -> tuple[str, list[tuple[str, frozenset[str]]]]:
    """The decision, the reasons in order, whom each leak accuses and whom the primary reason names."""
    told = [
        (reason.code, frozenset(re.findall(r"person-\d", reason.text)))
        if place == 0 or reason.code is ReasonCode.LEAK
        else (reason.code, frozenset())
        for place, reason in enumerate(judgement.reasons)
    ]
    return judgement.decision, told


@st.composite
def galleries(draw: st.DrawFn, error: float) -> list[Enrolled]:
    """People whose similarities crowd around the limits, each off by as much as may be, or a little, or not at all."""
    off = st.sampled_from([-error, error]) | st.floats(-error, error)
    return [
        Enrolled(
            f"person-{number}",
            truth := draw(st.integers(-100, 100)) / 100 if draw(st.booleans()) else draw(st.floats(0.2, 0.8)),
            max(-1.0, min(1.0, truth + draw(off))),
            draw(st.sampled_from([0.1, 0.1, 0.9])),
            draw(st.sampled_from([False, False, True])),
        )
        for number in range(draw(st.integers(1, NEAREST + 3)))
    ]


@given(st.data(), st.sampled_from([0.0, 0.01, 0.05, 0.1125]), st.sampled_from([Consent.GRANTED, Consent.WITHDRAWN]))
@settings(max_examples=600)
def test_what_is_settled_is_decided_alike_by_every_truth_within_the_error(data, error, consent):
    people = data.draw(galleries(error))
    rough, unseen = seen(people, roughly=True)

    if settled(rough, POLICY, consent, error=error, unseen=unseen):
        exact, _ = seen(people, roughly=False)
        assert said(decide(rough, POLICY, consent)) == said(decide(exact, POLICY, consent))


def but(similarity: float = 0.9, *others: NearOther) -> Measurement:
    return GOOD.model_copy(update={"similarity": similarity, "others": others or GOOD.others})


def near(name: str, similarity: float, **fields: object) -> NearOther:
    return NearOther(identity=name, similarity=similarity, **fields)


@pytest.mark.parametrize(
    ("measurement", "unseen"),
    [
        (but(0.69), None),
        (but(0.51), None),
        (but(0.9, near("bert", 0.42)), None),
        (but(0.9, near("bert", 0.58)), None),
        (but(0.9, near("bert", 0.3)), 0.42),
        (but(0.75, near("bert", 0.3), near("carl", 0.58, resembles_target=0.9)), None),
        (but(0.9, near("bert", 0.9, resembles_target=0.9), near("carl", 0.8, resembles_target=0.9)), None),
        (but(0.1, near("bert", 0.9), near("carl", 0.8)), None),
    ],
    ids=[
        "target just over its limit",
        "target just under its limit",
        "other just under the limit",
        "other just over the limit",
        "whoever was not found may be over the limit",
        "margin within two errors of its limit",
        "which look-alike is nearest is uncertain",
        "which of two leaks is nearer is uncertain",
    ],
)
def test_what_the_error_could_change_is_not_settled(measurement: Measurement, unseen: float | None):
    assert not settled(measurement, POLICY, Consent.GRANTED, error=0.1, unseen=unseen)
    assert settled(measurement, POLICY, Consent.GRANTED, error=0.001, unseen=unseen)


@pytest.mark.parametrize(
    "measurement",
    [
        but(0.9),
        but(0.2, near("bert", -0.3)),
        but(0.1, near("bert", 0.9), near("carl", 0.1)),
        but(0.9, near("bert", 0.3), near("carl", 0.3)),
        but(0.0, near("bert", 0.2), near("carl", 0.2)),
        GOOD.model_copy(update={"faces": 0, "similarity": None, "others": ()}),
    ],
    ids=[
        "accepted",
        "mismatch",
        "leak",
        "of two far others either may be nearer",
        "of two others a mismatch is as near",
        "no face",
    ],
)
def test_what_is_far_from_every_limit_is_settled(measurement: Measurement):
    assert settled(measurement, POLICY, Consent.GRANTED, error=0.1)


def test_two_measurements_differ_by_their_farthest_similarity_of_one_person():
    other = but(0.85, near("bert", 0.27), near("dora", 0.9))

    assert difference(GOOD, other) == pytest.approx(0.07)
    assert difference(GOOD, GOOD.model_copy(update={"similarity": None, "others": ()})) == 0.0


def test_rounding_adds_to_an_error_that_is_smaller_than_its_unit():
    assert not settled(but(0.6), POLICY, Consent.GRANTED, error=0.00005)
    assert settled(but(0.6004), POLICY, Consent.GRANTED, error=0.00005)
