"""What the demonstration asks for has a known truth."""

from collections import Counter

import pytest

from streams.core.parse import Refused, parse
from streams.core.records import Message
from streams.events import GenerationRequested
from streams.tools.demo_requests import MALFORMED, STRANGER, STRENGTHS, plan

PEOPLE = ["synthetic-01", "synthetic-02"]


@pytest.mark.parametrize("count", [20, 40, 300, 1001])
def test_there_are_as_many_requests_as_asked_for_each_with_its_own_id(count):
    requests = plan(count, PEOPLE, "synthetic-03", source="demo")
    assert len(requests) == count == len({one.request_id for one in requests})
    asked = Counter(one.identity for one in requests)
    assert asked[STRANGER] == asked["synthetic-03"] == max(1, count * 3 // 100)
    known = Counter(one.strength for one in requests if one.identity in PEOPLE)
    assert set(known) == set(STRENGTHS)
    assert max(known.values()) - min(known.values()) <= 1


@pytest.mark.parametrize("value", MALFORMED)
def test_every_malformed_message_is_refused(value):
    message = Message("generation.requests", 0, 0, None, value, ())
    assert isinstance(parse(message, GenerationRequested), Refused)


def test_the_same_plan_is_made_again():
    assert plan(40, PEOPLE, "w", source="demo") == plan(40, PEOPLE, "w", source="demo")
