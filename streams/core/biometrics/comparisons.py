"""From embeddings and labels to the scores of mated and non-mated comparisons, and who was compared in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from streams.core.similarity import DECIMALS

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

#: The second subject of a comparison that has none, such as that of a generated sample which shows nobody known.
NOBODY = -1

#: So many of the nearest other people are kept of each probe.
NEAR = 5

#: Probes that are compared with every centroid at a time.
_PROBES = 1024


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Scores, larger is nearer, and between whom they are."""

    mated: Floats
    """Similarities of comparisons of a person with the same person, shape (n,)."""
    mated_subjects: Integers
    """Who that is, shape (n,), 0 and up."""
    non_mated: Floats
    """Similarities of comparisons of different people, shape (m,)."""
    non_mated_subjects: Integers
    """Who they are, shape (m, 2); ``NOBODY`` in the second place where there is no second person."""

    @property
    def subjects(self) -> int:
        """How many different people were compared."""
        known = np.unique(np.concatenate([self.mated_subjects, self.non_mated_subjects.ravel()]))
        return int((known != NOBODY).sum())


@dataclass(frozen=True, eq=False)
class Trial:
    """Every image against a gallery of which it is no part, as comparisons and as searches.

    There is a row for each image, which is called the probe.
    """

    comparisons: Comparisons
    mated_probes: Integers
    """Which probe each mated comparison is of, shape (n,)."""
    non_mated_probes: Integers
    """Which probe each non-mated comparison is of, shape (m,)."""
    centroids: Floats
    """Unit vectors, shape (people, d), each with all images of its person."""
    own: Floats
    """Similarity to the own centroid without the probe, shape (probes,); NaN where the person has no other image."""
    near: Integers
    """The other people whose centroids are nearest, nearest first, shape (probes, k)."""
    near_similarities: Floats
    """How near, shape (probes, k)."""

    @property
    def searched(self) -> npt.NDArray[np.bool_]:
        """Which probes have a mated comparison, shape (probes,)."""
        return ~np.isnan(self.own)

    @property
    def margins(self) -> Floats:
        """Similarity to the own centroid less that to the next other one, of the probes that have both."""
        return np.asarray(np.round((self.own - self.near_similarities[:, 0])[self.searched], DECIMALS))


def against_centroids(embeddings: Floats, subjects: Integers, *, most_non_mated: int, seed: int) -> Trial:
    """Compare every image with the centroid of its own person without it, and with those of all others.

    A centroid that contains its probe would make the mated scores look better than they are.

    Args:
        embeddings: Unit vectors, shape (probes, d).
        subjects: Whom each shows, shape (probes,), every number from 0 on in use.
        most_non_mated: So many non-mated scores are kept, the same number of each probe; searches see all of them.
        seed: Which are kept, where there are more.

    Raises:
        ValueError: If there are fewer than two people.
    """
    people = int(subjects.max(initial=-1)) + 1
    if people < 2:
        raise ValueError(f"expected images of two people at least, got {people}")
    sums = np.zeros((people, embeddings.shape[1]))
    np.add.at(sums, subjects, embeddings)
    own = _to_own(embeddings, subjects, sums, np.bincount(subjects, minlength=people))
    centroids = _unit(sums)
    random = np.random.default_rng(seed)
    keep = max(1, min(people - 1, most_non_mated // len(embeddings)))
    near, near_similarities, scores, pairs = [], [], [], []
    for start in range(0, len(embeddings), _PROBES):
        who = subjects[start : start + _PROBES]
        similarities = _rounded(embeddings[start : start + _PROBES] @ centroids.T)
        chosen = _others(who, people, keep, random)
        scores.append(np.take_along_axis(similarities, chosen, axis=1).ravel())
        pairs.append(np.stack([np.repeat(who, keep), chosen.ravel()], axis=1))
        similarities[np.arange(len(who)), who] = -np.inf
        near.append(np.argsort(-similarities, axis=1, kind="stable")[:, : min(NEAR, people - 1)])
        near_similarities.append(np.take_along_axis(similarities, near[-1], axis=1))
    mated = np.flatnonzero(~np.isnan(own))
    comparisons = Comparisons(own[mated], subjects[mated], np.concatenate(scores), np.concatenate(pairs))
    return Trial(
        comparisons,
        mated,
        np.repeat(np.arange(len(embeddings)), keep),
        centroids,
        own,
        np.concatenate(near),
        np.concatenate(near_similarities),
    )


def of_pairs(similarities: Floats, mated: npt.NDArray[np.bool_], files: Sequence[tuple[str, str]]) -> Comparisons:
    """Return labelled pairs as comparisons. Who is who follows from the labels: files of a mated pair show one person.

    Args:
        similarities: Of each pair, shape (n,).
        mated: Whether both files show one person, shape (n,).
        files: The two files of each pair.
    """
    names, index = np.unique(np.array(files, dtype=object).reshape(-1, 2).astype(str), return_inverse=True)
    ends = index.reshape(-1, 2)
    links = ends[mated]
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(names), len(names)))
    people = connected_components(graph, directed=False)[1].astype(np.intp)[ends]
    return Comparisons(similarities[mated], people[mated, 0], similarities[~mated], people[~mated])


def contradictions(comparisons: Comparisons) -> Integers:
    """Return which non-mated comparisons are between files that mated pairs say show one person."""
    first, second = comparisons.non_mated_subjects.T
    return np.flatnonzero((first == second) & (first != NOBODY))


def _to_own(embeddings: Floats, subjects: Integers, sums: Floats, counts: Integers) -> Floats:
    """Return the similarity of each image to the centroid of its person's other images; NaN where there is none."""
    rest = sums[subjects] - embeddings
    lengths = np.linalg.norm(rest, axis=1)
    alone = (counts[subjects] < 2) | (lengths < 1e-12)
    own = (rest * embeddings).sum(axis=1) / np.where(alone, 1.0, lengths)
    return np.where(alone, np.nan, _rounded(own))


def _others(who: Integers, people: int, keep: int, random: np.random.Generator) -> Integers:
    """Return ``keep`` other people for each of ``who``, shape (n, keep): all of them where that is so."""
    if keep == people - 1:
        offsets = np.broadcast_to(np.arange(1, people), (len(who), keep))
    else:
        offsets = np.argsort(random.random((len(who), people - 1)), axis=1)[:, :keep] + 1
    return np.asarray((who[:, None] + offsets) % people, dtype=np.intp)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _rounded(similarities: Floats) -> Floats:
    """Round to the unit of every limit: ``DECIMALS``."""
    return np.asarray(np.round(np.clip(similarities, -1.0, 1.0), DECIMALS))
