"""Clips, computed: who is put in is named, what drifts and flickers is measured, and the order of frames is nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.clips.frames import Frame, in_order, missing, stretches
from streams.core.clips.identity import drift, of_one_person, steps, to_the_rest
from streams.core.clips.motion import movement
from streams.core.clips.verdict import NAMED, judge_clip
from streams.core.explain.look import Measure
from streams.core.similarity import similarity, unit
from streams.errors import BadInput
from streams.events import Decision
from streams.ports import Services
from streams.testing.images import picture, png
from streams.tools.judge_clip import frames_in, judge_frames

ANNA, BERT = np.eye(8, dtype=np.float32)[:2]


def frame(index: int, vector=ANNA, decision: Decision = Decision.ACCEPTED, **measures: float) -> Frame:
    """One frame that shows anna turned a little, by its index, or whoever is given."""
    off = 0.1 * np.sin(index * 0.4) * np.eye(8)[2] + 0.1 * np.cos(index * 0.4) * np.eye(8)[3]
    embedding = unit((vector + off).astype(np.float32))
    named = {Measure(name.replace("_", "-")): value for name, value in measures.items()}
    return Frame(index, f"{index:032x}", decision, similarity(embedding, ANNA), embedding, named)


def clip(frames: int = 24, swapped: range = range(0)) -> list[Frame]:
    return [frame(index, BERT if index in swapped else ANNA) for index in range(frames)]


def test_a_clip_of_one_person_is_accepted():
    verdict = judge_clip(clip())
    assert (verdict.decision, verdict.reasons, verdict.apart) == (Decision.ACCEPTED, (), ())
    assert verdict.drift == pytest.approx(0, abs=0.01)


def test_somebody_who_is_put_in_is_named_by_frames_though_each_frame_was_accepted():
    verdict = judge_clip(clip(swapped=range(10, 14)))

    assert verdict.decision is Decision.FLAGGED
    assert verdict.apart == ((10, 13),)
    assert verdict.reasons[0].startswith("frames 10 to 13 lie apart from the rest of the clip: similarity -0.00")
    assert {one.index for one in verdict.worst[:4]} == {10, 11, 12, 13}
    assert len(verdict.worst) == NAMED


def test_a_clip_with_a_flagged_frame_is_flagged_and_says_how_many():
    verdict = judge_clip([*clip(3), replace(frame(3), decision=Decision.FLAGGED)])
    assert verdict.reasons == ("1 of 4 frames is flagged",)
    assert verdict.worst[0].index == 3


@given(st.data())
def test_frames_shuffled_and_sent_twice_give_the_same_verdict(data: st.DataObject):
    frames = clip(12, swapped=range(4, 6))
    sent = data.draw(st.permutations(frames + data.draw(st.lists(st.sampled_from(frames)))))
    assert judge_clip(sent) == judge_clip(frames)


def test_of_two_samples_of_one_frame_always_the_same_one_counts():
    one, other = frame(0), replace(frame(0, BERT), sample_id="f" * 32)
    assert in_order([other, one]) == in_order([one, other]) == [one]


def test_frames_that_did_not_come_are_told():
    assert missing([frame(4), frame(1)]) == ((2, 3),)
    assert missing([frame(4), frame(1)], of=7) == ((0, 0), (2, 3), (5, 6))
    assert missing([]) == ()
    assert stretches([]) == ()


def test_a_slow_change_of_identity_is_a_drift_and_one_frame_is_none():
    turning = [frame(index, ANNA * (1 - index / 40) + BERT * index / 40) for index in range(20)]
    spike = [*clip(10), frame(10, BERT), *(frame(index) for index in range(11, 21))]

    assert (drift(turning) or 0) < -0.2
    assert drift(spike) == pytest.approx(0, abs=0.02)
    assert drift([frame(0)]) is None


@given(st.floats(-0.02, 0.02), st.integers(2, 30))
def test_a_steady_change_drifts_by_all_of_it(slope: float, frames: int):
    changing = [replace(frame(index), similarity=0.5 + slope * index) for index in range(frames)]
    assert drift(changing) == pytest.approx(slope * (frames - 1), abs=1e-4)


def test_the_clip_is_of_whoever_is_in_most_frames():
    frames = clip(20, swapped=range(8))
    person = of_one_person(frames)
    rest = to_the_rest(frames, person)

    assert person == list(range(8, 20))
    assert max(rest[index] for index in range(8)) < 0.1 < 0.9 < min(rest[index] for index in person)
    assert of_one_person(clip(4, swapped=range(2, 4))) == [0, 1]


def test_a_face_that_turns_slowly_stays_one_person():
    turning = [frame(index, ANNA * (1 - index / 20) + BERT * index / 20) for index in range(21)]
    assert len(of_one_person(turning)) == 21


def test_frames_without_a_face_are_of_nobody():
    blank = [Frame(0, "0" * 32, Decision.FLAGGED)]
    assert of_one_person(blank) == []
    assert to_the_rest(blank, []) == {}


def test_flicker_is_between_frames_that_follow_one_another():
    lights = [frame(index, brightness=light) for index, light in ((0, -1.0), (1, -1.5), (2, -1.0), (9, -3.0))]
    verdict = judge_clip(lights)

    assert (verdict.brightness_flicker, verdict.brightness_flicker_most) == (0.5, 0.5)
    assert len(steps(lights)) == 2
    assert all(step > 0 for step in steps(lights))
    assert verdict.missing == ((3, 8),)


def test_a_picture_that_stands_still_does_not_flicker_though_its_embedding_is_a_little_too_long():
    still = [replace(frame(index), embedding=ANNA * np.float32(1 + 1e-6)) for index in range(6)]
    verdict = judge_clip(still)
    assert (str(verdict.flicker), str(verdict.flicker_most)) == ("0.0", "0.0")


def test_a_mouth_that_moves_is_told_from_one_that_does_not():
    speaking = [frame(index, mouth_width=1 + 0.2 * (index % 2)) for index in range(10)]
    still = [frame(index, mouth_width=1.0) for index in range(10)]

    moved, rested = (movement(one, Measure.MOUTH_WIDTH) for one in (speaking, still))
    assert moved is not None
    assert rested is not None
    assert (moved.step, rested.step, rested.spread) == (pytest.approx(0.2), 0, 0)
    assert movement(still, Measure.EYE_HEIGHT) is None


def test_a_clip_has_a_frame():
    with pytest.raises(ValueError, match="at least one frame"):
        judge_clip([])


async def test_a_folder_of_frames_is_judged_as_one_clip(services: Services, tmp_path):
    shown = [ANNA + 0.05 * np.eye(8)[2 + index % 3] for index in range(12)]
    shown[7] = BERT
    for index, vector in enumerate(shown):
        (tmp_path / f"{index:03d}.png").write_bytes(png(picture(vector)))
    verdict = await judge_frames(frames_in(tmp_path), "anna", services)
    assert (verdict.frames, verdict.flagged, verdict.apart) == (12, 1, ((7, 7),))
    assert verdict.worst[0].index == 7


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["take2_9.png", "take2_10.png", "take2_12.png"], [(9, "take2_9"), (10, "take2_10"), (12, "take2_12")]),
        (["b.png", "a.jpg"], [(0, "a"), (1, "b")]),
        (["1a2.png", "3a2.png"], [(0, "1a2"), (1, "3a2")]),
    ],
)
def test_a_frames_place_is_the_last_number_of_its_name_where_all_have_their_own(tmp_path, names, places):
    for name in names:
        (tmp_path / name).touch()
    assert [(index, path.stem) for index, path in frames_in(tmp_path)] == places


async def test_what_is_no_clip_is_refused_with_what_to_do(services: Services, tmp_path):
    with pytest.raises(BadInput, match="has no images"):
        frames_in(tmp_path)
    with pytest.raises(BadInput, match="expected a folder of frames"):
        frames_in(tmp_path / "absent")
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="take it out"):
        await judge_frames(frames_in(tmp_path), "anna", services)
