"""What the second judge says of samples, where the similarities are known."""

import numpy as np

from generators.judges import by_second
from streams.core.faces import Face


def face(second: list[float] | None) -> Face:
    vector = None if second is None else np.array(second, dtype=np.float32)
    return Face(np.array([1, 0], dtype=np.float32), (0, 0, 1, 1), ((0, 0),) * 5, 1.0, 1.0, second=vector)


CENTROIDS = {0: np.array([1, 0], dtype=np.float32), 2: np.array([0, 1], dtype=np.float32)}


def test_similarities_are_to_the_second_judges_own_centroids():
    told = by_second([face([1, 0]), face([0.6, 0.8])], [0, 0], CENTROIDS)
    assert told is not None
    assert (told.samples, told.identities) == (2, 2)
    np.testing.assert_allclose([told.mean_similarity, told.shuffled_similarity, told.rank1], [0.8, 0.4, 0.5], rtol=1e-6)


def test_what_it_saw_no_face_in_and_whom_it_does_not_know_are_in_no_figure():
    told = by_second([None, face(None), face([0, 1]), face([0, 1])], [0, 0, 1, 2], CENTROIDS)
    assert told is not None
    assert (told.samples, told.mean_similarity, told.rank1) == (1, 1, 1)


def test_without_a_second_judge_or_somebody_to_mistake_it_says_nothing():
    assert by_second([face([1, 0])], [0], {}) is None
    assert by_second([face([1, 0])], [0], {0: CENTROIDS[0]}) is None
    assert by_second([face(None)], [0], CENTROIDS) is None
