"""The demonstration, as somebody runs it who has just installed Likeness."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import HANGS_SECONDS, Likeness, eventually


def test_the_short_demonstration_judges_counts_reports_and_leaves_nothing(likeness: Likeness):
    done = likeness("demo", "--quick", "--requests", "40", "--identities", "4", "--json")
    assert done.status == 0, done.err
    result = done.json
    assert likeness.processes() == []

    # 40 requests of one sample each, and five messages that are none.
    assert result["requested"] == 45 == result["accepted"] + result["flagged"] + result["dead"]
    assert result["dead"] == 5
    assert [result[name] for name in ("in_flight", "lost", "conflicting", "unread")] == [0, 0, 0, 0]
    assert result["balanced"]
    assert result["first_verdict_s"] > 0

    levels = {float(sigma): level for sigma, level in result["by_sigma"].items()}
    assert sorted(levels) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9]
    # One stranger and one whose consent was withdrawn are never made.
    assert result["never_made"] == {"samples": 2, "reasons": {"no-reference": 1, "no-consent": 1}}
    assert sum(level["samples"] for level in levels.values()) + 2 == 40
    assert sum(level["accepted"] for level in levels.values()) == result["accepted"]
    flagged = sum(sum(level["reasons"].values()) for level in levels.values()) + 2
    assert flagged == sum(result["reasons"].values()) == result["flagged"]
    # The samples wander off by design: the judge must see it.
    means = [levels[sigma]["mean_similarity"] for sigma in (0.0, 0.3, 0.5, 0.9)]
    assert means == sorted(means, reverse=True)
    assert levels[0.0]["accepted"] > levels[0.9]["accepted"]

    assert (result["families"], result["training"]) == ({}, None)
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 38
    assert "The trained families" not in page


def test_the_demonstration_asks_every_family_and_catches_a_training_run_that_breaks(likeness: Likeness):
    done = likeness("demo", "--requests", "20", "--identities", "6", "--json")
    assert done.status == 0, done.err
    result = done.json
    assert likeness.processes() == []

    # Every family was asked for three samples of each of four people, as like as it can make them.
    families = result["families"]
    assert sorted(families) == ["face_diffusion", "face_encoder_decoder", "face_identity_gan"]
    for made in families.values():
        assert made["samples"] == 12 == made["accepted"] + made["flagged"]
        assert made["abstained"] <= made["flagged"]
    # Nobody's faces but the target's come that near: strangers are around 0.2.
    assert families["face_encoder_decoder"]["mean_similarity"] > 0.5
    assert families["face_identity_gan"]["mean_similarity"] > 0.5

    training = result["training"]
    steps = training["feedback"]
    assert [one["step"] for one in steps] == [1000 * number for number in range(1, len(steps) + 1)]
    assert {one["samples"] for one in steps} == {12}
    assert all("reason" in one and -1 <= one["similarity"] <= 1 and 0 <= one["rank1"] <= 1 for one in steps)
    # The first twelve checkpoints are sound, and what broke is what was noticed.
    by_step = {one["step"]: one for one in steps}
    assert not any(by_step[1000 * number]["advice"] == "stop" for number in range(1, 13))
    stopped_at = training["stopped_at"]
    assert stopped_at > 12_000
    assert by_step[stopped_at]["advice"] == "stop"
    assert training["best_step"] < stopped_at
    assert by_step[training["best_step"]]["similarity"] > by_step[stopped_at]["similarity"]
    # The chart passed its limit where the alert says.
    [alert] = [one for one in training["alerts"] if one["statistic"] == "fall"]
    fall = {one["step"]: one["value"] for one in training["fall"]}
    assert next(step for step, value in fall.items() if value > training["limit"]) == alert["raised_step"] > 12_000
    assert fall[alert["raised_step"]] == alert["value"]

    # 20 requests of one sample each, five messages that are none, and all that was asked for beside them.
    assert result["requested"] == 25 + 36 + 12 * len(steps) == result["accepted"] + result["flagged"] + 5
    assert [result[name] for name in ("in_flight", "lost", "conflicting", "unread")] == [0, 0, 0, 0]
    assert sum(level["samples"] for level in result["by_sigma"].values()) + 2 == 20

    assert f"training step {stopped_at}: similarity" in done.err
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert f"The run was told to stop at step {stopped_at}" in page
    assert page.count('alt="source frame"') == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_ends_all_that_it_started(likeness: Likeness, tmp_path: Path, number: int):
    err = tmp_path / "err.txt"
    demo = likeness.start("demo", "--quick", "--requests", "5000", "--identities", "2", err=err)
    assert eventually(lambda: "published" in err.read_text() or demo.poll() is not None), err.read_text()
    demo.send_signal(number)
    assert demo.wait(90) == 128 + number
    assert likeness.processes() == []
    assert "interrupted" in err.read_text()
    assert "Traceback" not in err.read_text()


def test_an_interruption_while_the_parts_start_ends_them(likeness: Likeness, tmp_path: Path):
    err = tmp_path / "err.txt"
    demo = likeness.start("demo", "--quick", "--requests", "40", err=err)
    assert eventually(lambda: "starting" in err.read_text()), err.read_text()
    demo.send_signal(signal.SIGINT)
    assert demo.wait(90) == 128 + signal.SIGINT
    assert likeness.processes() == []
    assert "Traceback" not in err.read_text()


def test_nothing_outlives_a_demonstration_that_is_killed(likeness: Likeness, tmp_path: Path):
    err = tmp_path / "err.txt"
    demo = likeness.start("demo", "--requests", "20", "--identities", "2", err=err)
    begun = eventually(lambda: "training step" in err.read_text() or demo.poll() is not None, HANGS_SECONDS)
    assert begun, err.read_text()
    for running in ("kafka.Kafka", "families rehearse"):
        assert any(running in command for command in likeness.processes())
    demo.kill()
    demo.wait()
    # A leash gives its command 25 s at most, then kills it.
    assert eventually(lambda: not likeness.processes(), 60), likeness.processes()


def test_a_part_that_dies_ends_the_demonstration_and_is_named(likeness: Likeness, tmp_path: Path):
    err = tmp_path / "err.txt"
    demo = likeness.start("demo", "--quick", "--requests", "5000", "--identities", "2", err=err)
    assert eventually(lambda: "published" in err.read_text() or demo.poll() is not None), err.read_text()
    for process in psutil.Process(demo.pid).children(recursive=True):
        if "tritonserver" in process.name():
            os.kill(process.pid, signal.SIGKILL)
    assert demo.wait(90) == 1
    assert likeness.processes() == []
    assert "likeness: Triton ended with status" in err.read_text()
    assert "Traceback" not in err.read_text()
