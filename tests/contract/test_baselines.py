"""A new baseline: what was before it counts no more, and is neither lost nor told differently."""

from datetime import timedelta
from typing import Any

import pytest

from streams.adapters.ledger.charts.baseline import Rebased, set_baseline
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.erasures import SqlErasures
from tests.charted import BEGIN, PLAN, Bench, gallery_of, generated, trained

#: Similarity falls after 200 of 420 samples, one every ten seconds, of two people in turn: 300 seconds before the
#: change is said to have been made, in the middle of a window.
SAID = BEGIN + timedelta(seconds=2300)
SINCE = BEGIN + timedelta(minutes=39)
AT = BEGIN + timedelta(days=1)


@pytest.fixture
async def bench(database: Database) -> Bench:
    return Bench(database, await gallery_of([*generated(), *trained()]))


async def rebase(bench: Bench, identity: str | None = None) -> Rebased:
    return await set_baseline(bench.database, PLAN, model="face_gan", identity=identity, since=SAID, at=AT)


def of(charts: list[dict[str, Any]], kind: str, identity: str | None = None) -> dict[str, Any]:
    (found,) = [one for one in charts if (one["kind"], one["identity"]) == (kind, identity)]
    return found


def before(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in points if one["from"] < SINCE.isoformat()]


async def test_alerts_on_what_was_before_are_cleared_and_what_came_to_stay_is_in_control(bench: Bench):
    verdicts = generated()
    await bench.read(verdicts[:300])
    old = of(await bench.charts(), "model")
    told = len(bench.told)

    done = await rebase(bench)
    await bench.read(verdicts[300:])

    assert (len(done.charts), done.cleared) == (3, 3)
    cleared = bench.messages()[told:]
    assert {(one["change"], one["active"], one["revision"]) for one in cleared} == {("cleared", False, 2)}
    assert len(cleared) == 3
    new = of(await bench.charts(), "model")
    assert (new["baseline"], new["alerts"][0]["cleared"][:19]) == (SINCE.isoformat(), SINCE.isoformat()[:19])
    assert before(new["points"]) == before(old["points"])
    after = new["points"][len(before(new["points"])) :]
    assert after
    assert max(point["fall"] for point in after) < new["limit"]
    assert after[0]["from"] > (SINCE + timedelta(seconds=60 * 8)).isoformat()  # fifty scores are gathered before


async def test_it_makes_no_difference_whether_the_baseline_comes_before_its_samples_or_after_them(bench, tmp_path):
    verdicts = generated()
    await bench.read(verdicts[:270])
    await rebase(bench)
    await bench.read(verdicts[270:])
    other = Database(f"sqlite:///{tmp_path}/other.db")
    await other.open()
    later = Bench(other, await gallery_of([*generated(), *trained()]))
    await later.read(verdicts)
    await rebase(later)
    await later.read(verdicts[-2:])  # the monitor turns pages when something comes
    ours, theirs = await bench.charts(), await later.charts()
    await other.close()

    for one, another in zip(ours, theirs, strict=True):
        assert [point for point in one["points"] if point["from"] >= SINCE.isoformat()]
        assert one["points"][-5:] == another["points"][-5:]
        assert one["calibration"] == another["calibration"]
        assert not [alert for alert in another["alerts"] if alert["active"]]


async def test_what_comes_late_for_before_the_baseline_changes_nothing(bench: Bench):
    verdicts = generated()
    late = verdicts[100]
    await bench.read([one for one in verdicts if one is not late])
    await rebase(bench)
    await bench.read(verdicts[-2:])
    shown, told = await bench.shown(), len(bench.told)

    await bench.read([late])

    assert (await bench.shown(), len(bench.told)) == (shown, told)


async def test_one_persons_baseline_leaves_everybody_elses_charts_and_runs_as_they_are(bench: Bench):
    await bench.read([*generated(), *trained()])
    held = await bench.charts()

    done = await rebase(bench, "anna")

    assert done.charts == ("face_gan@1 anna",)
    now = await bench.charts()
    assert [one for one in now if one["identity"] != "anna"] == [one for one in held if one["identity"] != "anna"]
    assert of(now, "identity", "anna")["baseline"] == SINCE.isoformat()


async def test_whoever_is_forgotten_is_taken_out_of_a_calibration_that_began_at_a_baseline(bench: Bench):
    await bench.read(generated())
    await rebase(bench)
    await bench.read(generated()[-1:])
    scores = of(await bench.charts(), "model")["calibration"]["scores"]
    erasures = SqlErasures(bench.database)
    erasure = await erasures.begin("anna", at=AT)
    await erasures.rename(erasure, "anna", at=AT)
    await erasures.unchart(erasure, "anna")

    assert of(await bench.charts(), "model")["calibration"]["scores"] == scores / 2


async def test_a_model_without_charts_has_no_baseline(bench: Bench):
    done = await set_baseline(bench.database, PLAN, model="face_gan", identity=None, since=SAID, at=AT)
    assert (done.charts, done.cleared) == ((), 0)
