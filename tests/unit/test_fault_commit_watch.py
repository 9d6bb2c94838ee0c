"""When a committed message counts as done: everything that follows from it was durable when the commit was seen."""

import asyncio
import io
import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from streams import topics
from streams.tools.audit.records import Ask
from tests.faults.checker.commits import Watch, not_done
from tests.faults.checker.ledger import Row

SEEN_AT = 1_000
TWO = Ask("own", ("a", "b"))
NONE = Ask("own", ())


def ended(sample_id: str, published_at: int | None = SEEN_AT) -> Row:
    return Row(sample_id, "accepted", "samples.accepted", registered_at=1, published_at=published_at)


def in_flight(sample_id: str, registered_at: int = 1) -> Row:
    return Row(sample_id, "in_flight", registered_at=registered_at)


def look(role: str, asked: Ask, *rows: Row, made=()):
    return not_done(role, asked, {row.sample_id: row for row in rows}, made, SEEN_AT)


@pytest.mark.parametrize("role", ["generate", "judge"])
def test_a_message_whose_samples_have_all_ended_by_then_is_done(role):
    assert look(role, TWO, ended("a"), ended("b", SEEN_AT - 1)) is None


@pytest.mark.parametrize(
    ("late", "why"),
    [
        (None, "sample b is not in the ledger"),
        (in_flight("b"), "sample b is in_flight and its end not delivered"),
        (ended("b", None), "sample b is accepted and its end not delivered"),
        (ended("b", SEEN_AT + 500_000), "sample b is accepted, delivered 0.500 s later"),
    ],
)
def test_a_message_is_not_done_while_one_of_its_samples_has_no_end(late, why):
    assert look("judge", TWO, ended("a"), *([late] if late else [])) == why


def test_a_request_is_done_when_its_samples_were_registered_and_made():
    assert look("generate", TWO, in_flight("a"), ended("b"), made={"a"}) is None


@pytest.mark.parametrize(("row", "made"), [(in_flight("a"), set()), (in_flight("a", SEEN_AT + 1), {"a"})])
def test_a_request_is_not_done_before_a_sample_of_it_was_registered_and_made(row, made):
    assert look("generate", TWO, row, ended("b"), made=made) is not None


def test_a_sample_is_not_done_when_it_was_only_made():
    assert look("judge", TWO, in_flight("a"), ended("b"), made={"a"}) is not None


def test_a_message_that_names_no_sample_is_done_when_its_dead_letter_was_delivered():
    assert look("judge", NONE, ended("own")) is None
    assert look("judge", TWO, ended("own")) is None
    assert "names no sample" in (look("judge", NONE) or "")
    assert look("judge", NONE, ended("own", SEEN_AT + 1)) is not None


PLACE = TopicPartition(topics.TRAINING_SAMPLES.name, 0)


class Cluster:
    """One message in one partition, that the judges have committed. Answers as admin, consumer and ledger."""

    def __init__(self, *, loses_its_disk: bool) -> None:
        self.cluster_id, self.at, self.loses_its_disk = "first", 0, loses_its_disk

    async def describe_cluster(self):
        return {"cluster_id": self.cluster_id}

    async def list_consumer_group_offsets(self, group):
        return {PLACE: SimpleNamespace(offset=1)}

    def assignment(self):
        return {PLACE}

    async def end_offsets(self, places):
        return {PLACE: 1}

    async def position(self, place):
        return self.at

    async def getmany(self, timeout_ms):
        self.at = 1
        return {PLACE: [SimpleNamespace(offset=0, value=b"not a sample", timestamp=0)]}

    def some(self, ids):
        if self.loses_its_disk:
            self.cluster_id = "second"
        return {}


async def one_look(cluster: Cluster) -> list[dict]:
    out = io.StringIO()
    watch = Watch("", cluster, "likeness", out)
    await watch._recognise(cluster)
    with pytest.raises(ConnectionError, match="another cluster") if cluster.loses_its_disk else nullcontext():
        await watch._look(cluster, cluster)
    assert watch._open == []
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_commit_of_what_is_not_done_is_early():
    assert [seen["kind"] for seen in asyncio.run(one_look(Cluster(loses_its_disk=False)))] == ["committed", "early"]


def test_a_disk_that_is_lost_during_a_look_speaks_against_nobody():
    assert [seen["kind"] for seen in asyncio.run(one_look(Cluster(loses_its_disk=True)))] == ["committed", "wiped"]
