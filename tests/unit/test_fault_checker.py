"""The checker of the fault runs must be able to fail: each anomaly is built once by hand, and found by its name."""

import ast
import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from streams.tools.audit.records import Raw, derived, digest
from tests.delivered import delivered
from tests.faults.checker import check as checker
from tests.faults.checker.ends import End, Picture, end, place_id
from tests.faults.checker.expected import Demands
from tests.faults.checker.ledger import Ledger, Row
from tests.faults.checker.stores import image_fault, left_over, vector_fault
from tests.faults.checker.weigh import ANOMALIES, Findings, Scales
from tests.faults.manifest import Asked, Manifest, Poisoned, Trained

ACCEPTED, FLAGGED, DEAD = "samples.accepted", "samples.flagged", "dead.letters"
POLICY = "policy/1"
TIME_MS = 1_900_000_000_000
FIRST, SECOND = derived("generation", "shop", "r-1", 0), derived("generation", "shop", "r-1", 1)
TRAINED = derived("training", "run", 7, 0)
BROKEN = Poisoned("broken", "training.samples", "dead", ["not-json"], 2, 5, value_sha256="ab" * 32)
BROKEN_ID = place_id("training.samples", 2, 5, BROKEN.value_sha256)
#: Where nobody knows whether the message has arrived.
UNPLACED = replace(BROKEN, name="unplaced", partition=None, offset=None, value_sha256="cd" * 32)

MANIFEST = Manifest(
    "kafka",
    "ledger",
    "images",
    "milvus",
    "likeness",
    asked=[Asked("shop", "r-1", "anna", "gan", 2, acknowledged=True)],
    training=[Trained("run", 7, 0, "anna", "gan", acknowledged=True)],
    poison=[BROKEN, UNPLACED],
    policies=[POLICY],
)


def verdict(sample_id: str, topic: str = ACCEPTED, *, offset: int = 0, **fields: Any) -> Raw:
    """The record of a verdict, as it would be published."""
    flagged = topic == FLAGGED
    body = {
        "sample_id": sample_id,
        "decision": "flagged" if flagged else "accepted",
        "reasons": [{"code": "mismatch"}] if flagged else [],
        "policy_version": POLICY,
        "similarity": 0.8,
        "embedding_space": "stub/1",
        "image": {"sha256": "a" * 64, "size": 3},
    }
    return Raw(topic, 0, offset, sample_id.encode(), json.dumps(body | fields).encode(), (("ce_id", b"1"),), TIME_MS)


def letter(sample_id: str, reason: str = "not-json", source: tuple[str, int, int] = ("training.samples", 2, 5)) -> Raw:
    """A dead letter."""
    why = {"id": sample_id, "reason": reason}
    why |= dict(zip(("topic", "partition", "offset"), map(str, source), strict=True))
    headers = tuple((f"likeness.dlq.{name}", value.encode()) for name, value in why.items())
    return Raw(DEAD, 0, 0, None, b"?", headers, TIME_MS)


def row(raw: Raw, **fields: Any) -> Row:
    """The row whose end a record is."""
    ended = end(raw)
    state = {ACCEPTED: "accepted", FLAGGED: "flagged", DEAD: "dead"}[raw.topic]
    whole = Row(ended.sample_id, state, raw.topic, ended.value, ended.envelope, TIME_MS, 1, 2)
    return replace(whole, **fields)


GOOD = (verdict(FIRST), verdict(SECOND, FLAGGED), verdict(TRAINED), letter(BROKEN_ID))


def weigh(records, rows=None, *, manifest=MANIFEST, waiting=(), taken_back=()) -> Findings:
    """Weigh records against rows: by default those of which the records are the ends."""
    ledger = [row(record) for record in records] if rows is None else rows
    rows_by_id = {one.sample_id: one for one in ledger}
    scales = Scales(Demands(manifest), rows_by_id, policies=manifest.policies, taken_back=taken_back)
    for record in records:
        scales.see(end(record))
    return scales.settle(waiting)


def named(findings: Findings) -> dict[str, set[str]]:
    return {kind: set(found) for kind, found in findings.found.items() if found}


def without(record: Raw) -> list[Raw]:
    return [one for one in GOOD if one is not record]


