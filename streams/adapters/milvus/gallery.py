"""The gallery in Milvus: who is enrolled, in collections that belong to one embedding space."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pymilvus import MilvusClient

from streams.adapters.milvus import opening as milvus_opening
from streams.adapters.milvus.calls import Calls, address, require_address
from streams.adapters.milvus.held import Holder
from streams.adapters.milvus.rows import Hit, Rows
from streams.adapters.milvus.schema import (
    IDENTITY_FIELDS,
    LOOK_FIELDS,
    NO_MEANING,
    REFERENCE_FIELDS,
    Collection,
    Collections,
    Row,
    identity_of,
    identity_row,
    look_of,
    look_row,
    reference_of,
    reference_row,
    spread_of,
    vector_of,
)
from streams.core.enrolment import check_enrolment, checked_vector, enrolment, is_name, removal, require_name
from streams.core.explain.known import KnownLooks
from streams.core.explain.look import Look
from streams.core.explain.spread import Spread
from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, NearIdentity, Neighbourhood, Origin, Reference, next_version
from streams.errors import DependencyUnavailable, LikenessError

T = TypeVar("T")

VERSION = "version"
SPREAD = "spread"

#: So many rows may lie in Milvus Lite's memory: 500 make a search of a thousand people twice as slow, and writing them
#: down takes less than a tenth of a second.
SETTLE_ROWS = 250


class MilvusGallery:
    """Implements ``ports.Gallery`` on Milvus Lite's server, Milvus 2.3 and later, and Zilliz Cloud.

    Reads are strongly consistent. Several processes may read; one at a time may enrol or remove. A change that is cut
    off is completed by making it again: until then an enrolment has at worst references too many, and a removed
    identity is still there.
    """

    def __init__(self, uri: str, token: str, space: EmbeddingSpace, timeout_seconds: float) -> None:
        """Connect nothing yet; ``timeout_seconds`` limits each call of the server."""
        self._uri = uri
        self._space = space
        self._collections = Collections.of(space)
        self._calls = Calls(uri, token, timeout_seconds, self._load)
        self._changing = asyncio.Lock()
        self._holder = Holder()
        self._unsettled = 0

    async def open(self, create: bool = False) -> None:
        """Find the gallery of this embedding space; ``create`` makes it where there is none, as enrolment does.

        Raises:
            DependencyUnavailable: If nobody has been enrolled yet, or Milvus does not answer.
            SpaceMismatch: If somebody is enrolled in another space, and this one has no gallery.
            BadInput: If the address or the token cannot be used.
        """
        require_address(self._uri)
        where = address(self._uri)
        await self._run(lambda rows: milvus_opening.open_gallery(rows, self._space, where, create=create))

    async def close(self) -> None:
        """Wait for the calls that run, then close the connections."""
        self._holder.let_go()
        if self._unsettled:
            with contextlib.suppress(LikenessError):  # slower to search, and no less there
                await self._run(self._settle)
        await self._calls.close()

    async def enrol(
        self, identity: Identity, references: Sequence[Reference], looks: Mapping[str, Look] | None = None
    ) -> str:
        async with self._changing:
            return await self._run(lambda rows: self._enrol(rows, identity, references, looks or {}))

    async def remove(self, identity: str) -> str:
        async with self._changing:
            return await self._run(lambda rows: self._remove(rows, identity))

    async def identities(self, names: Sequence[str]) -> dict[str, Identity]:
        found = await self._run(lambda rows: rows.by_key(self._collections.identities, names, IDENTITY_FIELDS))
        by_name = {row["identity"]: identity_of(row) for row in found}
        return {name: by_name[name] for name in names if name in by_name}

    async def names(self) -> list[str]:
        collection = self._collections.identities
        return await self._run(lambda rows: sorted(str(row["identity"]) for row in rows.all(collection, [])))

    async def references(self, identity: str) -> list[Reference]:
        return await self._run(
            lambda rows: [
                reference_of(row)
                for row in rows.where(self._collections.references, "identity", [identity], REFERENCE_FIELDS)
            ]
        )

    async def put_looks(self, identity: str, looks: Mapping[str, Look]) -> None:
        await self._run(lambda rows: self._put_looks(rows, identity, looks))

    async def looks(self, names: Sequence[str]) -> dict[str, dict[str, Look]]:
        return await self._run(lambda rows: self._looks(rows, names))

    async def known_looks(self, names: Sequence[str], version: str) -> KnownLooks:
        held = self._holder.under(version)
        known = {name: held.looks[name] for name in names if name in held.looks}
        if missing := set(names) - known.keys():
            found = await self._run(lambda rows: self._looks(rows, sorted(missing)))
            read = {name: found.get(name, {}) for name in missing}
            held.keep(read)
            known |= read
        if not held.knows_spread:
            held.spread, held.knows_spread = await self.spread(), True
        return KnownLooks({name: known[name] for name in names if known[name]}, held.spread)

    async def put_spread(self, spread: Spread) -> None:
        await self._run(lambda rows: self._put_meta(rows, SPREAD, spread.model_dump_json()))

    async def spread(self) -> Spread | None:
        return await self._run(self._spread)

    async def search(
        self, probes: Sequence[Embedding], *, identities: int = 5, references: int = 3
    ) -> list[Neighbourhood]:
        checked = [checked_vector(probe, self._space, "a probe") for probe in probes]
        if not checked:
            return []
        kept = self._collections
        people, pictures = await asyncio.gather(
            self._run(lambda rows: rows.nearest(kept.identities, checked, identities, ["protected"])),
            self._run(lambda rows: rows.nearest(kept.references, checked, references, ["identity"])),
        )
        return [_neighbourhood(*near) for near in zip(people, pictures, strict=True)]

    async def version(self) -> str:
        return await self._run(self._version)

    async def domain(self) -> Origin | None:
        return await self._run(self._domain)

    async def remember(self, samples: Mapping[str, Embedding]) -> None:
        collection = self._collections.samples
        new = []
        for sample_id, vector in samples.items():
            require_name(sample_id, "sample id")
            checked = checked_vector(vector, self._space, f"the embedding of sample {sample_id}")
            new.append({collection.key: sample_id, collection.vector: checked})
        await self._run(lambda rows: self._remember(rows, new))

    async def unremember(self, sample_ids: Sequence[str]) -> None:
        wanted = {sample_id for sample_id in sample_ids if is_name(sample_id)}
        await self._run(lambda rows: rows.delete(self._collections.samples, wanted))

    async def recall(self, sample_ids: Sequence[str]) -> dict[str, Embedding]:
        collection = self._collections.samples
        fields = [collection.key, collection.vector]
        found = await self._run(lambda rows: rows.by_key(collection, sample_ids, fields))
        by_id = {row[collection.key]: vector_of(row[collection.vector]) for row in found}
        return {sample_id: by_id[sample_id] for sample_id in sample_ids if sample_id in by_id}

    def _enrol(self, rows: Rows, identity: Identity, references: Sequence[Reference], looks: Mapping[str, Look]) -> str:
        """Make one change of several writes, in the order in which being cut off does the least harm."""
        kept = self._collections
        check_enrolment(identity, references, self._space, self._domain(rows))
        row = identity_row(identity, self._space)
        before = self._ids(rows, kept.references, identity.identity)
        looked = self._ids(rows, kept.looks, identity.identity)
        self._put_looks(rows, identity.identity, looks)
        rows.delete(kept.looks, looked - looks.keys())
        rows.upsert(kept.references, [reference_row(each, self._space) for each in references])
        rows.upsert(kept.identities, [row])
        rows.delete(kept.references, before - {each.reference_id for each in references})
        version = self._set_version(rows, next_version(self._version(rows), enrolment(identity, references)))
        self._unsettled += 1 + len(references)
        if self._unsettled >= SETTLE_ROWS:
            self._settle(rows)
        return version

    def _remove(self, rows: Rows, identity: str) -> str:
        """Take the identity's own row out last: while it is there, a removal that was cut off can be seen."""
        kept = self._collections
        version = self._version(rows)
        for collection in (kept.looks, kept.references):
            rows.delete(collection, self._ids(rows, collection, identity))
        if not rows.by_key(kept.identities, [identity], [kept.identities.key]):
            return version
        others = any(row["identity"] != identity for row in rows.all(kept.identities, []))
        version = self._set_version(rows, next_version(version, removal(identity)) if others else "")
        rows.delete(kept.identities, [identity])
        return version

    def _remember(self, rows: Rows, new: Sequence[Row]) -> None:
        """Write embeddings. Milvus Lite may lose what comes while a collection is written anew: look whether it did."""
        collection = self._collections.samples
        rows.upsert(collection, new)
        if not milvus_opening.is_lite(rows):
            return
        keys = {str(row[collection.key]) for row in new}
        if keys != {row[collection.key] for row in rows.by_key(collection, keys, [collection.key])}:
            raise DependencyUnavailable("milvus", "embeddings that were just stored are not there: store them again")

    def _put_looks(self, rows: Rows, identity: str, looks: Mapping[str, Look]) -> None:
        rows.upsert(self._collections.looks, [look_row(key, identity, look) for key, look in looks.items()])

    def _looks(self, rows: Rows, names: Sequence[str]) -> dict[str, dict[str, Look]]:
        collection = self._collections.looks
        found: dict[str, dict[str, Look]] = {}
        for row in rows.where(collection, "identity", names, LOOK_FIELDS):
            look = look_of(row)
            if look is not None:
                found.setdefault(row["identity"], {})[row[collection.key]] = look
        return found

    def _spread(self, rows: Rows) -> Spread | None:
        found = rows.by_key(self._collections.meta, [SPREAD], ["value"])
        return spread_of(found[0]["value"]) if found else None

    def _ids(self, rows: Rows, collection: Collection, identity: str) -> set[str]:
        return {row[collection.key] for row in rows.where(collection, "identity", [identity], [])}

    def _version(self, rows: Rows) -> str:
        found = rows.by_key(self._collections.meta, [VERSION], ["value"])
        return str(found[0]["value"]) if found else ""

    def _set_version(self, rows: Rows, version: str) -> str:
        self._put_meta(rows, VERSION, version)
        return version

    def _put_meta(self, rows: Rows, key: str, value: str) -> None:
        meta = self._collections.meta
        rows.upsert(meta, [{meta.key: key, meta.vector: list(NO_MEANING), "value": value}])

    def _domain(self, rows: Rows) -> Origin | None:
        some = rows.first(self._collections.identities, ["origin"])
        return None if some is None else Origin(some["origin"])

    async def _run(self, operation: Callable[[Rows], T]) -> T:
        timeout = self._calls.timeout_seconds
        return await self._calls.run(lambda client: operation(Rows(client, timeout)))

    def _settle(self, rows: Rows) -> None:
        milvus_opening.settle(rows, self._collections.identities, self._collections.references)
        self._unsettled = 0

    def _load(self, client: MilvusClient) -> None:
        milvus_opening.load(Rows(client, self._calls.timeout_seconds), self._collections)


def _neighbourhood(people: Sequence[Hit], pictures: Sequence[Hit]) -> Neighbourhood:
    return Neighbourhood(
        identities=tuple(NearIdentity(hit.key, hit.similarity, hit.row["protected"]) for hit in people),
        references=tuple((hit.key, hit.row["identity"], hit.similarity) for hit in pictures),
    )
