"""Everything bad that strangers can send goes down the real road: each piece has its end, and no worker dies of any."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.topics import ALL, SAMPLES_ACCEPTED, SAMPLES_FLAGGED
from tests.acceptance.conftest import LIKENESS, Likeness, eventually
from tests.planted import plant
from tests.poison import Poison, corpus, killer, publish

ROOT = Path(__file__).parents[2]
GENERATE = (*LIKENESS, "worker", "--role", "generate", "--unsupervised")
JUDGE = (sys.executable, "-m", "tests.acceptance.fragile_judge")

#: What a dead letter says, whatever it died of.
HEADERS = {"id", "reason", "detail", "stage", "topic", "partition", "offset", "attempts", "exception"}
HEADERS |= {"kept", "version", "policy-version"}


@dataclass
class Poisoned:
    """A road down which all of it went, and how each piece ended."""

    likeness: Likeness
    workers: list["subprocess.Popen[bytes]"]
    placed: list[tuple[Poison, tuple[int, int]]]
    audited: dict[str, Any]
    letters: dict[tuple[str, str, str], dict[str, Any]]
    """By topic, partition and offset of the message."""
    verdicts: dict[str, dict[str, Any]]
    """By sample id."""


def lines(likeness: Likeness, topic: str, count: int) -> list[dict[str, Any]]:
    """Return so many messages of a topic, from its beginning, as ``watch`` shows them."""
    shown = likeness("watch", topic, "--from-beginning", "--json", "--limit", str(count)) if count else None
    return [json.loads(line) for line in shown.out.splitlines()] if shown else []


@pytest.fixture(scope="module")
def poisoned(up: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poisoned]:
    assert up("enrol", "--synthetic", "1", "--json").status == 0
    running = json.loads((up.data_dir / "running.json").read_text())
    plant(Path(running["images"]))
    pieces = [*corpus(), killer()]
    places = asyncio.run(publish(running["kafka"], pieces))
    logs = tmp_path_factory.mktemp("workers")
    workers = []
    for name, command in (("generate", GENERATE), ("judge", JUDGE)):
        with (logs / name).open("wb") as log:
            workers.append(subprocess.Popen(command, cwd=ROOT, env=up.environment, stdout=log, stderr=log))

    def over() -> bool:
        for name, worker in zip(("generate", "judge"), workers, strict=True):
            assert worker.poll() is None, (logs / name).read_text(errors="replace")[-5000:]
        audited = up("audit", "--json").json
        return bool(audited["settled"]) and audited["dead"] + audited["flagged"] + audited["accepted"] >= len(pieces)

    try:
        assert eventually(over, 400), f"{up('audit').out} {(logs / 'judge').read_text(errors='replace')[-5000:]}"
        audited = up("audit", "--json").json
        letters = up("dlq", "list", "--json").json["dead_letters"]
        verdicts = [
            *lines(up, SAMPLES_FLAGGED.name, audited["flagged"]),
            *lines(up, SAMPLES_ACCEPTED.name, audited["accepted"]),
        ]
        yield Poisoned(
            up,
            workers,
            list(zip(pieces, places, strict=True)),
            audited,
            {(one["topic"], one["partition"], one["offset"]): one for one in letters},
            {one["sample_id"]: one for one in verdicts},
        )
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)


def ended(poisoned: Poisoned, piece: Poison, place: tuple[int, int]) -> tuple[str, str]:
    """Return how a message ended, and why."""
    letter = poisoned.letters.get((piece.topic, str(place[0]), str(place[1])))
    if letter is not None:
        assert piece.sample_ids in ((), (letter["id"],))
        return "dead", str(letter["reason"])
    [sample_id] = piece.sample_ids
    verdict = poisoned.verdicts.get(sample_id, {"decision": "lost", "reasons": []})
    return str(verdict["decision"]), str(verdict["reasons"][0]["code"] if verdict["reasons"] else "")


def test_every_piece_ends_as_it_must(poisoned: Poisoned):
    wrong = [
        f"{piece.name}: expected {piece.end} {piece.reasons}, got {how} {why}"
        for piece, place in poisoned.placed
        for how, why in [ended(poisoned, piece, place)]
        if how != piece.end or (piece.reasons and why not in piece.reasons)
    ]
    assert wrong == []
    assert len(poisoned.placed) > 150


def test_the_audit_is_sound_and_counts_each_piece_once(poisoned: Poisoned):
    audited = poisoned.audited
    assert audited["sound"], audited["offences"]
    assert (audited["lost"], audited["conflicting"], audited["in_flight"]) == (0, 0, 0)
    dead = sum(piece.end == "dead" for piece, _ in poisoned.placed)
    assert (audited["dead"], audited["flagged"], audited["accepted"]) == (dead, len(poisoned.placed) - dead, 0)


def test_the_workers_are_those_that_were_started(poisoned: Poisoned):
    assert [worker.poll() for worker in poisoned.workers] == [None, None]


def test_the_picture_that_kills_its_decoder_is_a_dead_letter_that_says_how_often(poisoned: Poisoned):
    [letter] = [one for one in poisoned.letters.values() if one["reason"] == "crash-loop"]
    assert "3 decoder processes died of it: the last one ended with signal SIGABRT" in letter["detail"]
    assert letter["attempts"] == "1"


def test_every_dead_letter_says_what_died_where_and_of_what(poisoned: Poisoned):
    told = lines(poisoned.likeness, "dead.letters", poisoned.audited["dead"])
    assert all(set(one) == HEADERS | {"value"} for one in told)
    assert all(one["stage"] in ("generate", "judge") and one["version"].startswith("likeness-qc/") for one in told)
    assert {one["exception"] for one in told} >= {"ValueError", "ValidationError", "ImageAltered", "ImageMissing"}


def test_what_no_topic_takes_once_more_is_buried_by_pointer(poisoned: Poisoned):
    for name in ("the largest value that Kafka takes", "headers of a megabyte on no message"):
        [(piece, place)] = [each for each in poisoned.placed if each[0].name == name]
        letter = poisoned.letters[piece.topic, str(place[0]), str(place[1])]
        assert "in the image store: " in letter["detail"]
        refused = poisoned.likeness("dlq", "redrive", letter["id"], "--json")
        assert (refused.status, refused.json["refused"]) == (1, 1)


def test_every_topic_can_be_followed_past_all_of_it(poisoned: Poisoned):
    counts = {topic.name: sum(piece.topic == topic.name for piece, _ in poisoned.placed) for topic in ALL}
    for topic in ("generation.requests", "training.samples"):
        assert len(lines(poisoned.likeness, topic, counts[topic])) == counts[topic]
