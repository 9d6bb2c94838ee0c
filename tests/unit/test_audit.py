"""The checker must be able to fail: each thing that can go wrong is built once, and must be found."""

import asyncio
import hashlib
import io
import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import create_engine, text

from streams.errors import BadInput, DependencyUnavailable
from streams.tools.audit.balance import Hour
from streams.tools.audit.count import audit
from streams.tools.audit.records import Raw, asked_content, derived, digest, envelope
from streams.tools.audit.rows import Row, Superseded, read_reopened, read_rows
from streams.tools.audit.tables import HOURS_SHOWN, render, render_hours
from streams.tools.audit.tally import LISTED, balance
from streams.tools.audit.topics import Topics

NOW = datetime(2026, 1, 31, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
REQUESTS, SAMPLES, TRAINING = "generation.requests", "generation.samples", "training.samples"
ACCEPTED, FLAGGED, DEAD = "samples.accepted", "samples.flagged", "dead.letters"
IMAGE = "a" * 64


def json_bytes(**fields: Any):
    return json.dumps(fields).encode()


def request(request_id="r-1", *, offset=0, count=1, **fields: Any):
    body = {"source": "shop", "request_id": request_id, "identity": "anna", "count": count} | fields
    return Raw(REQUESTS, 0, offset, None, json_bytes(**body), (), NOW_MS)


def training(*, offset=0, step=7, sha256=IMAGE, **fields: Any):
    image = {"sha256": sha256, "size": 9}
    body = {"run_id": "run", "step": step, "index": 0, "identity": "anna", "model": "gan", "image": image}
    return Raw(TRAINING, 0, offset, None, json_bytes(**(body | fields)), (), NOW_MS)


def ended(sample_id, topic=ACCEPTED, *, offset=0, **fields: Any):
    """The record on which a sample ends, as the worker would publish it."""
    if topic == DEAD:
        headers = (("likeness.dlq.id", sample_id.encode()), ("likeness.dlq.reason", b"not-json"))
        return Raw(DEAD, 0, offset, None, b"?", headers, NOW_MS)
    decision = "accepted" if topic == ACCEPTED else "flagged"
    reasons = [] if topic == ACCEPTED else [{"code": "mismatch"}, {"code": "ambiguous"}]
    body = {"sample_id": sample_id, "decision": decision, "reasons": reasons} | fields
    return Raw(topic, 0, offset, sample_id.encode(), json_bytes(**body), (("ce_id", b"1"),), NOW_MS)


def row_of(record, *, asked=None, **fields: Any):
    """The row whose end the record is."""
    state = {ACCEPTED: "accepted", FLAGGED: "flagged", DEAD: "dead"}[record.topic]
    sample_id = dict(record.headers)["likeness.dlq.id"] if record.topic == DEAD else record.key
    content = asked_content(asked.value) if asked else None
    end = {
        "topic": record.topic,
        "value": digest(record.value),
        "envelope": envelope(record.key, record.headers),
        "time_ms": record.time_ms,
        "published": True,
    }
    return Row(sample_id.decode(), state, content, "anna", "gan", IMAGE, **({"registered_ms": NOW_MS} | end | fields))


def waiting(sample_id, asked=None, *, hours=0.0):
    """A row that was registered so many hours ago and has no end yet."""
    content = asked_content(asked.value) if asked else None
    return Row(sample_id, "in_flight", content, "anna", "gan", IMAGE, NOW_MS - int(hours * 3_600_000))


def weigh(rows: Sequence[Row], records, committed=100, **how: Any):
    places = {(topic, 0): committed for topic in (REQUESTS, SAMPLES, TRAINING)}
    return balance({row.sample_id: row for row in rows}, records, places, **({"now": NOW} | how))


def only(found, kind, sample_id):
    """The one thing that is wrong is this."""
    assert [offence.sample_id for offence in found.offences[kind]] == [sample_id]
    assert list(found.offences) == [kind]
    assert getattr(found, kind) == 1
    assert not found.sound


S0, S1 = derived("generation", "shop", "r-1", 0), derived("generation", "shop", "r-1", 1)
T0 = derived("training", "run", 7, 0)


def own_id(message: Raw) -> str:
    """The id under which a message ends that names no sample."""
    content = hashlib.sha256(message.value or b"").hexdigest()
    return derived("message", message.topic, message.partition, message.offset, content)


def test_ids_follow_the_documented_formula_with_letters_of_any_alphabet():
    assert hashlib.sha256(b'["generation","shop","r-1",0]').hexdigest()[:32] == S0
    assert derived("message", "tøpic", 1, 2) == hashlib.sha256('["message","tøpic",1,2]'.encode()).hexdigest()[:32]


def test_samples_that_all_ended_as_the_ledger_says_balance():
    asked, unreadable = request(count=2), replace(request(offset=1), value=b"{")
    dead_id = own_id(unreadable)
    ends = [ended(S0), ended(S1, FLAGGED), ended(dead_id, DEAD), ended(T0)]
    rows = [row_of(end, asked=asked) for end in ends]
    found = weigh(rows, [asked, unreadable, training(), *ends])
    assert found.as_dict() | {"requested": 4, "accepted": 2, "flagged": 1, "dead": 1, "in_flight": 0} == found.as_dict()
    assert found.balanced
    assert found.sound
    assert found.settled
    assert found.reasons == {"mismatch": 1}
    assert found.dead_reasons == {"not-json": 1}
    assert found.offences == {}


def test_records_may_come_in_any_order():
    asked = request(count=2)
    ends = [ended(S0), ended(S1, FLAGGED)]
    rows = [row_of(end, asked=asked) for end in ends]
    assert weigh(rows, [asked, *ends]) == weigh(rows, [*reversed(ends), asked])


def test_an_undecided_row_and_an_undelivered_one_are_in_flight():
    asked = request(count=2)
    rows = [waiting(S0, asked), row_of(ended(S1), asked=asked, published=False)]
    found = weigh(rows, [asked])
    assert (found.requested, found.in_flight, found.balanced, found.settled) == (2, 2, True, False)


def test_a_record_repeated_to_the_byte_is_a_duplicate_and_no_offence():
    record = ended(S0, FLAGGED)
    found = weigh([row_of(record)], [record, replace(record, offset=5), replace(record, offset=6)])
    assert (found.duplicates, found.flagged, found.reasons, found.sound) == (2, 1, {"mismatch": 1}, True)


def test_a_delivered_row_without_its_record_is_lost_and_breaks_the_sum():
    found = weigh([row_of(ended(S0))], [])
    only(found, "lost", S0)
    assert found.requested - found.accepted == 1
    assert not found.balanced


def test_a_record_older_than_its_topic_keeps_is_not_missed():
    long_ago = int((NOW - timedelta(days=31)).timestamp() * 1000)
    found = weigh([row_of(ended(S0), time_ms=long_ago)], [])
    assert (found.accepted, found.expired, found.sound) == (1, 1, True)


def test_a_request_behind_the_commit_without_rows_is_lost():
    found = weigh([waiting(S0, request(count=2))], [request(count=2)])
    only(found, "lost", S1)
    assert not found.balanced


def test_a_training_sample_behind_the_commit_without_a_row_is_lost():
    only(weigh([], [training()]), "lost", T0)


def test_an_unreadable_message_behind_the_commit_without_a_dead_letter_is_lost():
    for value in (None, b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"source":"a"}', b'{"count":1e999}'):
        message = replace(request(), value=value)
        only(weigh([], [message]), "lost", own_id(message))


def test_a_message_beyond_the_commit_is_unread_not_lost():
    found = weigh([], [request(offset=100, count=3), training(offset=100)])
    assert (found.unread, found.lost, found.balanced, found.settled) == (4, 0, True, False)


def test_a_group_that_never_committed_has_read_nothing():
    found = balance({}, [request()], {}, now=NOW)
    assert (found.unread, found.lost) == (1, 0)


def test_the_same_request_twice_asks_for_nothing_more_however_it_is_written():
    end = ended(S0)
    again = request(offset=1, seed="0", strength=0, model="face_gan", unknown_field=True)
    assert weigh([row_of(end, asked=request())], [request(), again, end]).sound


def test_another_request_under_a_known_id_must_end_as_a_dead_letter():
    first, other = request(), request(offset=1, identity="bert")
    end = ended(S0)
    rows = [row_of(end, asked=first)]
    clash = own_id(other)
    only(weigh(rows, [first, other, end]), "lost", clash)
    letter = ended(clash, DEAD)
    assert weigh([*rows, row_of(letter)], [first, other, end, letter]).sound


def test_another_image_under_a_known_training_sample_must_end_as_a_dead_letter():
    end = ended(T0)
    other = training(offset=1, sha256="b" * 64)
    only(weigh([row_of(end)], [training(), other, end]), "lost", own_id(other))


def test_an_inline_image_is_known_by_its_bytes():
    inline = training(image=None, inline_image="aGk=")
    end = ended(T0)
    row = replace(row_of(end), image_sha256=hashlib.sha256(b"hi").hexdigest())
    assert weigh([row], [inline, end]).sound
    assert weigh([row_of(end)], [inline, end]).lost == 1


def test_two_different_verdicts_on_one_topic_conflict():
    first, second = ended(S0, similarity=0.5), ended(S0, offset=1, similarity=0.6)
    only(weigh([row_of(first)], [first, second]), "conflicting", S0)


def test_accepted_and_flagged_conflict():
    first, second = ended(S0), ended(S0, FLAGGED)
    found = weigh([row_of(first)], [first, second])
    only(found, "conflicting", S0)
    assert not found.balanced


def test_a_verdict_and_a_dead_letter_of_one_sample_conflict():
    first, second = ended(S0), ended(S0, DEAD)
    only(weigh([row_of(first)], [first, second]), "conflicting", S0)


def test_a_record_that_differs_from_its_row_conflicts():
    published, stored = ended(S0, similarity=0.5), ended(S0, similarity=0.6)
    found = weigh([row_of(stored)], [published])
    only(found, "conflicting", S0)
    assert found.accepted == 0
    only(weigh([row_of(ended(S0, FLAGGED))], [ended(S0)]), "conflicting", S0)


def test_a_record_of_an_undecided_row_conflicts():
    only(weigh([waiting(S0)], [ended(S0)]), "conflicting", S0)


def test_a_row_that_publishes_on_the_wrong_topic_conflicts():
    record = ended(S0)
    only(weigh([replace(row_of(record), state="flagged")], [record]), "conflicting", S0)


def test_a_decided_row_without_a_record_to_publish_is_lost():
    only(weigh([replace(waiting(S0), state="accepted")], []), "lost", S0)


def test_an_end_without_a_row_is_a_phantom():
    only(weigh([], [ended(S0)]), "phantom", S0)


def test_a_dead_letter_that_names_no_sample_is_a_phantom():
    found = weigh([], [replace(ended(S0, DEAD), headers=())])
    assert (found.phantom, found.misnamed, found.sound) == (1, 1, False)


def test_a_record_newer_than_the_rows_accuses_nobody():
    before = {(ACCEPTED, 0): 3}
    new = ended(S0, offset=3)
    for rows in ([], [waiting(S0)]):
        assert weigh(rows, [new], before_rows=before).sound
        assert not weigh(rows, [replace(new, offset=2)], before_rows=before).sound


def test_a_verdict_about_another_sample_than_its_key_is_found():
    record = replace(ended(S1), key=S0.encode())
    only(weigh([row_of(record)], [record]), "misnamed", S0)


def test_a_verdict_on_the_topic_of_the_other_decision_is_found():
    record = ended(S0, decision="flagged")
    found = weigh([row_of(record)], [record])
    only(found, "misnamed", S0)
    assert not found.exactly_judged


@pytest.mark.parametrize("change", [{"headers": ()}, {"time_ms": NOW_MS + 2}, {"headers": (("ce_id", None),)}])
def test_a_record_of_the_right_value_in_another_envelope_is_found(change):
    record = ended(S0)
    only(weigh([row_of(record)], [replace(record, **change)]), "inexact", S0)


def test_offences_are_all_counted_and_listed_in_part():
    found = weigh([], [ended(f"{i:032x}") for i in range(LISTED + 10)])
    assert found.phantom == LISTED + 10
    assert len(found.offences["phantom"]) == LISTED


def test_the_table_names_the_offender_and_survives_markup_in_it():
    found = weigh([], [replace(ended(S0), key=b"[/red]")])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(found))
    shown = console.export_text()
    assert S0 in shown
    assert "does not add up" in shown


