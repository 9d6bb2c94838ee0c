"""Registering what no sample may be a copy of, and judging samples by it, from files to verdicts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streams import topics
from streams.core.faces import Sighting
from streams.core.gallery import Origin, reference_id
from streams.core.imprints import Imprints
from streams.core.measurement import Measurement
from streams.errors import BadInput, DependencyUnavailable
from streams.events import IMAGE_BYTES, SampleJudged
from streams.ports import Services
from streams.steps import judge
from streams.testing.examiner import STUB_DESCRIPTOR, StubExaminer
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, training_sample
from streams.testing.originals import InMemoryOriginals
from streams.testing.services import policy
from streams.testing.services import services as on_stand_ins
from streams.tools import originals as tool
from streams.tools.enrol import enrol_folder, people_in
from streams.tools.judge_files import judge_files
from tests.unit.test_enrol import person

ANNA, BERT = np.eye(8)[:2]
#: Some five of 256 sides away from anna's picture, and some thirty.
HARDLY_OTHER = ANNA + 0.08 * BERT
NEARLY = ANNA + 0.5 * BERT


class CountingExaminer(StubExaminer):
    """Says how many pictures it was asked the imprints of, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    async def imprint(self, sightings: Sequence[Sighting]) -> list[Imprints]:
        self.asked.append(len(sightings))
        return await super().imprint(sightings)


class LostOriginals(InMemoryOriginals):
    """Cannot be reached."""

    async def about(self) -> int:
        raise DependencyUnavailable("milvus", "a test")


@pytest.fixture
def photographs(ledger, consent) -> Services:
    """Nobody is enrolled, in a gallery of photographs."""
    photo = policy()
    domain = photo.holds_for.model_copy(update={"domain": Origin.PHOTO})
    return on_stand_ins(ledger=ledger, consent=consent, policy=photo.model_copy(update={"holds_for": domain}))


def folder_of(tmp_path: Path, **images: object) -> Path:
    for name, vector in images.items():
        file = tmp_path / f"{name.replace('__', '/')}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(vector if isinstance(vector, bytes) else png(picture(vector)))
    return tmp_path


def different(count: int) -> dict[str, object]:
    """So many pictures of which no two are the same."""
    return {f"n{place:02d}": vector for place, vector in enumerate(np.random.default_rng(1).normal(size=(count, 8)))}


async def index(services: Services, folder: Path, identity: str | None = None) -> tool.Indexed:
    images = tool.training_images(folder, identity)
    return await tool.index_training(images, services.imprinter, services.originals)


async def judged(services: Services, *vectors: object) -> list[SampleJudged]:
    encoded = [one if isinstance(one, bytes) else png(picture(one)) for one in vectors]
    messages = [message(training_sample(each, index=place), offset=place) for place, each in enumerate(encoded)]
    records = await deliver(judge, messages, services)
    said = [SampleJudged.model_validate_json(one.value) for one in records if one.topic != topics.DEAD_LETTERS.name]
    return sorted(said, key=lambda one: one.index)


def codes(said: SampleJudged) -> list[str]:
    return [reason.code for reason in said.reasons]


# Judging


async def test_a_sample_that_is_a_training_image_is_flagged_with_the_image_that_it_copies(services, tmp_path):
    folder = folder_of(tmp_path, anna__one=HARDLY_OTHER)
    await index(services, folder)

    [said] = await judged(services, ANNA)

    assert codes(said) == ["copy"]
    [near] = said.originals
    assert near.original_id in said.reasons[0].text
    assert (near.kind, near.identity, near.mirrored) == ("training", "anna", False)
    assert 0 < near.bits <= 31
    assert said.reasons[0].measured == near.bits
    assert (said.originals_searched, said.copy_descriptor) == (1, STUB_DESCRIPTOR.fingerprint)


async def test_the_measurement_holds_what_the_verdict_says_so_that_it_can_be_judged_again(services, tmp_path):
    await index(services, folder_of(tmp_path, one=NEARLY))
    [said] = await judged(services, ANNA)

    stored = (await services.ledger.outcomes([said.sample_id]))[said.sample_id].measurement
    measurement = Measurement.model_validate_json(stored)
    assert (measurement.originals, measurement.originals_searched) == (said.originals, 1)
    assert codes(said) == ["near-copy"]


