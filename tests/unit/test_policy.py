"""Policies: a version by content, refused where they do not hold, and errors that name the fault."""

import math

import pytest

from streams.core import policy as policies
from streams.core.gallery import Origin
from streams.errors import BadInput, PolicyRefused
from streams.testing.services import policy

TEXT = """
name = "made-up"
calibrated = false
provenance = "a test"
[holds_for]
domain = "photo"
embedding_space = "stub/1"
comparator = "centroid/raw"
[limits]
similarity = 0.5
other_similarity = 0.45
margin = 0.05
face_side = 40
sharpness = 20
"""


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
        ("centroid/raw", "pair/raw", "holds_for.comparator"),
        ('name = "made-up"', 'name = "Made up"', "name"),
        ("[limits]", "[limits", "TOML"),
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