# -- what has been in flight for too long ------------------------------------------------------------------------------


def overdue(rows, records=(), **how: Any):
    return weigh(rows, records, overdue_seconds=3600, **how)


def test_a_sample_in_flight_is_overdue_only_when_longer_than_the_limit():
    found = overdue([waiting(S0, hours=1.001), waiting(S1, hours=1)])
    only(found, "overdue", S0)
    assert (found.in_flight, found.unaccounted, found.balanced) == (2, 1, True)
    assert "no verdict for 1.0 h" in found.offences["overdue"][0].why


def test_a_verdict_that_is_not_delivered_for_too_long_is_overdue():
    found = overdue([row_of(ended(S0), published=False, registered_ms=NOW_MS - 7_200_000)])
    only(found, "overdue", S0)
    assert "not delivered" in found.offences["overdue"][0].why


def test_what_no_worker_reads_for_too_long_is_overdue_too():
    old, young = (replace(request(f"r-{h}", offset=h, count=2), time_ms=NOW_MS - h * 3_600_000) for h in (2, 1))
    found = overdue([], [old, young], committed=0)
    assert (found.unread, found.overdue, found.unaccounted, found.sound) == (4, 2, 2, False)
    assert "read by no worker" in found.offences["overdue"][0].why


def test_a_sample_that_was_sent_back_lately_is_not_overdue_however_old_it_is():
    letter = ended(S0, DEAD)
    long_ago, lately = (taken_back(letter, at_ms=NOW_MS - hours * 3_600_000) for hours in (2, 1))
    old = waiting(S0, hours=50)
    only(overdue([replace(old, superseded=(long_ago,))], [letter]), "overdue", S0)
    assert overdue([replace(old, superseded=(lately,))], [letter]).sound
    assert overdue([row_of(letter, registered_ms=old.registered_ms)], [letter], reopened={S0: (lately,)}).sound


