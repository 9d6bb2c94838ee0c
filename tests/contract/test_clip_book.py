"""What ``ports.ClipBook`` and the monitor promise of clips, on the SQL ledger and on every database."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from streams.adapters.ledger.charts.rows import outbox
from streams.adapters.ledger.clips.erased import prune_clips
from streams.adapters.ledger.clips.rows import clips, clock, frames
from streams.adapters.ledger.clips.shown import shown
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.erasures import SqlErasures
from streams.core.clips.book import turn_clip
from streams.core.clips.gathered import gathered
from streams.core.explain.look import Measure
from streams.events import FRAMES_PER_CLIP, SampleJudged
from streams.ports import Services
from streams.steps import judge, monitor
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, training_sample
from streams.testing.verdicts import judged
from streams.topics import SAMPLES_ACCEPTED
from tests.charted import BEGIN, QUIET, Bench
from tests.clipped import TOWARDS, clip, remembered

SWAPPED = range(10, 14)
#: A clip of which nobody said how many frames it has, and what is judged long after it.
UNSAID = clip("c-2", frames=None, begin=BEGIN + timedelta(minutes=1))
LATER = judged("later", judged_at=BEGIN + timedelta(minutes=5), similarity=0.7)


@pytest.fixture
async def bench(database: Database) -> Bench:
    return Bench(database, await remembered([*clip(), *UNSAID], SWAPPED))


@pytest.fixture
async def another(bench: Bench, tmp_path) -> AsyncIterator[Callable[[], Any]]:
    """As many benches with a ledger of their own as a test wants."""
    opened: list[Database] = []

    async def make() -> Bench:
        opened.append(Database(f"sqlite:///{tmp_path}/{len(opened)}.db"))
        await opened[-1].open()
        return Bench(opened[-1], bench.services.gallery)

    yield make
    for each in opened:
        await each.close()


def said(bench: Bench) -> list[dict[str, Any]]:
    return bench.messages("clips.judged")


def values(bench: Bench) -> list[bytes | None]:
    return sorted(record.value or b"" for record in bench.told if record.topic == "clips.judged")


async def test_a_clip_is_judged_once_all_its_frames_are_there_and_names_whoever_was_put_in(bench: Bench):
    await bench.read(clip()[:-1])
    assert said(bench) == []

    await bench.read(clip()[-1:])

    [verdict] = said(bench)
    assert (verdict["clip_id"], verdict["identity"], verdict["model"]) == ("c-1", "anna", "face_gan")
    assert (verdict["decision"], verdict["apart"], verdict["flagged"]) == ("flagged", [[10, 13]], 0)
    assert (verdict["frames"], verdict["expected"], verdict["missing"], verdict["revision"]) == (24, 24, [], 1)
    assert {one["sample_id"] for one in verdict["worst"][:4]} == {clip()[index].sample_id for index in SWAPPED}
    [record] = [one for one in bench.told if one.topic == "clips.judged"]
    assert record.key == b"c-1"


async def test_a_clip_of_unknown_length_is_judged_once_the_stream_has_gone_on_without_it(bench: Bench):
    last = UNSAID[-1].judged_at
    await bench.read(UNSAID)
    await bench.read([judged("soon", judged_at=last + QUIET)])
    assert said(bench) == []

    await bench.read([judged("later", judged_at=last + QUIET + timedelta(microseconds=1))])

    assert [(one["clip_id"], one.get("expected"), one["frames"]) for one in said(bench)] == [("c-2", None, 24)]


async def test_a_clip_with_a_frame_that_never_comes_is_judged_when_it_is_quiet_and_says_which(bench: Bench):
    await bench.read([*clip()[:5], *clip()[6:22], LATER])
    assert [(one["frames"], one["missing"]) for one in said(bench)] == [(21, [[5, 5], [22, 23]])]


async def test_a_frame_that_comes_late_revises_what_was_said(bench: Bench, another):
    late = UNSAID[11]
    await bench.read([*(one for one in UNSAID if one is not late), LATER])
    await bench.read([late])
    straight = await another()
    await straight.read([*UNSAID, LATER])

    first, second = said(bench)
    assert (first["missing"], second["missing"]) == ([[11, 11]], [])
    assert (first["verdict_id"], first["revision"], second["revision"]) == (second["verdict_id"], 1, 2)
    assert said(straight) == [{**second, "revision": 1}]


@pytest.mark.parametrize("seed", [1, 2])
async def test_shuffled_doubled_and_replayed_frames_give_the_same_verdict_byte_for_byte(bench, another, seed):
    await bench.read(clip())
    other = await another()
    muddled = clip() + random.Random(seed).sample(clip(), 10)
    random.Random(seed).shuffle(muddled)
    await other.read(muddled)
    await other.read(clip())

    assert len(values(bench)) == 1
    assert values(other) == values(bench)


async def test_clips_that_come_in_any_order_end_with_the_same_verdicts(bench, another):
    everything = [*clip(), *UNSAID, LATER]
    await bench.read(everything)
    other = await another()
    muddled = random.Random(3).sample(everything, len(everything))
    for one in muddled:  # one at a time: the worst that can happen
        await other.read([one])

    def last(of: Bench) -> dict[str, dict[str, Any]]:
        return {one["verdict_id"]: {**one, "revision": None} for one in said(of)}

    assert last(other) == last(bench)
    assert len(last(bench)) == 2


async def test_frames_of_one_name_by_others_make_a_clip_of_their_own(bench: Bench):
    await bench.read([*clip(source="shop"), *clip(identity="bert")])
    await bench.read([one.model_copy(update={"source": "other", "sample_id": f"{0:032x}"}) for one in clip()[:1]])

    assert sorted((one["source"], one["identity"]) for one in said(bench)) == [("shop", "anna"), ("shop", "bert")]
    held = {(one.clip.source, one.samples, one.waiting) for one in await shown(bench.database)}
    assert held == {("shop", 24, False), ("other", 1, True)}


async def test_a_worker_that_dies_before_a_clip_is_judged_judges_it_when_anything_comes(bench: Bench):
    found = [one for one in map(gathered, clip()) if one is not None]
    await bench.services.clips.put(found, until=BEGIN)
    await bench.read([LATER])
    assert [one["revision"] for one in said(bench)] == [1]


async def test_of_two_that_judge_a_clip_at_once_one_is_told(bench: Bench):
    book = bench.services.clips
    await book.put([one for one in map(gathered, clip()) if one is not None], until=BEGIN)
    turned = [turn_clip(page, {}) for page in await book.pages()]

    await book.turn(turned, at=BEGIN)
    await book.turn(turned, at=BEGIN)

    assert len(await bench.book.untold(10)) == len(turned) == 1
    assert await book.pages() == []


async def test_what_was_not_noted_as_delivered_is_told_again_to_the_byte(bench: Bench):
    await bench.read(clip(), note=False)
    [told] = [one for one in bench.told if one.topic == "clips.judged"]
    assert told in [record for _, record in await bench.book.untold(100)]


async def test_the_clip_knows_how_faces_move_from_what_the_judge_has_kept(database: Database, services: Services):
    """Over the judge itself: its measurements hold how each frame looks."""
    pictures = [png(picture(TOWARDS["anna"], side=80 + index)) for index in range(3)]
    samples = [
        message(training_sample(each, index=index, clip_id="c-3", frame_index=index, frames=3))
        for index, each in enumerate(pictures)
    ]
    verdicts = [SampleJudged.model_validate_json(one.value) for one in await deliver(judge, samples, services)]
    bench = Bench(database, services.gallery)
    await bench.services.clips.put([one for one in map(gathered, verdicts) if one is not None], until=BEGIN)

    [page] = await bench.services.clips.pages()

    by_id = {one.sample_id: one.frame_index for one in verdicts}
    looks = {by_id[sample_id]: look[Measure.MOUTH_WIDTH] for sample_id, look in page.looks.items()}
    assert looks == {0: 0.8, 1: 0.81, 2: 0.82}
    embeddings = await services.gallery.recall(page.sample_ids)
    assert sorted(embeddings) == sorted(by_id)


STRANGE = [
    {"clip_id": "a\0b", "frame_index": 0},
    {"clip_id": "c-1", "frame_index": None},
    {"clip_id": "c-1", "frame_index": -1},
    {"clip_id": "c-1", "frame_index": FRAMES_PER_CLIP},
    {"clip_id": "c-1", "frame_index": 3, "frames": 3},
    {"clip_id": "c-1", "frame_index": 3, "frames": 2**70},
    {"clip_id": "c-1", "frame_index": 3, "embedding_space": "s" * 5000},
]


@pytest.mark.parametrize("strange", STRANGE)
async def test_what_is_no_frame_that_could_be_is_left_out_and_stops_nothing(bench: Bench, caplog, strange):
    await bench.read([*clip()[:12], judged(similarity=0.7, **strange), *clip()[12:]])
    assert [one["frames"] for one in said(bench)] == [24]
    assert "is no verdict of ours" in caplog.text


async def forgotten(database: Database, identity: str = "anna") -> SqlErasures:
    erasures = SqlErasures(database)
    erasure = await erasures.begin(identity, at=BEGIN)
    await erasures.rename(erasure, identity, at=BEGIN)
    await erasures.unchart(erasure, identity)
    return erasures


@pytest.mark.parametrize("note", [True, False])
async def test_nothing_of_a_person_is_in_any_clip_and_those_of_others_are_as_they_were(bench: Bench, note: bool):
    theirs = clip("c-4", identity="bert")
    named = clip("anna", identity="bert")
    await bench.read([*clip(), *UNSAID[:3], *theirs, *named], note=note)
    before = [one for one in await shown(bench.database) if one.clip.clip_id == "c-4"]

    erasures = await forgotten(bench.database)

    left = (await erasures.left("anna")).places
    assert {place: count for place, count in left.items() if place.startswith("clip")} == {}
    assert await shown(bench.database) == before
    assert not any(b"anna" in (record.value or b"") for _, record in await bench.book.untold(100))
    await bench.read(clip())  # the old verdicts come again
    assert await shown(bench.database) == before


async def test_a_page_of_before_somebody_was_forgotten_is_turned_in_vain(bench: Bench):
    await bench.services.clips.put([one for one in map(gathered, clip()) if one is not None], until=BEGIN)
    pages = await bench.services.clips.pages()
    await forgotten(bench.database)

    await bench.services.clips.turn([turn_clip(page, {}) for page in pages], at=BEGIN)

    assert await bench.book.untold(10) == []


async def test_clips_to_which_nothing_comes_any_more_are_deleted_whole(bench: Bench):
    await bench.read([*clip(), *UNSAID])
    before = BEGIN + timedelta(seconds=30)
    expected = ["c-1 of shop: anna by face_gan"]

    assert await prune_clips(bench.database, before=before, dry_run=True) == expected
    assert await prune_clips(bench.database, before=before) == expected
    assert [one.clip.clip_id for one in await shown(bench.database)] == ["c-2"]
    assert await prune_clips(bench.database, before=before + timedelta(days=1)) == ["c-2 of shop: anna by face_gan"]
    held = [await bench.database.transact(lambda c, t=t: c.execute(t.select()).all()) for t in (clips, frames)]
    assert held == [[], []]


async def test_a_clip_that_was_not_told_yet_is_kept(bench: Bench):
    await bench.read(clip(), note=False)
    assert await prune_clips(bench.database, before=BEGIN + timedelta(days=1)) == []
    await bench.book.told([name for name, _ in await bench.book.untold(100)])
    assert len(await prune_clips(bench.database, before=BEGIN + timedelta(days=1))) == 1
    untold = await bench.database.transact(lambda c: c.execute(outbox.select()).all())
    assert not [row for row in untold if row.topic == "clips.judged"]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_order_frames_come_in_and_however_often_the_message_is_the_same(
    bench: Bench, data: st.DataObject
):
    every = clip(count=6, frames=6)
    sent = data.draw(st.permutations(every + data.draw(st.lists(st.sampled_from(every), max_size=6))))
    size = data.draw(st.integers(1, 12))
    found = set()
    for order, step in ((every, 6), (sent, size)):
        await bench.database.transact(lambda c: [c.execute(delete(table)) for table in (clips, frames, clock, outbox)])
        bench.told.clear()
        for start in range(0, len(order), step):
            batch = [message(one, topic=SAMPLES_ACCEPTED) for one in order[start : start + step]]
            bench.told += (await monitor(batch, bench.services)).records
        [told] = {record.value for record in bench.told if record.topic == "clips.judged"}
        found.add(told)
    assert len(found) == 1
