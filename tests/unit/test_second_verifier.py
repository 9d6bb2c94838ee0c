"""The second verifier: nobody is accepted whom it does not see too, and it judges by references of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.faces import EmbeddingSpace, Examined, Sighting
from streams.core.gallery import Origin
from streams.core.measurement import Measurement
from streams.core.policy import Second, refuse_without_second
from streams.core.similarity import unit
from streams.core.subject import Subject
from streams.errors import BadInput, PolicyRefused
from streams.events import Decision, ReasonCode, SecondOpinion
from streams.ports import SecondVerifier, Services
from streams.steps.appraise import appraise
from streams.testing.examiner import STUB_SPACE, StubExaminer
from streams.testing.gallery import InMemoryGallery
from streams.testing.images import picture, png
from streams.testing.services import policy
from streams.testing.services import services as on_stand_ins
from streams.tools.enrol import enrol_folder, people_in
from streams.tools.second import add_second, lacking

SPACE = replace(STUB_SPACE, embedder="other-8")
REQUIRED = Second(embedding_space=SPACE.fingerprint, similarity=0.7, provenance="chosen for a test")
ONE = policy()
BOTH = ONE.model_copy(update={"second": REQUIRED})
GOOD = Measurement(
    sample_id="s",
    identity="anna",
    embedding_space=STUB_SPACE.fingerprint,
    gallery_version="v",
    references=3,
    faces=1,
    face_side=80,
    sharpness=50,
    similarity=0.9,
)
ANNA, BERT = [1.0, 0, 0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0, 0, 0]

similarities = st.integers(-10_000, 10_000).map(lambda value: value / 10_000)
opinions = st.builds(
    SecondOpinion,
    embedding_space=st.sampled_from([SPACE.fingerprint, "another"]),
    references=st.integers(0, 3),
    similarity=st.none() | similarities,
)


def seen(similarity: float | None, *, references: int = 3, space: EmbeddingSpace = SPACE) -> Measurement:
    opinion = SecondOpinion(embedding_space=space.fingerprint, references=references, similarity=similarity)
    return GOOD.model_copy(update={"second": opinion})


def codes(measurement: Measurement) -> list[ReasonCode]:
    return [reason.code for reason in decide(measurement, BOTH, Consent.GRANTED).reasons]


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (seen(0.7001), []),
        (seen(0.7), []),
        (seen(0.6999), [ReasonCode.SECOND_VERIFIER]),
        (seen(0.9, references=2), [ReasonCode.NO_REFERENCE]),
        (seen(None, references=0), [ReasonCode.NO_REFERENCE]),
        (seen(None), [ReasonCode.LOW_QUALITY]),
        (seen(0.9, space=STUB_SPACE), [ReasonCode.SECOND_VERIFIER]),
        (GOOD, [ReasonCode.SECOND_VERIFIER]),
    ],
)
def test_a_sample_is_accepted_only_if_the_second_verifier_agrees(measurement, expected):
    assert codes(measurement) == expected


@given(st.none() | opinions, st.none() | similarities)
def test_accepted_by_both_means_accepted_by_the_first_and_shown_to_the_second(opinion, similarity):
    measurement = GOOD.model_copy(update={"second": opinion, "similarity": similarity})
    if decide(measurement, BOTH, Consent.GRANTED).decision is Decision.ACCEPTED:
        assert decide(measurement, ONE, Consent.GRANTED).decision is Decision.ACCEPTED
        assert opinion is not None
        assert opinion.similarity is not None
        assert opinion.similarity >= 0.7


@given(opinions, similarities)
def test_being_nearer_to_the_second_never_adds_a_reason(opinion, similarity):
    if opinion.similarity is None or similarity < opinion.similarity:
        return
    nearer = opinion.model_copy(update={"similarity": similarity})
    assert set(codes(GOOD.model_copy(update={"second": nearer}))) <= set(
        codes(GOOD.model_copy(update={"second": opinion}))
    )


def test_a_policy_that_asks_for_one_verifier_ignores_what_the_second_says():
    assert decide(seen(-1.0), ONE, Consent.GRANTED).decision is Decision.ACCEPTED


def test_a_policy_that_requires_the_second_is_another_version_and_one_that_does_not_is_the_same():
    assert BOTH.version != ONE.version
    assert ONE.numbers == ONE.limits.model_dump()
    assert BOTH.numbers == ONE.numbers | {"second_similarity": 0.7}


@pytest.mark.parametrize("space", [None, STUB_SPACE.fingerprint])
def test_a_policy_that_requires_a_verifier_which_is_not_there_is_refused_with_the_remedy(space):
    with pytest.raises(PolicyRefused, match=r"likeness-qc\[second\].*LIKENESS_SECOND_EMBEDDER=other-8"):
        refuse_without_second(BOTH, space)
    refuse_without_second(BOTH, SPACE.fingerprint)
    refuse_without_second(ONE, space)


class TwoSpaces(StubExaminer):
    """Sees everybody in the second space as the first one does, but for whom it is told to see otherwise."""

    def __init__(self, otherwise: dict[bytes, list[float]] | None = None) -> None:
        super().__init__()
        self._otherwise = otherwise or {}

    async def examine(self, encoded):
        examined = await super().examine(encoded)
        return [self._seconded(one, data) for one, data in zip(examined, encoded, strict=True)]

    def _seconded(self, one: Examined, data: bytes) -> Examined:
        if not isinstance(one, Sighting) or one.largest is None:
            return one
        vector = self._otherwise.get(data)
        second = one.largest.embedding if vector is None else unit(np.array(vector, np.float32))
        return replace(one, largest=replace(one.largest, second=second))


def person(folder: Path, name: str, vector: list[float]) -> None:
    home = folder / name
    home.mkdir()
    (home / "consent.toml").write_text('granted_on = 2026-01-31\nevidence = "form 1"\n')
    (home / "face.png").write_bytes(png(picture(vector)))


def two(ledger, consent, examiner: StubExaminer) -> Services:
    second = SecondVerifier(SPACE, InMemoryGallery(SPACE))
    return on_stand_ins(ledger=ledger, consent=consent, examiner=examiner, policy=BOTH, second=second)


async def judged(services: Services, data: bytes):
    [sighting] = await services.examiner.examine([data])
    key = "0" * 32
    subject = Subject(key, "training", "run", 0, "anna", "model")
    [one] = await appraise({key: subject}, {key: sighting}, services, gallery_version="v", examine_ms=0.0)
    return one.judged


async def test_enrolment_serves_both_and_the_verdict_tells_both(ledger, consent, tmp_path):
    alike, unlike = png(picture([1, 0.1, 0, 0, 0, 0, 0, 0])), png(picture([1, 0.2, 0, 0, 0, 0, 0, 0]))
    services = two(ledger, consent, TwoSpaces({unlike: BERT}))
    person(tmp_path, "anna", ANNA)
    await enrol_folder(people_in(tmp_path), services, Origin.SYNTHETIC)

    accepted, flagged = await judged(services, alike), await judged(services, unlike)

    assert (accepted.decision, [reason.code for reason in flagged.reasons]) == (
        Decision.ACCEPTED,
        [ReasonCode.SECOND_VERIFIER],
    )
    assert (accepted.second.embedding_space, accepted.second.references) == (SPACE.fingerprint, 1)
    assert accepted.second.similarity == accepted.similarity
    assert accepted.limits["second_similarity"] == 0.7
    assert flagged.similarity > 0.9
    assert flagged.second.similarity < 0.1


async def test_whoever_was_enrolled_for_the_first_alone_is_accepted_once_added_for_the_second(
    ledger, consent, tmp_path
):
    face = png(picture(ANNA))
    services = two(ledger, consent, TwoSpaces())
    person(tmp_path, "anna", ANNA)
    await enrol_folder(people_in(tmp_path), replace(services, second=None), Origin.SYNTHETIC)

    before, missing = await judged(services, face), await lacking(services)
    added = await add_second(services)
    again = await add_second(services)

    assert ([reason.code for reason in before.reasons], missing) == ([ReasonCode.NO_REFERENCE], 1)
    assert (added.identities, added.enrolled, added.known, added.skipped) == (1, 1, 0, {})
    assert (again.enrolled, again.known, await lacking(services)) == (0, 1, 0)
    assert (await judged(services, face)).decision is Decision.ACCEPTED


async def test_a_reference_whose_image_is_gone_is_told_and_its_person_not_accepted(ledger, consent, tmp_path):
    services = two(ledger, consent, TwoSpaces())
    person(tmp_path, "anna", ANNA)
    (tmp_path / "anna" / "other.png").write_bytes(png(picture([1, 0.3, 0, 0, 0, 0, 0, 0])))
    await enrol_folder(people_in(tmp_path), replace(services, second=None), Origin.SYNTHETIC)
    gone, _ = await services.gallery.references("anna")
    await services.images.remove(gone.image_sha256)

    added = await add_second(services)

    assert added.skipped == {gone.reference_id: "its image is not in the image store"}
    verdict = await judged(services, png(picture(ANNA)))
    assert [reason.code for reason in verdict.reasons] == [ReasonCode.NO_REFERENCE]
    assert "1 of 2 references" in verdict.reasons[0].text


async def test_without_a_second_verifier_there_is_nothing_to_add(ledger, consent):
    services = on_stand_ins(ledger=ledger, consent=consent)
    with pytest.raises(BadInput, match="LIKENESS_SECOND_EMBEDDER"):
        await add_second(services)
    assert await lacking(services) == 0


async def test_a_face_in_which_the_second_sees_nothing_is_not_accepted(ledger, consent, tmp_path):
    services = two(ledger, consent, TwoSpaces())
    person(tmp_path, "anna", ANNA)
    await enrol_folder(people_in(tmp_path), services, Origin.SYNTHETIC)
    blind = replace(services, examiner=StubExaminer())

    verdict = await judged(blind, png(picture(ANNA)))

    assert [reason.code for reason in verdict.reasons] == [ReasonCode.LOW_QUALITY]
    assert isinstance(verdict.second, SecondOpinion)
