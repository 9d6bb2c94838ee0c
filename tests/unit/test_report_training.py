"""The report's sections on the trained families and on a training run say what was measured, and nothing else."""

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from streams.events import DriftAlerted, NearReference, Reason, SampleJudged, TrainingAdvised
from streams.tools.report.page import ReportData, html, needed
from streams.tools.report.training import TrainingRun, charts

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
GAN, ENCODER_DECODER = "face_identity_gan", "face_encoder_decoder"


def png(colour: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(held, "PNG")
    return held.getvalue()


PICTURES = {
    hashlib.sha256(data).hexdigest(): data for data in map(png, ("red", "blue", "green", "white", "black", "grey"))
}
MADE, REFERENCE, FRAME, TRAINED, STOPPED, UNSHOWN = PICTURES


def judged(number: int, *codes: str, image: str = MADE, similarity: float | None = 0.7, **fields: Any) -> SampleJudged:
    body: dict[str, Any] = {
        "sample_id": f"{number:032x}",
        "kind": "generation",
        "source": "demo",
        "index": 0,
        "identity": "anna",
        "model": "face_gan",
        "strength": 0.5,
        "image": {"sha256": image, "size": 9},
        "decision": "flagged" if codes else "accepted",
        "reasons": tuple(Reason(code=code, text=f"because of {code}") for code in codes),
        "similarity": similarity,
        "nearest": (NearReference(reference_id="ref-1", identity="anna", similarity=0.9),),
        "limits": {"similarity": 0.6},
        "policy_version": "p@1",
        "judged_at": NOW,
    }
    return SampleJudged.model_validate(body | fields)


def said(step: int, similarity: float, advice: str = "continue", **fields: Any) -> TrainingAdvised:
    body = {"run_id": "run", "revision": 1, "complete": True, "reason": f"so it is at {step}", "best_step": 2000}
    figures = {"samples": 1, "accepted": 1, "flagged": {}, "measured": 1, "similarity_sd": 0.1, "rank1": 1.0}
    return TrainingAdvised.model_validate(
        {**body, **figures, "step": step, "similarity": similarity, "advice": advice, **fields}
    )


def alert(step: int) -> DriftAlerted:
    return DriftAlerted(
        alert_id="a" * 32,
        revision=1,
        change="raised",
        active=True,
        statistic="fall",
        kind="run",
        run_id="run",
        value=9.0,
        limit=6.5,
        since_step=step - 1000,
        raised_step=step,
        samples=20,
        moved_by=(),
        calibration=90,
        provisional=False,
        windows_between_false_alarms=100,
    )


RUN = TrainingRun(
    run_id="run",
    feedback=(
        said(1000, 0.70),
        said(2000, 0.72),
        said(3000, 0.65),
        said(4000, 0.50, "best-so-far"),
        said(5000, 0.30, "stop"),
        said(6000, 0.20, "stop"),
    ),
    alerts=(alert(4000),),
    fall=((3000, 2.0), (4000, 9.0), (5000, 12.0)),
    limit=6.5,
    calibrated_through=2000,
)
SAMPLES = (
    judged(1),
    judged(2, model=ENCODER_DECODER, request_id="framed", strength=0.0),
    judged(3, "no-face", model=GAN, request_id="plain", strength=0.0, similarity=None, nearest=()),
    judged(4, kind="training", model=GAN, step=1000, strength=None, image=UNSHOWN),
    judged(5, kind="training", model=GAN, step=2000, strength=None, image=TRAINED),
    judged(6, "mismatch", kind="training", model=GAN, step=5000, strength=None, similarity=0.3, image=STOPPED),
)


def report(**fields: Any) -> ReportData:
    data = ReportData(
        "A run",
        NOW,
        SAMPLES,
        references={"ref-1": REFERENCE},
        image=PICTURES.get,
        families={ENCODER_DECODER: "It takes a frame.", GAN: "It takes a seed.", "face_diffusion": "It was not asked."},
        enrolled={"anna": REFERENCE},
        frames={"framed": FRAME},
        training=RUN,
    )
    return replace(data, **fields)


def test_every_family_that_made_something_has_a_section_and_its_figures():
    page = html(report())
    assert page.index("It takes a frame.") < page.index("It takes a seed.")
    assert "It was not asked." not in page
    assert "1 of 1 accepted · mean similarity 0.70" in page
    assert "0 of 1 accepted" in page
    assert page.count('alt="source frame"') == 1


def test_samples_of_families_and_of_training_are_in_no_level_of_strength():
    page = html(report())
    assert 'href="#level-1"' in page
    assert "level-2" not in page
    assert "6 samples were checked" in page


def test_without_families_and_training_every_sample_is_among_the_others():
    plain = report(families={}, training=None)
    assert plain.others == list(SAMPLES)
    assert "The trained families" not in html(plain)
    assert "A training run" not in html(plain)


def test_the_images_that_are_needed_are_those_that_are_shown():
    assert needed(report()) == set(PICTURES) - {UNSHOWN}


def test_a_run_says_where_it_was_stopped_what_to_keep_and_when_the_alert_was_raised():
    page = html(report())
    assert "The run was told to stop at step 5000</b>: so it is at 5000." in page
    assert "<b>step 2000</b>" in page
    assert "raised at <b>step 4000</b>" in page
    assert "falling since step 3000" in page


def test_a_run_that_nobody_stopped_is_not_said_to_be_well():
    page = html(report(training=replace(RUN, feedback=RUN.feedback[:3], alerts=())))
    assert "never told to stop" in page
    assert "No alert was raised" in page


def test_the_first_word_to_stop_is_what_counts():
    assert RUN.stopped == RUN.feedback[4]
    assert RUN.best_step == 2000
    assert TrainingRun("run", (), (), (), 6.5, None).best_step is None


def test_the_chart_passes_its_limit_where_the_alert_was_raised():
    drawn = charts(RUN, SAMPLES[3:], 0.6)
    assert drawn is not None
    before, crossing, after = drawn.fall.dots
    assert drawn.fall.limit_y is not None
    assert before.y > drawn.fall.limit_y > crossing.y > after.y
    assert [dot.tone for dot in drawn.fall.dots] == ["accepted", "flagged", "flagged"]
    assert drawn.crossed_x == pytest.approx(crossing.x)
    assert drawn.best_x is not None
    assert drawn.stop_x is not None
    assert drawn.best_x < drawn.crossed_x < drawn.stop_x
    assert drawn.calibration is not None
    assert drawn.best_x < sum(drawn.calibration) < before.x


def test_everything_that_is_drawn_lies_within_the_drawing():
    feedback = tuple(said(1000 * place, -0.4 if place % 2 else 0.9) for place in range(40))
    drawn = charts(replace(RUN, feedback=feedback, fall=((39000, 400.0),)), SAMPLES, 0.6)
    assert drawn is not None
    for panel in (drawn.similarity, drawn.fall):
        points = [tuple(map(float, point.split(","))) for point in (panel.line + " " + panel.band).split()]
        points += [(dot.x, dot.y) for dot in panel.dots]
        assert all(drawn.left <= x <= drawn.right and drawn.top <= y <= drawn.bottom for x, y in points)
    assert len(drawn.x_ticks) <= 8


def test_there_is_no_chart_of_one_step():
    assert charts(replace(RUN, feedback=RUN.feedback[:1]), SAMPLES, 0.6) is None
