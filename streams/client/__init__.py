"""What other programs import: ask for samples, publish training samples, read verdicts.

Through the intake (``likeness intake``), which acknowledges a request only when no broker can lose it any more::

    async with Intake("http://127.0.0.1:8080") as intake:
        await intake.request(GenerationRequested(source="shop", request_id="r-1", identity="anna", seed=7))

Straight onto Kafka, where the brokers' disks are what a request rests on until a worker has read it::

    async with Publisher("localhost:9092") as publisher:
        await publisher.request(GenerationRequested(source="shop", request_id="r-1", identity="anna", seed=7))

From a training loop, ``TrainingFeed`` has samples judged and reads what is advised; for Lightning there is
``streams.client.lightning.FeedCallback``.
"""

from streams.client.intake import Intake
from streams.client.publisher import Publisher
from streams.client.training import TrainingFeed
from streams.client.verdicts import verdicts

__all__ = ["Intake", "Publisher", "TrainingFeed", "verdicts"]
