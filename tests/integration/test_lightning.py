"""The callback in a real run of Lightning, on a real Kafka."""

import asyncio
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aiokafka import AIOKafkaConsumer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from streams import topics
from streams.adapters.images.decode import encode_png
from streams.client.publisher import Publisher
from streams.client.training import TrainingFeed
from streams.events import TrainingAdvised, to_json
from tests.absent import absent

#: Lightning's own words on how small this run is.
pytestmark = pytest.mark.filterwarnings("ignore")


def fit(kafka: str, folder: Path, steps: int) -> tuple[int, TrainingFeed]:
    """Train for so many steps, or until told to stop; return how many it were."""
    from lightning.pytorch import LightningModule, Trainer

    from streams.client.lightning import FeedCallback

    class Line(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return torch.as_tensor(self.layer(batch[0]).square().mean())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    def draw(module: Any) -> Iterable[tuple[str, bytes]]:
        return [(name, encode_png(np.zeros((8, 8, 3), np.uint8))) for name in ("anna", "bela")]

    data = DataLoader(TensorDataset(torch.ones(64, 1)), batch_size=1)
    with TrainingFeed(kafka, run_id="run-l", model="line") as feed:
        trainer = Trainer(
            max_steps=steps,
            max_epochs=-1,
            callbacks=[FeedCallback(feed, every=4, samples=draw)],
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(Line(), data)
        return trainer.global_step, feed


async def test_a_lightning_run_publishes_its_samples_and_ends_when_it_is_told_so(
    kafka_with_topics: str, tmp_path: Path
):
    if find_spec("lightning") is None:
        absent("no Lightning: pip install 'likeness-qc[lightning]'")
    done, _ = await asyncio.to_thread(fit, kafka_with_topics, tmp_path, 10)
    assert done == 10
    consumer = AIOKafkaConsumer(
        topics.TRAINING_SAMPLES.name, bootstrap_servers=kafka_with_topics, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            found = [json.loads((await consumer.getone()).value) for _ in range(4)]
    finally:
        await consumer.stop()
    assert sorted((each["step"], each["identity"]) for each in found) == [
        (step, name) for step in (4, 8) for name in ("anna", "bela")
    ]

    stop = TrainingAdvised(
        run_id="run-l", step=8, revision=1, complete=True, advice="stop", reason="", samples=2, accepted=0, flagged={}
    )
    async with Publisher(kafka_with_topics) as publisher:
        await publisher.raw(topics.TRAINING_FEEDBACK.name, to_json(stop), b"run-l")
    done, feed = await asyncio.to_thread(fit, kafka_with_topics, tmp_path, 1_000_000)
    assert feed.told_to_stop
    assert done < 1_000_000
