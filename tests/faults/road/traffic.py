"""What a road is asked for while it is broken: requests, training samples and poison, all of it written down."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from streams.client import Publisher
from streams.errors import DependencyUnavailable
from streams.events import DEFAULT_MODEL, GenerationRequested, to_json
from streams.tools.demo_requests import STRANGER, STRENGTHS
from tests.faults.manifest import Asked, Manifest, Poisoned, Trained
from tests.faults.road.venom import inject
from tests.poison import REQUESTS, Poison

#: Seconds that one wave may take to be acknowledged before it is sent again as a whole.
_WAVE_SECONDS = 60.0
#: Of every hundred requests, so many are for somebody who may not be shown.
_FORBIDDEN_PERCENT = 10
_REQUESTS, _TRAINED = 12, 8
#: So many times as much may be on its way when something must come in.
_URGENTLY = 3
#: How many samples a request asks for; each request draws one.
_COUNTS = (1, 1, 1, 1, 2, 2, 4, 8)


@dataclass
class Traffic:
    """Keeps a road busy: whenever too little is on its way, more is asked for."""

    kafka: str
    manifest: Manifest
    source: str
    people: Sequence[str]
    withdrawn: str
    pictures: Sequence[bytes]
    """Images for training samples."""
    drops: Iterator[Poison]
    ended: Callable[[], int]
    """How many rows have ended so far, poison included."""
    draw: random.Random
    waiting: int
    """So many samples should be on their way at all times."""
    poison_percent: float = 4.0
    urgent: int = 0
    """How many wait for more to come in though enough is on its way: the first hop has done its part of that."""
    requests: list[GenerationRequested] = field(default_factory=list)
    _steps: int = 0
    _flows: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def rows(self) -> int:
        """How many rows the ledger has at least when everything that was acknowledged has been read."""
        messages = sum(one.offset is not None and not one.sample_ids for one in self.manifest.poison)
        return self.manifest.samples + messages

    async def flow(self) -> None:
        """Ask on and on, until cancelled."""
        while True:
            if self.rows - self.ended() < self.waiting * (_URGENTLY if self.urgent else 1):
                async with self._flows:
                    await self.wave()
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Nothing is asked for meanwhile; the last wave is acknowledged."""
        async with self._flows:
            yield

    async def wave(self) -> None:
        """Ask for some samples of every kind, and return when the brokers have all that."""
        asked = [self._request() for _ in range(_REQUESTS)]
        trained = [self._training() for _ in range(_TRAINED)]
        await self._acknowledged(asked, trained)
        self.requests += [request for request, _ in asked]
        if self.draw.random() < self.poison_percent / 100 * (_REQUESTS + _TRAINED):
            await self.poison(next(self.drops))

    async def again(self, count: int) -> None:
        """Send some earlier requests again, in another order."""
        some = self.draw.choices(self.requests, k=count) if self.requests else []
        await self._publish(some, [])

    async def conflict(self) -> None:
        """Ask again under the name of an earlier request, for something else."""
        if not self.requests:
            return
        first = self.draw.choice(self.requests)
        other = first.model_copy(update={"seed": first.seed + 1})
        key = other.request_id.encode()  # so it lies behind the first one
        await self.poison(Poison("a conflict", REQUESTS, to_json(other), "dead", ("request-conflict",), key=key))

    async def poison(self, piece: Poison) -> None:
        """Send one message that cannot end with an ordinary verdict, once: a second time it would be another one."""
        poisoned = Poisoned(piece.name, piece.topic, piece.end, list(piece.reasons), sample_ids=list(piece.sample_ids))
        poisoned.value_sha256 = hashlib.sha256(piece.value or b"").hexdigest()
        self.manifest.poison.append(poisoned)
        with suppress(KafkaError, OSError):  # then nobody knows whether it is there
            async with asyncio.timeout(_WAVE_SECONDS):
                poisoned.partition, poisoned.offset = await inject(self.kafka, piece, self.draw)

    def _request(self) -> tuple[GenerationRequested, Asked]:
        number = len(self.manifest.asked)
        forbidden = self.draw.random() < _FORBIDDEN_PERCENT / 100
        identity = self.draw.choice([STRANGER, self.withdrawn] if forbidden else self.people)
        request = GenerationRequested(
            source=self.source,
            request_id=f"r-{number:06d}",
            identity=identity,
            seed=self.draw.randrange(2**31),
            strength=self.draw.choice(STRENGTHS),
            count=self.draw.choice(_COUNTS) if self.draw.random() < 0.99 else 64,
        )
        asked = Asked(self.source, request.request_id, identity, DEFAULT_MODEL, request.count)
        if forbidden:
            asked.end, asked.reasons = "flagged", ["no-consent", "no-reference"]
        self.manifest.asked.append(asked)
        return request, asked

    def _training(self) -> Trained:
        self._steps += 1
        trained = Trained(
            f"{self.source}-run", self._steps // 16, self._steps % 16, self.draw.choice(self.people), DEFAULT_MODEL
        )
        self.manifest.training.append(trained)
        return trained

    async def _acknowledged(
        self, asked: Sequence[tuple[GenerationRequested, Asked]], trained: Sequence[Trained]
    ) -> None:
        await self._publish([request for request, _ in asked], trained)
        for _, one in asked:
            one.acknowledged = True
        for other in trained:
            other.acknowledged = True

    async def _publish(self, requests: Sequence[GenerationRequested], trained: Sequence[Trained]) -> None:
        """Publish until the brokers have it all: what is sent twice changes nothing."""
        while True:
            try:
                async with asyncio.timeout(_WAVE_SECONDS), Publisher(self.kafka) as publisher:
                    await publisher.request(*requests)
                    await asyncio.gather(*(self._train(publisher, one) for one in trained))
                    return
            except (DependencyUnavailable, TimeoutError):
                await asyncio.sleep(0.2)

    async def _train(self, publisher: Publisher, one: Trained) -> None:
        encoded = self.pictures[(one.step * 16 + one.index) % len(self.pictures)]
        await publisher.training_sample(
            run_id=one.run_id,
            step=one.step,
            index=one.index,
            identity=one.identity,
            model=one.model,
            encoded=encoded,
        )