def instead(record: Raw, other: Raw) -> list[Raw]:
    return [other if one is record else one for one in GOOD]


def test_a_clean_set_has_no_anomaly():
    findings = weigh(GOOD)
    assert named(findings) == {}
    assert findings.sound
    assert (findings.records, findings.duplicates) == (4, 0)
    assert Demands(MANIFEST).samples == MANIFEST.samples == 3


def test_a_record_that_comes_again_to_the_byte_is_a_duplicate_and_no_anomaly():
    findings = weigh([*GOOD, replace(GOOD[0], offset=9)], [row(one) for one in GOOD])
    assert (findings.sound, findings.duplicates) == (True, 1)


@pytest.mark.parametrize("held", [None, Row(FIRST, "in_flight")])
def test_a_sample_that_was_asked_for_and_has_no_end_anywhere_is_lost(held):
    rows = [row(one) for one in without(GOOD[0])] + ([held] if held else [])
    assert named(weigh(without(GOOD[0]), rows)) == {"lost": {FIRST}}


def test_an_end_that_the_ledger_notes_as_delivered_and_no_topic_has_is_lost_even_while_its_message_waits():
    findings = weigh(without(GOOD[0]), [row(one) for one in GOOD], waiting={FIRST})
    assert named(findings) == {"lost": {FIRST}}


@pytest.mark.parametrize("held", [None, Row(FIRST, "in_flight"), row(GOOD[0], published_at=None)])
def test_a_sample_without_an_end_whose_message_still_waits_is_unaccounted_for(held):
    rows = [row(one) for one in without(GOOD[0])] + ([held] if held else [])
    assert named(weigh(without(GOOD[0]), rows, waiting={FIRST})) == {"unaccounted": {FIRST}}


def test_a_request_that_no_broker_acknowledged_needs_no_end_but_may_have_one():
    unsure = replace(MANIFEST, asked=[replace(MANIFEST.asked[0], acknowledged=False)])
    assert named(weigh(GOOD[2:], manifest=unsure)) == {}
    assert named(weigh(GOOD, manifest=unsure)) == {}


def test_a_request_that_no_broker_acknowledged_and_the_ledger_has_must_end():
    unsure = replace(MANIFEST, asked=[replace(MANIFEST.asked[0], acknowledged=False)])
    rows = [*(row(one) for one in GOOD[2:]), Row(FIRST, "in_flight")]
    assert named(weigh(GOOD[2:], rows, manifest=unsure)) == {"lost": {FIRST}}


@pytest.mark.parametrize(
    "other",
    [
        verdict(FIRST, FLAGGED, offset=9),
        verdict(FIRST, offset=9, policy_version="policy/2"),
        verdict(FIRST, offset=9, judged_at="later"),
    ],
    ids=["decision", "policy", "bytes"],
)
def test_two_different_ends_of_one_sample_conflict(other):
    manifest = replace(MANIFEST, policies=[POLICY, "policy/2"])
    findings = weigh([*GOOD, other], [row(one) for one in GOOD], manifest=manifest)
    assert named(findings) == {"conflicting": {FIRST}}


@pytest.mark.parametrize("held", [None, Row(FIRST, "in_flight"), row(verdict(FIRST, FLAGGED))])
def test_an_end_that_is_not_the_ledgers_conflicts(held):
    rows = [row(one) for one in without(GOOD[0])] + ([held] if held else [])
    assert named(weigh(GOOD, rows)) == {"conflicting": {FIRST}}


def test_a_dead_letter_that_was_taken_back_ends_nothing():
    old = letter(FIRST, "image-missing")
    assert named(weigh([old, *GOOD], [row(one) for one in GOOD])) == {"conflicting": {FIRST}, "wrong_dead": {FIRST}}
    taken_back = {(FIRST, DEAD, digest(old.value))}
    assert named(weigh([old, *GOOD], [row(one) for one in GOOD], taken_back=taken_back)) == {}


def test_an_end_that_nobody_asked_for_is_a_phantom_whatever_the_ledger_says():
    stranger = verdict(derived("generation", "shop", "r-2", 0))
    assert named(weigh([*GOOD, stranger])) == {"phantom": {stranger.key.decode()}}