async def test_nothing_is_compared_where_nothing_is_registered(services):
    examiner = CountingExaminer()
    [said] = await judged(replace(services, imprinter=examiner), ANNA)

    assert examiner.asked == []
    assert (said.decision, said.originals, said.originals_searched, said.copy_descriptor) == (
        "accepted",
        (),
        None,
        None,
    )


async def test_all_pictures_of_a_batch_are_compared_in_one_call_and_a_second_look_asks_no_more(services, tmp_path):
    examiner = CountingExaminer()
    rough = replace(services, examiner=StubExaminer(error=0.2), imprinter=examiner)
    await index(rough, folder_of(tmp_path, one=HARDLY_OTHER))

    first, second, blank = await judged(rough, ANNA, ANNA * 0.59 - np.eye(8)[7] * 0.807, png(picture(ANNA, faces=0)))

    assert examiner.asked == [3]
    assert codes(first) == ["copy"]
    assert codes(second) == ["mismatch"]
    assert second.precision is None
    assert second.originals_searched == 1
    assert codes(blank) == ["copy", "no-face"]


async def test_originals_that_cannot_be_reached_are_waited_for_and_flag_nobody(services):
    lost = replace(services, originals=LostOriginals(STUB_DESCRIPTOR))
    with pytest.raises(DependencyUnavailable):
        await judged(lost, ANNA)

    [said] = await judged(services, ANNA)
    assert said.decision == "accepted"


async def test_what_was_decided_stays_when_originals_are_registered_later(services, tmp_path):
    [before] = await judged(services, ANNA)
    await index(services, folder_of(tmp_path, one=ANNA))

    assert await judged(services, ANNA) == []  # published already: nothing is to be said again
    assert (await services.ledger.outcomes([before.sample_id]))[before.sample_id].state == "accepted"


async def test_files_are_compared_each_for_itself(services, tmp_path):
    await index(services, folder_of(tmp_path, one=HARDLY_OTHER))
    files = [(Path(name), png(picture(vector))) for name, vector in (("copy.png", ANNA), ("other.png", BERT))]

    (_, copy), (_, other) = await judge_files(files, "anna", services)

    assert codes(copy) == ["copy"]
    assert "copy" not in codes(other)
    assert other.originals_searched == 1


# Enrolling


async def test_enrolled_photographs_are_originals(photographs, tmp_path):
    person(tmp_path, "anna", one=png(picture(ANNA)), two=png(picture([1, 0.9, 0, 0, 0, 0, 0, 0])))
    await enrol_folder(people_in(tmp_path), photographs)

    references = await photographs.gallery.references("anna")
    assert await photographs.originals.held("anna") == {one.reference_id: "photo" for one in references}
    [said] = await judged(photographs, ANNA)
    assert codes(said)[0] == "copy"
    assert said.originals[0].kind == "photo"
    assert said.originals[0].image_sha256 in {one.image_sha256 for one in references}


async def test_references_that_a_generator_made_are_no_originals(ledger, consent, tmp_path):
    services = on_stand_ins(ledger=ledger, consent=consent)
    person(tmp_path, "anna")
    await enrol_folder(people_in(tmp_path), services, Origin.SYNTHETIC)

    assert await services.originals.count() == 0
    [said] = await judged(services, ANNA)
    assert said.decision == "accepted"


async def test_who_is_enrolled_again_leaves_no_photograph_behind_and_keeps_training_images(photographs, tmp_path):
    await index(photographs, folder_of(tmp_path / "training", anna__trained=BERT))
    folder = person(tmp_path / "people", "anna", one=png(picture(ANNA)))
    await enrol_folder([folder], photographs)
    (folder / "one.png").write_bytes(png(picture(NEARLY)))
    await enrol_folder([folder], photographs)

    [reference] = await photographs.gallery.references("anna")
    kinds = await photographs.originals.held("anna")
    assert {key for key, kind in kinds.items() if kind == "photo"} == {reference.reference_id}
    assert list(kinds.values()).count("training") == 1


