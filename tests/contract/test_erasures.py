"""What ``ports.Erasures`` promises, on every database, and what the ledger refuses of whoever was forgotten."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.erasures import SqlErasures
from streams.adapters.ledger.redrives import SqlRedrives
from streams.adapters.ledger.samples import SqlLedger
from streams.core.consent import Consent
from streams.core.erasure import Erasure, Inventory, Needle
from streams.core.ledger import Outcome, Registration, State, asked_for
from streams.core.records import Record
from streams.errors import ForgottenMeanwhile
from streams.events import Decision, ImageRef, SampleJudged, to_json
from streams.testing.examiner import STUB_SPACE
from streams.testing.gallery import InMemoryGallery
from streams.testing.messages import request
from streams.tools.audit.records import digest
from streams.tools.audit.rows import read_names, read_reopened, read_rows
from tests.charted import Bench, generated
from tests.delivered import delivered

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANNA, BERT = (f"{number:032x}" for number in (1, 2))
IMAGE = ImageRef(sha256="a" * 64, size=9)


@pytest.fixture
def erasures(database: Database) -> SqlErasures:
    return SqlErasures(database)


def asked(sample_id: str, identity: str) -> Registration:
    payload = asked_for(request(identity=identity, request_id=f"r-{sample_id[-1]}"))
    return Registration(sample_id, "generation", payload, AT, identity=identity, model="face_gan", model_version="1")


def verdict(sample_id: str, identity: str) -> bytes:
    return to_json(
        SampleJudged(
            sample_id=sample_id,
            kind="generation",
            source="shop",
            index=0,
            identity=identity,
            model="face_gan",
            image=IMAGE,
            decision=Decision.ACCEPTED,
            reasons=(),
            similarity=0.9,
            nearest=({"reference_id": "r", "identity": "anna", "similarity": 0.9},),
            limits={},
            policy_version="p@1",
            judged_at=AT,
        )
    )


def accepted(sample_id: str, identity: str) -> Outcome:
    value = verdict(sample_id, identity)
    record = Record("samples.accepted", sample_id.encode(), value, (("ce_id", b"1"),), AT)
    return Outcome(sample_id, State.ACCEPTED, record, json.dumps({"identity": identity, "others": ["anna"]}))


async def ended(ledger: SqlLedger) -> None:
    """Anna and bert have a verdict each; that of bert names anna."""
    await ledger.register([[asked(ANNA, "anna")], [asked(BERT, "bert")]])
    await ledger.pin_images({ANNA: IMAGE})
    await ledger.decide([accepted(ANNA, "anna"), accepted(BERT, "bert")])
    await delivered(ledger, [ANNA, BERT])


async def forgotten(erasures: SqlErasures, identity: str = "anna") -> Erasure:
    erasure = await erasures.begin(identity, at=AT)
    await erasures.rename(erasure, identity, at=AT)
    return erasure


async def named(erasures: SqlErasures) -> set[str]:
    """Where the name still stands."""
    return set((await erasures.left("anna")).places)


async def test_consent_ends_when_a_forgetting_begins(erasures: SqlErasures, consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form", at=AT - timedelta(days=1), expires=None)

    first = await erasures.begin("anna", at=AT)

    assert await consent.states(["anna"], AT) == {"anna": Consent.WITHDRAWN}
    assert await erasures.begin("anna", at=AT + timedelta(days=1)) == first
    assert len((await consent.entries(["anna"]))["anna"]) == 2


async def test_a_name_means_nobody_from_its_renaming_until_it_is_lifted(erasures: SqlErasures, ledger: SqlLedger):
    erasure = await erasures.begin("anna", at=AT)
    assert await ledger.called(["anna", "bert"]) == {"anna": "anna", "bert": "bert"}

    await erasures.rename(erasure, "anna", at=AT)
    assert await ledger.called(["anna", "bert"]) == {"anna": erasure.called, "bert": "bert"}

    assert await erasures.lift("anna", at=AT)
    assert await ledger.called(["anna"]) == {"anna": "anna"}
    assert not await erasures.lift("anna", at=AT)
    assert (await erasures.begin("anna", at=AT)).called != erasure.called


async def test_rows_stay_and_are_asked_for_by_the_name_that_is_left(erasures: SqlErasures, ledger: SqlLedger):
    await ended(ledger)

    erasure = await erasures.begin("anna", at=AT)
    inventory = await erasures.rename(erasure, "anna", at=AT)

    assert inventory.images == {IMAGE.sha256}
    assert await erasures.samples_of(erasure) == {ANNA}
    row = (await ledger.registered([ANNA]))[ANNA]
    assert (row.registration.identity, row.registration.image, row.state) == (erasure.called, None, State.ACCEPTED)
    again = asked_for(request(identity=erasure.called, request_id="r-1"))
    assert row.registration.payload == again
    assert (await ledger.registered([BERT]))[BERT].registration == asked(BERT, "bert")


async def test_a_worker_that_knows_the_name_only_is_told(erasures: SqlErasures, ledger: SqlLedger):
    await ledger.register([[asked(ANNA, "anna")], [asked(BERT, "bert")]])
    erasure = await forgotten(erasures)

    with pytest.raises(ForgottenMeanwhile):
        await ledger.register([[asked("3" * 32, "anna")]])
    with pytest.raises(ForgottenMeanwhile):
        await ledger.pin_images({ANNA: IMAGE, BERT: IMAGE})
    with pytest.raises(ForgottenMeanwhile):
        await ledger.decide([accepted(ANNA, "anna"), accepted(BERT, "bert")])

    rows = await ledger.registered([ANNA, BERT, "3" * 32])
    assert {name: (row.state, row.registration.image) for name, row in rows.items()} == {
        ANNA: (State.IN_FLIGHT, None),
        BERT: (State.IN_FLIGHT, None),
    }
    [told] = await ledger.decide([accepted(ANNA, erasure.called)])
    assert told.state is State.ACCEPTED


async def test_what_is_delivered_is_emptied_and_others_lose_the_name_alone(
    erasures: SqlErasures, ledger: SqlLedger, database_url: str
):
    await ended(ledger)
    before = await read_rows(database_url, timeout_seconds=30)
    erasure = await forgotten(erasures)

    swept = await erasures.sweep(erasure, "anna")

    assert (swept.rewritten, swept.undelivered) == (2, 0)
    mine, others = (await ledger.outcomes([ANNA]))[ANNA], (await ledger.outcomes([BERT]))[BERT]
    assert mine.measurement is None
    assert {"similarity", "image"}.isdisjoint(json.loads(mine.record.value))
    assert others.record.value == verdict(BERT, "bert").replace(b"anna", erasure.called.encode())
    assert json.loads(others.measurement or "")["others"] == [erasure.called]
    assert await named(erasures) == set()
    assert (await erasures.sweep(erasure, "anna")).rewritten == 0
    # The audit goes on to know what was published, and who is who.
    after = await read_rows(database_url, timeout_seconds=30)
    assert {name: (row.state, row.value, row.envelope, row.published) for name, row in after.items()} == {
        name: (row.state, row.value, row.envelope, row.published) for name, row in before.items()
    }
    called = await read_names(database_url, timeout_seconds=30)
    assert (called("anna"), called("bert")) == (erasure.called, "bert")


async def test_what_is_not_delivered_yet_stays_as_it_is(erasures: SqlErasures, ledger: SqlLedger):
    await ledger.register([[asked(ANNA, "anna")]])
    await ledger.decide([accepted(ANNA, "anna")])
    erasure = await forgotten(erasures)

    assert (await erasures.sweep(erasure, "anna")).undelivered == 1
    [waiting] = (await ledger.outcomes([ANNA])).values()
    assert waiting.record.value == verdict(ANNA, "anna")

    await delivered(ledger, [ANNA])
    assert (await erasures.sweep(erasure, "anna")).undelivered == 0
    assert await named(erasures) == set()


async def test_a_dead_letter_that_was_sent_back_is_emptied_too(
    erasures: SqlErasures, ledger: SqlLedger, database: Database, database_url: str
):
    await ledger.register([[asked(ANNA, "anna")]])
    headers = (("likeness.dlq.topic", b"generation.requests"), ("who", b"anna"))
    letter = Record("dead.letters", b"anna", b'{"identity":"anna"}', headers, AT)
    await ledger.decide([Outcome(ANNA, State.DEAD, letter)])
    await delivered(ledger, [ANNA])
    redrives = SqlRedrives(database)
    taken = await redrives.reopen(ANNA, at=AT, note="anna asked", most=3)
    assert taken is not None
    erasure = await forgotten(erasures)

    assert (await erasures.sweep(erasure, "anna")).undelivered == 1  # it is being sent
    await redrives.sent(taken, at=AT)
    await erasures.sweep(erasure, "anna")

    assert await named(erasures) == set()
    [superseded] = (await read_reopened(database_url, timeout_seconds=30))[ANNA]
    assert superseded.value == digest(letter.value)


async def test_samples_without_an_end_are_counted_for_one_person_and_for_all_at_work(
    erasures: SqlErasures, ledger: SqlLedger
):
    await ledger.register([[asked(ANNA, "anna")], [asked(BERT, "bert")]])
    await ledger.attempt([BERT])

    assert await erasures.under_way(before=AT, of="anna") == 1
    assert await erasures.under_way(before=AT) == 1
    assert await erasures.under_way(before=AT - timedelta(seconds=1), of="anna") == 0


async def test_what_was_found_is_known_to_whoever_goes_on_and_to_nobody_in_the_end(erasures: SqlErasures):
    needle = Needle("00" * 8, "b" * 64, 512)
    erasure = await erasures.begin("anna", at=AT)
    await erasures.note(erasure, Inventory(frozenset({"a" * 64}), frozenset({needle}), {"images": 1}))

    found = await erasures.note(await erasures.begin("anna", at=AT), Inventory(frozenset({"c" * 64})))
    assert (found.images, found.vectors) == ({"a" * 64, "c" * 64}, {needle})

    await erasures.close(erasure)
    assert await erasures.note(erasure, Inventory()) == Inventory(counts={"images": 1})


async def test_the_register_forgets_the_name_too(erasures: SqlErasures, consent: SqlConsentRegister):
    await consent.grant("anna", evidence="form of anna", at=AT - timedelta(days=1), expires=None, digest="f" * 64)
    await consent.grant("bert", evidence="form of bert", at=AT, expires=None)

    erasure = await forgotten(erasures)

    assert (await consent.entries(["anna"]))["anna"] == ()
    assert await consent.states([erasure.called, "bert"], AT) == {
        erasure.called: Consent.WITHDRAWN,
        "bert": Consent.GRANTED,
    }
    assert (await erasures.left("anna")).places == {}


async def test_longer_words_are_told_and_not_taken_for_the_name(erasures: SqlErasures, ledger: SqlLedger):
    row = asked(BERT, "bert")
    payload = asked_for(request(identity="bert", request_id="anna-17"))
    await ledger.register([[Registration(**{**vars(row), "payload": payload})]])
    erasure = await forgotten(erasures)

    await erasures.sweep(erasure, "anna")

    mentions = await erasures.left("anna")
    assert (mentions.places, mentions.words) == ({}, {"anna-17"})


async def test_an_sqlite_file_holds_nothing_of_what_was_deleted(sqlite_url: str, ledger_folder: Path):
    database = Database(sqlite_url)
    await database.open()
    ledger, erasures = SqlLedger(database), SqlErasures(database)
    await SqlConsentRegister(database).grant("anna", evidence="form", at=AT, expires=None)
    await ended(ledger)
    await Bench(database, InMemoryGallery(STUB_SPACE)).read(generated())

    def holds() -> bool:
        return any(b"anna" in path.read_bytes() for path in ledger_folder.iterdir())

    assert holds()
    erasure = await forgotten(erasures)
    await erasures.unchart(erasure, "anna")
    await erasures.sweep(erasure, "anna")
    await erasures.finish(erasure, at=AT)
    assert await erasures.compact()

    assert not holds()
    await database.close()
