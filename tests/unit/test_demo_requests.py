"""What the demonstration asks for has a known truth."""

from collections import Counter

import pytest

from streams.core.parse import Refused, parse
from streams.core.records import Message
from streams.events import GenerationRequested, ImageRef
from streams.tools.demo_requests import EACH, FAMILIES, MALFORMED, STRANGER, STRENGTHS, of_families, plan

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


@pytest.mark.parametrize("count", [1, 2, 11])
def test_every_family_is_asked_for_the_same_people_and_the_first_gets_somebody_elses_frame(count):
    people = [f"synthetic-{number:02d}" for number in range(count)]
    frames = [ImageRef(sha256=f"{number:064x}", size=1) for number in range(count)]
    requests = of_families(people, frames, source="demo")
    assert len(requests) == len({one.request_id for one in requests})
    asked = Counter()
    for one in requests:
        asked[one.model, one.identity] += one.count
    assert asked == Counter({(model, name): EACH for model in FAMILIES for name in people[:4]})
    assert {one.strength for one in requests} == {0.0}
    for one in requests:
        assert (one.frame is None) == (one.model != FAMILIES[0])
        if one.frame is not None and count > EACH:
            assert one.frame != frames[people.index(one.identity)]
