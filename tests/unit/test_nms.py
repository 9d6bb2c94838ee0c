"""Non-maximum suppression against its definition, box by box."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.facenet.nms import kept

boxes = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2)),
    max_size=12,
)


def overlap(a, b, *, of_smaller):
    one = 1 if of_smaller else 0
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + one)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + one)
    areas = [(box[2] - box[0] + one) * (box[3] - box[1] + one) for box in (a, b)]
    whole = min(areas) if of_smaller else sum(areas) - width * height
    return width * height / whole


@given(boxes, st.booleans(), st.randoms(use_true_random=False))
def test_a_box_stays_unless_a_better_one_of_its_group_that_stays_overlaps_it(drawn, of_smaller, random):
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in drawn], dtype=np.float32).reshape(-1, 4)
    groups = np.array([group for *_, group in drawn], dtype=np.intp)
    scores = np.array(random.sample(range(100), len(drawn)), dtype=np.float32) / 100
    staying: list[int] = []
    for index in sorted(range(len(drawn)), key=lambda i: -scores[i]):
        rivals = [other for other in staying if groups[other] == groups[index]]
        if all(overlap(corners[index], corners[other], of_smaller=of_smaller) <= 0.5 for other in rivals):
            staying.append(index)
    assert kept(corners, scores, groups, 0.5, of_smaller=of_smaller).tolist() == staying