def test_a_row_that_ended_though_nobody_asked_for_it_is_a_phantom():
    stranger = row(verdict(derived("generation", "shop", "r-2", 0)))
    assert named(weigh(GOOD, [*(row(one) for one in GOOD), stranger])) == {"phantom": {stranger.sample_id}}


def test_poison_whose_place_nobody_was_told_is_known_by_its_bytes():
    source = ("training.samples", 1, 33)
    arrived = letter(place_id(*source, UNPLACED.value_sha256), source=source)
    assert named(weigh([*GOOD, arrived])) == {}


def test_poison_that_reads_otherwise_than_it_was_written_is_known_by_its_place():
    unreadable = letter(place_id("training.samples", 2, 5, "ef" * 32))
    assert named(weigh(instead(GOOD[3], unreadable))) == {}
    elsewhere = letter(unreadable.headers[0][1].decode(), source=("training.samples", 2, 6))
    assert set(named(weigh(instead(GOOD[3], elsewhere)))) == {"phantom", "wrong_dead"}


def test_a_dead_letter_where_a_verdict_belongs_is_wrong():
    assert named(weigh(instead(GOOD[0], letter(FIRST, "image-missing")))) == {"wrong_dead": {FIRST}}


@pytest.mark.parametrize(
    "records",
    [without(GOOD[3]), instead(GOOD[3], letter(BROKEN_ID, "schema-invalid")), instead(GOOD[3], verdict(BROKEN_ID))],
    ids=["no end", "another reason", "a verdict"],
)
def test_poison_that_does_not_end_as_it_must_is_wrong(records):
    assert named(weigh(records)) == {"wrong_dead": {BROKEN_ID}}


def test_a_verdict_other_than_the_one_that_was_demanded_is_misjudged():
    demanding = replace(MANIFEST, asked=[replace(MANIFEST.asked[0], end="flagged", reasons=["no-consent"])])
    assert named(weigh(GOOD, manifest=demanding)) == {"misjudged": {FIRST, SECOND}}


def test_a_verdict_by_a_policy_that_was_never_in_force_is_misjudged():
    assert named(weigh(instead(GOOD[0], verdict(FIRST, policy_version="?")))) == {"misjudged": {FIRST}}


@pytest.mark.parametrize("other", [{"envelope": b"other"}, {"time_ms": TIME_MS + 2}])
def test_the_right_end_with_another_envelope_or_time_than_the_ledgers_is_inexact(other):
    findings = weigh(GOOD, [row(GOOD[0], **other), *(row(one) for one in GOOD[1:])])
    assert named(findings) == {"inexact": {FIRST}}


def test_a_time_may_be_rounded_by_a_millisecond_on_its_way():
    assert weigh(GOOD, [row(GOOD[0], time_ms=TIME_MS + 1), *(row(one) for one in GOOD[1:])]).sound


@pytest.mark.parametrize("fields", [{"sample_id": "another"}, {"decision": "flagged"}, {"reasons": None}])
def test_a_verdict_at_odds_with_its_key_its_topic_or_the_contract_is_inexact(fields):
    odd = replace(GOOD[0], value=json.dumps(json.loads(GOOD[0].value) | fields).encode())
    assert named(weigh(instead(GOOD[0], odd)))["inexact"] == {FIRST}


def test_every_count_has_the_name_of_an_anomaly_and_is_told_with_its_reason():
    findings = weigh(without(GOOD[0]))
    assert set(findings.counts()) == set(ANOMALIES)
    [told] = findings.told()["lost"]
    assert told["id"] == FIRST
    assert "sample 0 of request r-1 of shop has no end" in told["why"]


def test_an_image_must_be_in_the_store_to_the_byte(tmp_path):
    encoded = b"png"
    sha256 = hashlib.sha256(encoded).hexdigest()
    picture = Picture(sha256, len(encoded))
    assert "has no image" in (image_fault(tmp_path, picture) or "")
    place = tmp_path / sha256[:2] / sha256
    place.parent.mkdir()
    place.write_bytes(b"gnp")
    assert "other bytes" in (image_fault(tmp_path, picture) or "")
    place.write_bytes(encoded)
    assert image_fault(tmp_path, picture) is None


