"""Explanations, computed: in what a difference is measured, whom it is measured by, and what it says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.explain.compare import TELLING, explain, telling
from streams.core.explain.look import COLUMNS, ROWS, VALUES, Look, Measure, Region, outline
from streams.core.explain.spread import LEAST, OWN, PEOPLE, PRIOR, Spread, Usual, noise, pooled
from streams.core.explain.stability import Head, stability
from streams.core.explain.tone import lab, linear, typology_angle
from streams.events import Explanation

RNG = np.random.default_rng(0)
FACE = RNG.normal(size=(len(Region), ROWS, COLUMNS, 3))


def look(width: float = 1.0, seed: int = 0, noisy: float = 0.1, **measures: float) -> Look:
    """One person's face, drawn again: with noise, and with a mouth of this width."""
    drawn = FACE + noisy * np.random.default_rng(seed).normal(size=FACE.shape)
    named = {Measure(name.replace("_", "-")): value for name, value in measures.items()}
    return Look({Measure.MOUTH_WIDTH: width} | named, outline(drawn.astype(np.float32)))


def references(count: int = 8, sd: float = 0.1) -> list[Look]:
    """References whose widths have mean 1 and exactly this standard deviation."""
    widths = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    widths = 1 + (sd * widths / widths.std(ddof=1) if count > 1 else widths)
    return [look(float(width), seed) for seed, width in enumerate(widths)]


HELD = references()
SPREAD = Spread(
    people=10,
    references=60,
    measures={Measure.MOUTH_WIDTH: 0.1},
    regions={region: Usual(mean=0.01, sd=0.02) for region in Region},
)


def of(name: str, found: tuple[Explanation, ...]) -> Explanation:
    return next(one for one in found if one.name == name)


def test_a_difference_is_told_in_standard_deviations_of_one_more_reference():
    found = of("mouth-width", explain(look(1.5), references(8, sd=0.1), None))

    assert found.noise == pytest.approx(0.1 * np.sqrt(1 + 1 / 8), rel=1e-3)
    assert found.z == pytest.approx(0.5 / found.noise, abs=0.01)
    assert found.text == f"the mouth is {found.z:.1f} σ wider than in 8 references"


def test_a_few_references_borrow_from_other_peoples_spread():
    #: (8 · 0.2² + 10 · 0.1²) / 18 = 0.0233
    assert noise(np.linspace(-1, 1, 8), 0.1, 0) is not None
    widths = np.array([one.measures[Measure.MOUTH_WIDTH] for one in references(8, sd=0.2)])
    shrunk = noise(widths, 0.1, 0)
    assert shrunk == pytest.approx(np.sqrt((8 * 0.04 + PRIOR * 0.01) / 18 * (1 + 1 / 8)))


@pytest.mark.parametrize("count", range(1, OWN))
def test_with_too_few_references_the_pooled_spread_alone_counts_and_is_named(count: int):
    assert explain(look(1.5), references(count), None) == ()

    found = explain(look(1.5), references(count), SPREAD)
    width = of("mouth-width", found)
    assert width.noise == pytest.approx(0.1 * np.sqrt(1 + 1 / count), rel=1e-3)
    assert width.text.endswith("σ being other people's")
    assert {one.name for one in found} == {"mouth-width", *Region}


def test_without_references_there_is_nothing_to_say():
    assert explain(look(), [], SPREAD) == ()


def test_noise_never_falls_below_what_saving_a_picture_again_makes():
    alike = [look(1.0, seed=0)] * 5
    found = of("mouth-width", explain(look(1.05), alike, None))
    assert found.noise == LEAST[Measure.MOUTH_WIDTH]


def test_a_region_that_looks_otherwise_is_named_first():
    changed = look(1.0, seed=99)
    regions = changed.regions.copy()
    regions[list(Region).index(Region.EYES)] *= -1
    found = explain(replace(changed, regions=regions), references(), SPREAD)

    assert found[0].name == "eyes"
    assert found[0].text == f"eye region differs by {found[0].z:.1f} σ from 8 references"
    assert all(abs(one.z) < TELLING for one in found[1:])


