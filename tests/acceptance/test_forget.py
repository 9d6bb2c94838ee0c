"""Consent and erasure as their users have them: by commands, on parts that run, beside workers that work."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Likeness, eventually

ANNA, BERT = "synthetic-01", "synthetic-02"


@pytest.fixture(scope="module")
def working(up: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Likeness]:
    """Two people are enrolled, and workers are at work."""
    assert up("enrol", "--synthetic", "2", "--json").status == 0
    worker = up.start("worker", err=tmp_path_factory.mktemp("worker") / "err.txt")
    yield up
    worker.terminate()
    assert worker.wait(60) == 0
    assert eventually(lambda: not [each for each in up.processes() if " worker " in each], 10)


def settled(likeness: Likeness) -> bool:
    found = likeness("audit", "--json")
    return found.status == 0 and found.json["settled"]


def consent_events(likeness: Likeness, number: int) -> list[dict[str, object]]:
    followed = likeness("watch", "consent.events", "--from-beginning", "--limit", str(number), "--json")
    return [json.loads(line) for line in followed.out.splitlines()]


def test_a_grant_with_terms_is_shown_published_and_asked_for(working: Likeness, tmp_path: Path):
    form = tmp_path / "form.pdf"
    form.write_bytes(b"signed")

    terms = ("--model", "face_gan", "--territory", "DE", "--until", "2999-01-01", "--evidence", str(form))
    granted = working("consent", "grant", BERT, *terms, "--json")

    assert granted.status == 0, granted.err
    generation = granted.json["purposes"]["generation"]
    assert (generation["consent"], generation["models"], generation["territories"]) == ("granted", ["face_gan"], ["DE"])
    assert granted.json["published"]
    [*_, last] = working("consent", "show", BERT, "--json").json["entries"]
    assert last["evidence_sha256"] == hashlib.sha256(b"signed").hexdigest()
    assert "by face_gan in DE" in working("consent", "show", BERT).out
    events = [one for one in consent_events(working, 3) if one["entry"] == last["entry"]]
    assert [(one["identity"], one["kind"], one["territories"]) for one in events] == [(BERT, "granted", ["DE"])]

    working("request", "--identity", BERT, "--request-id", "without", "--json")
    working("request", "--identity", BERT, "--request-id", "with", "--territory", "DE", "--json")

    [flagged] = working("watch", "samples.flagged", "--from-beginning", "--limit", "1", "--json").out.splitlines()
    assert json.loads(flagged)["reasons"][0]["text"] == "consent is for DE; the request does not say where"
    assert eventually(lambda: settled(working))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("grant", BERT), "--evidence FILE, --note TEXT"),
        (("grant", BERT, "--note", "x", "--territory", "Germany"), "ISO 3166"),
        (("grant", BERT, "--note", "x", "--from", "soon"), "--from 'soon' is no moment"),
        (("grant", BERT, "--note", "x", "--from", "2030-01-01", "--until", "2029-01-01"), "an end after the beginning"),
        (("withdraw", "nobody"), "look the name up"),
        (("show", "nobody"), "look the name up"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(working: Likeness, arguments: tuple[str, ...], why: str):
    done = working("consent", *arguments)

    assert done.status == 2
    assert why in " ".join(done.err.split())


def test_a_person_is_forgotten_beside_workers_though_the_command_is_killed(working: Likeness, tmp_path: Path):
    asked = working("request", "--identity", ANNA, "--request-id", "anna", "--count", "3", "--json")
    assert asked.status == 0
    assert eventually(lambda: settled(working))
    killed = working.start("forget", ANNA, err=tmp_path / "err.txt")
    assert eventually(lambda: "name of the person" in (tmp_path / "err.txt").read_text() or killed.poll() is not None)
    killed.kill()
    assert killed.wait(30) in (-9, 0)

    done = working("forget", ANNA, "--verify", "--json")

    assert done.status == 0, done.out
    receipt = done.json
    assert (receipt["left"], receipt["complete"]) == ({}, True)
    assert receipt["found"]["samples"] == 3
    kafka = working.data_dir / "kafka"
    files = [path for path in working.data_dir.rglob("*") if path.is_file() and kafka not in path.parents]
    assert [path for path in files if ANNA.encode() in path.read_bytes()] == []
    audit = working("audit", "--json")
    assert (audit.status, audit.json["sound"]) == (0, True)


def test_whoever_was_forgotten_is_not_generated_nor_enrolled_by_mistake(working: Likeness):
    working("request", "--identity", ANNA, "--request-id", "again", "--json")
    assert eventually(lambda: settled(working))
    [*_, last] = working("watch", "samples.flagged", "--from-beginning", "--limit", "2", "--json").out.splitlines()
    assert ANNA not in last
    assert json.loads(last)["reasons"][0]["code"] == "no-consent"

    refused = working("enrol", "--synthetic", "1")
    assert (refused.status, "was forgotten" in refused.err) == (2, True)
    assert working("consent", "grant", ANNA, "--note", "x").status == 2
    assert working("forget", ANNA, "--verify", "--json").status == 0

    assert working("enrol", "--synthetic", "1", "--again", "--json").status == 0
    assert working("consent", "show", ANNA, "--json").json["consent"] == "granted"
