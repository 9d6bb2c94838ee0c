"""Consent: who may be generated at a moment, from what the register's entries add up to."""

from datetime import UTC, datetime, timedelta

import pytest

from streams.core.consent import Consent, ConsentRecord, granted, state, withdrawn

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, Consent.MISSING),
        (ConsentRecord(None), Consent.MISSING),
        (ConsentRecord(NOW - HOUR), Consent.GRANTED),
        (ConsentRecord(NOW), Consent.GRANTED),
        (ConsentRecord(NOW + HOUR), Consent.MISSING),  # not yet
        (ConsentRecord(NOW - HOUR, expires=NOW + timedelta(microseconds=1)), Consent.GRANTED),
        (ConsentRecord(NOW - HOUR, expires=NOW), Consent.EXPIRED),
        (ConsentRecord(NOW - HOUR, expires=NOW - HOUR), Consent.EXPIRED),
        (ConsentRecord(NOW - HOUR, withdrawn_at=NOW - 2 * HOUR), Consent.GRANTED),  # granted again since
        (ConsentRecord(NOW - HOUR, withdrawn_at=NOW - HOUR), Consent.WITHDRAWN),
        (ConsentRecord(NOW - HOUR, withdrawn_at=NOW), Consent.WITHDRAWN),
        (ConsentRecord(NOW - HOUR, withdrawn_at=NOW, expires=NOW - HOUR), Consent.WITHDRAWN),
        (ConsentRecord(None, withdrawn_at=NOW), Consent.WITHDRAWN),
    ],
)
def test_consent_holds_from_its_grant_until_it_is_withdrawn_or_expires(record, expected):
    assert state(record, NOW) is expected


def test_consent_that_is_granted_after_a_withdrawal_holds():
    record = granted(withdrawn(granted(None, NOW - 3 * HOUR, None), NOW - 2 * HOUR), NOW - HOUR, None)

    assert state(record, NOW) is Consent.GRANTED


def test_an_old_grant_that_is_entered_late_does_not_undo_a_withdrawal():
    record = granted(withdrawn(None, NOW - HOUR), NOW - 2 * HOUR, None)

    assert state(record, NOW) is Consent.WITHDRAWN


def test_a_withdrawal_ends_every_grant_entered_before_however_it_is_dated():
    record = withdrawn(granted(None, NOW - HOUR, None), NOW - 2 * HOUR)

    assert state(record, NOW) is Consent.WITHDRAWN


def test_an_older_withdrawal_entered_late_does_not_shorten_a_newer_one():
    record = granted(withdrawn(withdrawn(None, NOW - HOUR), NOW - 3 * HOUR), NOW - 2 * HOUR, None)

    assert state(record, NOW) is Consent.WITHDRAWN
