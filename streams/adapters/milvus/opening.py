"""Opening a gallery in Milvus: finding it, making it, and refusing one of another embedding space."""

import time
from collections.abc import Sequence

from pymilvus import CollectionSchema, MilvusClient, MilvusException

from streams.adapters.milvus.rows import STRONG, Rows
from streams.adapters.milvus.schema import (
    NO_MEANING,
    Collection,
    Collections,
    collections_beside,
    schema,
)
from streams.core.faces import EmbeddingSpace
from streams.errors import DependencyUnavailable, SpaceMismatch

#: How long building an index and loading a collection may take: the server answers, but has work to do.
LOAD_SECONDS = 60.0

FINGERPRINT = "fingerprint"


def open_gallery(rows: Rows, space: EmbeddingSpace, where: str, *, create: bool) -> None:
    """Make sure that the collections of ``space`` are there, loaded, and of this space.

    Only ``create`` makes a gallery: one made by whoever comes first is empty, and everything that is judged by it is
    without a reference, for good. One that was emptied is there, and stays. ``samples`` is no part of it, and made by
    anybody.

    Raises:
        DependencyUnavailable: If Milvus, at ``where``, holds no gallery, unless ``create``.
        SpaceMismatch: If it holds only galleries of other spaces, unless ``create``.
    """
    collections = Collections.of(space)
    present = rows.client.list_collections(timeout=rows.timeout_seconds)
    if not create and any(each.name not in present for each in collections.gallery):
        refuse_other_spaces(rows, space, present)
        raise DependencyUnavailable(
            "milvus", f"{where}: nobody is enrolled yet in {space.fingerprint}; `likeness enrol` does that"
        )
    for collection in collections.all:
        if collection.name not in present:
            make(rows, collection, schema(collection, space))
        index(rows, collection)
    load(rows, collections)
    settle(rows, collections.identities, collections.references)
    _check_fingerprint(rows, collections.meta, space)


def load(rows: Rows, collections: Collections) -> None:
    """Load the collections into the server's memory; already loaded ones stay as they are."""
    for collection in collections.all:
        load_one(rows, collection)


def load_one(rows: Rows, collection: Collection) -> None:
    """Load a collection into the server's memory."""
    rows.client.load_collection(collection.name, timeout=LOAD_SECONDS)


def is_lite(rows: Rows) -> bool:
    """Say whether the server is Milvus Lite."""
    return str(rows.client.get_server_version(timeout=rows.timeout_seconds)).startswith("milvus_lite")


def settle(rows: Rows, *collections: Collection) -> None:
    """Let Milvus Lite write its memory down: what still lies in it is searched about ten times as slowly."""
    if is_lite(rows):
        for collection in collections:
            rows.client.flush(collection.name, timeout=LOAD_SECONDS)


def refuse_other_spaces(rows: Rows, space: EmbeddingSpace, present: Sequence[str]) -> None:
    """Raise SpaceMismatch where somebody is enrolled in another space."""
    others = []
    for identities, meta in collections_beside(present):
        load_one(rows, identities)
        if rows.first(identities, [identities.key]) is not None:
            load_one(rows, meta)
            others.append(fingerprint(rows, meta) or identities.name)
    if others:
        raise SpaceMismatch(
            f"expected a gallery enrolled in {space.fingerprint}, in which this process embeds; Milvus holds one of"
            f" {', '.join(sorted(others))}: enrol again in {space.fingerprint}, or set LIKENESS_EMBEDDER to the"
            " embedder of that gallery"
        )


def fingerprint(rows: Rows, meta: Collection) -> str | None:
    """Return the fingerprint of the space that a gallery was made for."""
    found = rows.by_key(meta, [FINGERPRINT], ["value"])
    return str(found[0]["value"]) if found else None


def _check_fingerprint(rows: Rows, meta: Collection, space: EmbeddingSpace) -> None:
    kept = fingerprint(rows, meta)
    if kept is None:
        row = {meta.key: FINGERPRINT, meta.vector: list(NO_MEANING), "value": space.fingerprint}
        rows.upsert(meta, [row])
    described = rows.client.describe_collection(meta.name, timeout=rows.timeout_seconds)["description"]
    for found in (kept, described):  # Milvus Lite keeps no description
        if found and found != space.fingerprint:
            raise SpaceMismatch(
                f"expected {meta.name} of the embedding space {space.fingerprint}, got {found}:"
                " rename or drop that collection, or use another Milvus database"
            )


def make(rows: Rows, collection: Collection, columns: CollectionSchema) -> None:
    """Make a collection; one that another process makes meanwhile is as good."""
    try:
        rows.client.create_collection(
            collection.name,
            schema=columns,
            consistency_level=STRONG,
            timeout=rows.timeout_seconds,
        )
    except MilvusException:
        # Another process may be making it at this moment; some servers call that an error, before they show it.
        deadline = time.monotonic() + rows.timeout_seconds
        while not rows.client.has_collection(collection.name, timeout=rows.timeout_seconds):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def index(rows: Rows, collection: Collection) -> None:
    """Give the vector an exact index: a gallery must not lose a neighbour to an approximation."""
    if rows.client.list_indexes(collection.name, timeout=rows.timeout_seconds):
        return
    # Zilliz Cloud knows only its own index.
    kind = "FLAT" if rows.client.is_self_hosted else "AUTOINDEX"
    params = MilvusClient.prepare_index_params()
    params.add_index(collection.vector, index_type=kind, metric_type="COSINE")
    try:
        rows.client.create_index(collection.name, params, timeout=LOAD_SECONDS)
    except MilvusException:
        if not rows.client.list_indexes(collection.name, timeout=rows.timeout_seconds):
            raise
