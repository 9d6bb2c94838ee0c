"""What ``ports.ConsentRegister`` promises, on the SQL register and on every database."""

from datetime import UTC, datetime, timedelta

from streams.adapters.consent import SqlConsentRegister
from streams.core.consent import Consent

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
