"""What happens to workers."""

import asyncio
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from streams.processes.child import Child
from streams.runtime.worker import STOP_SECONDS
from tests.faults.kinds.fault import WORKERS, Fault, Realm, Unmet
from tests.faults.road.crew import until
from tests.faults.road.laid import SESSION_SECONDS, STAFF, Road
from tests.faults.road.orders import POINTS, Order

#: So many passages of a point at most are let through before the worker dies there.
_MOST_SKIPPED = 3
_POINT_SECONDS = 45.0
#: Workers that start at the same time have all joined their group by then.
_JOIN_SECONDS = 60.0
_HOG = "while True: pass"


class Kill(Fault):
    """``kill -9`` at any time."""

    name = "worker kill -9 at random"

    async def inject(self, road: Road, draw: random.Random) -> None:
        hand, process = await road.crew.one(draw.choice(["generate", "judge", "judge", "judge", "reconcile"]), draw)
        hand.hurry()
        child = hand.slot.child
        road.crew.send(process, signal.SIGKILL)
        # Whoever told it to stop before it is gone would find that it ended badly.
        await until(lambda: child is None or child.poll() is not None, "the worker is dead")


@dataclass
class Crash(Fault):
    """Death at a point of the road between two things that are durable."""

    role: Realm
    point: str
    seconds: ClassVar[float] = _POINT_SECONDS + 30

    @property
    def name(self) -> str:  # type: ignore[override]
        """One class a point."""
        return f"worker crash: {self.role} {self.point}"

    @property
    def realms(self) -> Sequence[Realm]:  # type: ignore[override]
        """Its role."""
        return (self.role,)

    async def inject(self, road: Road, draw: random.Random) -> None:
        for hand in road.crew.of(self.role):
            hand.hurry()
        order = Order(self.role, self.point, skip=draw.randint(0, _MOST_SKIPPED))
        await _met(road, order)
        doer = road.desk.doer(order)

        def gone() -> bool:
            children = [hand.slot.child for hand in road.crew.of(self.role)]
            return all(child.poll() is not None for child in children if child and child.pid == doer)

        # It says that it crashes before it does: whoever told it to stop in between would find that it ended badly.
        await until(gone, "the worker that crashes is dead")


class BlockedLoop(Fault):
    """A judge whose whole event loop stands still for longer than its session."""

    name = "worker loop blocked > session"
    realms = ("judge",)

    async def inject(self, road: Road, draw: random.Random) -> None:
        point = draw.choice(["attempted", "judged", "decided", "delivered", "acked"])
        seconds = SESSION_SECONDS + draw.uniform(1, 4)
        await _met(road, Order("judge", point, block_seconds=seconds))
        await asyncio.sleep(seconds)


async def _met(road: Road, order: Order) -> None:
    road.desk.give(order)
    road.traffic.urgent += 1
    try:
        await until(partial(road.desk.done, order), "a worker passes a point", _POINT_SECONDS)
    except TimeoutError as error:
        raise Unmet(f"no {order.role} passed {order.point} within {_POINT_SECONDS:g} s") from error
    finally:
        road.traffic.urgent -= 1
        if not road.desk.done(order):
            road.desk.withdraw(order)


class Zombie(Fault):
    """A worker that stands still until its session is over, and then goes on as if nothing had been."""

    name = "worker SIGSTOP > session"

    async def inject(self, road: Road, draw: random.Random) -> None:
        _, process = await road.crew.one(draw.choice(["generate", "judge", "judge"]), draw)
        road.crew.send(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(SESSION_SECONDS + draw.uniform(1, 5))
        finally:
            road.crew.send(process, signal.SIGCONT)


class RollingRestart(Fault):
    """Every worker of a role is told to stop, one after the other, under a new policy."""

    name = "worker SIGTERM, rolling"

    async def inject(self, road: Road, draw: random.Random) -> None:
        road.policy.flip()
        for hand in road.crew.of(draw.choice(["generate", "judge"])):
            if hand.process is not None:
                road.stops.append(await road.crew.end(hand, hand.process, STOP_SECONDS + 5))


class RebalanceStorm(Fault):
    """Judges come and go."""

    name = "rebalance storm 1-4-2-3"
    realms = ("judge",)
    seconds = 300.0
    counts: Sequence[int] = (1, 4, 2, 3)

    async def inject(self, road: Road, draw: random.Random) -> None:
        try:
            for count in self.counts:
                await road.crew.have("judge", count)
                await until(partial(_all_at_work, road), f"{count} judges are at work", _JOIN_SECONDS)
                await asyncio.sleep(draw.uniform(0, 3))
        finally:
            await road.crew.have("judge", STAFF["judge"])


def _all_at_work(road: Road) -> bool:
    return all(hand.at_work for hand in road.crew.of("judge"))


class CpuHog(Fault):
    """Others want every core, several times over."""

    name = "CPU hog"
    realms = ()

    async def inject(self, road: Road, draw: random.Random) -> None:
        log = road.site.folder / "logs" / "hog.log"
        hogs = [Child.start("hog", [sys.executable, "-c", _HOG], {}, log, grace=0.5) for _ in range(6)]
        try:
            await asyncio.sleep(draw.uniform(5, 10))
        finally:
            await asyncio.gather(*(asyncio.to_thread(hog.stop) for hog in hogs))


def crashes() -> list[Crash]:
    """Return a death at each point there is."""
    return [Crash(role, point) for role in WORKERS for point in POINTS[role]]
