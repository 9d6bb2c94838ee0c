"""A callback for Lightning: samples out every so many steps, and an end when the feedback says stop.

::

    with TrainingFeed("localhost:9092", run_id="run-7", model="my-gan") as feed:
        Trainer(callbacks=[FeedCallback(feed, every=1000, samples=draw)]).fit(module)
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from streams.client.training import TrainingFeed
from streams.errors import DependencyUnavailable

log = logging.getLogger(__name__)

Samples = Callable[[LightningModule], Iterable[tuple[str, bytes]]]
"""Draws samples of the module as it is now: whom each should show, and the image as PNG, JPEG or WebP."""


class FeedCallback(Callback):  # type: ignore[misc]
    """Publishes samples, and ends the run when it is told so. A broker that is down costs the run a warning."""

    def __init__(self, feed: TrainingFeed, *, every: int, samples: Samples) -> None:
        """Take the feed, which must be open, after how many steps to publish, and what draws the samples."""
        self._feed, self._every, self._samples = feed, every, samples
        self._published = -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Publish where it is time; stop where it was said."""
        step = trainer.global_step
        # Batches that only gather gradients leave the step as it is.
        if trainer.is_global_zero and step % self._every == 0 and step != self._published:
            self._published = step
            try:
                self._feed.publish(step, self._samples(pl_module))
            except DependencyUnavailable as error:
                log.warning("step %d: samples are not published: %s", step, error)
        if self._feed.told_to_stop:
            trainer.should_stop = True