def test_overdue_samples_are_all_counted_and_listed_in_part():
    found = overdue([waiting(f"{i:032x}", hours=2) for i in range(LISTED + 10)])
    assert (found.overdue, found.unaccounted, len(found.offences["overdue"])) == (LISTED + 10, LISTED + 10, LISTED)


def test_a_sample_that_is_wrong_in_two_ways_is_unaccounted_for_once():
    found = overdue([waiting(S0, hours=2)], [ended(S0)])
    assert (found.conflicting, found.overdue, found.unaccounted) == (1, 1, 1)
    nameless = weigh([], [replace(ended(S0, DEAD), headers=())])
    assert (nameless.phantom, nameless.misnamed, nameless.unaccounted) == (1, 1, 1)


# -- by the hour -------------------------------------------------------------------------------------------------------

_KINDS_OF_ROW = st.sampled_from(["accepted", "flagged", "dead", "undelivered", "in flight", "lost", "conflicting"])


def built(n: int, kind: str, hours: int):
    """One row of a kind, registered so many hours ago, and its records."""
    sample_id = derived("generation", "shop", f"r-{n}", 0)
    at = {"registered_ms": NOW_MS - hours * 3_600_000 + n}
    record = ended(sample_id, {"flagged": FLAGGED, "dead": DEAD}.get(kind, ACCEPTED), offset=n)
    match kind:
        case "in flight":
            return waiting(sample_id, hours=hours), []
        case "undelivered":
            return row_of(record, published=False, **at), []
        case "lost":
            return row_of(record, **at), []
        case "conflicting":
            return row_of(record, **at), [record, ended(sample_id, FLAGGED, offset=n)]
    return row_of(record, **at), [record]


