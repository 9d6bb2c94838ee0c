"""Having images made while versions come and go and generators fail: nothing made is lost, or called another's."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from streams.core.ids import generated_sample_id
from streams.core.records import Record
from streams.errors import DependencyUnavailable, GeneratorRejected
from streams.events import ImageRef, SampleGenerated
from streams.ports import Services
from streams.steps import generate
from streams.testing.generator import StubGenerator
from streams.testing.messages import deliver, message, request

IDS = [generated_sample_id("shop", "r-1", index) for index in range(4)]
#: What another worker made of a sample.
OTHER = ImageRef(sha256="0" * 64, size=7)


class Meanwhile(StubGenerator):
    """Lets something happen while it makes its first images."""

    happens: Callable[[], Awaitable[object]] | None = None

    async def generate(self, model, version, prompts):
        pictures = await super().generate(model, version, prompts)
        if happens := self.happens:
            self.happens = None
            await happens()
        return pictures


class TakesTurns(StubGenerator):
    """Two servers behind one address: whichever version is asked for, the other one is there."""

    async def generate(self, model, version, prompts):
        self.models[model] = "2" if version == "1" else "1"
        return await super().generate(model, version, prompts)


async def run(services: Services, count: int = 4) -> list[Record]:
    return await deliver(generate, [message(request(count=count, seed=7))], services)


def versions(records: list[Record]) -> list[str]:
    return [SampleGenerated.model_validate_json(record.value).model_version for record in records]


async def pinned(services: Services) -> list[tuple[str | None, bool]]:
    held = await services.ledger.registered(IDS)
    return [(held[each].registration.model_version, held[each].registration.image is not None) for each in IDS]


def seeds(generator: StubGenerator) -> list[int]:
    return [prompt.seed for prompt in generator.prompts]


async def test_what_was_asked_of_a_version_that_is_gone_is_made_with_the_one_that_is_there(services: Services):
    down = replace(services, generator=StubGenerator(failures=[DependencyUnavailable("triton", "down")]))
    with pytest.raises(DependencyUnavailable):
        await run(down)
    assert await pinned(services) == [("1", False)] * 4

    rolled_over = replace(services, generator=StubGenerator(models={"face_gan": "2"}, keeps_old_versions=False))

    assert versions(await run(rolled_over)) == ["2"] * 4
    assert await pinned(services) == [("2", True)] * 4


async def test_what_was_made_before_its_version_went_keeps_it(services: Services):
    generator = Meanwhile(at_once=2, keeps_old_versions=False)

    async def roll_over() -> None:
        generator.models["face_gan"] = "2"

    generator.happens = roll_over

    assert versions(await run(replace(services, generator=generator))) == ["1", "1", "2", "2"]
    assert await pinned(services) == [("1", True), ("1", True), ("2", True), ("2", True)]
    assert seeds(generator) == [7, 8, 9, 10]


async def test_an_image_is_thrown_away_where_another_worker_has_pinned_another_version(services: Services):
    generator = Meanwhile()
    generator.happens = lambda: services.ledger.repin_versions(IDS[:2], retired="1", served="2")

    assert versions(await run(replace(services, generator=generator))) == ["2", "2", "1", "1"]
    assert await pinned(services) == [("2", True), ("2", True), ("1", True), ("1", True)]


async def test_an_image_that_another_worker_made_with_another_version_is_taken_as_it_is(services: Services):
    generator = Meanwhile()

    async def other_worker() -> None:
        await services.ledger.repin_versions(IDS[:1], retired="1", served="2")
        await services.ledger.pin_images({IDS[0]: OTHER}, version="2")

    generator.happens = other_worker

    records = await run(replace(services, generator=generator), count=1)

    [sample] = [SampleGenerated.model_validate_json(record.value) for record in records]
    assert (sample.model_version, sample.image) == ("2", OTHER)
    assert seeds(generator) == [7]


async def test_servers_that_take_turns_are_an_outage_and_told_apart_from_a_roll_over(services: Services):
    with pytest.raises(DependencyUnavailable, match="all servers have the same versions of 'face_gan'"):
        await run(replace(services, generator=TakesTurns(keeps_old_versions=False)))

    assert await pinned(services) == [("2", False)] * 4


async def test_what_was_made_before_a_failure_is_not_made_again(services: Services):
    failures = [None, DependencyUnavailable("triton", "too slow")]
    services = replace(services, generator=StubGenerator(at_once=1, failures=failures))
    with pytest.raises(DependencyUnavailable):
        await run(services)
    assert await pinned(services) == [("1", True), *[("1", False)] * 3]

    assert len(await run(services)) == 4
    assert seeds(services.generator) == [7, 8, 9, 10]


async def test_a_model_that_takes_few_at_once_refuses_one_and_makes_the_others(services: Services):
    services = replace(services, generator=StubGenerator(at_once=3, refuses=lambda prompt: prompt.seed == 10))

    records = await run(services)

    assert len(records) == 4
    assert sorted(seeds(services.generator)) == [7, 8, 9]


async def test_a_group_that_fails_as_a_whole_is_made_in_halves(services: Services):
    """As of a model that has too little memory for so many at once."""
    services = replace(services, generator=StubGenerator(failures=[GeneratorRejected("out of memory")]))

    assert len(versions(await run(services))) == 4
    assert seeds(services.generator) == [7, 8, 9, 10]
