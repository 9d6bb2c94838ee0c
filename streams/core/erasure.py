"""Forgetting somebody: what they are called afterwards, what is left of their rows, and how leftovers are found."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from mmap import mmap

import numpy as np
from pydantic import ValidationError

from streams.core.faces import Embedding
from streams.events import Headers, Reason, SampleJudged, to_json

#: What the names of those who were forgotten begin with.
FORGOTTEN = "forgotten-"

#: Names of fewer letters than this occur by chance in any file: they are only looked for as whole words.
SHORTEST_LOOKED_FOR_ANYWHERE = 4

#: Bytes of a vector that are kept to find the rest of it by: two of its numbers, which show nobody.
_HEAD = 8

#: Bytes that are looked through at a time.
_BLOCK = 8 * 1024 * 1024

#: What is left of a verdict: nothing that was seen of anybody, and nothing that is not named here.
_KEPT = (
    *("version", "sample_id", "kind", "source", "request_id", "step", "index", "territory", "decision", "limits"),
    *("model", "model_version", "seed", "strength", "policy_version", "embedding_space", "gallery_version"),
    "judged_at",
)

_LETTERS = r"A-Za-z0-9._:/@+-"


def called_after(receipt: str) -> str:
    """Return what somebody is called once they were forgotten: drawn with the receipt, so it leads back to no name."""
    return f"{FORGOTTEN}{receipt}"


def name_hash(key: bytes, identity: str) -> str:
    """Return what stays of a name, to know it again: HMAC-SHA256 under a key of this installation."""
    return hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()


# -- rows ------------------------------------------------------------------------------------------------------------


def renamed_request(payload: bytes, identity: str, called: str) -> bytes:
    """Return a payload of ours that asks for somebody else by name; whoever asked, and under which id, stays."""
    old, new = (f'"identity":"{name}"'.encode() for name in (identity, called))
    return payload.replace(old, new)


def renamed(content: bytes, identity: str, called: str) -> bytes:
    """Return any content with the name replaced wherever it stands as a word of its own.

    >>> renamed(b'nearer to anna than to anna-2', "anna", "x")
    b'nearer to x than to anna-2'
    """
    return _word(identity).sub(called.encode(), content)


def names(content: bytes, identity: str) -> bool:
    """Say whether the name stands there as a word of its own."""
    return _word(identity).search(content) is not None


def renamed_headers(headers: Headers, identity: str, called: str) -> Headers:
    """Return headers with the name replaced in their values."""
    return tuple((name, None if held is None else renamed(held, identity, called)) for name, held in headers)


def emptied(value: bytes, called: str) -> bytes | None:
    """Return what is left of a verdict on somebody who was forgotten: that there was one. None for other content."""
    try:
        judged = SampleJudged.model_validate_json(value)
    except ValidationError:
        return None
    reasons = tuple(Reason(code=reason.code, text="erased") for reason in judged.reasons)
    kept = {name: getattr(judged, name) for name in _KEPT}
    return to_json(SampleJudged(identity=called, reasons=reasons, nearest=(), **kept))


def emptied_payload(payload: bytes) -> bytes:
    """Return what is left of a payload that pointed at an image: nothing. One that asks for samples stays."""
    return b"" if b'"sha256":"' in payload else payload


def value_digest(value: bytes | None) -> bytes:
    """Return the first sixteen bytes of the SHA-256 of a record's value; none where it has none."""
    return b"" if value is None else hashlib.sha256(value).digest()[:16]


def envelope_digest(key: bytes | None, headers: Headers) -> bytes:
    """Return the same of a record's key and headers, as JSON with both in hexadecimal."""
    held = [[name, None if value is None else value.hex()] for name, value in headers]
    return value_digest(json.dumps([None if key is None else key.hex(), held]).encode())


def words_with(content: bytes, identity: str) -> set[str]:
    """Return the longer words of which the name is a part, such as a request's id.

    >>> sorted(words_with(b'"anna" asks as anna-7', "anna"))
    ['anna-7']
    """
    runs = re.findall(rb"[%b]*%b[%b]*" % (_LETTERS.encode(), re.escape(identity.encode()), _LETTERS.encode()), content)
    return {run.decode() for run in runs} - {identity}


@cache
def _word(identity: str) -> re.Pattern[bytes]:
    """A name ends before a full stop or a colon that ends a sentence, and not before one inside of a longer name."""
    inside = r"A-Za-z0-9_/@+-"
    pattern = rf"(?<![{_LETTERS}]){re.escape(identity)}(?![{inside}]|[.:](?=[{inside}]))"
    return re.compile(pattern.encode())


# -- what is looked for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needle:
    """A vector that is to be found again without being kept: its first bytes, and the SHA-256 of all of them."""

    head: str
    sha256: str
    size: int

    @classmethod
    def of(cls, vector: Embedding) -> "Needle":
        """Return the needle of a vector as float32, little-endian."""
        raw = vector.astype("<f4").tobytes()
        return cls(raw[:_HEAD].hex(), hashlib.sha256(raw).hexdigest(), len(raw))


