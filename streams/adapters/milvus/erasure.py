"""Forgetting somebody in Milvus: in every collection that holds people or samples, of every embedding space.

Milvus Lite keeps what was deleted in its files, also after it compacted them. There every collection is written anew:
its rows are copied, the copy takes its name, and the old one is dropped, with what was deleted long ago.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient

from streams.adapters.milvus.calls import Calls, require_address
from streams.adapters.milvus.opening import LOAD_SECONDS, is_lite
from streams.adapters.milvus.rows import STRONG, Rows
from streams.adapters.milvus.schema import NO_MEANING, Row
from streams.adapters.milvus.schema import Collection as Kept
from streams.core.enrolment import is_name, removal
from streams.core.erasure import Inventory, Needle
from streams.core.gallery import next_version
from streams.errors import DependencyUnavailable

T = TypeVar("T")

#: What the names of a copy, and of the collection that it stands in for, end with.
COPY, OLD = "__copy", "__old"

#: Rows that are copied at a time.
_PAGE = 500

#: How often erasing is tried: where others use a collection while it is renamed, Milvus Lite may find it unloaded.
_TRIES = 5

_VERSION = "version"
_VECTORS = (DataType.FLOAT_VECTOR,)


@dataclass(frozen=True)
class _Found:
    """A collection as the server describes it."""

    kept: Kept
    fields: tuple[str, ...]
    vectors: tuple[str, ...]

    @property
    def of_people(self) -> bool:
        """Whether each row is of one person."""
        return "identity" in self.fields


class MilvusVectors:
    """Implements ``ports.Vectors``."""

    def __init__(self, uri: str, token: str, timeout_seconds: float) -> None:
        """Connect nothing yet; ``timeout_seconds`` limits each call of the server."""
        self._uri = uri
        self._calls = Calls(uri, token, timeout_seconds, _load_all)

    async def open(self) -> None:
        """Look whether the address can be one.

        Raises:
            BadInput: If it cannot.
        """
        require_address(self._uri)

    async def close(self) -> None:
        """Wait for the calls that run, then close the connections."""
        await self._calls.close()

    async def find(self, identity: str, sample_ids: Collection[str]) -> Inventory:
        """See ``ports.Vectors``."""
        return await self._run(lambda rows: _find(rows, identity, sample_ids))

    async def depicted(self, images: Collection[str], *, except_of: str) -> set[str]:
        """See ``ports.Vectors``."""
        return await self._run(lambda rows: _depicted(rows, images, except_of))

    async def erase(self, identity: str, sample_ids: Collection[str]) -> bool:
        """See ``ports.Vectors``."""
        for _ in range(_TRIES - 1):
            with suppress(DependencyUnavailable):
                return await self._run(lambda rows: _erase(rows, identity, sample_ids))
        return await self._run(lambda rows: _erase(rows, identity, sample_ids))

    async def left(self, identity: str, sample_ids: Collection[str]) -> dict[str, int]:
        """See ``ports.Vectors``."""

        def count(rows: Rows) -> dict[str, int]:
            counts = {one.kept.name: sum(1 for _ in _mine(rows, one, identity, sample_ids)) for one in _every(rows)}
            return {name: number for name, number in counts.items() if number}

        return await self._run(count)

    async def _run(self, operation: Callable[[Rows], T]) -> T:
        timeout = self._calls.timeout_seconds
        return await self._calls.run(lambda client: operation(Rows(client, timeout)))


def _find(rows: Rows, identity: str, sample_ids: Collection[str]) -> Inventory:
    vectors: set[Needle] = set()
    images: set[str] = set()
    counts: dict[str, int] = {}
    for one in _every(rows):
        found = list(_mine(rows, one, identity, sample_ids))
        vectors |= {Needle.of(np.asarray(row[name], np.float32)) for row in found for name in one.vectors}
        images |= {row["image_sha256"] for row in found if "image_sha256" in row}
        kind = f"vectors in {one.kept.name.rpartition('_')[0]}"
        counts[kind] = counts.get(kind, 0) + len(found)
    return Inventory(frozenset(images), frozenset(vectors), {kind: number for kind, number in counts.items() if number})


def _depicted(rows: Rows, images: Collection[str], except_of: str) -> set[str]:
    return {
        row["image_sha256"]
        for one in _every(rows)
        if one.of_people and "image_sha256" in one.fields
        for row in rows.all(one.kept, ["image_sha256", "identity"])
        if row["image_sha256"] in images and row["identity"] != except_of
    }


def _erase(rows: Rows, identity: str, sample_ids: Collection[str]) -> bool:
    """Delete everywhere, those who are enrolled last: while they are, a removal that was cut off can be seen."""
    lite = is_lite(rows)
    if lite:
        _take_up(rows)
    for one in sorted(_every(rows), key=lambda one: one.kept.key == "identity"):
        found = [row[one.kept.key] for row in _mine(rows, one, identity, sample_ids)]
        if found and one.kept.key == "identity":
            _count_removal(rows, one.kept.name, identity)
        if found:
            rows.delete(one.kept, found)
        if lite:
            _write_anew(rows, one)
        elif found:
            rows.client.flush(one.kept.name, timeout=LOAD_SECONDS)
            rows.client.compact(one.kept.name, timeout=rows.timeout_seconds)
    return lite


def _every(rows: Rows) -> list[_Found]:
    """Return every collection that holds people or samples, loaded."""
    found = []
    for name in sorted(rows.client.list_collections(timeout=rows.timeout_seconds)):
        described = rows.client.describe_collection(name, timeout=rows.timeout_seconds)["fields"]
        fields = tuple(each["name"] for each in described)
        key = next(each["name"] for each in described if each.get("is_primary"))
        vectors = tuple(each["name"] for each in described if each["type"] in _VECTORS)
        if vectors and ("identity" in fields or key == "sample_id"):
            rows.client.load_collection(name, timeout=LOAD_SECONDS)
            found.append(_Found(Kept(name, key, vectors[0]), fields, vectors))
    return found


def _mine(rows: Rows, one: _Found, identity: str, sample_ids: Collection[str]) -> Iterator[Row]:
    wanted = [*one.vectors, *(name for name in ("image_sha256",) if name in one.fields), one.kept.key]
    if one.of_people and is_name(identity):
        yield from rows.where(one.kept, "identity", [identity], wanted)
    elif not one.of_people:
        yield from rows.by_key(one.kept, sample_ids, wanted)


def _count_removal(rows: Rows, identities: str, identity: str) -> None:
    """Change the gallery's version, as a removal does."""
    meta = Kept(identities.replace("identities_", "meta_", 1), "key", "no_meaning")
    if not rows.client.has_collection(meta.name, timeout=rows.timeout_seconds):
        return
    rows.client.load_collection(meta.name, timeout=LOAD_SECONDS)
    held = rows.by_key(meta, [_VERSION], ["value"])
    kept = Kept(identities, "identity", "centroid")
    others = any(row["identity"] != identity for row in rows.all(kept, []))
    version = next_version(str(held[0]["value"]) if held else "", removal(identity)) if others else ""
    rows.upsert(meta, [{meta.key: _VERSION, meta.vector: list(NO_MEANING), "value": version}])


