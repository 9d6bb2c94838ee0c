"""A training run's samples onto the road: what is judged there is judged as everything else is."""

import asyncio
from collections.abc import Callable

from generators.data import Faces
from generators.evaluate import Samples
from streams.adapters.images.decode import encode_png
from streams.client.publisher import Publisher
from streams.errors import BadInput, DependencyUnavailable
from streams.wheels import Report

Publish = Callable[[Samples, int], None]
"""Takes samples and the step that they were made at."""


def publisher_of(kafka: str, run_id: str, family: str, faces: Faces, report: Report) -> Publish:
    """Return what publishes a step's samples to Kafka, each with the name of the identity that it should show.

    A broker that is down costs the run nothing but a line: the next step's samples may find it well.
    """

    def publish(samples: Samples, step: int) -> None:
        try:
            count = asyncio.run(_publish(kafka, run_id, family, samples, faces, step))
        except (DependencyUnavailable, BadInput) as error:
            report(f"step {step}: samples are not published: {error}")
        else:
            report(f"step {step}: {count} samples are published")

    return publish


async def _publish(kafka: str, run_id: str, family: str, samples: Samples, faces: Faces, step: int) -> int:
    async with Publisher(kafka) as publisher:
        sends = (
            publisher.training_sample(
                run_id=run_id,
                step=step,
                index=index,
                identity=str(faces.names[target]),
                model=family,
                encoded=encode_png(pixels),
            )
            for index, (pixels, target) in enumerate(zip(samples.pixels, samples.targets, strict=True))
        )
        return len(await asyncio.gather(*sends))
