"""The intake: what it acknowledges is registered first, and comes to the same end whichever way it is published."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ids import generated_sample_id
from streams.core.ledger import Registration, State, asked_for
from streams.core.parse import parse
from streams.core.receipts import Conflict, Receipts, Standing
from streams.core.reconcile import asking
from streams.errors import DependencyUnavailable
from streams.events import GenerationRequested, ImageRef, SampleGenerated, SampleJudged
from streams.ports import Services
from streams.steps import generate, judge
from streams.steps.intake import intake, standing
from streams.testing.courier import StubCourier
from streams.testing.generator import StubGenerator
from streams.testing.interruption import Interrupted, Interruption
from streams.testing.messages import TRACE, deliver, message, read_back, request
from streams.testing.services import FrozenClock

AT = datetime(2030, 1, 1, tzinfo=UTC)
ONE = generated_sample_id("shop", "r-1", 0)


class SignsPictures(StubGenerator):
    """Draws into each picture which version made it."""

    async def generate(self, model, version, prompts):
        pictures = await super().generate(model, version, prompts)
        for each in pictures:
            each[1, -3] = int(version)
        return pictures


async def maker(services: Services, image: ImageRef) -> str:
    """Return the version that made an image."""
    with Image.open(BytesIO(await services.images.get(image))) as picture:
        return str(np.asarray(picture)[1, -3, 0])


async def ask(services: Services, courier: StubCourier, *requests: GenerationRequested) -> Receipts:
    return await intake(requests, services.ledger, courier, now=services.now, trace=TRACE)


async def test_every_sample_is_registered_with_its_seed_and_without_a_version(services: Services):
    receipts = await ask(services, StubCourier(), request(count=3, seed=7))

    ids = tuple(generated_sample_id("shop", "r-1", index) for index in range(3))
    assert [(one.request_id, one.sample_ids, one.published) for one in receipts.requests] == [("r-1", ids, True)]
    held = await services.ledger.registered(ids)
    assert [held[each].registration.seed for each in ids] == [7, 8, 9]
    assert {held[each].registration.model_version for each in ids} == {None}


async def test_a_request_is_published_as_of_its_registration_with_its_trace(services: Services):
    """Were its message younger than its row, the reconciler would take the row for lost while the message waits."""
    courier, registered_at = StubCourier(), services.now()
    await ask(services, courier, request())
    services.now.advance(60)

    await ask(services, courier, request())

    assert [(one.request, one.at, one.trace) for one in courier.handed] == [(request(), registered_at, TRACE)] * 2


async def test_nothing_is_published_before_it_is_registered(services: Services):
    watch, courier = Interruption(after_calls=0), StubCourier()

    with pytest.raises(Interrupted):
        await ask(watch.wrap(services), courier, request())

    assert courier.handed == []


async def test_a_request_that_kafka_does_not_take_is_registered_and_the_receipt_says_so(services: Services):
    receipts = await ask(services, StubCourier(reaches=False), request())

    assert [one.published for one in receipts.requests] == [False]
    [row] = await services.ledger.in_flight(AT.replace(year=2031), 9)
    assert row.sample_id == ONE


async def test_the_same_request_again_has_the_same_receipt_and_is_published_until_it_has_ended(services: Services):
    courier = StubCourier()
    first = await ask(services, courier, request(count=2))
    assert await ask(services, courier, request(count=2)) == first
    made = await deliver(generate, [message(courier.handed[0].request)], services)
    await deliver(judge, [read_back(record) for record in made], services)

    assert await ask(services, courier, request(count=2)) == first

    assert len(courier.handed) == 2


async def test_the_same_request_twice_in_one_call_is_published_once(services: Services):
    courier = StubCourier()

    receipts = await ask(services, courier, request(), request())

    assert len(receipts.requests) == len(courier.handed) == 1


async def test_a_request_with_another_content_is_a_conflict_and_is_not_published(services: Services):
    courier = StubCourier()
    await ask(services, courier, request(seed=1))

    receipts = await ask(services, courier, request(seed=2), request(request_id="r-2"))

    assert receipts.conflicts == (Conflict.of(request()),)
    assert [one.request_id for one in receipts.requests] == ["r-2"]
    assert [one.request.seed for one in courier.handed if one.request.request_id == "r-1"] == [1]


async def test_of_conflicting_requests_in_one_call_the_first_is_registered(services: Services):
    courier = StubCourier()

    receipts = await ask(services, courier, request(seed=1), request(seed=2), request(seed=3))

    assert [one.request.seed for one in courier.handed] == [1]
    assert receipts.conflicts == (Conflict.of(request()),)


async def test_what_was_asked_on_the_topic_conflicts_with_what_comes_by_the_intake(services: Services):
    await deliver(generate, [message(request(seed=1))], services)

    assert (await ask(services, StubCourier(), request(seed=2))).conflicts
    assert not (await ask(services, StubCourier(), request(seed=1))).conflicts


@given(
    wanted=st.builds(
        GenerationRequested,
        source=st.just("shop"),
        request_id=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,30}\Z"),
        identity=st.just("anna"),
        model=st.sampled_from(["face_gan", "other"]),
        seed=st.integers(0, 2**62),
        strength=st.floats(0, 1),
        count=st.integers(1, 64),
    )
)
def test_what_the_intake_registers_is_what_a_worker_reads_and_what_the_reconciler_sends(wanted: GenerationRequested):
    payload = asked_for(wanted)

    read = parse(message(wanted), GenerationRequested)
    again = asking(Registration("s", "generation", payload, AT))

    assert isinstance(read, GenerationRequested)
    assert asked_for(read) == payload
    assert again is not None
    assert asked_for(again.body) == payload


async def test_a_registered_request_is_made_with_the_version_that_is_served_then_and_keeps_it(services: Services):
    await ask(services, StubCourier(), request())
    services.generator.models["face_gan"] = "2"

    [first] = await deliver(generate, [message(request())], services)
    services.generator.models["face_gan"] = "3"
    [again] = await deliver(generate, [message(request())], services)

    assert SampleGenerated.model_validate_json(first.value).model_version == "2"
    assert again == first


@pytest.mark.parametrize("keeps_old_versions", [True, False])
async def test_wherever_a_worker_dies_an_image_is_never_called_another_versions(fresh_services, keeps_old_versions):
    """The model rolls over while the worker is dead."""
    undisturbed = replace(await fresh_services(), generator=SignsPictures(at_once=1))
    await ask(undisturbed, StubCourier(), request(count=2))
    watch = Interruption()
    await deliver(generate, [message(request(count=2))], watch.wrap(undisturbed))
    assert watch.calls.index("ledger.pin_versions") < watch.calls.index("generator.generate")

    for calls in range(len(watch.calls)):
        generator = SignsPictures(at_once=1, keeps_old_versions=keeps_old_versions)
        services = replace(await fresh_services(), generator=generator)
        await ask(services, StubCourier(), request(count=2))
        with pytest.raises(Interrupted):
            await deliver(generate, [message(request(count=2))], Interruption(after_calls=calls).wrap(services))
        services.generator.models["face_gan"] = "2"

        records = await deliver(generate, [message(request(count=2))], services)

        made = [SampleGenerated.model_validate_json(record.value) for record in records]
        assert len(made) == 2
        held = await services.ledger.registered([each.sample_id for each in made])
        for each in made:
            row = held[each.sample_id].registration
            assert (each.model_version, each.image) == (row.model_version, row.image)
            assert await maker(services, each.image) == each.model_version, f"died before {watch.calls[calls]}"


async def test_a_request_that_consent_forbids_is_registered_and_flagged_by_the_step(services: Services):
    courier = StubCourier()
    receipts = await ask(services, courier, request(identity="carl"))

    [record] = await deliver(generate, [message(courier.handed[0].request)], services)

    judged = SampleJudged.model_validate_json(record.value)
    assert judged.sample_id == receipts.requests[0].sample_ids[0]
    assert [reason.code for reason in judged.reasons] == ["no-consent"]


async def test_a_request_that_no_broker_has_is_driven_from_its_row_alone(services: Services):
    await ask(services, StubCourier(reaches=False), request(count=2))
    rows = await services.ledger.in_flight(AT.replace(year=2031), 9)
    sent = {again.name: again.body for again in map(asking, rows) if again}

    [body] = sent.values()
    made = await deliver(generate, [message(body)], services)

    assert len(made) == 2


async def test_a_ledger_that_is_down_acknowledges_nothing(tmp_path: Path):
    database, courier = Database(f"sqlite:///{tmp_path}/gone/ledger.db"), StubCourier()
    shutil.rmtree(tmp_path / "gone")

    with pytest.raises(DependencyUnavailable):
        await intake([request()], SqlLedger(database), courier, now=FrozenClock())

    assert courier.handed == []


async def test_a_sample_stands_where_the_ledger_says(services: Services):
    await ask(services, StubCourier(), request(), request(request_id="r-2", model="unheard-of"))
    dead = generated_sample_id("shop", "r-2", 0)

    assert await standing("0" * 32, services.ledger) is None
    assert await standing(ONE, services.ledger) == Standing(sample_id=ONE, state=State.IN_FLIGHT)

    made = await deliver(
        generate, [message(request()), message(request(request_id="r-2", model="unheard-of"))], services
    )
    end = await deliver(judge, [read_back(record) for record in made if record.key == ONE.encode()], services)

    judged = await standing(ONE, services.ledger)
    assert judged is not None
    assert judged.state in (State.ACCEPTED, State.FLAGGED)
    assert SampleJudged.model_validate(judged.verdict) == SampleJudged.model_validate_json(end[0].value)
    buried = await standing(dead, services.ledger)
    assert buried is not None
    assert (buried.state, buried.dead_reason, buried.verdict) == (State.DEAD, "generator-rejected", None)
    assert "unheard-of" in (buried.dead_detail or "")
