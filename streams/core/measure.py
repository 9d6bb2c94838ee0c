"""From what was seen in an image and what lies near it to one measurement."""

from collections.abc import Mapping

from streams.core.biometrics.cohort import Cohort
from streams.core.faces import Sighting
from streams.core.gallery import Identity, Neighbourhood
from streams.core.measurement import Measurement, NearOther
from streams.core.similarity import similarity
from streams.core.subject import Subject
from streams.events import NearReference


def unmade(subject: Subject, target: Identity | None, *, space: str, gallery_version: str) -> Measurement:
    """Return the measurement of a sample that was never made: only who was asked for is known."""
    return Measurement(
        sample_id=subject.sample_id,
        identity=subject.identity,
        embedding_space=space,
        gallery_version=gallery_version,
        references=target.references if target else 0,
        protected=target.protected if target else False,
        faces=None,
    )


def measure(
    subject: Subject,
    sighting: Sighting,
    near: Neighbourhood,
    enrolled: Mapping[str, Identity],
    *,
    space: str,
    gallery_version: str,
    cohort: Cohort | None = None,
) -> Measurement:
    """Return all that was measured on one sample.

    Args:
        subject: The sample.
        sighting: What the detector found.
        near: What the gallery holds near the largest face; empty where there is none.
        enrolled: The target and every identity that ``near`` names, where they are enrolled still.
        space: Fingerprint of the embedding space.
        gallery_version: Version of the gallery that ``near`` was searched in.
        cohort: Strangers by which the similarity to the target is normalised; None: it is not.
    """
    target = enrolled.get(subject.identity)
    measurement = unmade(subject, target, space=space, gallery_version=gallery_version)
    face = sighting.largest
    if face is None:
        return measurement.model_copy(update={"faces": sighting.faces})
    others = tuple(
        NearOther(
            identity=one.identity,
            similarity=one.similarity,
            resembles_target=_resemblance(enrolled.get(one.identity), target),
            protected=one.protected,
        )
        for one in near.identities
        if one.identity != subject.identity
    )
    nearest = tuple(
        NearReference(reference_id=reference, identity=identity, similarity=value)
        for reference, identity, value in near.references
    )
    update = {
        "faces": sighting.faces,
        "face_box": tuple(round(edge, 1) for edge in face.box),
        "face_side": round(face.side, 1),
        "landmarks": tuple((round(x, 1), round(y, 1)) for x, y in face.landmarks),
        "detection_probability": round(face.probability, 4),
        "sharpness": round(face.sharpness, 1),
        "similarity": similarity(face.embedding, target.centroid) if target else None,
        "normalised": cohort.score(face.embedding, target.centroid) if target and cohort else None,
        "cohort": cohort.sha256 if cohort else None,
        "others": others,
        "nearest": nearest,
        "precision": face.rough.precision if face.rough else None,
        "similarity_error": face.rough.error if face.rough else None,
    }
    return measurement.model_copy(update=update)


def _resemblance(one: Identity | None, target: Identity | None) -> float | None:
    return similarity(one.centroid, target.centroid) if one and target else None
