"""Consent: who may be shown for what, by which model, where and at which moment, from the register's entries."""

from datetime import UTC, datetime, timedelta

import pytest

from streams.core.consent import Consent, Entry, Purpose, Terms, Use, holding, permits, state, use_of
from streams.core.subject import Subject

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GENERATION = Use(Purpose.GENERATION, "face_gan", "1")
TRAINING = Use(Purpose.TRAINING, "face_gan")


def register(*entries: Entry) -> list[Entry]:
    """The entries, numbered in the order of the register."""
    return [Entry(**{**vars(entry), "number": number}) for number, entry in enumerate(entries, start=1)]


def granted(at: datetime, purpose: Purpose | None = None, **fields: object) -> Entry:
    terms = Terms(tuple(fields.pop("models", ())), tuple(fields.pop("territories", ())))  # type: ignore[arg-type]
    return Entry(0, "anna", "granted", at, purpose, terms, **fields)  # type: ignore[arg-type]


def withdrawn(at: datetime, purpose: Purpose | None = None) -> Entry:
    return Entry(0, "anna", "withdrawn", at, purpose)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], Consent.MISSING),
        ([granted(NOW - HOUR)], Consent.GRANTED),
        ([granted(NOW)], Consent.GRANTED),
        ([granted(NOW + HOUR)], Consent.MISSING),  # not yet
        ([granted(NOW - HOUR, expires=NOW + timedelta(microseconds=1))], Consent.GRANTED),
        ([granted(NOW - HOUR, expires=NOW)], Consent.EXPIRED),
        ([withdrawn(NOW - 2 * HOUR), granted(NOW - HOUR)], Consent.GRANTED),
        ([granted(NOW - HOUR), withdrawn(NOW)], Consent.WITHDRAWN),
        ([granted(NOW - HOUR, expires=NOW - HOUR), withdrawn(NOW)], Consent.WITHDRAWN),
        ([withdrawn(NOW)], Consent.WITHDRAWN),
        # A form that is dated before the withdrawal does not undo it, whenever it is found.
        ([withdrawn(NOW - HOUR), granted(NOW - 2 * HOUR)], Consent.WITHDRAWN),
        # A withdrawal ends what was entered before it, however that is dated.
        ([granted(NOW - HOUR), withdrawn(NOW - 2 * HOUR)], Consent.WITHDRAWN),
        ([withdrawn(NOW - HOUR), withdrawn(NOW - 3 * HOUR), granted(NOW - 2 * HOUR)], Consent.WITHDRAWN),
        ([granted(NOW + HOUR), withdrawn(NOW - HOUR)], Consent.WITHDRAWN),
    ],
)
def test_consent_holds_from_its_grant_until_it_is_withdrawn_or_expires(entries, expected):
    assert state(register(*entries), Purpose.GENERATION, NOW) is expected
    assert permits(register(*entries), GENERATION, NOW).consent is expected


def test_the_newest_grant_that_has_begun_holds_whichever_was_entered_last():
    narrow, old = granted(NOW - HOUR, models=["face_gan"]), granted(NOW - 2 * HOUR)
    later = granted(NOW + HOUR, models=["other"])

    for entries in (register(old, narrow, later), register(narrow, old, later)):
        assert holding(entries, Purpose.GENERATION, NOW)[1].terms.models == ("face_gan",)
        assert holding(entries, Purpose.GENERATION, NOW + HOUR)[1].terms.models == ("other",)


def test_what_was_entered_before_there_were_terms_permits_generation_by_any_model_anywhere():
    entries = register(granted(NOW))

    assert permits(entries, Use(Purpose.GENERATION, "any", "7", "FR"), NOW).granted
    assert permits(entries, TRAINING, NOW).granted
    assert not permits(entries, Use(Purpose.PROTECTION), NOW).granted


