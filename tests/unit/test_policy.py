"""Policies: a version by content, refused where they do not hold, and errors that name the fault."""

import math

import pytest

from streams.core import policy as policies
from streams.core.gallery import Origin
from streams.errors import BadInput, PolicyRefused
from streams.testing.services import policy
from tests.policy_texts import MEASURED, TEXT


def test_a_policy_is_read_from_toml():
    read = policies.parse(TEXT, "made-up.toml")

    assert (read.name, read.limits.similarity, read.holds_for.domain) == ("made-up", 0.5, Origin.PHOTO)


def test_the_version_says_by_content_which_policy_it_is():
    first = policies.parse(TEXT, "a")
    reordered = policies.parse("# a comment\n" + TEXT.replace("similarity = 0.5\n", "", 1) + "similarity = 0.5\n", "b")

    assert first.version == reordered.version
    assert first.version.startswith("made-up@")
    assert first.version != policies.parse(TEXT.replace("0.45", "0.46"), "c").version


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("margin = 0.05\n", "", "limits.margin"),
        ("margin = 0.05", "margin = 0.05\nmore = 1", "limits.more"),
        ("margin = 0.05", "margin = nan", "limits.margin"),
        ("margin = 0.05", "margin = -0.1", "limits.margin"),
        ("similarity = 0.5", "similarity = 1.5", "limits.similarity"),
        ('domain = "photo"', 'domain = "drawing"', "holds_for.domain"),
        ("centroid/raw", "pair/best", "holds_for.comparator"),
        ('name = "made-up"', 'name = "Made up"', "name"),
        ("[limits]", "[limits", "TOML"),
        ("calibrated = false", "calibrated = true", "needs the table [calibration]"),
    ],
)
def test_what_is_not_a_policy_is_refused_by_name_and_fault(old, new, named):
    with pytest.raises(BadInput, match=r"made-up\.toml is not") as refused:
        policies.parse(TEXT.replace(old, new, 1), "made-up.toml")

    assert named in str(refused.value)


def test_a_policy_holds_in_its_own_space_and_domain_and_for_an_empty_gallery():
    one = policy()

    policies.refuse_elsewhere(one, embedding_space=one.holds_for.embedding_space, domain=Origin.SYNTHETIC)
    policies.refuse_elsewhere(one, embedding_space=one.holds_for.embedding_space, domain=None)


def test_a_policy_is_refused_in_another_embedding_space():
    with pytest.raises(PolicyRefused, match="LIKENESS_POLICY"):
        policies.refuse_elsewhere(policy(), embedding_space="other/2", domain=None)


def test_a_policy_is_refused_for_references_of_another_origin():
    one = policy()

    with pytest.raises(PolicyRefused, match="LIKENESS_POLICY=default"):
        policies.refuse_elsewhere(one, embedding_space=one.holds_for.embedding_space, domain=Origin.PHOTO)


@pytest.mark.parametrize("field", ["similarity", "other_similarity", "margin", "face_side", "sharpness"])
def test_no_limit_may_be_nan(field):
    with pytest.raises(ValueError, match=field):
        policy(**{field: math.nan})


def test_the_version_of_a_policy_without_a_calibration_is_the_one_that_it_always_had():
    assert policies.parse(TEXT, "a").version == "made-up@374ea6eeac74"


@pytest.mark.parametrize(
    ("similarity", "fmr"),
    [(-0.5, 1.0), (0.0999, 1.0), (0.1, 0.5), (0.15, 0.5), (0.2, 0.2), (0.4999, 0.2), (0.5, 0.03), (1.0, 0.03)],
)
def test_the_rate_at_a_similarity_is_that_of_the_next_lower_entry_and_so_never_too_small(similarity, fmr):
    read = policies.parse(MEASURED, "made-up.toml")
    assert read.false_match_rate(similarity) == fmr


def test_nothing_is_said_of_no_similarity_or_by_an_uncalibrated_policy():
    assert policies.parse(MEASURED, "made-up.toml").false_match_rate(None) is None
    assert policies.parse(TEXT, "made-up.toml").false_match_rate(0.5) is None


def test_what_was_measured_is_part_of_the_version():
    first, second = (policies.parse(text, "a") for text in (MEASURED, MEASURED.replace("0.03]", "0.02]")))
    assert first.version != second.version


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("calibrated = true", "calibrated = false", "the table needs calibrated = true"),
        ("similarity = [0.1, 0.2, 0.5]", "similarity = [0.1, 0.2]", "as many fmr and fnmr"),
        ("similarity = [0.1, 0.2, 0.5]", "similarity = [0.1, 0.5, 0.2]", "similarity to rise"),
        ("fmr = [0.5, 0.2, 0.03]", "fmr = [0.5, 0.6, 0.03]", "fmr to fall"),
        ("fnmr = [0.0, 0.1, 0.4]", "fnmr = [0.0, 0.1, 0.0]", "fnmr to rise"),
        ("log_ratio = [-2.0, 3.0]", "log_ratio = [-2.0]", "as many log_ratio"),
        ("log_ratio = [-2.0, 3.0]", "log_ratio = [-2.0, inf]", "finite"),
        ("subjects = 3", "subject = 3", "calibration.subject"),
    ],
)
def test_a_measurement_that_cannot_be_one_is_refused(old, new, named):
    with pytest.raises(BadInput, match=r"made-up\.toml is not") as refused:
        policies.parse(MEASURED.replace(old, new, 1), "made-up.toml")
    assert named in str(refused.value)


def test_a_policy_made_from_pairs_is_refused_where_verdicts_rest_on_centroids():
    pairs = policies.parse(TEXT.replace("centroid/raw", "pair/raw"), "made-up.toml")

    with pytest.raises(PolicyRefused, match="verdicts rest on centroids"):
        policies.refuse_elsewhere(pairs, embedding_space="stub/1", domain=Origin.PHOTO)
