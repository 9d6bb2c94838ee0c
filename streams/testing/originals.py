"""Originals in memory, compared one by one."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from streams.core.enrolment import require_name
from streams.core.imprints import Descriptor, Imprint, Imprints, Measure, Original, nearest
from streams.core.similarity import rounded
from streams.events import NearOriginal, OriginalKind


class InMemoryOriginals:
    """Keeps the promises of ``ports.Originals`` for one process, for tests and small programs."""

    def __init__(self, descriptor: Descriptor) -> None:
        """Start empty, for imprints of ``descriptor``."""
        self._descriptor = descriptor
        self._held: dict[str, Original] = {}

    async def register(self, originals: Sequence[Original]) -> None:
        for one in originals:
            require_name(one.original_id, "id of an original")
            if one.identity:
                require_name(one.identity, "identity")
        self._held |= {one.original_id: one for one in originals}

    async def remove(self, original_ids: Iterable[str]) -> None:
        for one in original_ids:
            self._held.pop(one, None)

    async def known(self, original_ids: Sequence[str]) -> set[str]:
        return self._held.keys() & set(original_ids)

    async def held(self, identity: str) -> dict[str, OriginalKind]:
        return {key: one.kind for key, one in self._held.items() if identity and one.identity == identity}

    async def count(self, kind: OriginalKind | None = None) -> int:
        return sum(kind in (None, one.kind) for one in self._held.values())

    async def about(self) -> int:
        return len(self._held)

    async def nearest(self, probes: Sequence[Imprints]) -> list[tuple[NearOriginal, ...]]:
        return [self._of(imprints) for imprints in probes]

    def _of(self, imprints: Imprints) -> tuple[NearOriginal, ...]:
        return nearest(
            self._near(one, place, probe)
            for probe in imprints
            for one in self._held.values()
            for place in range(len(one.imprints))
        )

    def _near(self, original: Original, place: int, probe: Imprint) -> NearOriginal:
        other = original.imprints[place].astype(np.float64)
        if self._descriptor.measure is Measure.BITS:
            how: dict[str, Any] = {"bits": int((probe != other).sum())}
        else:
            how = {"similarity": rounded(float(probe @ other))}
        return NearOriginal(
            original_id=original.original_id,
            kind=original.kind,
            identity=original.identity,
            image_sha256=original.image_sha256,
            mirrored=bool(place % 2),
            **how,
        )