def test_what_killed_writers_left_is_listed_and_the_stores_own_mark_is_not(tmp_path):
    (tmp_path / "ab").mkdir()
    (tmp_path / ".likeness-images").touch()
    (tmp_path / "ab" / ".abcd.123").touch()
    assert left_over(tmp_path) == ["ab/.abcd.123"]


@pytest.mark.parametrize(
    "found", [[], [[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0]], [[math.nan, 1.0]], [[math.inf, 0.0]], [[1.1, 0.0]]]
)
def test_there_must_be_exactly_one_finite_embedding_of_unit_length(found):
    assert vector_fault(found) is not None
    assert vector_fault([[0.6, 0.8]]) is None


def test_a_verdict_on_a_missing_image_is_told_by_its_sample(tmp_path):
    findings = Findings()
    looked = checker.look_at_images(tmp_path, {FIRST: end(GOOD[0])}, findings)
    assert (looked, named(findings)) == (1, {"missing_image": {FIRST}})


def test_commits_that_came_too_early_are_taken_over_and_half_a_line_is_none(tmp_path):
    commits, findings = tmp_path / "commits", Findings()
    lines = [{"kind": "committed"}, {"kind": "early", "id": "t[0]@3", "why": "not done"}, {"kind": "away"}]
    commits.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "comm')
    assert checker.read_commits(commits, findings) == 1
    assert named(findings) == {"unordered_commit": {"t[0]@3"}}


def test_a_run_whose_commits_nobody_watched_is_not_sound(tmp_path):
    commits, findings = tmp_path / "commits", Findings()
    commits.touch()
    assert checker.read_commits(commits, findings) == 0
    assert set(named(findings)) == {"unwatched"}


async def test_the_ledger_is_read_as_the_worker_writes_it(database, ledger, services):
    """The only test that knows the worker's side: it holds the checker's SQL to the tables of today."""
    from streams.steps import judge
    from streams.testing.images import picture, png
    from streams.testing.messages import message, training_sample

    effects = await judge([message(training_sample(png(picture([1, 0, 0, 0, 0, 0, 0, 0]))))], services)
    [published] = effects.records
    url = str(database._engine.url)
    with Ledger(url) as reader:
        [held] = reader.everything().values()
        assert reader.some([held.sample_id, "absent"]) == {held.sample_id: held}
        assert reader.taken_back() == set()
    time_ms = int(published.time.timestamp() * 1000)
    record = Raw(published.topic, 0, 0, published.key, published.value, published.headers, time_ms)
    read: End = end(record)
    assert (read.sample_id, read.decision, read.fault) == (held.sample_id, held.state, None)
    assert (read.topic, read.value, read.envelope) == (held.topic, held.value, held.envelope)
    assert read.picture is not None
    assert read.space == services.examiner.space.fingerprint
    assert held.published_at is None
    await delivered(ledger, [held.sample_id])
    with Ledger(url) as reader:
        assert reader.some([held.sample_id])[held.sample_id].published_at is not None


def test_dead_letters_that_were_taken_back_are_read_from_the_redrives(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    with create_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE redrive (sample_id TEXT, topic TEXT, value BLOB, reopened INTEGER)"))
        connection.execute(text("INSERT INTO redrive VALUES ('a', 't', x'01', 1), ('b', 't', x'02', 0)"))
    with Ledger(url) as reader:
        assert reader.taken_back() == {("a", "t", digest(b"\x01"))}


def test_the_checker_shares_no_code_with_the_worker():
    read_alike = ("streams.topics", "streams.errors", "streams.kafka", "streams.tools.audit")
    allowed = (*read_alike, "tests.faults.checker", "tests.faults.manifest")
    files = sorted(Path(checker.__file__).parent.glob("*.py"))
    assert len(files) >= 6
    for file in files:
        ours = [name for name in imported(file) if name.split(".")[0] in ("streams", "tests", "generators")]
        assert [name for name in ours if not name.startswith(allowed)] == []


def imported(file: Path) -> list[str]:
    """Return the full name of everything that a file imports."""
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{one.name}" for one in node.names]
    return names
