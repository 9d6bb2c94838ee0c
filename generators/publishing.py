"""A training run's samples onto the road: what is judged there is judged as everything else is."""

from collections.abc import Callable

from generators.data import Faces
from generators.evaluate import Samples
from streams.adapters.images.decode import encode_png
from streams.client.training import TrainingFeed
from streams.errors import BadInput, DependencyUnavailable
from streams.wheels import Report

Publish = Callable[[Samples, int], None]
"""Takes samples and the step that they were made at."""


def publisher_of(feed: TrainingFeed, faces: Faces, report: Report) -> Publish:
    """Return what publishes a step's samples, each with the name of the identity that it should show.

    A broker that is down costs the run nothing but a line: the next step's samples may find it well.
    """

    def publish(samples: Samples, step: int) -> None:
        shown = zip(samples.pixels, samples.targets, strict=True)
        try:
            count = feed.publish(step, ((str(faces.names[target]), encode_png(pixels)) for pixels, target in shown))
        except (DependencyUnavailable, BadInput) as error:
            report(f"step {step}: samples are not published: {error}")
        else:
            report(f"step {step}: {count} samples are published")

    return publish