@pytest.mark.parametrize(
    ("purpose", "use", "expected"),
    [
        (Purpose.GENERATION, GENERATION, Consent.GRANTED),
        (Purpose.GENERATION, TRAINING, Consent.GRANTED),
        (Purpose.TRAINING, TRAINING, Consent.GRANTED),
        (Purpose.TRAINING, GENERATION, Consent.NOT_COVERED),
        (Purpose.PROTECTION, GENERATION, Consent.NOT_COVERED),
        (Purpose.PROTECTION, TRAINING, Consent.NOT_COVERED),
    ],
)
def test_a_purpose_permits_its_own_use_and_generation_that_of_training_runs(purpose, use, expected):
    answer = permits(register(granted(NOW, purpose)), use, NOW)

    assert answer.consent is expected
    if expected is Consent.NOT_COVERED:
        assert answer.unmet == (f"consent is for {purpose}, and not for {use.purpose}",)


def test_a_withdrawal_may_end_one_purpose_and_leaves_the_others():
    entries = register(granted(NOW - HOUR, Purpose.GENERATION), withdrawn(NOW, Purpose.TRAINING))

    assert permits(entries, GENERATION, NOW).granted
    assert permits(entries, TRAINING, NOW).consent is Consent.WITHDRAWN
    assert permits(register(*entries, withdrawn(NOW)), GENERATION, NOW).consent is Consent.WITHDRAWN


@pytest.mark.parametrize(
    ("model", "version", "unmet"),
    [
        ("face_gan", "1", ()),
        ("other", "3", ()),
        ("other", "2", ("consent does not cover model other version 2, but other@3",)),
        ("other", None, ("consent is for other@3; which version made it, is not said",)),
        ("face_ganache", "1", ("consent does not cover model face_ganache, but face_gan, other@3",)),
        (None, None, ("consent does not cover model that is not said, but face_gan, other@3",)),
    ],
)
def test_a_grant_may_name_models_and_versions(model, version, unmet):
    entries = register(granted(NOW, models=["face_gan", "other@3"]))

    answer = permits(entries, Use(Purpose.GENERATION, model, version), NOW)

    assert answer.unmet == unmet
    assert answer.consent is (Consent.NOT_COVERED if unmet else Consent.GRANTED)


def test_before_a_version_is_pinned_one_of_the_permitted_may_still_be():
    entries = register(granted(NOW, models=["other@3"]))

    assert permits(entries, Use(Purpose.GENERATION, "other", None, settled=False), NOW).granted
    assert not permits(entries, Use(Purpose.GENERATION, "face_gan", None, settled=False), NOW).granted


@pytest.mark.parametrize(
    ("territory", "unmet"),
    [
        ("DE", ()),
        ("US-TN", ()),
        ("AT-9", ()),  # a country holds its parts
        ("US", ("consent is for AT, DE, US-TN; the request says US",)),
        ("FR", ("consent is for AT, DE, US-TN; the request says FR",)),
        (None, ("consent is for AT, DE, US-TN; the request does not say where",)),
    ],
)
def test_a_grant_for_territories_refuses_others_and_who_does_not_say(territory, unmet):
    entries = register(granted(NOW, territories=["AT", "DE", "US-TN"]))

    answer = permits(entries, Use(Purpose.GENERATION, "face_gan", "1", territory), NOW)

    assert answer.unmet == unmet


def test_every_term_that_is_not_met_is_told():
    entries = register(granted(NOW, models=["other"], territories=["DE"]))

    assert len(permits(entries, Use(Purpose.GENERATION, "face_gan", "1", "FR"), NOW).unmet) == 2


def test_a_sample_of_a_training_run_is_a_use_of_training_and_a_request_one_of_generation():
    asked = Subject("0" * 32, "generation", "shop", 0, "anna", "face_gan", territory="DE")
    trained = Subject("0" * 32, "training", "run", 0, "anna", "face_gan")

    assert use_of(asked) == Use(Purpose.GENERATION, "face_gan", None, "DE", settled=False)
    assert use_of(trained) == Use(Purpose.TRAINING, "face_gan", None, None, settled=True)
