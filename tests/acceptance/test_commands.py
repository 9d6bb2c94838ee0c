"""Every command, as its users type it, on parts that run."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streams.client import Publisher
from tests.acceptance.conftest import Likeness, eventually


@pytest.fixture(scope="module")
def enrolled(up: Likeness) -> Likeness:
    done = up("enrol", "--synthetic", "3", "--json")
    assert done.status == 0, done.err
    assert [one["identity"] for one in done.json["identities"]] == ["synthetic-01", "synthetic-02", "synthetic-03"]
    assert done.json["enrolled"] == 3
    return up


@pytest.fixture(scope="module")
def working(enrolled: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Likeness]:
    """With workers of both roles beside."""
    worker = enrolled.start("worker", "--role", "all", err=tmp_path_factory.mktemp("worker") / "err.txt")
    yield enrolled
    worker.terminate()
    assert worker.wait(60) == 0
    assert eventually(lambda: not [one for one in enrolled.processes() if " worker " in one], 10)


@pytest.fixture(scope="module")
def verdicts(working: Likeness) -> list[dict[str, object]]:
    """Of five samples that were asked for in both ways."""
    asked = working("request", "--identity", "synthetic-01", "--request-id", "one", "--count", "2", "--json")
    assert asked.json == {"requests": 1, "samples": 2, "request_ids": ["one"], "registered": True}
    lines = [
        {"source": "shop", "request_id": "two", "identity": "synthetic-02", "seed": 3},
        {"source": "shop", "request_id": "three", "identity": "synthetic-02", "seed": 4, "strength": 0.9},
        {"source": "shop", "request_id": "four", "identity": "nobody"},
    ]
    stdin = "\n".join(json.dumps(line) for line in lines).encode()
    assert working("request", "--json", stdin=stdin).json["request_ids"] == ["two", "three", "four"]
    accepted = working("watch", "samples.accepted", "--from-beginning", "--limit", "3", "--json")
    flagged = working("watch", "samples.flagged", "--from-beginning", "--limit", "2", "--json")
    assert (accepted.status, flagged.status) == (0, 0)
    return [json.loads(line) for line in [*accepted.out.splitlines(), *flagged.out.splitlines()]]


def picture_of(likeness: Likeness, verdict: dict[str, object], path: Path) -> Path:
    image = verdict["image"]
    assert isinstance(image, dict)
    digest = image["sha256"]
    path.write_bytes((likeness.data_dir / "images" / digest[:2] / digest).read_bytes())
    return path


def test_what_is_up_is_not_started_twice(up: Likeness):
    for command in (["up"], ["up", "--detach"]):
        again = up(*command)
        assert (again.status, again.out) == (2, "")
        assert "likeness down" in again.err


def test_the_doctor_finds_everything_well(up: Likeness):
    report = up("doctor", "--json")
    assert report.status == 0
    assert report.json["well"]
    found = {one["what"]: one["found"] for one in report.json["findings"]}
    assert all(found[part].startswith("answers at") for part in ("kafka", "triton", "milvus"))


def test_the_doctor_names_what_is_ill(up: Likeness):
    report = up("doctor", "--json", LIKENESS_TRITON="127.0.0.1:1")
    assert report.status == 1
    assert not report.json["well"]
    [ill] = [one for one in report.json["findings"] if not one["well"]]
    assert ill["what"] == "triton"
    assert "LIKENESS_TRITON" in ill["remedy"]


def test_the_topics_are_there_already(up: Likeness):
    assert up("topics", "--json").json == {"created": []}


def test_the_schema_describes_every_topic_that_has_one(up: Likeness):
    assert set(up("schema").json) >= {"generation.requests", "samples.accepted", "samples.flagged", "training.samples"}


def test_every_request_gets_its_verdict(verdicts: list[dict[str, object]]):
    said = {(one["request_id"], one["index"]): one for one in verdicts}
    assert {key: one["decision"] for key, one in said.items()} == {
        ("one", 0): "accepted",
        ("one", 1): "accepted",
        ("two", 0): "accepted",
        ("three", 0): "flagged",
        ("four", 0): "flagged",
    }
    [reason] = said["four", 0]["reasons"]  # type: ignore[misc]
    assert reason["code"] == "no-reference"
    assert "image" not in said["four", 0]


def test_the_same_request_again_changes_nothing(working: Likeness, verdicts: list[dict[str, object]]):
    before = working("audit", "--json").json["requested"]
    working("request", "--identity", "synthetic-01", "--request-id", "one", "--count", "2")
    assert eventually(lambda: working("audit", "--json").json["settled"])
    assert working("audit", "--json").json["requested"] == before


def test_a_request_with_another_content_is_refused_at_once(working: Likeness, verdicts: list[dict[str, object]]):
    again = working("request", "--identity", "synthetic-01", "--request-id", "one", "--seed", "9", "--json")
    assert (again.status, again.out) == (2, "")
    assert "one of likeness-cli" in again.err
    assert "asked before with another content" in again.err


def test_a_request_is_published_alone_where_the_ledger_is_unknown_and_this_is_said(
    working: Likeness, verdicts: list[dict[str, object]], tmp_path: Path
):
    kafka = json.loads((working.data_dir / "running.json").read_text())["kafka"]
    elsewhere = Likeness(tmp_path / "elsewhere", {"LIKENESS_KAFKA": kafka})
    again = ["request", "--identity", "synthetic-01", "--request-id", "one", "--count", "2"]
    assert elsewhere(*again, "--json").json["registered"] is False
    assert "not registered" in elsewhere(*again).err


def test_watching_is_readable_on_a_narrow_terminal(working: Likeness, verdicts: list[dict[str, object]]):
    done = working("watch", "samples.flagged", "--from-beginning", "--limit", "2", COLUMNS="80")
    assert "no-reference: nobody is enrolled as nobody" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "{" not in done.out


def test_a_bad_line_is_named_and_nothing_is_published(working: Likeness, verdicts: list[dict[str, object]]):
    good = json.dumps({"source": "shop", "request_id": "never", "identity": "synthetic-01"}).encode()
    done = working("request", stdin=good + b"\n" + b'{"source": "shop"}\n')
    assert done.status == 2
    assert "line 2" in done.err
    assert "request_id: Field required" in done.err
    asked = working("watch", "generation.requests", "--from-beginning", "--limit", "4", "--json").out
    assert "never" not in asked


def test_a_file_gets_the_verdict_of_the_stream(working: Likeness, verdicts: list[dict[str, object]], tmp_path: Path):
    for request_id in ("two", "three"):  # one is accepted, one is flagged
        one = next(one for one in verdicts if one["request_id"] == request_id)
        path = picture_of(working, one, tmp_path / f"{request_id}.png")
        [judged] = working("judge", "--identity", str(one["identity"]), str(path), "--json").json["images"]
        assert judged["decision"] == one["decision"]
        assert [reason["code"] for reason in judged["reasons"]] == [reason["code"] for reason in one["reasons"]]
        # A batch's company moves a similarity by up to 0.007.
        assert judged["similarity"] == pytest.approx(one["similarity"], abs=0.01)
        assert judged["policy_version"] == one["policy_version"]
        assert judged["embedding_space"] == one["embedding_space"]


def test_files_are_judged_each_for_itself(working: Likeness, verdicts: list[dict[str, object]], tmp_path: Path):
    good = picture_of(working, next(one for one in verdicts if one["request_id"] == "one"), tmp_path / "good.png")
    (tmp_path / "words.png").write_text("no picture")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "grey.png")
    files = [str(tmp_path / name) for name in ("good.png", "words.png", "grey.png")]
    done = working("judge", "--identity", "synthetic-01", *files, "--json")
    assert done.status == 0
    assert [one["image"] for one in done.json["images"]] == files
    assert [one["decision"] for one in done.json["images"]] == ["accepted", "undecodable", "flagged"]
    assert [reason["code"] for reason in done.json["images"][2]["reasons"]] == ["no-face"]
    keys = {"decision", "reasons", "similarity", "nearest", "policy_version", "embedding_space"}
    assert all(keys <= set(one) for one in done.json["images"])

    [stranger] = working("judge", "--identity", "nobody", str(good), "--json").json["images"]
    assert "no-reference" in [reason["code"] for reason in stranger["reasons"]]
    missing = working("judge", "--identity", "synthetic-01", str(good), str(tmp_path / "missing.png"), "--json")
    assert (missing.status, missing.out) == (2, "")
    assert "missing.png cannot be read" in missing.err
    assert "good.png" in working("judge", "--identity", "synthetic-01", str(good)).out


def test_a_policy_of_another_domain_is_refused(enrolled: Likeness):
    for command in (["judge", "--identity", "synthetic-01", __file__], ["worker", "--role", "generate"]):
        done = enrolled(*command, LIKENESS_POLICY="default")
        assert done.status == 2
        assert "LIKENESS_POLICY=synthetic" in done.err


def test_photos_do_not_enter_a_synthetic_gallery(enrolled: Likeness, tmp_path: Path):
    person = tmp_path / "people" / "anna"
    person.mkdir(parents=True)
    (person / "consent.toml").write_text('granted_on = 2026-01-31\nevidence = "form 1"\n')
    done = enrolled("enrol", str(tmp_path / "people"), "--json")
    assert (done.status, done.out) == (2, "")
    assert "holds synthetic identities" in done.err


def test_people_are_enrolled_each_for_themselves(working: Likeness, verdicts: list[dict[str, object]], tmp_path: Path):
    people = tmp_path / "people"
    # Of nobody: a face that had wandered far off, so that it is no look-alike of those who are enrolled.
    wandered = next(one for one in verdicts if one["request_id"] == "three")
    face = picture_of(working, wandered, tmp_path / "face.png").read_bytes()
    grey = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(grey, "PNG")
    consent = 'granted_on = 2026-01-31\nevidence = "form 1"\n'
    for name in ("anna", "no-consent", "broken-consent", "bad name"):
        (people / name).mkdir(parents=True)
        (people / name / "face.png").write_bytes(face)
        (people / name / "consent.toml").write_text(consent)
    (people / "anna" / "grey.png").write_bytes(grey.getvalue())
    (people / "anna" / "folder.png").mkdir()
    (people / "anna" / "words.jpg").write_text("no picture")
    (people / "no-consent" / "consent.toml").unlink()
    (people / "broken-consent" / "consent.toml").write_text("granted_on = yesterday")

    done = working("enrol", str(people), "--origin", "synthetic", "--json")
    assert done.status == 1
    told = {one["identity"]: one for one in done.json["identities"]}
    assert done.json["enrolled"] == 1
    assert (told["anna"]["refused"], told["anna"]["references"]) == (None, 1)
    assert set(told["anna"]["skipped"]) == {"grey.png", "folder.png", "words.jpg"}
    assert "no consent.toml" in told["no-consent"]["refused"]
    assert "consent.toml cannot be read" in told["broken-consent"]["refused"]
    assert "no identity" in told["bad name"]["refused"]


def test_without_consent_nothing_is_generated(working: Likeness, verdicts: list[dict[str, object]]):
    assert working("withdraw", "synthetic-03", "--json").json == {"identity": "synthetic-03", "consent": "withdrawn"}
    working("request", "--identity", "synthetic-03", "--request-id", "withdrawn")
    lines = working("watch", "samples.flagged", "--from-beginning", "--limit", "3", "--json").out.splitlines()
    [verdict] = [one for one in map(json.loads, lines) if one["identity"] == "synthetic-03"]
    assert verdict["reasons"][0]["code"] == "no-consent"
    assert "image" not in verdict
    nobody = working("withdraw", "nobody")
    assert nobody.status == 2
    assert "nobody gave consent as 'nobody'" in nobody.err


def test_training_samples_are_judged_like_all_others(
    working: Likeness, verdicts: list[dict[str, object]], tmp_path: Path
):
    face = picture_of(working, next(one for one in verdicts if one["request_id"] == "one"), tmp_path / "face.png")
    address = json.loads((working.data_dir / "running.json").read_text())["kafka"]

    async def publish() -> str:
        async with Publisher(address) as publisher:
            return await publisher.training_sample(
                run_id="run-1", step=10, index=0, identity="synthetic-01", model="my-model", encoded=face.read_bytes()
            )

    sample_id = asyncio.run(publish())
    lines = working("watch", "samples.accepted", "--from-beginning", "--limit", "4", "--json").out.splitlines()
    [verdict] = [one for one in map(json.loads, lines) if one["kind"] == "training"]
    assert (verdict["sample_id"], verdict["source"], verdict["step"]) == (sample_id, "run-1", 10)


def test_the_audit_balances(working: Likeness, verdicts: list[dict[str, object]]):
    assert eventually(lambda: working("audit", "--json").json["settled"])
    done = working("audit", "--json")
    assert done.status == 0
    assert done.json["sound"]
    assert done.json["accepted"] >= 3
    assert "everything adds up" in working("audit").out


def test_parts_are_found_by_their_addresses_alone(working: Likeness, verdicts: list[dict[str, object]], tmp_path: Path):
    running = json.loads((working.data_dir / "running.json").read_text())
    names = ("kafka", "triton", "milvus", "ledger", "images")
    env = {f"LIKENESS_{name.upper()}": running[name] for name in names}
    elsewhere = Likeness(tmp_path / "elsewhere", {**env, "LIKENESS_POLICY": "synthetic"})
    asked = elsewhere("request", "--identity", "synthetic-01", "--request-id", "by-address", "--json")
    assert asked.status == 0, asked.err
    assert eventually(lambda: elsewhere("audit", "--json").json["settled"])
    assert elsewhere("audit", "--json").json["sound"]
    path = picture_of(working, next(one for one in verdicts if one["request_id"] == "one"), tmp_path / "face.png")
    [judged] = elsewhere("judge", "--identity", "synthetic-01", str(path), "--json").json["images"]
    assert judged["decision"] == "accepted"
    assert elsewhere("topics", "--json").json == {"created": []}
    assert not (tmp_path / "elsewhere").exists()


def test_the_frames_of_a_clip_are_judged_together(working: Likeness):
    clip = ("--clip", "take-1", "--count", "2", "--frames", "4", "--strength", "0.1", "--json")
    for first in ("0", "2"):
        asked = working(
            "request", "--identity", "synthetic-01", "--request-id", f"take-1-{first}", "--first-frame", first, *clip
        )
        assert asked.status == 0, asked.err
    told = working("watch", "clips.judged", "--from-beginning", "--limit", "1", "--json").json
    assert (told["clip_id"], told["frames"], told["missing"], told["revision"]) == ("take-1", 4, [], 1)
    assert told["flicker"] > 0
    assert "mouth-width" in told["movement"]
    [shown] = working("clips", "show", "take-1", "--json").json["clips"]
    assert shown["verdict"] == told


def test_what_was_judged_outlives_the_parts(likeness: Likeness):
    likeness.env["LIKENESS_POLICY"] = "synthetic"
    assert likeness("up", "--detach").status == 0
    assert likeness("enrol", "--synthetic", "1").status == 0
    assert likeness("request", "--identity", "synthetic-01", "--request-id", "kept").status == 0
    assert likeness("down", "--json").json == {"ended": True}
    assert likeness.processes() == []
    assert likeness("down", "--json").json == {"ended": False}

    assert likeness("up", "--detach").status == 0
    assert likeness("audit", "--json").json["in_flight"] == 1
    kept = likeness("watch", "generation.requests", "--from-beginning", "--limit", "1", "--json")
    assert '"kept"' in kept.out
    assert likeness("withdraw", "synthetic-01").status == 0  # still enrolled
    assert likeness("down", "--json").json == {"ended": True}


def test_a_part_that_dies_while_it_starts_is_named_with_its_log(likeness: Likeness):
    node = likeness.data_dir / "kafka" / "node-1"
    node.mkdir(parents=True)
    (likeness.data_dir / "likeness.folder").touch()
    (node / "meta.properties").write_text("this is no property of a node")
    for command in (["up"], ["up", "--detach"], ["up", "--json"]):
        done = likeness(*command)
        assert (done.status, done.out) == (1, "")
        assert "Kafka (node 1) ended with status" in done.err
        assert "The end of its log" in done.err
        assert likeness.processes() == []
