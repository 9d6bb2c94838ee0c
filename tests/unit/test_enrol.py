"""Enrolment: who is refused and why, and that one person's fault is nobody else's."""

from pathlib import Path

import pytest

from streams.adapters.ledger.erasures import SqlErasures
from streams.core.consent import Consent, Purpose, Terms
from streams.core.gallery import Origin
from streams.core.similarity import similarity
from streams.errors import BadInput, GeneratorRejected
from streams.ports import Services
from streams.testing.generator import StubGenerator
from streams.testing.images import picture, png
from streams.testing.services import enrol as enrol_stub
from streams.testing.services import services as on_stand_ins
from streams.tools.enrol import enrol_folder, people_in
from streams.tools.synthetic import ANCHOR_LIMIT, enrol_synthetic

CONSENT = 'granted_on = 2026-01-31\nevidence = "form 1"\n'
ANNA = [1.0, 0, 0, 0, 0, 0, 0, 0]


@pytest.fixture
def empty(ledger, consent) -> Services:
    """Nobody is enrolled."""
    return on_stand_ins(ledger=ledger, consent=consent)


def person(folder: Path, name: str, consent: str | None = CONSENT, **images: bytes) -> Path:
    (folder / name).mkdir(parents=True)
    if consent is not None:
        (folder / name / "consent.toml").write_text(consent)
    for stem, data in (images or {"face": png(picture(ANNA))}).items():
        (folder / name / f"{stem}.png").write_bytes(data)
    return folder / name


async def test_a_person_with_a_face_and_consent_is_enrolled(empty, tmp_path):
    person(tmp_path, "anna", one=png(picture(ANNA)), two=png(picture([1, 0.2, 0, 0, 0, 0, 0, 0])))
    [report] = await enrol_folder(people_in(tmp_path), empty)
    assert (report.identity, report.references, report.refused, report.skipped) == ("anna", 2, None, {})
    [identity] = (await empty.gallery.identities(["anna"])).values()
    assert (identity.origin, identity.references, identity.protected) == (Origin.PHOTO, 2, False)
    assert await empty.consent.states(["anna"], empty.now()) == {"anna": Consent.GRANTED}


async def test_images_that_show_no_one_face_are_told_and_not_used(empty, tmp_path):
    anna = person(
        tmp_path,
        "anna",
        good=png(picture(ANNA)),
        none=png(picture(ANNA, faces=0)),
        many=png(picture(ANNA, faces=2)),
        words=b"no picture",
    )
    (anna / "folder.png").mkdir()
    (anna / "notes.txt").write_text("passed over")
    [report] = await enrol_folder(people_in(tmp_path), empty)
    assert (report.references, report.refused) == (1, None)
    assert set(report.skipped) == {"none.png", "many.png", "words.png", "folder.png"}
    assert report.skipped["none.png"] == "no face found, expected one"
    assert report.skipped["many.png"] == "2 faces found, expected one"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (None, "no consent.toml"),
        ("granted_on = ", "cannot be read"),
        ("granted_on = 2026-01-31", "gives no consent"),
        ('evidence = "form 1"', "gives no consent"),
        ("", "gives no consent"),
        ('granted_on = 2026-01-31\nevidence = "form 1"\nexpires = 2027-01-31', "expires: Extra inputs"),
        ('granted_on = "soon"\nevidence = "form 1"', "granted_on"),
    ],
)
async def test_without_consent_that_can_be_read_nobody_is_enrolled(empty, tmp_path, written, why):
    person(tmp_path, "anna", written)
    person(tmp_path, "bert")
    anna, bert = await enrol_folder(people_in(tmp_path), empty)
    assert why in (anna.refused or "")
    assert "granted_on = 2026-01-31 and evidence" in (anna.refused or "")
    assert bert.refused is None
    assert await empty.gallery.names() == ["bert"]


async def test_a_protected_person_needs_no_consent_and_gives_none(empty, tmp_path):
    person(tmp_path, "vip", "protected = true")
    [report] = await enrol_folder(people_in(tmp_path), empty)
    assert report.refused is None
    assert (await empty.gallery.identities(["vip"]))["vip"].protected
    assert await empty.consent.states(["vip"], empty.now()) == {"vip": Consent.MISSING}


async def test_consent_ends_on_its_day(empty, tmp_path):
    person(tmp_path, "anna", CONSENT + "expires_on = 2026-02-01")  # the clock stands in 2030
    await enrol_folder(people_in(tmp_path), empty)
    assert await empty.consent.states(["anna"], empty.now()) == {"anna": Consent.EXPIRED}


async def test_a_folder_whose_name_is_no_identity_is_refused(empty, tmp_path):
    person(tmp_path, "anna smith")
    [report] = await enrol_folder(people_in(tmp_path), empty)
    assert "no identity" in (report.refused or "")
    assert await empty.gallery.names() == []


async def test_a_person_without_a_usable_image_is_refused_and_consents_to_nothing(empty, tmp_path):
    person(tmp_path, "anna", words=b"no picture")
    [report] = await enrol_folder(people_in(tmp_path), empty)
    assert report.refused == "no image shows exactly one face"
    assert await empty.consent.states(["anna"], empty.now()) == {"anna": Consent.MISSING}


async def test_photos_in_a_synthetic_gallery_are_refused_before_anything_is_written(empty, tmp_path):
    await enrol_stub(empty, "synthetic-01", ANNA)
    version = await empty.gallery.version()
    person(tmp_path, "anna")
    with pytest.raises(BadInput, match="holds synthetic identities, expected photo"):
        await enrol_folder(people_in(tmp_path), empty)
    assert await empty.gallery.version() == version
    assert await empty.consent.states(["anna"], empty.now()) == {"anna": Consent.MISSING}


