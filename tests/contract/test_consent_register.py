"""What ``ports.ConsentRegister`` promises, on the SQL register and on every database."""

from datetime import UTC, datetime, timedelta

from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.core.consent import Consent, Purpose, Terms, Use, permits

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_whoever_is_not_in_the_register_is_missing(consent: SqlConsentRegister):
    assert await consent.states(["anna", "bert"], NOW) == {"anna": Consent.MISSING, "bert": Consent.MISSING}
    assert await consent.states([], NOW) == {}


async def test_consent_is_each_persons_own(consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form 1", at=NOW, expires=None)

    assert await consent.states(["anna", "bert"], NOW) == {"anna": Consent.GRANTED, "bert": Consent.MISSING}


async def test_consent_ends_when_it_expires(consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form 1", at=NOW, expires=NOW + HOUR)

    assert await consent.states(["anna"], NOW + HOUR - timedelta.resolution) == {"anna": Consent.GRANTED}
    assert await consent.states(["anna"], NOW + HOUR) == {"anna": Consent.EXPIRED}


async def test_consent_can_be_withdrawn_and_given_again(consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form 1", at=NOW, expires=None)
    await consent.withdraw("anna", at=NOW + HOUR, note="asked by mail")
    assert await consent.states(["anna"], NOW + HOUR) == {"anna": Consent.WITHDRAWN}

    await consent.grant("anna", evidence="form 2", at=NOW + 2 * HOUR, expires=None)
    assert await consent.states(["anna"], NOW + 2 * HOUR) == {"anna": Consent.GRANTED}


async def test_a_withdrawal_of_somebody_unknown_holds(consent: SqlConsentRegister):
    await consent.withdraw("anna", at=NOW, note="never wanted it")

    assert await consent.states(["anna"], NOW) == {"anna": Consent.WITHDRAWN}


async def test_an_old_form_that_is_found_later_does_not_undo_a_withdrawal(consent: SqlConsentRegister):
    await consent.withdraw("anna", at=NOW, note="asked by mail")
    await consent.grant("anna", evidence="an older form", at=NOW - HOUR, expires=None)

    assert await consent.states(["anna"], NOW) == {"anna": Consent.WITHDRAWN}


async def test_a_new_grant_replaces_when_the_old_one_would_have_expired(consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form 1", at=NOW - 2 * HOUR, expires=NOW - HOUR)
    await consent.grant("anna", evidence="form 2", at=NOW, expires=None)

    assert await consent.states(["anna"], NOW) == {"anna": Consent.GRANTED}


async def test_an_entry_is_read_back_with_all_its_terms(consent: SqlConsentRegister):
    terms = Terms(("face_gan", "other@3"), ("DE", "US-TN"))
    await consent.grant(
        "anna", evidence="form 1", at=NOW, expires=NOW + HOUR, purpose=Purpose.TRAINING, terms=terms, digest="a" * 64
    )
    await consent.withdraw("anna", at=NOW + HOUR, note="by mail", purpose=Purpose.TRAINING)

    first, second = (await consent.entries(["anna"]))["anna"]

    assert (first.kind, first.purpose, first.terms, first.evidence) == ("granted", Purpose.TRAINING, terms, "a" * 64)
    assert (first.at, first.expires, first.note) == (NOW, NOW + HOUR, "form 1")
    assert (second.kind, second.purpose, second.terms) == ("withdrawn", Purpose.TRAINING, Terms())
    assert first.number < second.number
    assert first.entered is not None


async def test_consent_to_training_is_none_to_generation(consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form 1", at=NOW, expires=None, purpose=Purpose.TRAINING)

    assert await consent.states(["anna"], NOW) == {"anna": Consent.MISSING}


async def test_a_line_from_before_there_were_terms_means_generation_without_a_limit(
    consent: SqlConsentRegister, database: Database
):
    old = "INSERT INTO consent (identity, kind, at, note) VALUES ('anna', 'granted', 0, 'form 1')"
    await database.transact(lambda connection: connection.exec_driver_sql(old))

    entries = (await consent.entries(["anna"]))["anna"]

    assert permits(entries, Use(Purpose.GENERATION, "any", "1", "FR"), NOW).granted
    assert [entry.number for entry in await consent.unannounced(10)] == [entries[0].number]


async def test_every_entry_is_announced_once(consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form 1", at=NOW, expires=None)
    await consent.grant("bert", evidence="form 2", at=NOW, expires=None)
    await consent.withdraw("anna", at=NOW, note="by mail")

    waiting = await consent.unannounced(2)
    assert [entry.identity for entry in waiting] == ["anna", "bert"]
    assert [entry.kind for entry in await consent.unannounced(9, of="anna")] == ["granted", "withdrawn"]

    await consent.announced([entry.number for entry in waiting])

    assert [entry.kind for entry in await consent.unannounced(9)] == ["withdrawn"]