def test_a_region_more_alike_than_references_are_is_no_difference():
    found = of("nose", explain(look(noisy=0.0), references(), None))
    assert found.z < 0
    assert found.text == "nose region differs no more than usual from 8 references"


@given(st.permutations(range(8)), st.floats(-3, 3))
def test_the_order_of_references_changes_nothing(order: list[int], width: float):
    one, other = explain(look(width), HELD, SPREAD), explain(look(width), [HELD[place] for place in order], SPREAD)
    assert [(each.name, each.z, each.text) for each in one] == [(each.name, each.z, each.text) for each in other]


@given(st.floats(0.5, 3), st.floats(0.01, 2))
def test_the_farther_a_measure_lies_off_the_larger_its_z(width: float, more: float):
    nearer, farther = (of("mouth-width", explain(look(each), HELD, None)).z for each in (width, width + more))
    assert farther > nearer


def test_only_what_is_worth_a_look_is_shown_and_not_too_much_of_it():
    found = tuple(Explanation(name=str(z), text="", z=z, noise=1, references=3) for z in (-9.0, 8.0, 7.0, 6.0, 1.0))
    assert [one.z for one in telling(found)] == [-9.0, 8.0, 7.0]
    assert telling(found[-1:]) == ()


def test_a_region_that_is_more_alike_than_usual_is_shown_to_nobody_as_a_difference():
    alike, darker = (
        Explanation(name=name, text="", z=-5.0, noise=1.0, references=8) for name in (Region.MOUTH, Measure.SKIN_TONE)
    )
    assert telling([alike, darker]) == (darker,)


def test_a_spread_is_pooled_within_people_and_only_over_several():
    apart = [[look(mean + off, seed) for seed, off in enumerate((-0.1, 0.0, 0.1))] for mean in range(PEOPLE)]

    spread = pooled(apart)
    assert spread is not None
    assert (spread.people, spread.references) == (PEOPLE, 3 * PEOPLE)
    assert spread.measures == {Measure.MOUTH_WIDTH: pytest.approx(0.1)}
    assert set(spread.regions) == set(Region)
    assert pooled(apart[1:]) is None
    assert pooled([*apart[1:], [look(), look()]]) is None


def test_an_outline_forgets_brightness_contrast_and_tint():
    pixels = RNG.uniform(0, 200, size=(ROWS, COLUMNS, 3)).astype(np.float32)
    one, other = outline(pixels), outline(pixels * 0.5 + np.array([30, 5, 10], np.float32))

    assert one.shape == (VALUES,)
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert not outline(np.full((ROWS, COLUMNS, 3), 7, np.float32)).any()


def test_the_typology_angle_is_that_of_the_published_example():
    assert typology_angle(65, 15) == pytest.approx(45.0)
    assert typology_angle(50, 10) == 0


def test_lab_has_white_black_and_red_where_the_standard_has_them():
    light = linear(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], np.uint8))
    np.testing.assert_allclose(lab(light), [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.05)


def test_stability_is_one_where_nothing_drops_out_matters_and_falls_as_features_matter_alone():
    head = Head(np.eye(4, 64, dtype=np.float32), np.array([5, 0, 0, 0], np.float32))
    nothing, little, much = (stability(np.full(64, size, np.float32), head) for size in (0.0, 0.5, 5.0))

    assert nothing == 1.0
    assert nothing > little > much > 0


def test_stability_is_the_papers_formula():
    drawn = np.random.default_rng(1)
    head = Head(drawn.normal(size=(8, 32)).astype(np.float32), drawn.normal(size=8).astype(np.float32))
    features = drawn.random(32).astype(np.float32)
    masks = (np.random.default_rng(0).random((100, 32)) < 0.4) / 0.4
    x = (features * masks) @ head.weights.T + head.bias
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    total = sum(np.linalg.norm(x[i] - x[j]) for i in range(100) for j in range(i + 1, 100))

    assert stability(features, head) == pytest.approx(2 / (1 + np.exp(2 / 100**2 * total)), abs=1e-5)
