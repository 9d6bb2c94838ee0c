"""The originals in Milvus: imprints of images that no sample may be a copy of, a collection for each descriptor.

Milvus Lite has no vectors of bits, and searches by L2 in as much memory as all rows take, times the probes. So bits are
floats of -1 and 1 at unit length, as every other vector here: of d bits, (1 - cosine) * d / 2 differ.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient

from streams.adapters.milvus import opening as milvus_opening
from streams.adapters.milvus.calls import Calls, require_address
from streams.adapters.milvus.rows import Hit, Rows
from streams.adapters.milvus.schema import Collection, Row
from streams.core.enrolment import require_name
from streams.core.imprints import TOLD, Descriptor, Imprint, Imprints, Measure, Original, nearest
from streams.errors import LikenessError
from streams.events import NearOriginal, OriginalKind

T = TypeVar("T")

log = logging.getLogger(__name__)

#: So many rows may lie in Milvus Lite's memory before it is told to write them down.
SETTLE_ROWS = 2000

#: How long originals that were counted are not counted again, in seconds: to count, Milvus Lite looks at every row.
COUNTED_SECONDS = 60.0

#: No original has more imprints than this: two views, and the mirror image of each.
MOST_IMPRINTS = 4

#: One original may come by each of its imprints: so many rows are asked for of one probe.
_ASKED = TOLD * MOST_IMPRINTS

#: Begins the name of every such collection.
_PREFIX = "originals_"

#: Numbers of bits are few, and many far originals equally near: of near ones alone is it settled which come first.
_SETTLED_FROM = 0.5

_FIELDS = ["original_id", "kind", "identity", "image_sha256", "place"]


class MilvusOriginals:
    """Implements ``ports.Originals`` on Milvus Lite's server, Milvus 2.3 and later, and Zilliz Cloud.

    Reads are strongly consistent. A change that is cut off is completed by making it again: until then an original may
    be there with some of its imprints, and does not count as known.
    """

    def __init__(self, uri: str, token: str, descriptor: Descriptor, timeout_seconds: float) -> None:
        """Connect nothing yet; ``timeout_seconds`` limits each call of the server."""
        self._uri = uri
        self._descriptor = descriptor
        mark = re.sub(r"\W", "_", descriptor.fingerprint.rpartition("/")[2], flags=re.ASCII)
        self._collection = Collection(f"{_PREFIX}{mark}", "imprint_id", "imprint")
        self._calls = Calls(uri, token, timeout_seconds, self._load)
        self._unsettled = 0
        self._counted, self._counted_until = 0, 0.0

    async def open(self) -> None:
        """Find the collection of this descriptor, or make it: an empty one says as much as none.

        Raises:
            DependencyUnavailable: If Milvus does not answer.
            BadInput: If the address or the token cannot be used.
        """
        require_address(self._uri)
        await self._run(self._open)

    async def close(self) -> None:
        """Wait for the calls that run, then close the connections."""
        if self._unsettled:
            with contextlib.suppress(LikenessError):  # slower to search, and no less there
                await self._run(self._settle)
        await self._calls.close()

    async def register(self, originals: Sequence[Original]) -> None:
        for one in originals:
            require_name(one.original_id, "id of an original")
            if one.identity:
                require_name(one.identity, "identity")
        rows = [row for one in originals for row in self._rows_of(one)]
        await self._run(lambda client: self._register(client, rows))

    async def remove(self, original_ids: Iterable[str]) -> None:
        keys = [_key(one, place) for one in original_ids for place in range(MOST_IMPRINTS)]
        await self._run(lambda rows: rows.delete(self._collection, keys))

    async def known(self, original_ids: Sequence[str]) -> set[str]:
        keys = [_key(one, 0) for one in original_ids]
        found = await self._run(lambda rows: rows.by_key(self._collection, keys, ["original_id"]))
        return {str(row["original_id"]) for row in found}

    async def held(self, identity: str) -> dict[str, OriginalKind]:
        fields = ["original_id", "kind"]
        found = await self._run(lambda rows: list(rows.where(self._collection, "identity", [identity], fields)))
        return {row["original_id"]: row["kind"] for row in found}

    async def count(self, kind: OriginalKind | None = None) -> int:
        matching = "place == 0" if kind is None else f'place == 0 and kind == "{kind}"'
        return await self._run(lambda rows: rows.count(self._collection, matching))

    async def about(self) -> int:
        if not self._counted or time.monotonic() > self._counted_until:
            self._counted = await self.count()
            self._counted_until = time.monotonic() + COUNTED_SECONDS
        return self._counted

    async def nearest(self, probes: Sequence[Imprints]) -> list[tuple[NearOriginal, ...]]:
        flat = [self._vector(imprint) for imprints in probes for imprint in imprints]
        if not flat:
            return [() for _ in probes]
        found = iter(
            await self._run(
                lambda rows: rows.nearest(self._collection, flat, _ASKED, _FIELDS, settled_from=_SETTLED_FROM)
            )
        )
        return [nearest(self._near(hit) for _ in imprints for hit in next(found)) for imprints in probes]

    def _vector(self, imprint: Imprint) -> Imprint:
        if self._descriptor.measure is Measure.COSINE:
            return imprint
        return np.asarray((2 * imprint - 1) / self._descriptor.dimension**0.5, dtype=np.float32)

    def _rows_of(self, original: Original) -> list[Row]:
        """Return a row for each imprint; the first comes last, because by it the original counts as known."""
        rows: list[Row] = [
            {
                "imprint_id": _key(original.original_id, place),
                "imprint": self._vector(imprint),
                "original_id": original.original_id,
                "kind": original.kind,
                "identity": original.identity,
                "image_sha256": original.image_sha256,
                "place": place,
            }
            for place, imprint in enumerate(original.imprints)
        ]
        return rows[::-1]

    def _near(self, hit: Hit) -> NearOriginal:
        row = hit.row
        if self._descriptor.measure is Measure.BITS:
            how: dict[str, Any] = {"bits": round((1 - hit.similarity) * self._descriptor.dimension / 2)}
        else:
            how = {"similarity": hit.similarity}
        return NearOriginal(
            original_id=row["original_id"],
            kind=row["kind"],
            identity=row["identity"],
            image_sha256=row["image_sha256"],
            mirrored=bool(row["place"] % 2),
            **how,
        )

    def _open(self, rows: Rows) -> None:
        if not rows.client.has_collection(self._collection.name, timeout=rows.timeout_seconds):
            milvus_opening.make(rows, self._collection, _schema(self._collection, self._descriptor))
        milvus_opening.index(rows, self._collection)
        milvus_opening.load_one(rows, self._collection)
        self._settle(rows)
        self._warn_of_others(rows)

    def _warn_of_others(self, rows: Rows) -> None:
        """Whoever changes the descriptor leaves everything behind that was registered by the former one."""
        if rows.first(self._collection, ["place"]) is not None:
            return
        for name in rows.client.list_collections(timeout=rows.timeout_seconds):
            if name.startswith(_PREFIX) and name != self._collection.name and _rows_in(rows, name):
                log.warning(
                    "nothing is registered by %s, in which this process recognises copies, and originals are registered"
                    " by another descriptor, in %s: no copy of these is recognised until `likeness index-training` and"
                    " `likeness index-references` have run again",
                    *(self._descriptor.fingerprint, name),
                )

    def _register(self, rows: Rows, new: Sequence[Row]) -> None:
        rows.upsert(self._collection, new)
        self._unsettled += len(new)
        if self._unsettled >= SETTLE_ROWS:
            self._settle(rows)

    async def _run(self, operation: Callable[[Rows], T]) -> T:
        timeout = self._calls.timeout_seconds
        return await self._calls.run(lambda client: operation(Rows(client, timeout)))

    def _settle(self, rows: Rows) -> None:
        milvus_opening.settle(rows, self._collection)
        self._unsettled = 0

    def _load(self, client: MilvusClient) -> None:
        milvus_opening.load_one(Rows(client, self._calls.timeout_seconds), self._collection)


def _schema(collection: Collection, descriptor: Descriptor) -> CollectionSchema:
    built = MilvusClient.create_schema(auto_id=False, description=descriptor.fingerprint)
    built.add_field(collection.key, DataType.VARCHAR, is_primary=True, max_length=220)
    built.add_field(collection.vector, DataType.FLOAT_VECTOR, dim=descriptor.dimension)
    built.add_field("original_id", DataType.VARCHAR, max_length=200)
    built.add_field("kind", DataType.VARCHAR, max_length=16)
    built.add_field("identity", DataType.VARCHAR, max_length=200)
    built.add_field("image_sha256", DataType.VARCHAR, max_length=64)
    built.add_field("place", DataType.INT64)
    return built


def _rows_in(rows: Rows, name: str) -> int:
    return int(rows.client.get_collection_stats(name, timeout=rows.timeout_seconds)["row_count"])


def _key(original_id: str, place: int) -> str:
    """Return the key of one imprint; an even place is the picture's, an odd one that of its mirror image."""
    return f"{original_id}:{place}"