async def test_photographs_that_an_earlier_release_enrolled_are_registered_from_the_image_store(photographs, tmp_path):
    person(tmp_path, "anna", one=png(picture(ANNA)), two=png(picture(NEARLY)))
    await enrol_folder(people_in(tmp_path), photographs)
    earlier = replace(photographs, originals=InMemoryOriginals(STUB_DESCRIPTOR))
    lost, kept = (await earlier.gallery.references("anna"))[:2]
    del earlier.images.held[lost.image_sha256]

    assert await tool.lacking(earlier) == 2
    done = await tool.index_references(earlier)

    assert (done.images, done.registered, list(done.skipped)) == (2, 1, [lost.reference_id])
    assert await earlier.originals.known([lost.reference_id, kept.reference_id]) == {kept.reference_id}
    assert await tool.lacking(earlier) == 1


async def test_a_synthetic_gallery_lacks_nothing(services):
    assert await tool.lacking(services) == 0
    assert (await tool.index_references(services)).images == 0


# Indexing


async def test_indexing_again_passes_over_what_is_registered_and_takes_what_is_new(services, tmp_path):
    folder = folder_of(tmp_path, **different(20))
    first = await index(services, folder)
    folder_of(tmp_path, new=BERT)
    second = await index(services, folder)

    assert (first.images, first.registered, first.known) == (20, 20, 0)
    assert (second.images, second.registered, second.known) == (21, 1, 20)
    assert await services.originals.count() == 21


async def test_an_interrupted_index_is_taken_up_where_it_ended(services, tmp_path):
    folder = folder_of(tmp_path, **different(40))
    images = tool.training_images(folder)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await tool.index_training(images, services.imprinter, services.originals, interrupt)
    assert await services.originals.count() == tool.BATCH

    rest = await index(services, folder)
    assert (rest.registered, rest.known) == (40 - tool.BATCH, tool.BATCH)


async def test_one_image_under_two_names_is_registered_once(services, tmp_path):
    done = await index(services, folder_of(tmp_path, one=ANNA, two=ANNA))

    assert (done.images, done.registered, done.known) == (2, 1, 1)


async def test_what_cannot_be_read_is_told_and_stops_nothing(services, tmp_path):
    folder = folder_of(tmp_path, good=ANNA, words=b"no picture")
    with (folder / "huge.png").open("wb") as sink:
        sink.truncate(IMAGE_BYTES + 1)
    done = await index(services, folder)

    assert (done.images, done.registered) == (3, 1)
    assert {Path(name).name for name in done.skipped} == {"words.png", "huge.png"}


async def test_an_image_without_a_face_is_registered_too(services, tmp_path):
    done = await index(services, folder_of(tmp_path, faceless=png(picture(ANNA, faces=0))))

    assert (done.registered, done.skipped) == (1, {})


def test_a_subfolder_says_whom_its_images_show_unless_one_identity_is_given(tmp_path):
    folder = folder_of(tmp_path, loose=ANNA, anna__one=ANNA, anna__deeper__two=BERT)

    found = {image.path.stem: image.identity for image in tool.training_images(folder)}
    assert found == {"loose": "", "one": "anna", "two": "anna"}
    assert {image.identity for image in tool.training_images(folder, "bert")} == {"bert"}


async def test_the_same_image_of_two_people_is_erased_with_each_alone(services, tmp_path):
    await index(services, folder_of(tmp_path, anna__one=ANNA, bert__one=ANNA))
    await services.originals.remove(await services.originals.held("anna"))

    assert await services.originals.held("anna") == {}
    [key] = await services.originals.held("bert")
    assert key == reference_id("bert", (await services.images.put(png(picture(ANNA)))).sha256)


def test_a_folder_that_says_nothing_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "words.txt").write_text("no image")
    for folder, identity, told in (
        (tmp_path / "empty", None, "holds no image"),
        (tmp_path / "nowhere", None, "expected a folder of images"),
        (tmp_path, 'a"b', "expected the identity"),
        (folder_of(tmp_path / "odd", **{"ä b__one": ANNA}), None, "--identity"),
    ):
        with pytest.raises(BadInput, match=told):
            tool.training_images(folder, identity)
