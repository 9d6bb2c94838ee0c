"""Evaluations count what they say that they count: failures to acquire, files that are missing, groups, searches."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from streams.core.faces import Sighting
from streams.core.policy import Policy
from streams.errors import BadInput
from streams.events import IMAGE_BYTES
from streams.testing.examiner import StubExaminer
from streams.testing.images import picture, png
from streams.testing.services import policy
from streams.tools.rates.acquire import BATCH, Seen, acquire, failures, missing
from streams.tools.rates.evaluate import evaluate_identities, evaluate_pairs
from streams.tools.rates.evaluation import Evaluation
from streams.tools.rates.labels import Pair
from streams.tools.rates.reports import evaluation_html
from tests.seen_faces import SEEN, SPACE, people

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def pair(first: str, second: str, mated: bool, group: str | None = None) -> Pair:
    return Pair(Path(first), Path(second), mated, group)


PAIRS = (
    pair("a1", "a2", True, "x"),
    pair("b1", "b2", True, "y"),
    pair("a1", "b1", False, "x"),
    pair("a2", "b2", False, "y"),
    pair("a1", "empty", True, "x"),
    pair("b1", "empty", False, "y"),
    pair("a1", "gone", True, "x"),
)


def of_pairs(pairs: Sequence[Pair] = PAIRS, against: Policy | None = None, space: str = SPACE) -> Evaluation:
    return evaluate_pairs(pairs, SEEN, against or policy(), space, resamples=20)


def test_pairs_are_counted_with_failures_to_acquire_as_non_matches():
    """Of six pairs that can be read five are right: the mated one without a face is not."""
    said = of_pairs().as_dict()

    assert (said["auc"], said["eer"]) == (1.0, 0.0)
    assert said["tpr_at_fmr"] == {"0.01": 1.0, "0.001": 1.0}
    assert said["accuracy_best"] == pytest.approx(5 / 6)
    assert said["accuracy_policy"] == pytest.approx(5 / 6)
    assert said["rank1"] is None
    assert (said["pairs"], said["images"], said["failures_to_acquire"]) == (6, 5, 1)
    assert (said["mated"], said["non_mated"], said["pairs_failed"], said["pairs_left_out"]) == (2, 2, 2, 1)
    assert said["several_faces"] == 1
    assert said["failed"] == {"empty": "no face was found"}
    assert list(said["missing"]) == ["gone"]


def test_no_interval_says_more_than_so_few_comparisons_can_show():
    """Two of each kind without an error: by the rule of three up to 1 - 0.05^(1/2) of others may be wrong."""
    intervals = of_pairs().figures.intervals
    assert (
        intervals["fmr_policy"]
        == intervals["fnmr_policy"]
        == intervals["eer"]
        == (0.0, pytest.approx(0.7764, abs=1e-4))
    )
    assert intervals["auc"] == intervals["tpr_at_fmr 0.001"] == (pytest.approx(0.2236, abs=1e-4), 1.0)


def test_a_rate_of_one_is_as_uncertain_as_none():
    """No mated pair reaches so high a limit, which two pairs do not show of others."""
    figures = of_pairs(against=policy(similarity=0.9999)).figures
    assert figures.fnmr_policy == 1.0
    assert figures.intervals["fnmr_policy"] == (pytest.approx(0.2236, abs=1e-4), 1.0)


def test_so_few_pairs_are_said_to_show_no_small_rate():
    assert of_pairs().as_dict()["resolved"] == {"0.01": False, "0.001": False}


def test_groups_are_counted_each_by_itself():
    first, second = of_pairs().groups
    assert (first.group, first.pairs, first.failed, first.mated, first.non_mated) == ("x", 3, 1, 1, 1)
    assert (first.fmr, first.fnmr, first.accuracy) == (0.0, 0.0, pytest.approx(2 / 3))
    assert (second.group, second.pairs, second.failed, second.accuracy) == ("y", 3, 1, 1.0)
    # Clopper and Pearson: none of one shows no less than 97.5 %.
    assert first.fmr_interval == pytest.approx((0.0, 0.975))


def test_a_group_without_a_kind_of_pair_has_no_rate_of_it():
    (only,) = of_pairs([pair("a1", "a2", True, "x")]).groups
    assert (only.fmr, only.fmr_interval, only.fnmr) == (None, None, 0.0)


def test_the_judge_would_abstain_from_several_faces():
    assert of_pairs().verdicts == {"accepted": 1, "several-faces": 1, "no-face": 1}


def test_a_policy_of_another_space_has_no_accuracy_and_the_rest_is_measured():
    said = of_pairs(space="other/1").as_dict()
    assert (said["accuracy_policy"], said["fmr_policy"], said["verdicts"]) == (None, None, {})
    assert said["auc"] == 1.0


def test_pairs_of_one_kind_have_no_curve_and_that_is_said():
    evaluation = of_pairs(PAIRS[:2])
    assert (evaluation.figures.auc, evaluation.figures.accuracy_best) == (None, None)
    assert "nothing can be said about errors" in evaluation_html(evaluation, "One kind", NOW)


def test_pairs_that_all_failed_to_acquire_are_counted_and_that_is_all():
    said = of_pairs([pair("a1", "empty", True), pair("b1", "empty", False)]).as_dict()
    assert (said["auc"], said["accuracy_policy"], said["pairs"], said["pairs_failed"]) == (None, None, 2, 2)
    assert said["tpr_at_fmr"] == {"0.01": None, "0.001": None}


def test_labels_that_contradict_each_other_are_counted():
    assert of_pairs([*PAIRS[:4], pair("a2", "a1", False)]).contradictions == 1


def test_a_list_of_files_that_are_all_missing_is_refused():
    with pytest.raises(BadInput, match="of 1 pairs none has two files that can be read"):
        of_pairs([pair("gone", "gone", True)])


def test_people_far_apart_are_all_identified():
    images, seen = people(5, 3, 0.01)
    said = evaluate_identities(
        images, seen, policy(similarity=0.9, other_similarity=0.9), SPACE, resamples=20
    ).as_dict()

    assert (said["auc"], said["eer"], said["rank1"], said["accuracy_best"]) == (1.0, 0.0, 1.0, 1.0)
    assert said["open_set"] == {"gallery": 4, "fpir_policy": 0.0, "fnir_at_fpir": {"0.1": 0.0, "0.01": 0.0}}
    assert (said["images"], said["mated"], said["non_mated"], said["pairs"]) == (15, 15, 60, 75)
    assert said["verdicts"] == {"accepted": 15}


def test_rank_one_is_the_share_of_probes_nearest_to_their_own_person():
    images, seen = people(6, 4, 0.8, seed=3)
    evaluation = evaluate_identities(images, seen, policy(), SPACE, resamples=20)
    vectors = {path: one.face.embedding.astype(float) for path, one in seen.items() if one.face}
    right = 0
    for probe in images:
        nearness = {
            name: _near(vectors, [one.path for one in images if one.identity == name and one != probe], probe.path)
            for name in {image.identity for image in images}
        }
        right += max(nearness, key=lambda name: nearness[name]) == probe.identity
    assert evaluation.rank1 == pytest.approx(right / 24)
    assert 0 < right < 24


def _near(vectors: dict[Path, np.ndarray], references: list[Path], probe: Path) -> float:
    centre = np.sum([vectors[path] for path in references], axis=0)
    return float(centre @ vectors[probe] / np.linalg.norm(centre))


def test_an_image_without_a_face_is_a_non_match_in_the_balanced_accuracy():
    """One image of ten shows no face: a tenth of the mated attempts is wrong, and none of the others."""
    images, seen = people(5, 2, 0.01)
    seen[images[0].path] = Seen(why="no face was found")
    said = evaluate_identities(images, seen, policy(similarity=0.9), SPACE, resamples=20).as_dict()
    assert said["failures_to_acquire"] == 1
    assert said["accuracy_best"] == pytest.approx(0.95)


def test_one_person_is_too_few():
    images, seen = people(1, 3, 0.1)
    with pytest.raises(BadInput, match="two people at least with a face in them, got 1"):
        evaluate_identities(images, seen, policy(), SPACE)


def test_the_page_says_what_failed_and_no_file_name_becomes_markup():
    evil = Path("<script>x")
    seen = {**SEEN, evil: Seen(why="image-undecodable: <b>")}
    evaluation = evaluate_pairs([*PAIRS, Pair(evil, Path("a1"), False)], seen, policy(), SPACE, resamples=20)
    page = evaluation_html(evaluation, "Pairs", NOW)
    assert "<script" not in page
    assert "&lt;script&gt;x" in page
    assert "1 pairs were left out" in page
    assert page.count("<svg") == 2
    for word in ("src=", "href=", "url(", "@import"):
        assert word not in page


async def test_files_are_looked_at_once_each_in_batches_and_what_they_lack_is_an_outcome(tmp_path):
    paths = []
    for number in range(BATCH + 3):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(png(picture([1, number, 0, 0, 0, 0, 0, 0])))
    broken, faceless, gone = tmp_path / "broken.png", tmp_path / "faceless.png", tmp_path / "gone.png"
    broken.write_bytes(b"no image")
    faceless.write_bytes(png(picture([1] * 8, faces=0)))
    examiner, told = StubExaminer(), []

    seen = await acquire(
        [*paths, broken, faceless, gone, paths[0]], examiner, lambda done, total: told.append((done, total))
    )

    assert [len(call) for call in examiner.calls] == [BATCH, 5]
    assert told == [(BATCH, BATCH + 6), (BATCH + 6, BATCH + 6)]
    assert set(failures(seen)) == {str(broken), str(faceless)}
    assert failures(seen)[str(broken)].startswith("image-undecodable")
    assert missing(seen) == {str(gone): "cannot be read: No such file or directory"}
    assert seen[paths[0]].face is not None


async def test_of_a_face_only_what_is_compared_is_kept_and_that_in_32_bit_floats(tmp_path):
    """A thousand portraits would be 50 MB; and limits must not rest on a first look by which nothing is decided."""
    file = tmp_path / "a.png"
    file.write_bytes(png(picture([1, 2, 0, 0, 0, 0, 0, 0])))
    (exact,) = await StubExaminer().examine([file.read_bytes()])
    assert isinstance(exact, Sighting)
    assert exact.largest is not None
    portrait, features = np.zeros((126, 126, 3), np.uint8), np.ones(1792, np.float32)
    whole = replace(exact, largest=replace(exact.largest, portrait=portrait, features=features))

    rough = await acquire([file], StubExaminer(error=0.1))
    kept = await acquire([file], StubExaminer(answers={file.read_bytes(): whole}))

    for seen in (rough[file].face, kept[file].face):
        assert seen is not None
        assert (seen.rough, seen.portrait, seen.features) == (None, None, None)
        np.testing.assert_array_equal(seen.embedding, exact.largest.embedding)


async def test_a_file_that_is_larger_than_any_image_may_be_is_not_read(tmp_path):
    huge, pipe, examiner = tmp_path / "huge.png", tmp_path / "pipe.png", StubExaminer()
    huge.touch()
    os.truncate(huge, 1 << 40)
    os.mkfifo(pipe)

    seen = await acquire([huge, pipe], examiner)

    assert examiner.calls == []
    assert failures(seen) == {str(huge): f"image-too-large: {1 << 40} bytes; allowed are {IMAGE_BYTES}"}
    assert missing(seen) == {str(pipe): "cannot be read: Not a regular file"}