async def test_synthetic_people_do_not_enter_a_gallery_of_photos(empty, tmp_path):
    person(tmp_path, "anna")
    await enrol_folder(people_in(tmp_path), empty)
    with pytest.raises(BadInput, match="holds photo identities, expected synthetic"):
        await enrol_synthetic(1, empty, model="face_gan")
    assert await empty.gallery.names() == ["anna"]


async def test_synthetic_people_differ_consent_and_can_be_generated(empty):
    names = await enrol_synthetic(3, empty, model="face_gan", references=4)
    assert names == ["synthetic-01", "synthetic-02", "synthetic-03"]
    people = await empty.gallery.identities(names)
    for name, identity in people.items():
        references = await empty.gallery.references(name)
        assert len(references) == identity.references == 4
        assert {reference.origin for reference in references} == {Origin.SYNTHETIC}
        assert set(identity.conditioning) == {"face_gan"}
    # References wander from their anchors, and so do centroids, a little.
    centroids = [identity.centroid for identity in people.values()]
    pairs = [similarity(one, other) for place, one in enumerate(centroids) for other in centroids[:place]]
    assert max(pairs) < ANCHOR_LIMIT + 0.1
    assert set((await empty.consent.states(names, empty.now())).values()) == {Consent.GRANTED}


async def test_the_same_seed_enrols_the_same_people(fresh_services):
    versions = []
    for seed in (5, 5, 6):
        services = await fresh_services()
        for name in await services.gallery.names():
            await services.gallery.remove(name)
        await enrol_synthetic(2, services, model="face_gan", seed=seed)
        versions.append(await services.gallery.version())
    assert versions[0] == versions[1] != versions[2]


async def test_more_people_than_a_generator_has_are_refused(empty):
    # On a sphere of eight dimensions there is no room for so many that differ.
    with pytest.raises(BadInput, match="differ by enough: ask for fewer than 200"):
        await enrol_synthetic(200, empty, model="face_gan")
    assert await empty.gallery.names() == []


async def test_a_model_that_is_not_served_is_refused(ledger, consent):
    services = on_stand_ins(ledger=ledger, consent=consent, generator=StubGenerator(models={"other": "1"}))
    with pytest.raises(GeneratorRejected, match="other"):
        await enrol_synthetic(1, services, model="face_gan")


async def test_enrolling_a_folder_again_does_not_undo_a_withdrawal(empty, tmp_path):
    person(tmp_path, "anna")
    await enrol_folder(people_in(tmp_path), empty)
    await empty.consent.withdraw("anna", at=empty.now(), note="by letter")

    await enrol_folder(people_in(tmp_path), empty)

    assert await empty.consent.states(["anna"], empty.now()) == {"anna": Consent.WITHDRAWN}


async def test_the_terms_of_a_form_are_entered_once(empty, tmp_path):
    terms = 'purposes = ["training", "generation"]\nmodels = ["face_gan"]\nterritories = ["DE"]\n'
    person(tmp_path, "anna", CONSENT + terms)

    for _ in range(2):
        [report] = await enrol_folder(people_in(tmp_path), empty)
        assert report.refused is None

    entries = (await empty.consent.entries(["anna"]))["anna"]
    assert [(entry.purpose, entry.terms) for entry in entries] == [
        (Purpose.TRAINING, Terms(("face_gan",), ("DE",))),
        (Purpose.GENERATION, Terms(("face_gan",), ("DE",))),
    ]


@pytest.mark.parametrize(("more", "why"), [("expires_on = 2026-02-01", "expired"), ("", "withdrawn")])
async def test_whose_consent_does_not_stand_is_not_enrolled_and_nothing_is_stored(empty, tmp_path, more, why):
    person(tmp_path, "anna", CONSENT + more)
    if why == "withdrawn":
        await empty.consent.withdraw("anna", at=empty.now(), note="by letter")

    [report] = await enrol_folder(people_in(tmp_path), empty)

    assert report.refused == f"consent is {why}: get it anew, with a later granted_on"
    assert await empty.gallery.names() == []
    assert empty.images.held == {}


async def test_people_are_protected_without_any_form_and_whatever_their_form_says(empty, tmp_path):
    person(tmp_path, "anna", None)
    person(tmp_path, "bert")

    reports = await enrol_folder(people_in(tmp_path), empty, protected=True)

    assert [report.refused for report in reports] == [None, None]
    assert all(one.protected for one in (await empty.gallery.identities(["anna", "bert"])).values())
    assert set((await empty.consent.states(["anna", "bert"], empty.now())).values()) == {Consent.MISSING}
    [entry] = (await empty.consent.entries(["bert"]))["bert"]
    assert entry.purpose is Purpose.PROTECTION


async def test_whoever_was_forgotten_is_not_enrolled_until_that_is_lifted(empty, tmp_path, database):
    erasures, folder = SqlErasures(database), person(tmp_path, "anna")
    await erasures.rename(await erasures.begin("anna", at=empty.now()), "anna", at=empty.now())
    await erasures.rename(await erasures.begin("synthetic-01", at=empty.now()), "synthetic-01", at=empty.now())

    [report] = await enrol_folder([folder], empty)
    assert report.refused == "was forgotten: enrol them with --again if they agree once more"
    with pytest.raises(BadInput, match="synthetic-01 was forgotten"):
        await enrol_synthetic(1, empty, model="face_gan")

    await erasures.lift("anna", at=empty.now())
    [report] = await enrol_folder([folder], empty)
    assert report.refused is None