# -- Milvus Lite -----------------------------------------------------------------------------------------------------


def _write_anew(rows: Rows, one: _Found) -> None:
    """Copy a collection and put the copy in its place. What others write meanwhile is brought along.

    Between the two renamings there is no collection of this name: who asks for it is told so, and asks again.
    """
    name = one.kept.name
    _make_like(rows, name, name + COPY)
    _copy(rows, one, name, name + COPY)
    rows.client.flush(name, timeout=LOAD_SECONDS)  # what lies in memory would be written down while it is renamed
    rows.client.rename_collection(name, name + OLD, timeout=rows.timeout_seconds)
    rows.client.rename_collection(name + COPY, name, timeout=rows.timeout_seconds)
    rows.client.load_collection(name, timeout=LOAD_SECONDS)
    _bring_along(rows, one)


def _bring_along(rows: Rows, one: _Found) -> None:
    """Copy what was written into the old one after the copy was made, then drop it."""
    name, old = one.kept.name, one.kept.name + OLD
    rows.client.load_collection(old, timeout=LOAD_SECONDS)
    _copy(rows, one, old, name, only_absent=True)
    rows.client.flush(name, timeout=LOAD_SECONDS)
    rows.client.drop_collection(old, timeout=LOAD_SECONDS)


def _take_up(rows: Rows) -> None:
    """Finish or undo what was cut off in the middle of ``_write_anew``."""
    names = set(rows.client.list_collections(timeout=rows.timeout_seconds))
    for old in sorted(name for name in names if name.endswith(OLD)):
        name = old.removesuffix(OLD)
        if name not in names:
            rows.client.rename_collection(name + COPY, name, timeout=rows.timeout_seconds)
        rows.client.load_collection(name, timeout=LOAD_SECONDS)
        found = next(one for one in _every(rows) if one.kept.name == name)
        _bring_along(rows, found)
    for copy in sorted(
        name for name in rows.client.list_collections(timeout=rows.timeout_seconds) if name.endswith(COPY)
    ):
        rows.client.drop_collection(copy, timeout=LOAD_SECONDS)


def _make_like(rows: Rows, name: str, copy: str) -> None:
    """Make an empty collection with the same fields and indexes."""
    described = rows.client.describe_collection(name, timeout=rows.timeout_seconds)
    schema = CollectionSchema.construct_from_dict(described)
    rows.client.create_collection(copy, schema=schema, consistency_level=STRONG, timeout=rows.timeout_seconds)
    indexes = MilvusClient.prepare_index_params()
    for index in rows.client.list_indexes(name, timeout=rows.timeout_seconds):
        like = rows.client.describe_index(name, index, timeout=rows.timeout_seconds)
        indexes.add_index(like["field_name"], index_type=like["index_type"], metric_type=like["metric_type"])
    rows.client.create_index(copy, indexes, timeout=LOAD_SECONDS)
    rows.client.load_collection(copy, timeout=LOAD_SECONDS)


def _copy(rows: Rows, one: _Found, source: str, target: str, *, only_absent: bool = False) -> None:
    kept, to = Kept(source, one.kept.key, one.kept.vector), Kept(target, one.kept.key, one.kept.vector)
    page: list[Row] = []
    for row in rows.all(kept, one.fields):
        page.append({name: row[name] for name in one.fields})
        if len(page) == _PAGE:
            _put(rows, to, page, only_absent=only_absent)
            page = []
    _put(rows, to, page, only_absent=only_absent)


def _put(rows: Rows, to: Kept, page: Sequence[Mapping[str, Any]], *, only_absent: bool) -> None:
    there = {row[to.key] for row in rows.by_key(to, [row[to.key] for row in page], [to.key])} if only_absent else set()
    rows.upsert(to, [dict(row) for row in page if row[to.key] not in there])


def _load_all(client: MilvusClient) -> None:
    for name in client.list_collections():
        client.load_collection(name, timeout=LOAD_SECONDS)
