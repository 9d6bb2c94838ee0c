"""Gates: what they may say, and when they fail."""

import pytest

from streams.core.replay.changes import NOTHING, ReasonCounts, Tally
from streams.core.replay.gate import parse_rule, rulings
from streams.errors import BadInput
from streams.events import ReasonCode

HUNDRED = Tally(
    samples=100,
    unjudged=0,
    accepted=90,
    flagged=10,
    changed=3,
    newly_flagged=1,
    newly_accepted=2,
    by_reason=NOTHING.by_reason | {ReasonCode.LEAK: ReasonCounts(before=3, after=5, gained=4, lost=2)},
)


@pytest.mark.parametrize(
    ("text", "value", "failed"),
    [
        ("newly_flagged > 1%", 1.0, False),
        ("newly_flagged >= 1%", 1.0, True),
        ("newly_flagged>0.99 %", 1.0, True),
        ("changed > 2", 3, True),
        ("changed > 3", 3, False),
        ("leak == 5", 5, True),
        ("newly_leak != 4", 4, False),
        ("newly_no-consent > 0", 0, False),
        ("samples < 1000", 100, True),
        ("accepted <= 89.5%", 90.0, False),
    ],
)
def test_a_rule_compares_a_count_or_a_share(text: str, value: float, failed: bool):
    [ruling] = rulings([parse_rule(text)], HUNDRED)

    assert (ruling.value, ruling.failed) == (value, failed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "newly_flagged",
        "> 1",
        "newly_flagged > ",
        "newly_flagged > -1",
        "newly_flagged > 1% or changed > 2",
        "__import__('os') > 1",
        "newly_flagged > 1e9",
        "similarity > 1",
        "newly_samples > 1",
        "newly_newly_leak > 1",
    ],
)
def test_anything_else_is_refused_in_words(text: str):
    with pytest.raises(BadInput, match="expected"):
        parse_rule(text)


@pytest.mark.parametrize("text", ["newly_flagged > 1%", "changed > 5"])
def test_no_samples_pass_no_gate(text: str):
    [ruling] = rulings([parse_rule(text)], NOTHING)

    assert ruling.failed
