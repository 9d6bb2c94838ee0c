"""Which numbers embed a face first: what is asked for, what pays, and never what cannot be trusted."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.engines.self_check import check_fast
from streams.adapters.facenet.weights import Published
from streams.adapters.precision.choice import LOOKED_AT_AGAIN, choose, fast_embedder
from streams.adapters.precision.error import SAFETY, as_stated, deviation
from streams.cards import ModelCard, read_card, write_card
from streams.core.similarity import unit
from streams.errors import Unready
from streams.settings import Settings


def one_face(images, smallest):
    """One face in every image that fills it."""
    marks = np.full((1, 5, 2), 30, np.float32)
    return [(np.array([[0, 0, 64, 64]], np.float32), np.ones(1, np.float32), marks) for _ in images]


EXACT = FaceNetworks(
    detect=one_face,
    embed=lambda faces: np.ones((len(faces), 128), np.float32),
    landmarks=lambda faces: np.zeros((len(faces), 5, 2), np.float32),
    what=Published("facenet-128", "0" * 64, 128, whitened=True),
)


def vectors(count: int, seed: int = 3) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return np.stack([unit(one) for one in drawn])


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # type: ignore[arg-type]  # importing it fails from now on


def under(share: float) -> float:
    """Just so fast, beside 10 ms in fp32, that it pays although this share is looked at again."""
    return 10 * (1 - share) - 0.1


@pytest.mark.parametrize(
    ("fast", "chosen"),
    [
        ({}, "fp32"),
        ({"int8": under(LOOKED_AT_AGAIN["int8"])}, "int8"),
        ({"int8": under(LOOKED_AT_AGAIN["int8"]) + 0.2}, "fp32"),
        ({"bf16": under(LOOKED_AT_AGAIN["bf16"])}, "bf16"),
        ({"bf16": under(LOOKED_AT_AGAIN["bf16"]) + 0.2, "int8": 20.0}, "fp32"),
        ({"bf16": 6.0, "int8": 6.0}, "bf16"),
        ({"bf16": 6.0, "int8": 0.1}, "int8"),
    ],
)
def test_what_takes_least_with_both_looks_together_is_chosen(fast: dict, chosen: str):
    choice = choose(10.0, fast)

    assert choice.precision == chosen
    assert choice.why.startswith(f"precision {chosen}: ")
    assert all(f" in {name}" in choice.why for name in ("fp32", *fast))


def test_floats_ask_for_nothing_more():
    told: list[str] = []

    assert fast_embedder(Settings(precision="fp32"), EXACT, told.append) is None
    assert told == []


@pytest.mark.usefixtures("without_openvino")
def test_what_was_asked_for_by_name_and_cannot_be_had_stops_the_worker():
    with pytest.raises(Unready, match=r"expected OpenVINO.*pip install 'likeness-qc\[openvino\]'"):
        fast_embedder(Settings(precision="bf16"), EXACT, print)


@pytest.mark.usefixtures("without_openvino")
def test_where_the_choice_is_left_open_floats_are_used_and_what_stood_against_the_others_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch", None)  # type: ignore[arg-type]  # nothing can be exported
    told: list[str] = []

    assert fast_embedder(Settings(precision="auto", cache_dir=tmp_path), EXACT, told.append) is None
    assert [line.split(":")[0] for line in told] == ["not bf16", "not int8", "precision fp32"]


def test_a_machine_whose_short_numbers_compute_something_else_is_refused():
    exact = vectors(4)
    fast = [*exact[:3], unit(exact[3] + 0.3 * exact[0])]

    assert check_fast("int8", exact, exact, 0.99) == pytest.approx(1, abs=1e-6)
    with pytest.raises(Unready, match=r"bf16.*cosine of 0\.9900.*got 0\.9.*LIKENESS_PRECISION=fp32"):
        check_fast("bf16", exact, fast, 0.99)
    with pytest.raises(Unready, match="got nan"):
        check_fast("int8", exact, [*exact[:3], exact[3] * np.nan], 0.99)


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


def test_what_a_card_states_comes_back_as_it_was_measured_and_never_stricter(tmp_path: Path):
    exact = vectors(12)
    fast = np.stack([unit(one + 0.01 * exact[0]) for one in exact])
    measured = deviation(exact, fast, np.full(12, 3.0, np.float32), np.arange(12))
    write_card(tmp_path, ModelCard("n", "", "", "", "", "", "", (measured.limit,), measured.entries))

    stated = as_stated("int8", lambda faces: (faces, faces), read_card(tmp_path))

    assert stated.scaled_error == measured.bound > 0
    assert measured.least_cosine - 1e-4 <= stated.least_cosine <= measured.least_cosine


def test_the_networks_take_crops_as_the_embedder_was_trained_on_them():
    crops = np.random.default_rng(1).integers(0, 255, (2, 160, 160, 3), dtype=np.uint8)

    assert EXACT.normalised(crops).mean() == pytest.approx(0, abs=1e-5)
    plain = replace(EXACT, what=replace(EXACT.what, whitened=False))
    assert plain.normalised(crops)[0, 0, 0, 0] == pytest.approx((float(crops[0, 0, 0, 0]) - 127.5) / 128)
