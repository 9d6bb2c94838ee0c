"""Which numbers embed a face first: what is asked for, what pays, and never what cannot be trusted."""

from dataclasses import replace

import numpy as np
import pytest

from streams.adapters.face_networks import FaceNetworks
from streams.adapters.facenet_weights import Published
from streams.adapters.int8_error import SAFETY, deviation
from streams.adapters.precision import choose, fast_embedder
from streams.adapters.self_check import check_fast
from streams.core.similarity import unit
from streams.errors import BadInput, Unready
from streams.settings import Settings

EXACT = FaceNetworks(
    detect=lambda images, smallest: [],
    embed=lambda faces: np.zeros((len(faces), 128), np.float32),
    landmarks=lambda faces: np.zeros((len(faces), 5, 2), np.float32),
    what=Published("facenet-128", "0" * 64, 128, whitened=True),
)


def vectors(count: int, seed: int = 3) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return np.stack([unit(one) for one in drawn])


@pytest.mark.parametrize(("exact", "fast", "chosen"), [(10.0, 5.9, True), (10.0, 6.1, False), (10.0, 20.0, False)])
def test_integers_are_chosen_where_both_looks_together_take_less(exact: float, fast: float, chosen: bool):
    choice = choose(exact, fast, again=0.4)

    assert choice.fast == chosen
    assert choice.why.startswith("precision int8: " if chosen else "precision fp32: ")


def test_floats_ask_for_nothing_more():
    told: list[str] = []

    assert fast_embedder(Settings(precision="fp32"), EXACT, told.append) is None
    assert told == []


def test_integers_that_were_asked_for_by_name_and_cannot_be_had_stop_the_worker():
    with pytest.raises(BadInput, match=r"LIKENESS_ENGINE=onnxruntime with LIKENESS_PRECISION=int8, got torch"):
        fast_embedder(Settings(precision="int8", engine="torch"), EXACT, print)


def test_where_the_choice_is_left_open_floats_are_used_and_the_reason_is_told():
    told: list[str] = []

    assert fast_embedder(Settings(precision="auto", engine="torch"), EXACT, told.append) is None
    assert [line.split(":")[0] for line in told] == ["precision fp32"]


def test_a_machine_whose_integers_compute_something_else_is_refused():
    exact = vectors(4)
    fast = [*exact[:3], unit(exact[3] + 0.3 * exact[0])]

    assert check_fast(exact, exact, 0.99) == pytest.approx(1, abs=1e-6)
    with pytest.raises(Unready, match=r"cosine of 0\.9900.*got 0\.9.*LIKENESS_PRECISION=fp32"):
        check_fast(exact, fast, 0.99)
    with pytest.raises(Unready, match="got nan"):
        check_fast(exact, [*exact[:3], exact[3] * np.nan], 0.99)


def test_the_stated_error_is_the_largest_for_its_length_against_any_centroid_times_the_safety_factor():
    exact, people = vectors(12), np.repeat(np.arange(4), 3)
    fast = exact.copy()
    fast[5], fast[8] = unit(exact[5] + 0.2 * exact[0]), unit(exact[8] + 0.1 * exact[0])
    lengths = np.ones(12, np.float32)
    lengths[8] = 10

    measured = deviation(exact, fast, lengths, people)

    centroids = [unit(exact[people == person].sum(axis=0)) for person in range(4)]
    off = {face: max(abs(float((fast[face] - exact[face]) @ one)) for one in centroids) for face in (5, 8)}
    assert (measured.faces, measured.centroids) == (12, 4)
    assert measured.largest_error == pytest.approx(max(off.values()), abs=1e-6)
    assert off[8] < off[5] < 10 * off[8]
    assert SAFETY * 10 * off[8] <= measured.bound + 1e-6 <= SAFETY * 10 * off[8] + 2e-4
    assert measured.least_cosine == pytest.approx(float(fast[5] @ exact[5]), abs=1e-6)


def test_embeddings_that_are_equal_have_no_error():
    measured = deviation(vectors(6), vectors(6), np.ones(6, np.float32), np.arange(6))

    assert (measured.bound, measured.largest_error) == (0.0, 0.0)


def test_the_networks_take_crops_as_the_embedder_was_trained_on_them():
    crops = np.random.default_rng(1).integers(0, 255, (2, 160, 160, 3), dtype=np.uint8)

    assert EXACT.normalised(crops).mean() == pytest.approx(0, abs=1e-5)
    plain = replace(EXACT, what=replace(EXACT.what, whitened=False))
    assert plain.normalised(crops)[0, 0, 0, 0] == pytest.approx((float(crops[0, 0, 0, 0]) - 127.5) / 128)
