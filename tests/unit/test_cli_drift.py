"""``likeness drift show`` on a ledger: what it prints for people and for programs."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from streams.adapters.ledger.charts.book import SqlChartBook
from streams.adapters.ledger.clips.book import SqlClipBook
from streams.adapters.ledger.database import Database
from streams.cli.main import main
from streams.cli.terminal.output import page
from streams.cli.wiring.plan import drift_plan
from streams.ports import Monitoring
from streams.settings import Settings
from streams.steps import monitor
from streams.testing.examiner import STUB_SPACE
from streams.testing.gallery import InMemoryGallery
from streams.testing.messages import message
from streams.testing.services import FrozenClock
from streams.testing.verdicts import judged
from streams.topics import SAMPLES_ACCEPTED


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger with eight steps of a training run, of which the last four are much worse, and one other sample."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("LIKENESS_LEDGER", url)
    monkeypatch.setenv("LIKENESS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LIKENESS_DRIFT_CALIBRATION", "20")
    monkeypatch.setenv("LIKENESS_DRIFT_WINDOWS_BETWEEN_FALSE_ALARMS", "10")
    monkeypatch.setenv("LIKENESS_DRIFT_CHARTS", "1")
    samples = [
        judged(
            number,
            kind="training",
            source="run-1",
            step=number // 12,
            similarity=(0.7 if number < 60 else 0.2) + 0.001 * (number % 12),
        )
        for number in range(144)
    ]

    async def fill() -> None:
        database, plan = Database(url), drift_plan(Settings())
        await database.open()
        gallery = InMemoryGallery(STUB_SPACE)
        clips = SqlClipBook(database, quiet=timedelta(seconds=60))
        services = Monitoring(SqlChartBook(database, plan), clips, gallery, plan, FrozenClock())
        one = judged(1000, similarity=0.7)
        await monitor([message(each, topic=SAMPLES_ACCEPTED) for each in [*samples, one]], services)
        await database.close()

    asyncio.run(fill())


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drift", "show", *arguments])
    assert not ended.value.code


def test_programs_get_every_point_and_every_alert_and_the_plan(ledger, capsys):
    run("--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["plan"]["calibration"] == 20
    charts = {one["kind"]: one for one in shown["charts"]}
    assert sorted(charts) == ["identity", "model", "run"]
    run_chart = charts["run"]
    assert run_chart["calibration"]["scores"] == 24
    assert [one["step"] for one in run_chart["points"]] == list(range(2, 11))
    assert set(run_chart["points"][0]) == {"step", "samples", "z", "ewma", "fall", "rise", "shift"}
    (alert,) = run_chart["alerts"]
    assert (alert["statistic"], alert["since_step"], alert["active"]) == ("fall", 5, True)
    assert [one["advice"] for one in run_chart["steps"]][-1] == "stop"
    assert charts["identity"]["calibration"] is None


def test_people_see_where_each_chart_stands_and_a_runs_steps(ledger, capsys, monkeypatch):
    monkeypatch.setattr(page, "width", 80)
    run("--run", "run-1")
    shown = capsys.readouterr().out
    assert "run run-1" in shown
    assert "fall since step 5" in shown
    numbers, _, reasons = shown.partition("step samples ")[2].partition("\nsteps ")
    assert "\N{HORIZONTAL ELLIPSIS}" not in numbers  # eighty characters are enough for it
    assert max(map(len, numbers.splitlines())) <= 80
    assert "stop, similarity 0." in reasons
    assert "standard errors, 3 steps long" in reasons


def test_the_group_alone_shows_every_chart(ledger, capsys):
    run("--json")
    shown = capsys.readouterr().out

    with pytest.raises(SystemExit) as ended:
        main(["drift", "--json"])

    assert not ended.value.code
    assert capsys.readouterr().out == shown


def test_an_option_in_the_wrong_place_is_told_where_it_goes(ledger, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["drift", "--json", "show"])
    assert ended.value.code == 2
    assert "`likeness drift show --json`" in capsys.readouterr().err


def test_only_charts_with_an_alert_are_shown_where_asked(ledger, capsys):
    run("--alerts", "--json")
    assert [one["run_id"] for one in json.loads(capsys.readouterr().out)["charts"]] == ["run-1"]


def test_a_name_without_a_chart_is_told(ledger, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["drift", "show", "--identity", "nobody"])
    assert ended.value.code == 2
    assert "no chart of identity 'nobody'" in capsys.readouterr().err


def baseline(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["drift", "baseline", *arguments])
    return int(ended.value.code or 0)


def test_a_baseline_is_set_for_a_model_and_for_each_person_by_it(ledger, capsys):
    assert baseline("--model", "face_gan", "--since", "2030-01-01T00:00", "--json") == 2
    assert "expected a change that has been made" in capsys.readouterr().err
    assert baseline("--model", "face_gan", "--since", "2026-01-01T00:01", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done == {"baseline": "2026-01-01T00:05:00+00:00", "charts": ["face_gan", "face_gan@1 anna"], "cleared": 0}
    run("--json")
    shown = {one["kind"]: one["baseline"] for one in json.loads(capsys.readouterr().out)["charts"]}
    assert shown == {"identity": done["baseline"], "model": done["baseline"], "run": None}


def test_a_baseline_of_nothing_is_told(ledger, capsys):
    assert baseline("--model", "other") == 2
    assert "no chart of model 'other'" in capsys.readouterr().err


def test_charts_to_which_nothing_comes_are_deleted_where_that_is_asked_for(ledger, capsys):
    def prune(*arguments: str) -> list[str]:
        with pytest.raises(SystemExit) as ended:
            main(["drift", "prune", "--json", *arguments])
        assert not ended.value.code
        return json.loads(capsys.readouterr().out)["charts"]

    assert prune("--idle", "2029-01-01") == []
    served = ["face_gan", "face_gan@1 anna"]  # what was said of the run is not delivered yet
    assert prune("--idle", "2031-01-01", "--dry-run") == served
    assert prune("--idle", "2031-01-01") == served
    assert prune("--idle", "2031-01-01") == []