@given(st.lists(st.tuples(_KINDS_OF_ROW, st.integers(0, 5)), max_size=30), st.integers(0, 3))
def test_the_hours_add_up_to_the_whole(kinds, phantoms):
    made = [built(n, kind, hours) for n, (kind, hours) in enumerate(kinds)]
    records = [record for _, some in made for record in some] + [ended(f"{n:032x}") for n in range(phantoms)]
    found = overdue([row for row, _ in made], records)
    for name in ("requested", "accepted", "flagged", "dead", "in_flight"):
        assert sum(getattr(hour, name) for hour in found.hours) == getattr(found, name)
    assert sum(hour.unaccounted for hour in found.hours) + phantoms == found.unaccounted
    assert (found.unaccounted == 0) == found.sound
    for hour in found.hours:
        missing = hour.requested - (hour.accepted + hour.flagged + hour.dead + hour.in_flight)
        assert 0 <= missing <= hour.unaccounted


def test_a_row_is_counted_in_the_hour_in_which_it_was_registered():
    record = ended(S0)
    early = row_of(record, registered_ms=int(datetime(2026, 1, 30, 21, 59, 59, 999_000, UTC).timestamp() * 1000))
    late = replace(waiting(S1), registered_ms=int(datetime(2026, 1, 30, 22, tzinfo=UTC).timestamp() * 1000))
    hours = weigh([late, early], [record]).as_dict()["hours"]
    zero = dict.fromkeys(("requested", "accepted", "flagged", "dead", "in_flight", "unaccounted"), 0)
    assert list(hours) == [
        zero | {"hour": "2026-01-30T21:00Z", "requested": 1, "accepted": 1},
        zero | {"hour": "2026-01-30T22:00Z", "requested": 1, "in_flight": 1},
    ]


