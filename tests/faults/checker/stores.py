"""Whether the images and the embeddings that verdicts speak of are really there."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pymilvus import MilvusClient

from tests.faults.checker.ends import Picture

#: The store's own mark; any other hidden file is what a killed writer left.
_MARKER = ".likeness-images"

_AT_A_TIME = 200
_TIMEOUT_SECONDS = 30.0
#: An idle client must not be told off by the server for its pings.
_QUIET = {"grpc.keepalive_time_ms": 310_000, "grpc.keepalive_permit_without_calls": 0}
#: How far from 1 the length of a vector of float32 may be.
_TOLERANCE = 1e-3


def image_fault(root: Path, picture: Picture) -> str | None:
    """Return what is wrong with an image of the store, None where it is there to the byte."""
    try:
        encoded = (root / picture.sha256[:2] / picture.sha256).read_bytes()
    except FileNotFoundError:
        return f"the store has no image {picture.sha256}"
    if len(encoded) != picture.size or hashlib.sha256(encoded).hexdigest() != picture.sha256:
        return f"the store has {len(encoded)} other bytes for the {picture.size} of image {picture.sha256}"
    return None


def left_over(root: Path) -> list[str]:
    """Return the files that killed writers left: harmless, for nobody reads them."""
    found = (path for path in root.rglob(".*") if path.is_file() and path.name != _MARKER)
    return sorted(str(path.relative_to(root)) for path in found)


def embedding_faults(uri: str, samples: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with the embedding of each sample, where something is.

    Args:
        uri: Of Milvus.
        samples: Sample id to the fingerprint of its embedding space.
    """
    if not samples:
        return {}
    by_collection: dict[str, list[str]] = defaultdict(list)
    for sample_id, space in samples.items():
        by_collection[f"samples_{re.sub(r'[^0-9A-Za-z_]', '_', space.rpartition('/')[2])}"].append(sample_id)
    client = MilvusClient(uri=uri, timeout=_TIMEOUT_SECONDS, grpc_options=_QUIET)
    try:
        faults: dict[str, str] = {}
        for collection, ids in by_collection.items():
            faults |= _faults_in(client, collection, ids)
        return faults
    finally:
        client.close()


def _faults_in(client: MilvusClient, collection: str, ids: Sequence[str]) -> dict[str, str]:
    if not client.has_collection(collection, timeout=_TIMEOUT_SECONDS):
        return dict.fromkeys(ids, f"Milvus has no collection {collection}")
    client.load_collection(collection, timeout=_TIMEOUT_SECONDS)
    vectors: dict[str, list[Sequence[float]]] = defaultdict(list)
    for piece in _pieces(sorted(ids)):
        wanted = ", ".join(f'"{sample_id}"' for sample_id in piece)
        for row in client.query(
            collection,
            filter=f"sample_id in [{wanted}]",
            output_fields=["sample_id", "embedding"],
            consistency_level="Strong",
            timeout=_TIMEOUT_SECONDS,
        ):
            vectors[row["sample_id"]].append(row["embedding"])
    return {key: fault for key in ids if (fault := vector_fault(vectors.get(key, ()))) is not None}


def vector_fault(found: Collection[Sequence[float]]) -> str | None:
    """Return what is wrong with the vectors that were found for one sample."""
    if len(found) != 1:
        return f"expected one embedding, found {len(found)}"
    [vector] = found
    length = float(np.linalg.norm(np.asarray(vector, np.float64)))
    if not abs(length - 1) <= _TOLERANCE:  # so that NaN fails too
        return f"expected an embedding of length 1, found one of length {length:g}"
    return None


def _pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_A_TIME] for start in range(0, len(ids), _AT_A_TIME))
