"""Replays: the same input gives the same bytes, and another policy, gallery, embedder or consent what it should."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.ledger.erasures import SqlErasures
from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.faces import Examined, Sighting
from streams.core.gallery import Identity, Origin, Reference, reference_id
from streams.core.measurement import Measurement
from streams.core.policy import Policy, Second
from streams.core.replay.codes import codes
from streams.core.similarity import unit
from streams.errors import BadInput, PolicyRefused
from streams.events import ReasonCode
from streams.ports import Services
from streams.testing.examiner import STUB_SPACE, StubExaminer
from streams.testing.gallery import InMemoryGallery
from streams.testing.images import picture, png
from streams.testing.services import policy
from streams.tools.recording.reader import Recording
from streams.tools.replay.enrolled import RecordedGallery, gallery_for
from streams.tools.replay.regate import regate
from streams.tools.replay.rejudge import Bench, OriginalsAsRecorded, Register, rejudge
from streams.tools.replay.result import Replayed
from streams.tools.replay.standing import Standing, as_now, as_recorded
from tests.recorded import BERT, recorded, trained

STRICT = policy(similarity=0.9)
#: Nobody has asked the second verifier that it requires.
DOUBTED = policy().model_copy(update={"second": Second(embedding_space="other", similarity=0.5, provenance="chosen")})


@pytest.fixture
async def recording(services: Services, tmp_path: Path) -> Recording:
    await recorded(tmp_path / "recording", services, await trained(services))
    return Recording(tmp_path / "recording")


@pytest.fixture
def standing(recording: Recording, services: Services) -> Standing:
    return as_recorded(recording, services.now())


async def again(
    recording: Recording,
    standing: Standing,
    services: Services,
    judged_by: Policy,
    batch_size: int = 16,
    **parts: object,
) -> Replayed:
    examiner = parts.get("examiner", StubExaminer())
    bench = Bench(
        examiner=examiner,
        imprinter=services.imprinter,
        gallery=await gallery_for(recording, examiner),
        originals=OriginalsAsRecorded(),
        consent=Register(standing.entries),
        policy=judged_by,
        now=services.now,
    )
    return await rejudge(recording, bench, standing, gallery="recorded", batch_size=batch_size)


def whole(found: Replayed) -> bytes:
    return b"".join(found.canonical())


def one_by_one(recording: Recording, judged_by: Policy) -> dict[str, list[ReasonCode]]:
    """What the rule of the stream says of each recorded measurement."""
    table = pd.read_parquet(recording.folder / "samples")
    held = (Measurement.model_validate_json(text) for text in table["measurement"])
    return {one.sample_id: [r.code for r in decide(one, judged_by, Consent.GRANTED).reasons] for one in held}


def test_the_same_policy_changes_nothing(recording: Recording, standing: Standing):
    found = regate(recording, policy(), standing)

    assert (found.tally.samples, found.tally.changed, len(found.changes)) == (60, 0, 0)
    assert 0 < found.tally.flagged < 60


@pytest.mark.parametrize(("judged_by", "code"), [(STRICT, ReasonCode.MISMATCH), (DOUBTED, ReasonCode.SECOND_VERIFIER)])
def test_another_policy_says_what_the_rule_of_the_stream_says(
    recording: Recording, standing: Standing, judged_by: Policy, code: ReasonCode
):
    before, after = one_by_one(recording, policy()), one_by_one(recording, judged_by)

    found = regate(recording, judged_by, standing)

    changed = {key for key in before if before[key] != after[key]}
    assert {one.sample_id for one in found.changes} == changed != set()
    assert all(list(codes(one.after)) == after[one.sample_id] for one in found.changes)
    assert found.tally.newly_flagged == sum(not before[key] and bool(after[key]) for key in before)
    gained = found.tally.by_reason[code].gained
    assert gained == sum(code in after[key] and code not in before[key] for key in before) > 0


def test_a_regate_twice_gives_the_same_bytes(recording: Recording, standing: Standing):
    one, other = (regate(recording, STRICT, standing) for _ in range(2))

    assert whole(one) == whole(other)
    assert one.as_dict() == other.as_dict()
    assert one.sha256 == hashlib.sha256(whole(one)).hexdigest()


async def test_a_rejudge_with_the_same_parts_changes_nothing(recording, standing, services: Services):
    found = await again(recording, standing, services, policy())

    assert (found.tally.samples, found.tally.changed) == (60, 0)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
async def test_a_rejudge_says_what_a_regate_says_where_nothing_but_the_policy_differs(
    recording, standing, services: Services, batch_size: int
):
    found = await again(recording, standing, services, STRICT, batch_size)

    assert [*found.changes] == [*regate(recording, STRICT, standing).changes]
    assert whole(found) == whole(await again(recording, standing, services, STRICT, batch_size))


class Turned(StubExaminer):
    """Another embedder: what it embeds, the first one embeds with two values in each other's place."""

    @property
    def space(self):
        return replace(STUB_SPACE, embedder="turned-8")

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        seen = await super().examine(encoded)
        order = [1, 0, *range(2, 8)]
        return [
            replace(one, largest=replace(one.largest, embedding=one.largest.embedding[order]))
            if isinstance(one, Sighting) and one.largest
            else one
            for one in seen
        ]