def test_the_table_of_hours_shows_the_last_ones_and_every_other_that_does_not_add_up():
    hours = [Hour(f"2026-01-{n // 24 + 1:02}T{n % 24:02}:00Z", 2, 1, 1, 0, 0, int(n == 3)) for n in range(60)]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render_hours(hours))
    shown = console.export_text()
    assert shown.count("2026-01-") == HOURS_SHOWN + 1
    assert "2026-01-01 03:00" in shown
    assert f"{60 - HOURS_SHOWN - 1} earlier ones" in shown
    assert str(2 * (60 - HOURS_SHOWN - 1)) in shown


# -- dead letters that were sent back ----------------------------------------------------------------------------------


def taken_back(letter, **fields: Any):
    held = {"value": digest(letter.value), "envelope": envelope(letter.key, letter.headers), "time_ms": letter.time_ms}
    return Superseded(**({"topic": letter.topic} | held | fields))


def test_a_dead_letter_that_was_taken_back_does_not_conflict_with_the_verdict_after_it():
    letter, verdict = ended(S0, DEAD), ended(S0)
    row = replace(row_of(verdict), superseded=(taken_back(letter),))
    for records in ([letter, verdict], [verdict, letter]):
        found = weigh([row], records)
        assert (found.accepted, found.dead, found.superseded, found.dead_reasons) == (1, 0, 1, {})
        assert found.sound


def test_a_sample_that_died_again_of_the_same_is_dead_once():
    first = ended(S0, DEAD)
    second = replace(first, offset=1, time_ms=NOW_MS + 5000)
    row = replace(row_of(second), superseded=(taken_back(first),))
    found = weigh([row], [first, second])
    assert (found.dead, found.superseded, found.duplicates, found.sound) == (1, 1, 0, True)


def test_a_reopened_sample_without_a_new_end_is_in_flight():
    letter = ended(S0, DEAD)
    found = weigh([replace(waiting(S0), superseded=(taken_back(letter),))], [letter])
    assert (found.in_flight, found.sound, found.settled) == (1, True, False)


@pytest.mark.parametrize(
    "other", [{"value": digest(b"other")}, {"envelope": digest(b"other")}, {"time_ms": NOW_MS + 2}, {"topic": ACCEPTED}]
)
def test_a_redrive_that_holds_another_dead_letter_takes_nothing_back(other):
    letter, verdict = ended(S0, DEAD), ended(S0)
    row = replace(row_of(verdict), superseded=(taken_back(letter, **other),))
    only(weigh([row], [letter, verdict]), "conflicting", S0)


@pytest.mark.parametrize("topic", [ACCEPTED, FLAGGED])
def test_a_verdict_cannot_be_taken_back(topic):
    first, second = ended(S0, topic, similarity=0.5), ended(S0, topic, offset=1, similarity=0.6)
    row = replace(row_of(second), superseded=(taken_back(first),))
    only(weigh([row], [first, second]), "conflicting", S0)


def test_a_redrive_of_one_sample_takes_nothing_back_from_another():
    letter, verdict = ended(S0, DEAD), ended(S0)
    other = replace(waiting(S1), superseded=(taken_back(letter),))
    only(weigh([row_of(verdict), other], [letter, verdict]), "conflicting", S0)


def test_a_row_that_still_holds_the_end_that_it_took_back_conflicts():
    letter = ended(S0, DEAD)
    found = weigh([replace(row_of(letter), superseded=(taken_back(letter),))], [letter])
    only(found, "conflicting", S0)
    assert not found.balanced


def test_a_row_that_was_reopened_after_it_was_read_accuses_nobody():
    letter, verdict = ended(S0, DEAD), ended(S0, offset=3)
    since = {S0: (taken_back(letter),)}
    found = weigh([row_of(letter)], [letter, verdict], before_rows={(ACCEPTED, 0): 3, (DEAD, 0): 1}, reopened=since)
    assert (found.in_flight, found.dead, found.sound) == (1, 0, True)
    assert not weigh([row_of(letter)], [letter, verdict], before_rows={(ACCEPTED, 0): 3, (DEAD, 0): 1}).sound


