"""Recordings: what belongs to them, that they are whole after any kill, and that anything reads them."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.adapters.ledger.erasures import SqlErasures
from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.measurement import Measurement
from streams.core.replay.codes import mask
from streams.core.replay.rule import consents, regate
from streams.core.similarity import similarity
from streams.core.subject import judged as subject_of
from streams.errors import BadInput
from streams.events import SampleJudged
from streams.ports import Services
from streams.testing.interruption import Interrupted
from streams.testing.services import policy
from streams.testing.verdicts import judged
from streams.tools.recording import manifest as manifests
from streams.tools.recording.reader import Recording, verdicts
from streams.tools.recording.rows import Row, samples
from tests.measured import limits, measurements
from tests.recorded import ANNA, START_MS, VERDICTS, recorded, trained


async def test_a_recording_says_what_was_judged_and_pandas_reads_it_in_one_line(services: Services, tmp_path: Path):
    source = await trained(services)

    held = await recorded(tmp_path / "recording", services, source)

    table = pd.read_parquet(tmp_path / "recording" / "samples")
    assert (held.complete, held.rows, len(table), table["sample_id"].nunique()) == (True, 60, 60, 60)
    said = {one.sample_id: one for one in (SampleJudged.model_validate_json(text) for text in table["verdict"])}
    for row in table.itertuples():
        verdict = said[row.sample_id]
        assert (row.similarity, row.decision, row.step) == (verdict.similarity, verdict.decision.value, verdict.step)
        assert list(row.reasons) == [reason.code.value for reason in verdict.reasons]
        image = tmp_path / "recording" / "images" / row.image_sha256[:2] / row.image_sha256
        assert hashlib.sha256(image.read_bytes()).hexdigest() == row.image_sha256
        assert similarity(row.embedding, ANNA.astype(np.float32)) == row.similarity
    assert held.policies == {services.policy.version: 60}
    assert held.gallery is not None
    assert held.gallery.version == await services.gallery.version()
    assert held.galleries == {held.gallery.version: 60}
    people = pd.read_parquet(tmp_path / "recording" / "identities.parquet").set_index("identity")
    assert people["consent"].to_dict() == {"anna": "granted", "bert": "granted", "carl": "missing", "vip": "granted"}
    assert people["protected"].to_dict() == {"anna": False, "bert": False, "carl": False, "vip": True}
    # carl agrees to nothing: nobody's pictures of him are recorded.
    assert set(pd.read_parquet(tmp_path / "recording" / "references.parquet")["identity"]) == {"anna", "bert", "vip"}


async def test_a_selection_bounds_what_is_recorded(services: Services, tmp_path: Path):
    source = await trained(services)
    places = {raw.time_ms: raw for name in VERDICTS for raw in source.raws.get(name, [])}
    times = sorted(places)

    of_steps = await recorded(tmp_path / "steps", services, source, run="run-1", first_step=200, last_step=300)
    of_nobody = await recorded(tmp_path / "run", services, source, run="run-2")
    since, until = (pd.Timestamp(times[place], unit="ms", tz="UTC").to_pydatetime() for place in (5, 9))
    of_time = await recorded(tmp_path / "time", services, source, since=since, until=until)

    assert set(pd.read_parquet(tmp_path / "steps" / "samples")["step"]) == {200, 300}
    assert (of_steps.rows, of_nobody.rows, of_time.rows) == (12, 0, 4)
    assert of_nobody.counts["not-selected"] == 60
    assert times[0] > START_MS


async def test_the_topic_of_samples_gives_the_same_rows_as_that_of_their_verdicts(services: Services, tmp_path: Path):
    source = await trained(services)

    await recorded(tmp_path / "verdicts", services, source)
    await recorded(tmp_path / "samples", services, source, topics=(topics.TRAINING_SAMPLES.name,))

    one, other = (pd.read_parquet(tmp_path / name / "samples") for name in ("verdicts", "samples"))
    same = [name for name in one.columns if name not in ("topic", "offset", "time", "reasons", "embedding")]
    same = [name for name in same if not name.startswith("others")]
    ordered = [each.sort_values("sample_id")[same].reset_index(drop=True) for each in (one, other)]
    pd.testing.assert_frame_equal(*ordered)


def files_in(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("killed_after", [0, 1, 16, 17, 40, 59])
async def test_a_recording_that_was_killed_goes_on_and_is_the_same(
    services: Services, tmp_path: Path, killed_after: int
):
    source = await trained(services)
    whole = await recorded(tmp_path / "whole", services, source)
    source.killed_after = killed_after
    with pytest.raises(Interrupted):
        await recorded(tmp_path / "again", services, source)
    unfinished = manifests.read(tmp_path / "again")
    source.killed_after = None
    for left_behind in ("samples/part-000099.parquet", "samples/.unfinished-1", "images/00/.unfinished-2"):
        (tmp_path / "again" / left_behind).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "again" / left_behind).write_bytes(b"half of")

    held = await recorded(tmp_path / "again", services, source)

    assert unfinished is not None
    assert not unfinished.complete
    assert held == whole
    assert files_in(tmp_path / "again") == files_in(tmp_path / "whole")


async def test_an_unfinished_recording_is_not_replayed(services: Services, tmp_path: Path):
    source = await trained(services, steps=1)
    source.killed_after = 3
    with pytest.raises(Interrupted):
        await recorded(tmp_path / "recording", services, source)

    with pytest.raises(BadInput, match="goes on"):
        Recording(tmp_path / "recording")


async def test_a_folder_with_something_else_is_left_alone(services: Services, tmp_path: Path):
    source = await trained(services, steps=1)
    await recorded(tmp_path / "recording", services, source)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")

    with pytest.raises(BadInput, match="something else"):
        await recorded(tmp_path / "other", services, source)
    with pytest.raises(BadInput, match="another part"):
        await recorded(tmp_path / "recording", services, source, run="run-1")
    with pytest.raises(BadInput, match="likeness record"):
        Recording(tmp_path / "other")


async def test_whoever_was_forgotten_is_not_recorded(services: Services, database, tmp_path: Path):
    source = await trained(services, steps=2)
    erasures = SqlErasures(database)
    erasure = await erasures.begin("anna", at=services.now())
    await erasures.rename(erasure, "anna", at=services.now())

    held = await recorded(tmp_path / "recording", services, source)

    assert (held.rows, held.counts["erased"]) == (0, 12)
    files = [file.read_bytes() for file in (tmp_path / "recording").rglob("*") if file.is_file()]
    assert not (tmp_path / "recording" / "samples").exists()
    assert not (tmp_path / "recording" / "images").exists()
    assert files


async def test_without_consent_neither_image_nor_embedding_is_recorded(services: Services, tmp_path: Path):
    source = await trained(services, steps=2)
    await services.consent.withdraw("anna", at=services.now(), note="a test")

    held = await recorded(tmp_path / "recording", services, source)

    table = pd.read_parquet(tmp_path / "recording" / "samples")
    assert (held.rows, held.counts["without-consent"]) == (12, 12)
    assert table["embedding"].isna().all()
    assert not (tmp_path / "recording" / "images").exists()


async def test_a_record_that_comes_twice_or_is_none_is_one_sample_or_none(services: Services, tmp_path: Path):
    source = await trained(services, steps=2)
    held = source.raws[VERDICTS[0]]
    held.append(replace(held[0], offset=len(held)))
    held.append(replace(held[0], offset=len(held), value=b"{}"))

    counts = (await recorded(tmp_path / "recording", services, source)).counts

    assert counts == {"read": 14, "repeated": 1, "unreadable": 1}


async def test_what_was_never_judged_is_recorded_as_it_is(
    services: Services, fresh_services: Callable[[], Awaitable[Services]], tmp_path: Path
):
    source = await trained(services, steps=1)

    asleep = await fresh_services()
    held = await recorded(tmp_path / "recording", asleep, source, topics=(topics.TRAINING_SAMPLES.name,))

    table = pd.read_parquet(tmp_path / "recording" / "samples")
    assert (held.rows, held.counts["undecided"]) == (6, 6)
    assert table["verdict"].isna().all()
    assert table["references"].isna().all()
    files = [file for file in (tmp_path / "recording" / "images").rglob("*") if file.is_file()]
    assert {file.name for file in files} >= set(table["image_sha256"])


rows = st.lists(st.tuples(measurements, st.sampled_from(Consent)), min_size=1, max_size=6)


@given(rows, limits)
def test_what_is_read_back_is_judged_as_what_was_measured(drawn: list[tuple[Measurement, Consent]], limits):
    verdict = judged()
    table = samples([Row("t", 0, 0, 0, subject_of(verdict), verdict, one, None) for one, _ in drawn])
    kept = policy().model_copy(update={"limits": limits})

    found = regate(verdicts(table).columns, limits, consents([consent for _, consent in drawn]))

    expected = [mask(reason.code for reason in decide(one, kept, consent).reasons) for one, consent in drawn]
    assert found.tolist() == expected


async def test_a_manifest_of_another_release_is_refused_in_words(services: Services, tmp_path: Path):
    await recorded(tmp_path / "recording", services, await trained(services, steps=1))
    path = tmp_path / "recording" / manifests.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))

    with pytest.raises(BadInput, match="version"):
        Recording(tmp_path / "recording")
