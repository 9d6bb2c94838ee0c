"""What a report holds of a replay: bounded, whatever its size, and the same whatever the order of its samples."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.ledger.erasures import SqlErasures
from streams.core.replay.codes import mask
from streams.events import ReasonCode
from streams.ports import Services
from streams.testing.services import policy
from streams.tools.recording.reader import Recording
from streams.tools.replay import charts
from streams.tools.replay.curves import steps
from streams.tools.replay.fewest import SAMPLE, Fewest, Samples
from streams.tools.replay.gathered import CARDS, MOST_EMBEDDINGS, Gathered, Gatherer, kind_of
from streams.tools.replay.groups import MOST_GROUPS, Groups
from streams.tools.replay.regate import COLUMNS, regate
from streams.tools.replay.report import write_report
from streams.tools.replay.result import Changes
from streams.tools.replay.standing import Standing, as_now, as_recorded
from tests.bench.pandas_pass import COLUMNS as PANDAS_COLUMNS
from tests.bench.recordings import A_PART, AFTER, BEGAN, recording_of
from tests.recorded import recorded, trained

STRICT = policy(similarity=0.9)


@pytest.fixture
async def recording(services: Services, tmp_path: Path) -> Recording:
    await recorded(tmp_path / "recording", services, await trained(services))
    return Recording(tmp_path / "recording")


def gathered(recording: Recording, standing: Standing) -> Gathered:
    gatherer = Gatherer(recording)
    regate(recording, STRICT, standing, seen=gatherer)
    return gatherer.gathered()


def samples(drawn: list[tuple[int, int]]) -> Samples:
    """Samples of these groups, each with an id made of the other number."""
    found = np.zeros(len(drawn), dtype=SAMPLE)
    found["group"] = [group for group, _ in drawn]
    found["sample_id"] = [f"{number:032x}".encode() for _, number in drawn]
    return found


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 10**9)), unique_by=lambda one: one[1], max_size=60),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_the_samples_with_the_smallest_ids_of_each_group_are_kept(
    drawn: list[tuple[int, int]], most: int, together: int
):
    fewest = Fewest(4, most)
    for start in range(0, len(drawn), together):
        fewest.add(samples(drawn[start : start + together]))
        if start % 2:
            fewest.kept()  # as when many are pending

    kept = [(int(one["group"]), int(one["sample_id"], 16)) for one in fewest.kept()]

    of_each = [sorted(number for group, number in drawn if group == here)[:most] for here in range(4)]
    assert kept == [(here, number) for here, numbers in enumerate(of_each) for number in numbers]


def test_changes_are_written_as_canonical_json_in_the_order_of_their_ids_however_many():
    ids = np.array([f"{number * 7919 % 25_000:032x}".encode() for number in range(25_000)])
    before, after = np.zeros(len(ids), np.uint16), np.zeros(len(ids), np.uint16)
    after[::3] = mask([ReasonCode.LEAK, ReasonCode.MISMATCH])
    whole = Changes.of([(ids[:9000], before[:9000], after[:9000]), (ids[9000:], before[9000:], after[9000:])])

    written = "[" + "".join(whole.json()) + "]"

    found = json.loads(written)
    assert [one["sample_id"] for one in found] == sorted(ids.astype(str).tolist())
    assert found[0] == {"sample_id": "0" * 32, "before": [], "after": ["leak", "mismatch"]}
    assert written == json.dumps(found, sort_keys=True, separators=(",", ":"))
    assert [one.sample_id for one in whole] == [one["sample_id"] for one in found]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ([], [ReasonCode.COPY, ReasonCode.LEAK], list(ReasonCode).index(ReasonCode.COPY)),
        ([ReasonCode.MISMATCH], [], len(ReasonCode) + list(ReasonCode).index(ReasonCode.MISMATCH)),
        ([ReasonCode.MISMATCH], [ReasonCode.LEAK], 2 * len(ReasonCode)),
    ],
)
def test_a_change_is_called_after_its_gravest_reason(before: list[ReasonCode], after: list[ReasonCode], kind: int):
    assert kind_of(np.array([mask(before)], np.uint16), np.array([mask(after)], np.uint16)).tolist() == [kind]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """More samples than a report shows, of as many steps as there are parts."""
    folder = tmp_path_factory.mktemp("long")
    recording_of(folder, 3 * A_PART + 1)
    return Recording(folder)


def test_of_a_long_recording_a_report_holds_some_samples_of_each_step_and_counts_them_all(long: Recording):
    gatherer = Gatherer(long)
    replayed = regate(long, AFTER, as_recorded(long, BEGAN), seen=gatherer)

    found = gatherer.gathered()

    assert found.sums.samples.tolist() == [A_PART] * 3 + [1]
    assert [sum(one.group == group for one in found.embedded) for group in range(4)] == [MOST_EMBEDDINGS] * 3 + [1]
    assert (found.kinds.sum(), len(found.changed)) == (replayed.tally.changed, CARDS * np.count_nonzero(found.kinds))
    known = {one.sample_id: one for one in replayed.changes}
    assert all(
        (known[one.sample_id].before, known[one.sample_id].after) == (one.before, one.after) for one in found.changed
    )
    step = steps(found, long.references, long.names())[0]
    assert step.accepted_before is not None
    assert (step.at, step.samples, step.accepted_after < step.accepted_before) == (0, A_PART, True)
    of_step = long.table(long.parts[0], ["similarity"])["similarity"].to_numpy()
    assert step.similarity_before == pytest.approx(of_step.mean(), abs=1e-9)


def test_pandas_reads_the_columns_that_a_regate_reads():
    assert set(PANDAS_COLUMNS) == set(COLUMNS)


async def test_neighbouring_steps_are_one_point_where_there_are_more_than_a_chart_shows(
    services: Services, tmp_path: Path
):
    await recorded(tmp_path / "recording", services, await trained(services, steps=MOST_GROUPS + 50, each=1))
    recording = Recording(tmp_path / "recording")

    found = gathered(recording, as_recorded(recording, services.now()))

    groups = Groups.of(recording)
    assert (len(groups), groups.merged, groups.title(0), groups.title(MOST_GROUPS - 1)) == (
        MOST_GROUPS,
        True,
        "step 0–100",
        f"step {100 * (MOST_GROUPS + 49)}",
    )
    over_steps = steps(found, recording.references, {"anna"})
    assert (len(over_steps), sum(one.samples for one in over_steps)) == (MOST_GROUPS, MOST_GROUPS + 50)
    assert len(charts.charts(over_steps, "step")) >= 2


async def test_nobody_is_shown_who_withdrew_or_was_forgotten_since(
    recording: Recording, services: Services, database, ledger, consent, tmp_path: Path
):
    await consent.withdraw("anna", at=services.now(), note="a test")
    erasures = SqlErasures(database)
    await erasures.rename(await erasures.begin("bert", at=services.now()), "bert", at=services.now())
    standing = await as_now(recording, ledger, consent, services.now())
    gatherer = Gatherer(recording)
    replayed = regate(recording, STRICT, standing, seen=gatherer)

    found = gatherer.gathered()
    write_report(tmp_path / "replay.html", recording, replayed, found, standing.shown(recording.references), [])

    assert replayed.tally.by_reason[ReasonCode.NO_CONSENT].gained == 60
    assert found.embedded == ()
    assert [one.image_sha256 for one in found.changed] == [None] * (CARDS + 1)  # one was flagged before
    page = (tmp_path / "replay.html").read_text()
    assert ("<img" in page, "The embedding space" in page, page.count("no picture")) == (False, False, CARDS + 1)
    assert {one.identity for one in standing.shown(recording.references)}.isdisjoint({"anna", "bert"})
    agreed = as_recorded(recording, datetime(2030, 1, 1, 12, tzinfo=UTC))
    assert {one.identity for one in agreed.shown(recording.references)} >= {"anna"}
