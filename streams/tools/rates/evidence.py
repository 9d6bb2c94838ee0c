"""Where the comparisons of a calibration come from: people's images, pairs, the gallery, or reviewed samples."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from streams.core.biometrics.comparisons import NOBODY, Comparisons, Floats, Trial
from streams.core.biometrics.normalisation import normalised_trial
from streams.core.faces import Face
from streams.core.gallery import Origin, Reference
from streams.core.measurement import Measurement
from streams.core.similarity import similarity
from streams.errors import BadInput
from streams.ports import Gallery, Ledger, SecondVerifier
from streams.tools.rates.acquire import Seen, seen_by_second
from streams.tools.rates.calibrate import TOP, Evidence, SecondEvidence
from streams.tools.rates.cohort_file import Vectors
from streams.tools.rates.evaluate import compared, tried
from streams.tools.rates.labels import Labelled, Pair, Reviewed


def of_identities(
    images: Sequence[Labelled],
    seen: Mapping[Path, Seen],
    *,
    domain: Origin,
    space: str,
    words: str,
    cohort: Sequence[Seen] = (),
    second_space: str | None = None,
    seed: int = 0,
) -> Evidence:
    """Compare every image with the centroid of its person's others, and with those of all other people.

    Only images with exactly one face take part, as in a gallery and in a verdict; others are failures to acquire.
    ``second_space`` is that of the second verifier, where there is one: then it compares the same images.

    Raises:
        BadInput: If there are not two people with a face.
    """
    single = [(image.identity, seen[image.path]) for image in images if seen[image.path].faces == 1]
    if second_space is not None:
        single = [(identity, one) for identity, one in single if seen_by_second(one).face is not None]
    trial, strangers = tried(single, seed), _strangers(cohort)
    read = [image for image in images if not seen[image.path].missing]
    return Evidence(
        comparisons=trial.comparisons,
        comparator="centroid/raw",
        domain=domain,
        embedding_space=space,
        measured_on=words,
        margins=trial.margins,
        references=_median(identity for identity, _ in single),
        normalised=_normalised(trial, [one.face for _, one in single if one.face], strangers),
        cohort=strangers,
        second=_second(single, second_space, seed),
        images=len(read),
        failures=len(read) - len(single),
        missing=len(images) - len(read),
    )


def of_pairs(pairs: Sequence[Pair], seen: Mapping[Path, Seen], *, domain: Origin, space: str, words: str) -> Evidence:
    """Compare the two images of each pair in which each shows exactly one face."""
    similarities = [_between(seen[pair.first], seen[pair.second]) for pair in pairs]
    read = [one for one in seen.values() if not one.missing]
    return Evidence(
        comparisons=compared(pairs, similarities),
        comparator="pair/raw",
        domain=domain,
        embedding_space=space,
        measured_on=words,
        images=len(read),
        failures=sum(one.faces != 1 for one in read),
        missing=len(seen) - len(read),
    )


async def of_gallery(gallery: Gallery, *, space: str, second: SecondVerifier | None = None, seed: int = 0) -> Evidence:
    """Compare every reference with the centroid of its identity's others, and with those of all other identities.

    Where there is a second verifier, references that it does not have are left out.

    Raises:
        BadInput: If fewer than two identities are enrolled.
    """
    domain, version = await gallery.domain(), await gallery.version()
    references = [reference for name in await gallery.names() for reference in await gallery.references(name)]
    if domain is None:
        raise BadInput("nobody is enrolled: enrol people first, or calibrate from images")
    if second is not None:
        references = await _with_second(references, second.gallery)
    faces = [Face(one.embedding, (0, 0, 0, 0), (), 1.0, 0.0, second=one.second) for one in references]
    named = [(reference.identity, Seen(face, 1)) for reference, face in zip(references, faces, strict=True)]
    trial = tried(named, seed)
    return Evidence(
        comparisons=trial.comparisons,
        comparator="centroid/raw",
        domain=domain,
        embedding_space=space,
        measured_on=f"the references of gallery {version}",
        margins=trial.margins,
        second=_second(named, second.space.fingerprint if second else None, seed),
        references=_median(reference.identity for reference in references),
        images=len(references),
    )


async def of_reviewed(
    reviewed: Sequence[Reviewed], seen: Mapping[Path, Seen], gallery: Gallery, ledger: Ledger, *, space: str, words: str
) -> Evidence:
    """Take samples that a reviewer looked at: mated are those that show whom they should, non-mated all others.

    The similarity of a judged sample is the one that its verdict rests on, as the ledger holds it; that of a file is
    measured against the gallery as it is now.

    Raises:
        BadInput: If a sample is in no ledger or was measured elsewhere, or an identity is not enrolled.
    """
    domain = await gallery.domain()
    if domain is None:
        raise BadInput("nobody is enrolled: reviewed samples need the gallery that they were judged by")
    ids = [one.sample for one in reviewed if isinstance(one.sample, str)]
    judged = await _judged(ids, ledger, space)
    in_files = await _of_files([one for one in reviewed if isinstance(one.sample, Path)], seen, gallery)
    scored = [
        (one, judged[one.sample] if isinstance(one.sample, str) else in_files[one.sample, one.identity])
        for one in reviewed
        if isinstance(one.sample, str) or not seen[one.sample].missing
    ]
    usable = [(one, score) for one, score in scored if score is not None]
    names = {name: number for number, name in enumerate(sorted({score[0] for _, score in usable}))}

    def taken(shows: bool) -> tuple[Floats, list[int], list[float]]:
        chosen = [score for one, score in usable if one.shows is shows]
        margins = [margin for _, _, margin in chosen if margin is not None]
        return np.array([value for _, value, _ in chosen]), [names[name] for name, _, _ in chosen], margins

    mated, people, margins = taken(shows=True)
    non_mated, others, _ = taken(shows=False)
    return Evidence(
        comparisons=Comparisons(
            mated,
            np.array(people, dtype=np.intp),
            non_mated,
            np.array([(number, NOBODY) for number in others], dtype=np.intp).reshape(-1, 2),
        ),
        comparator="centroid/raw",
        domain=domain,
        embedding_space=space,
        measured_on=words,
        margins=np.array(margins),
        images=len(scored),
        failures=len(scored) - len(usable),
        missing=len(reviewed) - len(scored),
    )


_Score = tuple[str, float, float | None]
"""Identity, similarity to its centroid, margin to the next one."""


async def _judged(ids: Sequence[str], ledger: Ledger, space: str) -> dict[str, _Score | None]:
    outcomes = await ledger.outcomes(ids) if ids else {}
    scores: dict[str, _Score | None] = {}
    for sample_id in ids:
        outcome = outcomes.get(sample_id)
        if outcome is None or outcome.measurement is None:
            raise BadInput(f"the ledger has no measurement of sample {sample_id}: it was never judged here")
        measured = Measurement.model_validate_json(outcome.measurement)
        if measured.embedding_space != space:
            raise BadInput(
                f"sample {sample_id} was measured in the embedding space {measured.embedding_space}, this is {space}:"
                " calibrate with the embedder that judged it"
            )
        scored = measured.faces == 1 and measured.similarity is not None
        scores[sample_id] = (measured.identity, measured.similarity or 0.0, measured.margin) if scored else None
    return scores


async def _of_files(
    reviewed: Sequence[Reviewed], seen: Mapping[Path, Seen], gallery: Gallery
) -> dict[tuple[Path, str | None], _Score | None]:
    enrolled = await gallery.identities(sorted({one.identity for one in reviewed if one.identity}))
    scores: dict[tuple[Path, str | None], _Score | None] = {}
    for one in reviewed:
        if not isinstance(one.sample, Path) or one.identity is None:
            continue
        if one.identity not in enrolled:
            raise BadInput(f"nobody is enrolled as {one.identity}: look the name up, as it was enrolled")
        face = seen[one.sample].face if seen[one.sample].faces == 1 else None
        if face is None:
            scores[one.sample, one.identity] = None
            continue
        (near,) = await gallery.search([face.embedding])
        others = [other.similarity for other in near.identities if other.identity != one.identity]
        own = similarity(face.embedding, enrolled[one.identity].centroid)
        scores[one.sample, one.identity] = one.identity, own, own - max(others) if others else None
    return scores


async def _with_second(references: Sequence[Reference], gallery: Gallery) -> list[Reference]:
    names = sorted({one.identity for one in references})
    seen = {one.reference_id: one.embedding for name in names for one in await gallery.references(name)}
    return [replace(one, second=seen[one.reference_id]) for one in references if one.reference_id in seen]


def _second(images: Sequence[tuple[str, Seen]], space: str | None, seed: int) -> SecondEvidence | None:
    """Return what the second verifier makes of the images that the first one has compared."""
    if space is None:
        return None
    again = [(identity, seen_by_second(one)) for identity, one in images]
    return SecondEvidence(tried(again, seed).comparisons, space)


def _median(identities: Iterable[str]) -> int:
    return int(np.median(list(Counter(identities).values())))


def _between(first: Seen, second: Seen) -> float | None:
    if first.face is None or second.face is None or first.faces != 1 or second.faces != 1:
        return None
    return similarity(first.face.embedding, second.face.embedding)


def _strangers(cohort: Sequence[Seen]) -> Vectors | None:
    if not cohort:
        return None
    faces = [one.face.embedding for one in cohort if one.face is not None]
    if len(faces) < 2:
        raise BadInput(f"expected a cohort of two faces at least, got {len(faces)}; 100 and more are usual")
    return np.stack(faces)


def _normalised(trial: Trial, faces: Sequence[Face], strangers: Vectors | None) -> Comparisons | None:
    if strangers is None:
        return None
    embeddings = np.stack([face.embedding for face in faces]).astype(np.float64)
    return normalised_trial(trial, embeddings, strangers.astype(np.float64), top=TOP)
