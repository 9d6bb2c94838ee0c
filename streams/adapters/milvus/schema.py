"""How a gallery lies in Milvus: five collections for each embedding space, and what their rows mean.

Only what Milvus Lite, Milvus 2.3 and later servers all keep exactly is used: text, numbers and float vectors.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient

from streams.core.enrolment import checked_vector
from streams.core.explain.look import DIMENSION, KIND, VALUES, Look, Measure, Region
from streams.core.explain.spread import Spread
from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, Origin, Reference
from streams.errors import BadInput

Row = dict[str, Any]

#: What a text field of Milvus holds at most, in bytes.
TEXT_BYTES = 65_535

#: Every collection of Milvus must have a vector; the one of ``meta`` says nothing.
NO_MEANING = (1.0, 0.0)

IDENTITY_FIELDS = ["identity", "centroid", "origin", "references", "concentration", "protected", "conditioning"]
REFERENCE_FIELDS = ["reference_id", "identity", "origin", "image_sha256", "embedding"]
LOOK_FIELDS = ["look_id", "identity", "kind", "measures", "regions"]


@dataclass(frozen=True)
class Collection:
    """One collection: its name, its key and its only vector."""

    name: str
    key: str
    vector: str


@dataclass(frozen=True)
class Collections:
    """The collections of one embedding space."""

    identities: Collection
    references: Collection
    samples: Collection
    looks: Collection
    """How references look, by their ids. Galleries of older releases have none: it is made when they are opened."""
    meta: Collection

    @classmethod
    def of(cls, space: EmbeddingSpace) -> "Collections":
        """Return the collections of ``space``: the hash of its fingerprint is in every name."""
        mark = re.sub(r"\W", "_", space.fingerprint.rpartition("/")[2], flags=re.ASCII)
        return cls(
            identities=Collection(f"identities_{mark}", "identity", "centroid"),
            references=Collection(f"references_{mark}", "reference_id", "embedding"),
            samples=Collection(f"samples_{mark}", "sample_id", "embedding"),
            looks=Collection(f"looks_{mark}", "look_id", "regions"),
            meta=Collection(f"meta_{mark}", "key", "no_meaning"),
        )

    @property
    def all(self) -> tuple[Collection, ...]:
        """Every collection; ``identities`` comes last, so that it is there only when the others are."""
        return (self.samples, self.looks, *self.gallery)

    @property
    def gallery(self) -> tuple[Collection, ...]:
        """The collections of those who are enrolled; ``identities`` comes last here too."""
        return (self.meta, self.references, self.identities)


def collections_beside(present: Iterable[str]) -> list[tuple[Collection, Collection]]:
    """Return the identities and the meta of every gallery that is complete among the collections ``present``."""
    names = set(present)
    marks = sorted(name.removeprefix("identities_") for name in names if name.startswith("identities_"))
    return [
        (Collection(f"identities_{mark}", "identity", "centroid"), Collection(f"meta_{mark}", "key", "no_meaning"))
        for mark in marks
        if f"meta_{mark}" in names
    ]


def schema(collection: Collection, space: EmbeddingSpace) -> CollectionSchema:
    """Return the schema of one collection, with the space's fingerprint as its description."""
    dimension = {"key": len(NO_MEANING), "look_id": DIMENSION}.get(collection.key, space.dimension)
    built = MilvusClient.create_schema(auto_id=False, description=space.fingerprint)
    built.add_field(collection.key, DataType.VARCHAR, is_primary=True, max_length=200)
    built.add_field(collection.vector, DataType.FLOAT_VECTOR, dim=dimension)
    if collection.key == "key":
        built.add_field("value", DataType.VARCHAR, max_length=TEXT_BYTES)
    elif collection.key == "identity":
        built.add_field("origin", DataType.VARCHAR, max_length=16)
        built.add_field("references", DataType.INT64)
        built.add_field("concentration", DataType.DOUBLE)
        built.add_field("protected", DataType.BOOL)
        built.add_field("conditioning", DataType.VARCHAR, max_length=TEXT_BYTES)
    elif collection.key == "reference_id":
        built.add_field("identity", DataType.VARCHAR, max_length=200)
        built.add_field("origin", DataType.VARCHAR, max_length=16)
        built.add_field("image_sha256", DataType.VARCHAR, max_length=64)
    elif collection.key == "look_id":
        built.add_field("identity", DataType.VARCHAR, max_length=200)
        built.add_field("kind", DataType.VARCHAR, max_length=32)
        built.add_field("measures", DataType.VARCHAR, max_length=4096)
    return built


def identity_row(identity: Identity, space: EmbeddingSpace) -> Row:
    """Return the row of an identity. Raises BadInput where its conditioning is too long for a row."""
    conditioning = json.dumps({model: list(vector) for model, vector in identity.conditioning.items()})
    if len(conditioning) > TEXT_BYTES:
        raise BadInput(
            f"expected the conditioning of {identity.identity} in at most {TEXT_BYTES} bytes of JSON,"
            f" got {len(conditioning)}: round its numbers, or condition fewer models"
        )
    return {
        "identity": identity.identity,
        "centroid": checked_vector(identity.centroid, space, f"the centroid of {identity.identity}"),
        "origin": identity.origin.value,
        "references": identity.references,
        "concentration": identity.concentration,
        "protected": identity.protected,
        "conditioning": conditioning,
    }


def identity_of(row: Mapping[str, Any]) -> Identity:
    """Return the identity that a row holds."""
    conditioning = json.loads(row["conditioning"])
    return Identity(
        identity=row["identity"],
        origin=Origin(row["origin"]),
        centroid=vector_of(row["centroid"]),
        references=row["references"],
        concentration=row["concentration"],
        protected=row["protected"],
        conditioning={model: tuple(vector) for model, vector in conditioning.items()},
    )


def reference_row(reference: Reference, space: EmbeddingSpace) -> Row:
    """Return the row of a reference."""
    return {
        "reference_id": reference.reference_id,
        "identity": reference.identity,
        "origin": reference.origin.value,
        "image_sha256": reference.image_sha256,
        "embedding": checked_vector(reference.embedding, space, f"reference {reference.reference_id}"),
    }


def reference_of(row: Mapping[str, Any]) -> Reference:
    """Return the reference that a row holds."""
    return Reference(
        reference_id=row["reference_id"],
        identity=row["identity"],
        origin=Origin(row["origin"]),
        image_sha256=row["image_sha256"],
        embedding=vector_of(row["embedding"]),
    )


def look_row(reference_id: str, identity: str, look: Look) -> Row:
    """Return the row of how a reference looks."""
    return {
        "look_id": reference_id,
        "identity": identity,
        "kind": KIND,
        "measures": json.dumps(look.measures),
        "regions": np.asarray(look.regions, dtype=np.float32).reshape(-1),
    }


def look_of(row: Mapping[str, Any]) -> Look | None:
    """Return how a reference looks; None where another release measured it, in another way."""
    if row["kind"] != KIND:
        return None
    measures = {Measure(name): float(value) for name, value in json.loads(row["measures"]).items()}
    return Look(measures, vector_of(row["regions"]).reshape(len(Region), VALUES))


def spread_of(text: str) -> Spread | None:
    """Return a spread; None where another release measured it, in another way."""
    return Spread.model_validate_json(text) if json.loads(text)["kind"] == KIND else None


def vector_of(values: Any) -> Embedding:
    """Return a vector as it came back from Milvus, which sends float32 as Python floats."""
    return np.asarray(values, dtype=np.float32)