def held_for(space: str) -> Policy:
    here = policy()
    return here.model_copy(update={"holds_for": here.holds_for.model_copy(update={"embedding_space": space})})


async def test_another_embedder_needs_the_images_of_who_is_enrolled(recording, standing, services: Services):
    with pytest.raises(BadInput, match="expected 1 images of anna to embed anew, the recording has 0"):
        await again(recording, standing, services, held_for(Turned().space.fingerprint), examiner=Turned())


async def test_another_embedder_embeds_the_recorded_gallery_anew(services: Services, tmp_path: Path):
    for name in ("vip", "carl"):
        await services.gallery.remove(name)
    for name, row in (("anna", 0), ("bert", 1)):
        direction = np.eye(8, dtype=np.float32)[row]
        image = await services.images.put(png(picture(direction)))
        reference = Reference(reference_id(name, image.sha256), name, Origin.SYNTHETIC, image.sha256, direction)
        await services.gallery.enrol(Identity(name, Origin.SYNTHETIC, direction, 1, 1.0), [reference])
    await recorded(tmp_path / "recording", services, await trained(services))
    recording = Recording(tmp_path / "recording")
    standing = as_recorded(recording, services.now())

    found = await again(recording, standing, services, held_for(Turned().space.fingerprint), examiner=Turned())

    # It turns samples and gallery alike, so that all similarities stay.
    assert (found.embedding_space, found.tally.samples, found.tally.changed) == (Turned().space.fingerprint, 60, 0)


async def test_a_policy_that_holds_elsewhere_is_refused(recording, standing, services: Services):
    with pytest.raises(PolicyRefused):
        regate(recording, held_for("other/0"), standing)


async def test_whoever_withdrew_since_is_flagged_and_not_looked_at(recording, services: Services, ledger, consent):
    await consent.withdraw("anna", at=services.now(), note="a test")
    now = await as_now(recording, ledger, consent, services.now())
    examiner = StubExaminer()

    gated = regate(recording, policy(), now)
    judged = await again(recording, now, services, policy(), examiner=examiner)

    for found in (gated, judged):
        assert (found.consent, found.tally.accepted) == ("now", 0)
        assert found.tally.by_reason[ReasonCode.NO_CONSENT].gained == 60
    assert examiner.calls == []


async def test_whoever_was_forgotten_since_is_skipped(recording, services: Services, database, ledger, consent):
    erasures = SqlErasures(database)
    erasure = await erasures.begin("anna", at=services.now())
    await erasures.rename(erasure, "anna", at=services.now())
    now = await as_now(recording, ledger, consent, services.now())
    examiner = StubExaminer()

    gated = regate(recording, policy(), now)
    judged = await again(recording, now, services, policy(), examiner=examiner)

    for found in (gated, judged):
        assert (found.tally.samples, found.as_dict()["skipped"]) == (0, {"erased": 60})
        assert len(found.changes) == 0
    assert examiner.calls == []


async def test_whoever_was_forgotten_is_not_searched_for_either(
    recording, services: Services, database, ledger, consent
):
    erasures = SqlErasures(database)
    erasure = await erasures.begin("bert", at=services.now())
    await erasures.rename(erasure, "bert", at=services.now())
    now = await as_now(recording, ledger, consent, services.now())

    gallery = await gallery_for(recording, StubExaminer(), now.forgotten)

    [near] = await gallery.search([BERT.astype(np.float32)], identities=9, references=9)
    assert sorted(one.identity for one in near.identities) == ["anna", "carl", "vip"]
    assert {identity for _, identity, _ in near.references} == {"anna", "vip"}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 4))
async def test_a_recorded_gallery_is_searched_as_the_stand_in_is(drawn: list[int], limit: int):
    held = InMemoryGallery(STUB_SPACE)
    for number, one in enumerate(drawn):
        direction = unit(np.eye(8, dtype=np.float32)[one] + 0.1)
        name = f"person-{number}"
        reference = Reference(f"{number:032x}", name, Origin.SYNTHETIC, f"{number:064x}", direction)
        await held.enrol(Identity(name, Origin.SYNTHETIC, direction, 1, 1.0), [reference])
    names = await held.names()
    images = [one for name in names for one in await held.references(name)]
    recorded_one = RecordedGallery(await held.identities(names), images)
    probes = [unit(np.eye(8, dtype=np.float32)[one] + 0.2) for one in range(3)]

    asked = {"identities": limit, "references": limit}
    assert await recorded_one.search(probes, **asked) == await held.search(probes, **asked)


async def test_an_altered_image_is_not_taken_for_the_recorded_one(recording, standing, services: Services):
    [first, *_] = [file for file in sorted((recording.folder / "images").rglob("*")) if file.is_file()]
    first.write_bytes(b"another")

    with pytest.raises(BadInput, match="other bytes"):
        await again(recording, standing, services, policy())


async def test_what_has_no_image_any_more_is_counted_and_not_judged(recording, standing, services: Services):
    for file in (recording.folder / "images").rglob("*"):
        if file.is_file():
            file.unlink()

    found = await again(recording, standing, services, policy())

    assert (found.tally.samples, found.as_dict()["skipped"]) == (0, {"image-missing": 60})
