"""Encoded images to sightings, on the calling thread: decode, detect, cut out, embed.

This is where a worker spends its time. The examiners run it: in a thread, or in a child process of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from streams.adapters.copies.descriptor import CopyDescriptor, Views, copy_descriptor
from streams.adapters.copies.hash import CopyHash
from streams.adapters.engines import chosen as engines
from streams.adapters.engines.networks import FaceNetworks, FastEmbedder
from streams.adapters.engines.self_check import self_check
from streams.adapters.facenet.crops import ALIGNMENT, cut_out, sharpness
from streams.adapters.facenet.detector import DETECTOR, Detector, Found
from streams.adapters.facenet.portrait import portrait
from streams.adapters.facenet.weights import Published, published
from streams.adapters.images.decode import Decode, decode_here
from streams.adapters.looks.measure import looks
from streams.adapters.precision.choice import fast_embedder
from streams.adapters.second.chosen import SecondEmbedder, second_embedder
from streams.core.explain.look import Look, Measure
from streams.core.explain.stability import stability_of
from streams.core.faces import Embedding, EmbeddingSpace, Examined, Face, Pixels, Rough, Sighting, Undecodable
from streams.core.imprints import Imprints
from streams.core.similarity import unit
from streams.settings import Settings
from streams.wheels import Report, silent

Floats = npt.NDArray[np.float32]

#: The most pixels that are held decoded at a time.
_PIXELS_HELD = 16_000_000


@dataclass(frozen=True, eq=False)
class _Seen:
    """The largest face of an image, cut out but not yet embedded."""

    faces: int
    largest: Found
    crop: Pixels
    views: Views
    portrait: Pixels | None
    second_crop: Pixels | None = None
    """The same face as the second verifier takes it; None where there is none."""


@dataclass(frozen=True, eq=False)
class _Embedded:
    """What an embedder says of a face."""

    vector: Embedding
    features: Floats | None = None


def embedding_space(settings: Settings) -> EmbeddingSpace:
    """Return the space that the settings name. Loads nothing and needs no torch; hashes a file that was brought."""
    return _space(published(settings))


class FaceEngine:
    """Images to sightings; used by one thread at a time."""

    def __init__(
        self,
        networks: FaceNetworks,
        decode: Decode = decode_here,
        copies: CopyDescriptor | None = None,
        second: SecondEmbedder | None = None,
    ) -> None:
        """Take loaded networks; ``load`` makes them.

        Args:
            networks: What finds faces and embeds them.
            decode: Turns images into pixels: here, or where bytes that kill their reader kill nobody else.
            copies: Describes pictures; None = by the perceptual hash.
            second: Embeds every face once more; None = one verifier is enough.
        """
        self._decode = decode
        self._copies = copies or CopyHash(networks.landmarks)
        self._second = second
        self._detector = Detector(networks.detect)
        self._networks = networks
        self.space = _space(networks.what)
        self.descriptor = self._copies.what

    @classmethod
    def load(cls, settings: Settings, report: Report = silent, decode: Decode = decode_here) -> Self:
        """Load the engine and the networks that the settings name; blocks, for minutes where they must be fetched.

        Raises:
            BadInput, WeightsUnusable: As ``engines.load``, ``copy_descriptor`` and ``second_embedder`` say.
            Unready: So too, or if the engine computes something else than it should, in either precision.
        """
        exact = engines.load(settings, report)
        copies = copy_descriptor(settings, exact.landmarks)
        second = second_embedder(settings, report)
        engine = cls(exact, decode, copies, second)
        self_check(engine.examine, engine.space.embedder, settings.engine)
        fast = fast_embedder(settings, exact, report)
        return engine if fast is None else cls(replace(exact, fast=fast), decode, copies, second)

    def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order; the faces of all are embedded in one batch."""
        seen: list[_Seen | Examined] = []
        for group in _groups(self._decode(encoded)):
            seen += self._look(group)
        found = [each for each in seen if isinstance(each, _Seen)]
        sightings = iter(self._seconded(found, self._sightings(found)))
        return [next(sightings) if isinstance(each, _Seen) else each for each in seen]

    def look_again(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Return the same with every face embedded in 32-bit floats, in one batch; those that are stay as they are."""
        crops = [crop for crop in map(_rough_crop, sightings) if crop is not None]
        embeddings = iter(self._embed(np.stack(crops)) if crops else ())
        return [each if _rough_crop(each) is None else _embedded(each, next(embeddings), None) for each in sightings]

    def imprint(self, sightings: Sequence[Sighting]) -> list[Imprints]:
        """Return the imprints of each picture that was seen, in order."""
        return self._copies.imprints([one.views for one in sightings])

    def imprint_originals(self, encoded: Sequence[bytes]) -> list[Imprints | Undecodable]:
        """Return the imprints of each encoded image and of its mirror image, in order; nothing is embedded."""
        looked: list[Views | Undecodable] = []
        for group in _groups(self._decode(encoded)):
            looked += [one if isinstance(one, Undecodable) else one.views for one in self._look(group)]
        seen = [one for one in looked if not isinstance(one, Undecodable)]
        imprints = iter(self._copies.imprints(seen, mirrored=True))
        return [one if isinstance(one, Undecodable) else next(imprints) for one in looked]

    def describe(self, faces: Sequence[Face]) -> list[Look | None]:
        """Say how each face looks, in order; None where its landmarks are in no face."""
        found = iter(looks([one.portrait for one in faces if one.portrait is not None], self._networks.landmarks))
        return [None if one.portrait is None else self._with_stability(next(found), one) for one in faces]

    def _with_stability(self, look: Look, face: Face) -> Look:
        stable = stability_of(face, self._networks.head)
        return look if stable is None else replace(look, measures={**look.measures, Measure.STABILITY: stable})

    def _look(self, group: Sequence[Pixels | Undecodable]) -> list[_Seen | Examined]:
        found = iter(self._detector.find([each for each in group if not isinstance(each, Undecodable)]))
        looked: list[_Seen | Examined] = []
        for each in group:
            if isinstance(each, Undecodable):
                looked.append(each)
            elif faces := next(found):
                kept = portrait(each, faces[0].landmarks)
                views, crop = self._copies.views(each, kept), cut_out(each, faces[0].box)
                second = self._second.cut_out(each, faces[0].landmarks) if self._second else None
                looked.append(_Seen(len(faces), faces[0], crop, views, kept, second))
            else:
                looked.append(Sighting(0, None, self._copies.views(each, None)))
        return looked

    def _sightings(self, seen: Sequence[_Seen]) -> list[Sighting]:
        """Embed every face in one batch, fast where that is set up."""
        if not seen:
            return []
        crops, fast = np.stack([each.crop for each in seen]), self._networks.fast
        if fast is None:
            return [_sighting(each, raw, None) for each, raw in zip(seen, self._embed(crops), strict=True)]
        embeddings, lengths = fast.embed(self._networks.normalised(crops))
        return [self._first_sighting(*one, fast) for one in zip(seen, embeddings, map(float, lengths), strict=True)]

    def _seconded(self, seen: Sequence[_Seen], sightings: Sequence[Sighting]) -> Sequence[Sighting]:
        """Return the sightings with what the second verifier makes of their faces."""
        if self._second is None:
            return sightings
        embeddings = iter(self._second.embed([each.second_crop for each in seen if each.second_crop is not None]))
        return [
            one if each.second_crop is None else _with_second(one, next(embeddings))
            for each, one in zip(seen, sightings, strict=True)
        ]

    def _first_sighting(self, seen: _Seen, raw: Embedding, length: float, fast: FastEmbedder) -> Sighting:
        # An error as large as a similarity says nothing, nor does a vector without direction: embedded again at once.
        if not length > fast.scaled_error:
            return _sighting(seen, self._embed(seen.crop[np.newaxis])[0], None)
        return _sighting(seen, _Embedded(raw), Rough(fast.precision, fast.scaled_error / length, seen.crop))

    def _embed(self, crops: Pixels) -> list[_Embedded]:
        """Embed crops, uint8 (N, 160, 160, 3), with the features where the engine tells them."""
        faces, whole = self._networks.normalised(crops), self._networks.embed_whole
        if whole is None:
            return [_Embedded(vector) for vector in self._networks.embed(faces)]
        return [_Embedded(*each) for each in zip(*whole(faces), strict=True)]


def _sighting(seen: _Seen, raw: _Embedded, rough: Rough | None) -> Sighting:
    largest = seen.largest
    sharp = sharpness(seen.crop)
    face = Face(raw.vector, largest.box, largest.landmarks, largest.probability, sharp, portrait=seen.portrait)
    return _embedded(Sighting(seen.faces, face, seen.views), raw, rough)


def _embedded(sighting: Sighting, raw: _Embedded, rough: Rough | None) -> Sighting:
    """Return what was seen with this embedding of its face."""
    if sighting.largest is None:
        return sighting
    try:
        face = replace(sighting.largest, embedding=unit(raw.vector), rough=rough, features=raw.features)
        return replace(sighting, largest=face)
    except ValueError:
        # A vector without direction is near nobody and far from nobody: nothing was seen that can be judged.
        return replace(sighting, faces=0, largest=None)


def _with_second(sighting: Sighting, embedding: Embedding | None) -> Sighting:
    if sighting.largest is None:
        return sighting
    return replace(sighting, largest=replace(sighting.largest, second=embedding))


def _rough_crop(sighting: Sighting) -> Pixels | None:
    face = sighting.largest
    return None if face is None or face.rough is None else face.rough.crop


def _groups(decoded: Iterable[Pixels | Undecodable]) -> Iterator[list[Pixels | Undecodable]]:
    """Cut a stream of decoded images so that few of the large ones are in memory together."""
    group: list[Pixels | Undecodable] = []
    held = 0
    for each in decoded:
        group.append(each)
        held += 0 if isinstance(each, Undecodable) else each.shape[0] * each.shape[1]
        if held >= _PIXELS_HELD:
            yield group
            group, held = [], 0
    if group:
        yield group


def _space(what: Published) -> EmbeddingSpace:
    pixels = "whitened per image" if what.whitened else "(x - 127.5) / 128"
    return EmbeddingSpace(
        embedder=what.name,
        weights=what.sha256,
        dimension=what.dimension,
        detector=DETECTOR,
        alignment=ALIGNMENT,
        normalisation=f"{pixels}, unit length",
    )
