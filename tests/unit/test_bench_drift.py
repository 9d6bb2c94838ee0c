"""``make drift`` on laws that need no network: what it measures is what it promises, and what it writes repeats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.core.drift.run_length import cusum_arl
from streams.errors import BadInput
from streams.settings import Settings
from tests.bench.drift import pool
from tests.bench.drift.__main__ import Size, measured
from tests.bench.drift.known import ONSET
from tests.bench.drift.page import BEGIN, END, publish, tables
from tests.bench.drift.pool import IN_CONTROL, RUNGS, SCORES, lacking
from tests.bench.drift.promise import Law, delay

#: Standard errors. The seed is fixed: this either holds for ever or never.
FAR = 3


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    # Skewed like similarities, and lower the farther one has wandered.
    lost = {IN_CONTROL: 1.0, 0.12: 1.35, 0.20: 2.4}
    pools = {at: np.round(1e4 - 1e4 * rng.beta(1.5, 12, 3000) * far).astype(np.int64) for at, far in lost.items()}
    return measured(pools, Size(arl=40, streams=200, estimated_streams=25), lambda _: None)


def test_false_alarms_in_control_are_as_rare_as_was_chosen(result):
    assert result["arl0_promised"] == 40
    assert abs(result["arl0_measured"] - 40) < FAR * result["arl0_se"]


def test_a_drift_from_a_known_step_on_is_caught_within_the_promised_delay(result):
    for row in (*result["known"]["delays"].values(), result["known"]["in_control"]):
        assert row["measured"] < row["promised"] + FAR * row["se"]
    assert result["delay_measured"] > result["delay_promised"] / 2
    assert 0 < result["streams"] <= 200


def test_tables_of_fewer_scores_than_the_page_says_are_not_published():
    pools = {at: np.zeros(SCORES, dtype=np.int64) for at in (IN_CONTROL, *RUNGS)}
    assert lacking(pools) == []
    assert lacking(pools | {0.12: np.zeros(SCORES - 1, dtype=np.int64)}) == ["0.12"]
    assert lacking({IN_CONTROL: pools[IN_CONTROL]}) == ["0.11", "0.12", "0.15", "0.20"]


async def test_a_pool_that_was_broken_off_is_gone_on_with_and_one_that_is_full_is_taken_as_it_is(tmp_path: Path):
    settings = Settings(cache_dir=tmp_path)
    for at in (IN_CONTROL, *RUNGS):
        pool._write(pool._file(settings, at), [*range(700)])
    (tmp_path / "drift" / "killed.part").write_text("[1, 2")

    found = await pool.filled(settings, lambda _: None, scores=640)

    assert [scores.tolist() for scores in found.values()] == [[*range(640)]] * 5
    assert {at: len(scores) for at, scores in pool.at_hand(settings).items()} == dict.fromkeys(found, 700)


def test_muddled_input_gives_the_same_charts_and_alerts(result):
    assert result["replay_identical"]
    assert result["replay_alerts"] > 0


def test_the_limit_that_is_set_for_few_scores_keeps_the_promise_where_the_plain_one_does_not(result):
    for size in ("200", "1000"):
        plain, held = (result["estimated"][size][name] for name in ("plain", "set"))
        assert plain["keep_the_promise"] < 0.85 < held["keep_the_promise"]
        assert held["speak_within_it"] < plain["speak_within_it"]
        assert held["delay"] > plain["delay"]


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (-0.5, 1.0), (-1.0, 1.2)])
def test_the_promise_for_a_law_that_stays_is_the_tables_run_length(mean, sd):
    table = cusum_arl(4, k=0.5, mean=-mean, sd=sd)
    assert delay(Law(0, 1), 0, [Law(mean, sd)], limit=4, k=0.5) == pytest.approx(table, rel=1e-6)


def test_a_chart_that_has_run_for_a_while_is_promised_to_speak_sooner_than_one_that_begins():
    drift = [Law(-0.5, 1)]
    assert delay(Law(0, 1), ONSET, drift, limit=4, k=0.5) < delay(Law(0, 1), 0, drift, limit=4, k=0.5)


def test_the_tables_go_between_the_markers_and_nothing_else_of_the_page_changes(result, tmp_path: Path):
    page = tmp_path / "DRIFT.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    publish(json.loads(json.dumps(result)), page)
    assert page.read_text() == f"before\n{BEGIN}\n{tables(result)}\n{END}\nafter\n"
    page.write_text("no place")
    with pytest.raises(BadInput, match="put them where the tables go"):
        publish(result, page)