@dataclass(frozen=True)
class Inventory:
    """What there was of somebody: enough to find it again, and nothing that shows them."""

    images: frozenset[str] = frozenset()
    """SHA-256 of references and generated images."""
    vectors: frozenset[Needle] = frozenset()
    counts: Mapping[str, int] = field(default_factory=dict)
    """How much was found, by kind."""

    def __or__(self, other: "Inventory") -> "Inventory":
        """Return both: of each kind the larger count, as what was found again was deleted in between."""
        kinds = {**self.counts, **other.counts}
        counts = {kind: max(self.counts.get(kind, 0), other.counts.get(kind, 0)) for kind in kinds}
        return Inventory(self.images | other.images, self.vectors | other.vectors, counts)

    def to_text(self) -> str:
        """Return it as text."""
        vectors = sorted((one.head, one.sha256, one.size) for one in self.vectors)
        return json.dumps({"images": sorted(self.images), "vectors": vectors, "counts": dict(self.counts)})

    @classmethod
    def from_text(cls, text: str) -> "Inventory":
        """Return what ``to_text`` wrote."""
        held = json.loads(text)
        return cls(frozenset(held["images"]), frozenset(Needle(*one) for one in held["vectors"]), held["counts"])


class Search:
    """Looks for what should be gone, in the bytes of one file after the other. Pure."""

    def __init__(self, identity: str, inventory: Inventory, explained: Iterable[str] = ()) -> None:
        """Take what is looked for.

        Args:
            identity: The name.
            inventory: Vectors and images.
            explained: Longer words that contain the name and are no one's: the name in them does not count.
        """
        self._name, self._identity = identity.encode(), identity
        self._explained = [
            (word.encode(), at.start()) for word in explained for at in re.finditer(re.escape(identity), word)
        ]
        self._images = inventory.images
        self._vectors: dict[int, list[Needle]] = {}
        for needle in inventory.vectors:
            self._vectors.setdefault(int.from_bytes(bytes.fromhex(needle.head), "little"), []).append(needle)
        self._heads = np.array(sorted(self._vectors), "<u8")

    def in_bytes(self, content: bytes | mmap) -> Iterator[str]:
        """Give what is there: ``name``, ``vector`` or ``image``, each as often as it is found."""
        if hashlib.sha256(content).hexdigest() in self._images:
            yield "image"
        for at, head in self._beginnings(content):
            yield from ("vector" for needle in self._vectors[head] if _is(needle, content, at))
        if len(self._identity) < SHORTEST_LOOKED_FOR_ANYWHERE:
            yield from ("name" for _ in _word(self._identity).finditer(content))
        else:
            hits = (found.start() for found in re.finditer(re.escape(self._name), content))
            yield from ("name" for hit in hits if not self._is_explained(content, hit))

    def _beginnings(self, content: bytes | mmap) -> Iterator[tuple[int, int]]:
        """Give where a vector may begin, at any byte, and with which of the heads."""
        for start in range(0, len(content) if len(self._heads) else 0, _BLOCK):
            block = content[start : start + _BLOCK + _HEAD - 1]
            for shift in range(min(_HEAD, len(block) - _HEAD + 1)):
                words = np.frombuffer(block, "<u8", count=(len(block) - shift) // _HEAD, offset=shift)
                nearest = np.minimum(np.searchsorted(self._heads, words), len(self._heads) - 1)
                for place in np.flatnonzero(self._heads[nearest] == words):
                    yield start + shift + int(place) * _HEAD, int(words[place])

    def _is_explained(self, content: bytes | mmap, hit: int) -> bool:
        return any(hit >= at and content[hit - at : hit - at + len(word)] == word for word, at in self._explained)


def _is(needle: Needle, content: bytes | mmap, start: int) -> bool:
    return hashlib.sha256(content[start : start + needle.size]).hexdigest() == needle.sha256


# -- how far it is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Erasure:
    """One forgetting, begun and perhaps not finished."""

    receipt: str
    called: str
    """What the person is called afterwards."""
    began: datetime


@dataclass(frozen=True)
class Swept:
    """What one look over all rows came to."""

    rewritten: int = 0
    undelivered: int = 0
    """Rows that hold what is not delivered yet, so that it must stay."""


@dataclass(frozen=True)
class Mentions:
    """Where a name still stands."""

    places: Mapping[str, int] = field(default_factory=dict)
    """Table and column to the number of rows."""
    words: frozenset[str] = frozenset()
    """Longer words of which it is a part: request ids and the like, which whoever asked has chosen."""


# -- the receipt -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remains:
    """Something that cannot be deleted now."""

    what: str
    why: str
    until: str | None = None
    """When the last of it is gone, ISO 8601; None where nobody here can say."""


@dataclass(frozen=True)
class Receipt:
    """What was found of somebody, what was deleted, and what remains."""

    receipt: str
    identity: str
    called: str
    began_at: str
    finished_at: str | None
    found: Mapping[str, int]
    deleted: Mapping[str, int]
    remains: Sequence[Remains]
    left: Mapping[str, int] | None
    """What the verification found, by place; empty = nothing. None: nobody looked."""
    verified: Sequence[str] = ()
    """How it was looked for."""

    @property
    def complete(self) -> bool:
        """Whether all was done, and nothing was found afterwards."""
        return self.finished_at is not None and not self.left
