"""What consent's terms and forgetting mean on the road: nothing is made, kept or brought back that must not be."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.erasures import SqlErasures
from streams.core.consent import Purpose, Terms
from streams.core.ids import generated_sample_id, training_sample_id
from streams.core.ledger import State
from streams.core.records import Record
from streams.errors import ForgottenMeanwhile
from streams.events import SampleJudged
from streams.ports import Services
from streams.steps import generate, judge
from streams.steps.intake import intake
from streams.testing.courier import StubCourier
from streams.testing.examiner import StubExaminer
from streams.testing.generator import StubGenerator
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, read_back, request, training_sample

ANNA = np.eye(8)[0]
FIRST, TRAINED = generated_sample_id("shop", "r-1", 0), training_sample_id("run-1", 100, 0)


def said(record: Record) -> SampleJudged:
    return SampleJudged.model_validate_json(record.value or b"")


def reasons(record: Record) -> list[tuple[str, str]]:
    return [(reason.code, reason.text) for reason in said(record).reasons]


def primary(record: Record) -> str:
    return reasons(record)[0][0]


async def narrowed(services: Services, **terms: tuple[str, ...]) -> None:
    """Bert agrees to no more than these terms from now on."""
    await services.consent.withdraw("bert", at=services.now(), note="anew")
    services.now.advance(1)
    await services.consent.grant("bert", evidence="form", at=services.now(), expires=None, terms=Terms(**terms))


async def forgotten(database: Database, services: Services) -> str:
    """Anna is forgotten; return what she is called."""
    erasures = SqlErasures(database)
    erasure = await erasures.begin("anna", at=services.now())
    await erasures.rename(erasure, "anna", at=services.now())
    return erasure.called


# -- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "asked", "why"),
    [
        ({"models": ("other",)}, {}, "consent does not cover model face_gan, but other"),
        ({"models": ("face_gan@2",)}, {}, "consent does not cover model face_gan version 1, but face_gan@2"),
        ({"territories": ("AT", "DE")}, {"territory": "FR"}, "consent is for AT, DE; the request says FR"),
        ({"territories": ("AT", "DE")}, {}, "consent is for AT, DE; the request does not say where"),
    ],
)
async def test_a_request_beyond_the_terms_reaches_no_generator_and_is_told_which_one(services, terms, asked, why):
    await narrowed(services, **terms)

    [record] = await deliver(generate, [message(request(identity="bert", **asked))], services)

    assert reasons(record) == [("no-consent", why)]
    assert services.generator.prompts == []


@pytest.mark.parametrize("terms", [{"models": ("face_gan",)}, {"models": ("face_gan@1",)}, {"territories": ("DE",)}])
async def test_a_request_within_the_terms_is_made_and_accepted(services: Services, terms):
    await narrowed(services, **terms)

    made = await deliver(generate, [message(request(identity="bert", territory="DE"))], services)
    [record] = await deliver(judge, list(map(read_back, made)), services)

    assert (record.topic, said(record).territory) == ("samples.accepted", "DE")


async def test_the_terms_are_asked_again_at_the_output(services: Services):
    made = await deliver(generate, [message(request(identity="bert", territory="DE"))], services)
    await narrowed(services, territories=("AT",))

    [record] = await deliver(judge, list(map(read_back, made)), services)

    assert reasons(record) == [("no-consent", "consent is for AT; the request says DE")]


async def test_consent_to_training_is_none_to_generation(services: Services):
    await services.consent.grant("carl", evidence="form", at=services.now(), expires=None, purpose=Purpose.TRAINING)

    [record] = await deliver(generate, [message(request(identity="carl"))], services)

    assert reasons(record) == [("no-consent", "consent is for training, and not for generation")]


async def test_consent_to_training_accepts_samples_of_training_runs_alone(services: Services):
    await services.consent.grant("carl", evidence="form", at=services.now(), expires=None, purpose=Purpose.TRAINING)
    sample = training_sample(png(picture(np.eye(8)[3])), identity="carl")

    [record] = await deliver(judge, [message(sample)], services)

    assert record.topic == "samples.accepted"


async def test_whoever_asks_otherwise_under_the_same_name_is_told(services: Services):
    await deliver(generate, [message(request(territory="DE"))], services)

    [record] = await deliver(generate, [message(request(territory="FR"))], services)

    assert record.topic == "dead.letters"


# -- withdrawal ------------------------------------------------------------------------------------------------------


async def test_no_embedding_is_kept_of_whom_consent_does_not_cover(services: Services):
    await deliver(judge, [message(training_sample(png(picture(ANNA))))], services)
    assert await services.gallery.recall([TRAINED])

    await services.consent.withdraw("anna", at=services.now(), note="by mail")
    later = training_sample(png(picture(ANNA)), index=1)
    [record] = await deliver(judge, [message(later)], services)

    assert [code for code, _ in reasons(record)] == ["no-consent"]
    assert await services.gallery.recall([training_sample_id("run-1", 100, 1)]) == {}


async def test_an_embedding_is_taken_back_when_consent_ends_before_the_batch_counts_as_done(services: Services):
    class Ledger:
        """Lets anna withdraw at the last moment, when her embedding is stored already."""

        def __getattr__(self, name: str) -> Any:
            return getattr(services.ledger, name)

        async def decide(self, outcomes: Any) -> Any:
            assert await services.gallery.recall([TRAINED])
            await services.consent.withdraw("anna", at=services.now(), note="by mail")
            return await services.ledger.decide(outcomes)

    await deliver(judge, [message(training_sample(png(picture(ANNA))))], replace(services, ledger=Ledger()))

    assert await services.gallery.recall([TRAINED]) == {}


# -- forgetting ------------------------------------------------------------------------------------------------------


async def test_a_request_for_whoever_was_forgotten_is_refused_and_registered_by_no_name(
    services: Services, database: Database
):
    called = await forgotten(database, services)

    [record] = await deliver(generate, [message(request())], services)

    assert (said(record).identity, primary(record)) == (called, "no-consent")
    [row] = (await services.ledger.registered([FIRST])).values()
    assert (row.registration.identity, b"anna" in row.registration.payload) == (called, False)


async def test_the_intake_registers_and_publishes_no_name_of_whoever_was_forgotten(
    services: Services, database: Database
):
    called, courier = await forgotten(database, services), StubCourier()

    await intake([request()], services.ledger, courier, now=services.now)

    assert [one.request.identity for one in courier.handed] == [called]


async def test_what_was_under_way_ends_without_consent_once_and_leaves_nothing(services: Services, database: Database):
    requests = [message(request(count=2))]
    made = await deliver(generate, requests, services)
    called = await forgotten(database, services)

    records = await deliver(judge, list(map(read_back, made)), services)

    assert {said(record).identity for record in records} == {called}
    assert all(primary(record) == "no-consent" for record in records)
    assert all(said(record).image is None for record in records)
    ids = [said(record).sample_id for record in records]
    assert await services.gallery.recall(ids) == {}
    assert await deliver(judge, list(map(read_back, made)), services) == []
    assert await deliver(generate, requests, services) == []
    assert b"anna" not in b"".join(record.value or b"" for record in records)


async def test_an_image_of_whoever_was_forgotten_is_neither_stored_nor_looked_at(
    services: Services, database: Database
):
    await forgotten(database, services)
    examiner = StubExaminer()
    before = set(services.images.held)

    [record] = await deliver(
        judge, [message(training_sample(png(picture(ANNA))))], replace(services, examiner=examiner)
    )

    assert primary(record) == "no-consent"
    assert set(services.images.held) == before
    assert examiner.calls == []


async def test_a_sample_that_was_judged_before_comes_again_and_brings_nothing_back(
    services: Services, database: Database
):
    sample = message(training_sample(png(picture(ANNA))))
    await deliver(judge, [sample], services)
    await forgotten(database, services)
    await services.gallery.unremember([TRAINED])
    services.images.held.clear()

    assert await deliver(judge, [sample], services) == []

    assert services.images.held == {}
    assert await services.gallery.recall([TRAINED]) == {}
    [row] = (await services.ledger.registered([TRAINED])).values()
    assert (row.state, row.registration.image) == (State.ACCEPTED, None)


async def test_an_image_that_was_made_while_its_person_was_forgotten_is_taken_back(
    services: Services, database: Database
):
    class Slow(StubGenerator):
        async def generate(self, model: str, version: str, prompts: Any) -> Any:
            drawn = await super().generate(model, version, prompts)
            await forgotten(database, services)
            return drawn

    bert = await deliver(generate, [message(request(identity="bert", request_id="r-0"))], services)
    held = set(services.images.held)
    batch = [message(request()), message(request(identity="bert", request_id="r-2"), offset=1)]

    with pytest.raises(ForgottenMeanwhile):
        await deliver(generate, batch, replace(services, generator=Slow()))
    [sample, verdict] = await deliver(generate, batch, services)

    assert held <= set(services.images.held)  # among them what bert has already
    assert json.loads(sample.value)["identity"] == "bert"
    assert json.loads(sample.value)["image"] == json.loads(bert[0].value)["image"]
    assert primary(verdict) == "no-consent"
    assert set(services.images.held) == held


async def test_a_verdict_that_was_found_out_while_its_person_was_forgotten_is_found_out_anew(
    services: Services, database: Database
):
    class Slow(StubExaminer):
        async def examine(self, encoded: Any) -> Any:
            await forgotten(database, services)
            return await super().examine(encoded)

    sample = message(training_sample(png(picture(ANNA))))

    with pytest.raises(ForgottenMeanwhile):
        await deliver(judge, [sample], replace(services, examiner=Slow()))
    [record] = await deliver(judge, [sample], services)

    assert b"anna" not in (record.value or b"")
    assert primary(record) == "no-consent"
    assert await services.gallery.recall([TRAINED]) == {}
