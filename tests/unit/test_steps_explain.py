"""Verdicts say how a face differs where that is asked for, and are the same verdicts without."""

import threading
from collections.abc import ItemsView, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.core.explain.look import Look, Measure
from streams.core.faces import Face
from streams.core.subject import Subject
from streams.events import SampleJudged
from streams.ports import Services
from streams.runtime.timed import timed
from streams.settings import Explained
from streams.steps import judge
from streams.steps.appraise import appraise
from streams.steps.explain import explained
from streams.testing.examiner import StubExaminer
from streams.testing.gallery import InMemoryGallery
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, training_sample
from streams.tools import looks
from streams.tools.enrol import enrol_folder, people_in

ANNA, BERT = np.eye(8)[:2]
OFF = ANNA * 0.5 + BERT * 0.87


async def verdict(services: Services, vector=OFF, index: int = 0, **fields: object) -> SampleJudged:
    sample = message(training_sample(png(picture(vector)), index=index, **fields))
    [record] = await deliver(judge, [sample], services)
    return SampleJudged.model_validate_json(record.value)


async def looked(services: Services, name: str = "anna", count: int = 4) -> None:
    """Know how so many references of somebody look."""
    drawn = [ANNA + 0.05 * np.eye(8)[2 + number] for number in range(count)]
    seen = await services.examiner.examine([png(picture(one)) for one in drawn])
    found = await services.describer.describe([one.largest for one in seen])
    await services.gallery.put_looks(name, {f"{name}-{number}": look for number, look in enumerate(found)})


async def test_a_flagged_sample_says_how_its_face_differs(services: Services):
    await looked(services)

    said = await verdict(services)
    assert said.decision == "flagged"
    assert said.explanations is not None
    assert said.explanations[0].z == max(abs(one.z) for one in said.explanations)
    assert {one.references for one in said.explanations} == {4}


async def test_a_worker_whose_calls_are_timed_explains_as_well(services: Services):
    await looked(services)

    said = await verdict(timed(services, lambda *_, **__: None))
    assert said.explanations is not None


class Noting(dict[Measure, float]):
    """Measures that note who reads them."""

    def __init__(self, measures: Mapping[Measure, float]) -> None:
        super().__init__(measures)
        self.threads: set[int] = set()

    def items(self) -> ItemsView[Measure, float]:
        self.threads.add(threading.get_ident())
        return super().items()


class NotingDescriber:
    """Describes faces as the stand-in does, and notes who reads what it says."""

    def __init__(self) -> None:
        self.measures: list[Noting] = []

    async def describe(self, faces: Sequence[Face]) -> list[Look | None]:
        found = await StubExaminer().describe(faces)
        looks = [replace(look, measures=Noting(look.measures)) for look in found if look is not None]
        self.measures += [look.measures for look in looks]
        return list(looks)


async def test_looks_are_compared_beside_the_event_loop(services: Services):
    """Of people with a hundred references each it would stand still for 40 ms a batch."""
    await looked(services)
    describer = NotingDescriber()

    said = await verdict(replace(services, describer=describer))

    assert said.explanations is not None
    [measures] = describer.measures
    assert measures.threads
    assert threading.get_ident() not in measures.threads


@pytest.mark.parametrize(
    ("explain", "accepted", "flagged"), [("flagged", False, True), ("all", True, True), ("off", False, False)]
)
async def test_who_is_explained_is_a_setting(services: Services, explain: Explained, accepted: bool, flagged: bool):
    await looked(services)
    services = replace(services, explain=explain)

    good, bad = await verdict(services, ANNA), await verdict(services, OFF, index=1)
    assert (good.decision, bad.decision) == ("accepted", "flagged")
    assert (good.explanations is not None, bad.explanations is not None) == (accepted, flagged)


async def test_a_gallery_of_an_older_release_goes_on_without(services: Services):
    said = await verdict(services)
    assert (said.decision, said.explanations) == ("flagged", None)


async def test_nothing_is_told_of_whom_consent_does_not_cover(services: Services):
    await looked(services, "carl")
    said = await verdict(services, identity="carl")
    assert said.reasons[0].code == "no-consent"
    assert said.explanations is None


async def test_a_sample_without_a_face_is_not_explained(services: Services):
    await looked(services)
    sample = message(training_sample(png(picture(ANNA, faces=0))))
    [record] = await deliver(judge, [sample], services)
    assert SampleJudged.model_validate_json(record.value).explanations is None


_DIRECTION = st.lists(st.integers(-9, 9), min_size=8, max_size=8).filter(any)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vectors=st.lists(_DIRECTION, min_size=1, max_size=4))
async def test_explanations_change_no_verdict_and_no_measurement(services: Services, vectors: list[list[int]]):
    await looked(services)
    seen = await services.examiner.examine([png(picture(one)) for one in vectors])
    sightings = {f"{number:032x}": one for number, one in enumerate(seen)}
    subjects = {key: Subject(key, "training", "run-1", 0, "anna", "gan", step=1) for key in sightings}
    said = {}
    for explain in ("off", "all"):
        how = replace(services, explain=explain)
        appraised = await appraise(subjects, sightings, how, gallery_version="v", examine_ms=1.0)
        told = await explained(appraised, how)
        without = {"explanations": None, "timings_ms": {}}
        said[explain] = [(one.judged.model_copy(update=without), one.measurement) for one in told]
        assert all((one.judged.explanations is not None) == (explain == "all") for one in told)
    assert said["off"] == said["all"]


async def test_enrolment_measures_how_references_look_and_old_ones_are_measured_later(services: Services, tmp_path):
    (tmp_path / "dora").mkdir()
    (tmp_path / "dora" / "consent.toml").write_text('granted_on = 2026-01-31\nevidence = "form 1"\n')
    for number in range(3):
        (tmp_path / "dora" / f"{number}.png").write_bytes(png(picture(np.eye(8)[6] + 0.1 * np.eye(8)[number])))
    services = replace(services, gallery=InMemoryGallery(services.examiner.space))
    await enrol_folder(people_in(tmp_path), services)
    known = await services.gallery.looks(["dora"])
    assert len(known["dora"]) == 3

    forgetful = InMemoryGallery(services.examiner.space)
    [identity] = (await services.gallery.identities(["dora"])).values()
    await forgetful.enrol(identity, await services.gallery.references("dora"))
    services = replace(services, gallery=forgetful)
    first, second = await looks.measure(services), await looks.measure(services)
    assert (first.added, second.added, first.unknown, first.spread) == (3, 0, 0, None)
    assert _numbers(await forgetful.looks(["dora"])) == _numbers(known)


def _numbers(known: dict[str, dict[str, Look]]) -> dict[str, list[float]]:
    return {key: look.regions.ravel().tolist() for key, look in known["dora"].items()}