# -- reading the ledger ------------------------------------------------------------------------------------------------

COLUMNS = (
    "sample_id, state, payload, identity, model, image_sha256, registered_at,"
    " topic, key, value, headers, time, published_at"
)


async def test_rows_are_read_as_digests_of_what_was_to_be_published(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    record, asked = ended(S0), request()
    headers = json.dumps([[name, value.hex()] for name, value in record.headers])
    decided = (S0, "accepted", asked.value, "anna", "gan", IMAGE, NOW_MS * 1000)
    outbox = (ACCEPTED, record.key, record.value, headers, NOW_MS * 1000 + 999, 1)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE sample ({COLUMNS})"))
        insert = f"INSERT INTO sample ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constant names
        connection.exec_driver_sql(insert, (*decided, *outbox))
        connection.exec_driver_sql(insert, (S1, "in_flight", asked.value, "anna", "gan", None, 1999, *([None] * 6)))
    engine.dispose()
    rows = await read_rows(url, timeout_seconds=10)
    undecided = Row(S1, "in_flight", asked_content(asked.value), "anna", "gan", None, 1)
    assert rows == {S0: row_of(record, asked=asked), S1: undecided}


async def test_what_was_taken_back_is_read_of_samples_and_not_of_messages(tmp_path):
    url, letter = f"sqlite:///{tmp_path / 'ledger.db'}", ended(S0, DEAD)
    headers = json.dumps([[name, value.hex()] for name, value in letter.headers])
    record = (DEAD, letter.key, letter.value, headers, NOW_MS * 1000 + 999)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE sample ({COLUMNS})"))
        insert = "INSERT INTO sample (sample_id, state, payload, registered_at) VALUES (?, 'in_flight', ?, ?)"
        connection.exec_driver_sql(insert, (S0, b"{}", 0))
    assert await read_reopened(url, timeout_seconds=10) == {}
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE redrive (sample_id, n, reopened, topic, key, value, headers, time, at)"))
        for sample_id, reopened in ((S0, 1), (S1, 0)):
            connection.exec_driver_sql(
                "INSERT INTO redrive VALUES (?,1,?,?,?,?,?,?,?)", (sample_id, reopened, *record, 5999)
            )
    engine.dispose()
    held = taken_back(letter, at_ms=5)
    assert await read_reopened(url, timeout_seconds=10) == {S0: (held,)}
    [row] = (await read_rows(url, timeout_seconds=10)).values()
    assert (row.superseded, row.open_since_ms) == ((held,), 5)


async def test_a_ledger_that_is_not_there_is_not_created(tmp_path):
    path = tmp_path / "ledger.db"
    with pytest.raises(DependencyUnavailable, match="LIKENESS_LEDGER"):
        await read_rows(f"sqlite:///{path}", timeout_seconds=10)
    assert not path.exists()


async def test_a_database_that_is_no_ledger_is_refused(tmp_path):
    path = tmp_path / "other.db"
    path.touch()
    with pytest.raises(BadInput, match="no ledger"):
        await read_rows(f"sqlite:///{path}", timeout_seconds=10)


async def test_an_url_that_is_none_is_refused_without_repeating_it():
    with pytest.raises(BadInput) as caught:
        await read_rows("hunter2", timeout_seconds=10)
    assert "hunter2" not in str(caught.value)


async def test_a_driver_that_is_not_installed_is_said_at_once():
    with pytest.raises(BadInput, match="install the driver"):
        await read_rows("oracle+cx_oracle://host/db", timeout_seconds=10)


# -- reading the topics ------------------------------------------------------------------------------------------------


async def test_a_broker_that_takes_connections_and_says_nothing_is_unavailable():
    connected: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: connected.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(DependencyUnavailable, match="LIKENESS_KAFKA"):
            await audit(f"127.0.0.1:{port}", "sqlite:///nowhere.db", timeout_seconds=0.5)
        assert connected
    finally:
        for writer in connected:
            writer.close()
        server.close()


async def test_a_broker_that_is_not_there_is_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, nobody answers
        with pytest.raises(DependencyUnavailable, match="LIKENESS_KAFKA"):
            async with Topics(f"127.0.0.1:{taken.getsockname()[1]}", timeout_seconds=5):
                pass
