"""Reading and writing rows of Milvus: in pieces that every server takes, and seen by whoever reads next."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pymilvus import MilvusClient

from streams.adapters.milvus.schema import Collection, Row
from streams.core.enrolment import is_name
from streams.core.faces import Embedding
from streams.core.similarity import rounded

T = TypeVar("T")

#: Rows in one call: with 128 to 512 floats a row this stays far below the 64 MB that Milvus takes in one message.
ROWS = 1000

#: Keys in one filter, and probes in one search.
KEYS = 256

#: The most neighbours that Milvus gives for one probe.
NEIGHBOURS = 16_384

#: So many rows more than wanted are asked for at first: on Milvus Lite a search takes as long as its answer is.
SLACK = 1

#: A read sees everything that was written before it, by whomever.
STRONG = "Strong"


@dataclass(frozen=True)
class Hit:
    """One neighbour: cosine similarity in [-1, 1], rounded; larger is nearer."""

    key: str
    similarity: float
    row: Row


@dataclass(frozen=True)
class Rows:
    """The rows that one connection reaches. Blocks."""

    client: MilvusClient
    timeout_seconds: float

    def upsert(self, collection: Collection, rows: Sequence[Row]) -> None:
        """Put the rows, each in the place of the row that had its key."""
        for piece in _pieces(rows, ROWS):
            self.client.upsert(collection.name, list(piece), timeout=self.timeout_seconds)

    def delete(self, collection: Collection, keys: Iterable[str]) -> None:
        """Take the rows with these keys out; unknown keys are no error."""
        for piece in _pieces(sorted(keys), KEYS):
            self.client.delete(collection.name, filter=_any_of(collection.key, piece), timeout=self.timeout_seconds)

    def by_key(self, collection: Collection, keys: Iterable[str], fields: Sequence[str]) -> list[Row]:
        """Return the rows that have one of these keys. What is no name cannot be a key."""
        wanted = sorted({key for key in keys if is_name(key)})
        return [
            row
            for piece in _pieces(wanted, KEYS)
            for row in self._query(collection, _any_of(collection.key, piece), fields)
        ]

    def where(self, collection: Collection, field: str, values: Iterable[str], fields: Sequence[str]) -> Iterator[Row]:
        """Give every row whose ``field`` is one of these; of one value, in order of the key. No name is nobody's."""
        for piece in _pieces(sorted({value for value in values if is_name(value)}), KEYS):
            yield from self._pages(collection, _any_of(field, piece), fields)

    def all(self, collection: Collection, fields: Sequence[str]) -> Iterator[Row]:
        """Give every row, in order of the key."""
        yield from self._pages(collection, "", fields)

    def count(self, collection: Collection, matching: str) -> int:
        """Return how many rows match."""
        return int(self._query(collection, matching, ["count(*)"])[0]["count(*)"])

    def first(self, collection: Collection, fields: Sequence[str]) -> Row | None:
        """Return some row; None where there is none."""
        return next(iter(self._query(collection, "", fields, limit=1)), None)

    def nearest(
        self,
        collection: Collection,
        probes: Sequence[Embedding],
        limit: int,
        fields: Sequence[str],
        *,
        settled_from: float = -1.0,
    ) -> list[list[Hit]]:
        """Return for each probe the ``limit`` nearest rows: by similarity, on ties by key.

        Which of several equally near rows come last does not matter below the similarity ``settled_from``.
        """
        if limit < 1:
            return [[] for _ in probes]
        return [
            hits
            for piece in _pieces(probes, KEYS)
            for hits in self._nearest(
                collection, piece, min(limit, NEIGHBOURS), [collection.key, *fields], settled_from
            )
        ]

    def _nearest(
        self, collection: Collection, probes: Sequence[Embedding], limit: int, fields: list[str], settled_from: float
    ) -> list[list[Hit]]:
        asked = min(limit + SLACK, NEIGHBOURS)
        found = self._search(collection, probes, asked, fields)

        def undecided() -> list[int]:
            # Which of several equally near rows Milvus gives depends on how they lie in it: ask for more until
            # the last that is wanted is nearer than the last that came, so that none of its equals is missing.
            return [
                place
                for place, hits in enumerate(found)
                if len(hits) == asked and hits[limit - 1].similarity == hits[-1].similarity >= settled_from
            ]

        while asked < NEIGHBOURS and (places := undecided()):
            asked = min(asked * 4, NEIGHBOURS)
            for place, hits in zip(
                places, self._search(collection, [probes[place] for place in places], asked, fields), strict=True
            ):
                found[place] = hits
        return [sorted(hits, key=lambda hit: (-hit.similarity, hit.key))[:limit] for hits in found]

    def _search(
        self, collection: Collection, probes: Sequence[Embedding], limit: int, fields: list[str]
    ) -> list[list[Hit]]:
        answer = self.client.search(
            collection.name,
            data=list(probes),
            anns_field=collection.vector,
            limit=limit,
            output_fields=fields,
            search_params={"metric_type": "COSINE"},
            consistency_level=STRONG,
            timeout=self.timeout_seconds,
        )
        # What Milvus calls the distance of the metric COSINE is the similarity.
        return [
            [Hit(hit["entity"][collection.key], rounded(hit["distance"]), hit["entity"]) for hit in hits]
            for hits in answer
        ]

    def _pages(self, collection: Collection, matching: str, fields: Sequence[str]) -> Iterator[Row]:
        key = collection.key
        after = matching
        while True:
            # As an iterator the server gives the rows with the smallest keys; else it may give any.
            page = self._query(
                collection, after, [key, *fields], limit=ROWS, iterator="True", reduce_stop_for_best="True"
            )
            yield from sorted(page, key=lambda row: str(row[key]))
            if len(page) < ROWS:
                return
            last = f"{key} > {json.dumps(max(row[key] for row in page))}"
            after = f"{matching} and {last}" if matching else last

    def _query(self, collection: Collection, matching: str, fields: Sequence[str], **options: Any) -> Sequence[Row]:
        rows: Sequence[Row] = self.client.query(
            collection.name,
            filter=matching,
            output_fields=list(fields),
            consistency_level=STRONG,
            timeout=self.timeout_seconds,
            **options,
        )
        return rows


def _any_of(field: str, values: Sequence[str]) -> str:
    """Return a filter. Values are names, which hold nothing that ends a quoted text."""
    return f"{field} in {json.dumps(list(values))}"


def _pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
