"""What comes in more than once, or is to be judged otherwise than before."""

import random

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from streams.runtime.roles import ROLES
from tests.faults.kinds.fault import EVERYTHING, Fault
from tests.faults.road.laid import SESSION_SECONDS, STAFF, Road


class Duplicates(Fault):
    """Requests of any time are sent again, in another order, and one under a known name asks for something else."""

    name = "duplicate and conflicting requests"
    realms = ()

    async def inject(self, road: Road, draw: random.Random) -> None:
        await road.traffic.again(draw.randint(10, 60))
        await road.traffic.conflict()


class PolicyChange(Fault):
    """Some workers have the new policy, some the old one."""

    name = "policy changed in mid-stream"
    realms = ("judge",)

    async def inject(self, road: Road, draw: random.Random) -> None:
        road.policy.flip()
        hand, process = await road.crew.one("judge", draw)
        road.stops.append(await road.crew.end(hand, process, 30))


class Replay(Fault):
    """All groups begin at the first message again, under another policy."""

    name = "replay of every topic from offset 0"
    realms = EVERYTHING
    seconds = 300.0

    async def inject(self, road: Road, draw: random.Random) -> None:
        road.policy.flip()
        await road.crew.dismiss([hand for hand in road.crew.hands if hand.role in ROLES])
        for role in ROLES.values():
            places = [TopicPartition(topic.name, n) for topic in role.sources for n in range(topic.partitions)]
            await rewind(road.manifest.kafka, role.group(road.settings.group), places)
        for role_name in ROLES:  # ``heal`` does so where this is not reached
            await road.crew.have(role_name, STAFF[role_name])


@retry(
    # A worker that could not say goodbye is in its group until its session is over.
    retry=retry_if_exception_type(KafkaError),
    wait=wait_fixed(1),
    stop=stop_after_delay(5 * SESSION_SECONDS),
    reraise=True,
)
async def rewind(kafka: str, group: str, places: list[TopicPartition]) -> None:
    """Set a group back to the beginning, when nobody is in it any more."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))
    finally:
        await consumer.stop()
