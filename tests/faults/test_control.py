"""The control: the same kills without a ledger that decides once.

An audit that found nothing here could find nothing anywhere.
"""

import signal
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import topics
from streams.shipped import shipped

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLES = 96
KILLS = 2
FORGETFUL = [sys.executable, str(Path(__file__).with_name("forgetful_worker.py"))]


async def with_two_verdicts(kafka: str) -> set[str]:
    """Return the samples for which the topics themselves show two different verdicts."""
    places = [TopicPartition(t.name, n) for t in (topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED) for n in range(4)]
    verdicts: dict[str, set[bytes]] = defaultdict(set)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        left = sum((await consumer.end_offsets(places)).values())
        while left:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                left -= len(records)
                for record in records:
                    verdicts[record.key.decode()].add(record.value)
    finally:
        await consumer.stop()
    return {sample_id for sample_id, values in verdicts.items() if len(values) > 1}


async def test_without_a_ledger_that_decides_once_kills_lead_to_two_verdicts_and_the_audit_says_so(
    road_apart, tmp_path
):
    road = road_apart
    policy = tmp_path / "policy.toml"
    lenient = (shipped("policies") / "synthetic.toml").read_text()
    policy.write_text(lenient)

    async def verdicts_will_come_again() -> bool:
        flow = await road.flow()
        return flow.ended > flow.committed

    judging = road.supervisor("judge", command=lambda _: FORGETFUL, LIKENESS_POLICY=str(policy))
    async with road.workers(road.supervisor("generate")), road.workers(judging) as (judge,):
        await road.ask(SAMPLES, "control")
        for kill in range(KILLS):
            ended = road.count(road.ENDED)
            process = await road.caught(judge, road.ENDED, more_than=ended, frozen=verdicts_will_come_again)
            policy.write_text(lenient.replace("similarity = 0.60", f"similarity = 0.{80 + kill}"))
            await road.hit(judge, process, signal.SIGKILL)
        await road.drained()
    status, audited = await road.audit()
    two_faced = await with_two_verdicts(road.settings.kafka)
    road.note(f"{KILLS} kills without a ledger that decides once: {len(two_faced)} of {SAMPLES} samples judged twice")
    assert two_faced
    assert audited["conflicting"] == len(two_faced)
    assert {one["sample_id"] for one in audited["offences"]["conflicting"]} <= two_faced
    assert not audited["sound"]
    assert status == 1
