"""What a picture may be a copy of: the originals nearest to it, searched for only where there are any."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.core.faces import Sighting
from streams.core.measurement import Measurement
from streams.events import NearOriginal
from streams.ports import Appraising


@dataclass(frozen=True)
class Compared:
    """What pictures were compared with, and what lies near each of them."""

    searched: int
    """About how many originals are registered; none: nothing was compared."""
    descriptor: str = ""
    near: Mapping[str, tuple[NearOriginal, ...]] = field(default_factory=dict)

    def noted_in(self, measurement: Measurement, key: str) -> Measurement:
        """Return the measurement of the picture that was given under ``key``, with what was found."""
        if not self.searched:
            return measurement
        return measurement.model_copy(
            update={
                "originals": self.near[key],
                "originals_searched": self.searched,
                "copy_descriptor": self.descriptor,
            }
        )


async def compare(sightings: Mapping[str, Sighting], services: Appraising) -> Compared:
    """Compare pictures, each under a key, with every registered original, in one batch."""
    searched = await services.originals.about()
    if not searched:
        return Compared(0)
    imprints = await services.imprinter.imprint(list(sightings.values()))
    found = await services.originals.nearest(imprints)
    near = dict(zip(sightings, found, strict=True))
    return Compared(searched, services.imprinter.descriptor.fingerprint, near)
