"""What ``ports.Erasures`` promises of charts: nothing of whoever was forgotten, and those of others as they were."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.erasures import SqlErasures
from streams.core.drift.book import turn
from streams.core.erasure import Erasure
from tests.charted import BEGIN, PEOPLE, PLAN, Bench, gallery_of, generated, observations, trained

AT = datetime(2030, 1, 2, tzinfo=UTC)
TOGETHER = trained(run="of-both", people=PEOPLE)
ALONE = trained(run="of-anna", people=("anna",))


@pytest.fixture
async def bench(database: Database) -> Bench:
    return Bench(database, await gallery_of([*generated(), *TOGETHER, *ALONE]))


@pytest.fixture
def erasures(database: Database) -> SqlErasures:
    return SqlErasures(database)


async def forgotten(erasures: SqlErasures, identity: str = "anna") -> Erasure:
    erasure = await erasures.begin(identity, at=AT)
    await erasures.rename(erasure, identity, at=AT)
    await erasures.unchart(erasure, identity)
    return erasure


async def named(erasures: SqlErasures) -> dict[str, int]:
    """Where the name still stands, but for longer words."""
    return dict((await erasures.left("anna")).places)


def numbers(chart: dict[str, Any]) -> dict[str, Any]:
    """Return what a chart shows, but for the samples that its alerts name."""
    return {**chart, "calibration": None, "alerts": [{**one, "moved_by": None} for one in chart["alerts"]]}


def movers(charts: Sequence[dict[str, Any]]) -> set[str]:
    return {moved["identity"] for chart in charts for alert in chart["alerts"] for moved in alert["moved_by"]}


async def test_nothing_of_a_person_is_in_any_chart_and_those_of_others_are_as_they_were(
    bench: Bench, erasures: SqlErasures
):
    await bench.read([*generated(), *TOGETHER, *ALONE])
    before = await bench.charts()
    assert movers(before) == {"anna", "bert"}
    assert {place.partition(".")[0] for place in await named(erasures)} == {
        *("drift_chart", "drift_scope", "drift_sample"),
        *("drift_point", "drift_notice", "drift_outbox"),
    }

    erasure = await forgotten(erasures)

    assert await named(erasures) == {}
    after = await bench.charts()
    others = [one for one in before if one["identity"] != "anna" and one["run_id"] != "of-anna"]
    assert [numbers(one) for one in after] == [numbers(one) for one in others]
    assert movers(after) == {"bert"}
    [of_bert] = [one for one in before if one["identity"] == "bert"]
    assert of_bert in after
    noted = json.loads(await bench.database.transact(_inventory))["counts"]
    assert noted["charted samples"] == len(generated()) // 2 + len(TOGETHER) // 2 + len(ALONE)
    await erasures.unchart(erasure, "anna")
    assert json.loads(await bench.database.transact(_inventory))["counts"] == noted
    assert await bench.charts() == after


def _inventory(connection: Any) -> str:
    return str(connection.exec_driver_sql("SELECT inventory FROM erasure").scalar())


async def test_old_verdicts_that_come_again_bring_nobody_back(bench: Bench, erasures: SqlErasures):
    everything = [*generated(), *TOGETHER, *ALONE]
    await bench.read(everything)
    await forgotten(erasures)
    after = await bench.charts()

    await bench.read(everything)

    assert await named(erasures) == {}
    assert await bench.charts() == after


async def test_charts_of_several_people_go_on_without_one_of_them(bench: Bench, erasures: SqlErasures):
    first = [*generated()[:360], *(one for one in TOGETHER if (one.step or 0) < 900)]
    rest = [*generated()[360:], *(one for one in TOGETHER if (one.step or 0) >= 900)]
    await bench.read(first)
    await forgotten(erasures)
    before = {(one["kind"], one["identity"]): len(one["points"]) for one in await bench.charts()}

    await bench.read(rest)

    after = {(one["kind"], one["identity"]): len(one["points"]) for one in await bench.charts()}
    assert before.keys() == after.keys() == {("identity", "bert"), ("model", None), ("run", None)}
    assert all(after[which] > before[which] for which in before)
    assert await named(erasures) == {}


async def test_a_late_sample_of_others_draws_their_charts_anew(bench: Bench, erasures: SqlErasures):
    """It comes into the calibration, so that everything is drawn from the samples that are left."""
    verdicts = generated()
    await bench.read([*verdicts[:11], *verdicts[12:]])
    await forgotten(erasures)
    await bench.read([verdicts[11]])
    shown = await bench.charts()
    assert movers(shown) == {"bert"}

    [of_model] = [one for one in shown if one["kind"] == "model"]
    assert of_model["calibration"]["scores"] >= PLAN.calibration
    assert sum(point["samples"] for point in of_model["points"]) <= len(verdicts) // 2
    assert await named(erasures) == {}


async def test_of_a_step_of_fewer_than_five_samples_nothing_stays_that_was_measured_with_the_person(
    bench: Bench, erasures: SqlErasures
):
    """Such means are hardly of more than one person; those of five and more say nothing of any."""
    both = trained(run="few", each=4, people=PEOPLE)
    many = trained(run="many", each=5, people=PEOPLE)
    mixed = trained(run="mixed", each=4, people=("bert",))
    mixed[12] = mixed[12].model_copy(update={"identity": "anna"})
    await bench.read([*both, *many, *mixed])
    before = await _steps(bench)

    await forgotten(erasures)

    after = await _steps(bench)
    assert after["few"] == {}
    assert after["many"] == before["many"]
    assert after["mixed"] == {step: told for step, told in before["mixed"].items() if step != mixed[12].step}
    assert {len(before[run]) for run in ("few", "many", "mixed")} == {12}
    kept = await bench.database.transact(_told_of_steps)
    assert {(run, step) for run, step in kept} == {(run, step) for run, steps in after.items() for step in steps}
    await bench.read([*both, *many, *mixed])
    assert {run: set(steps) for run, steps in (await _steps(bench)).items()} == {
        run: set(steps) for run, steps in after.items()
    }


async def _steps(bench: Bench) -> dict[str, dict[int, Any]]:
    charts = [one for one in await bench.charts() if one["run_id"]]
    return {one["run_id"]: {step["step"]: step for step in one["steps"]} for one in charts}


def _told_of_steps(connection: Any) -> list[tuple[str, int]]:
    told = connection.exec_driver_sql("SELECT value FROM drift_outbox WHERE topic = 'training.feedback'").scalars()
    bodies = [json.loads(bytes(one)) for one in told]
    return [(one["run_id"], one["step"]) for one in bodies]


@pytest.mark.parametrize("note", [True, False])
async def test_what_is_told_later_names_nobody_who_was_forgotten(bench: Bench, erasures: SqlErasures, note: bool):
    await bench.read(generated(), note=note)
    assert any(one.get("identity") == "anna" for one in bench.messages())

    await forgotten(erasures)

    told = [record for _, record in await bench.book.untold(100)]
    assert len(told) == (0 if note else 2)  # of bert and of the model
    assert not any(b"anna" in (record.value or b"") for record in told)


async def test_a_page_of_before_is_turned_in_vain(bench: Bench, erasures: SqlErasures):
    await bench.read(generated()[:200])
    scopes = await bench.book.put(observations(generated()[200:]))
    pages = await bench.book.pages(scopes)
    assert len(pages) == 3
    await forgotten(erasures)

    assert not await bench.book.turn([turn(page, PLAN, {}, {}) for page in pages], at=BEGIN)

    assert await named(erasures) == {}
