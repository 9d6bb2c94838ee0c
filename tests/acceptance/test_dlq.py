"""A sample that died of something that can be mended is sent back, and gets its one verdict."""

import asyncio
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from streams.cli.main import main
from streams.client import Publisher
from streams.core.ids import training_sample_id
from tests.acceptance.conftest import Likeness, eventually

SAMPLE = training_sample_id("run", 7, 0)
UNREADABLE = b"this is no sample"


def grey() -> bytes:
    """A picture of nobody: it is judged in no time, and flagged."""
    sink = io.BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def judging(up: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Likeness]:
    """With one person enrolled and a judge at work."""
    assert up("enrol", "--synthetic", "1", "--json").status == 0
    worker = up.start("worker", "--role", "judge", err=tmp_path_factory.mktemp("judge") / "err.txt")
    yield up
    worker.terminate()
    assert worker.wait(60) == 0
    assert eventually(lambda: not [each for each in up.processes() if " worker " in each], 10)


@pytest.fixture(scope="module")
def buried(judging: Likeness) -> Likeness:
    """A sample whose image is not in the store, and a message that is no sample."""
    encoded = grey()
    image = {"sha256": hashlib.sha256(encoded).hexdigest(), "size": len(encoded)}
    body = {"run_id": "run", "step": 7, "index": 0, "identity": "synthetic-01", "model": "gan", "image": image}
    kafka = json.loads((judging.data_dir / "running.json").read_text())["kafka"]

    async def publish() -> None:
        async with Publisher(kafka) as publisher:
            headers = (("traceparent", b"00-ab"), ("odd", None))
            await publisher.raw("training.samples", json.dumps(body).encode(), SAMPLE.encode(), headers)
            await publisher.raw("training.samples", UNREADABLE)

    asyncio.run(publish())
    assert eventually(lambda: len(letters(judging)) == 2 and judging("audit", "--json").json["settled"])
    return judging


def letters(likeness: Likeness, *filters: str) -> list[dict[str, object]]:
    done = likeness("dlq", "list", *filters, "--json")
    assert done.status == 0, done.err
    found: list[dict[str, object]] = done.json["dead_letters"]
    return found


def test_dead_letters_can_be_looked_at_mended_and_sent_back(buried: Likeness):
    [letter] = letters(buried, "--reason", "image-missing", "--topic", "training.samples", "--since", "1h")
    assert (letter["id"], letter["stage"], letter["redriven"], letter["sent_back"]) == (SAMPLE, "judge", 0, False)
    assert letters(buried, "--limit", "1") == letters(buried)[1:]
    assert "image-missing" in buried("dlq", "list", COLUMNS="200").out
    shown = buried("dlq", "show", SAMPLE[:8], "--json").json
    assert json.loads(shown["value"])["run_id"] == "run"
    assert shown["headers"] == {"traceparent": "00-ab", "odd": None}
    assert "this is no sample" in buried("dlq", "show", str(letters(buried, "--reason", "not-json")[0]["id"])).out

    told = buried("dlq", "redrive", "--reason", "image-missing", "--dry-run", "--json").json
    assert (told["sent"], told["dry_run"]) == (1, True)
    assert buried("audit", "--json").json["dead"] == 2

    # Not mended, it dies again, and the count goes on.
    assert buried("dlq", "redrive", SAMPLE, "--json").json["sent"] == 1
    assert eventually(lambda: len(letters(buried, "--reason", "image-missing")) == 2)
    first, second = letters(buried, "--reason", "image-missing")
    assert (first["sent_back"], second["sent_back"], second["redriven"]) == (True, False, 1)
    assert eventually(lambda: buried("audit", "--json").json["settled"])
    again = buried("audit", "--json").json
    assert (again["dead"], again["superseded"], again["sound"]) == (2, 1, True)

    mended = hashlib.sha256(grey()).hexdigest()
    path = Path(buried.data_dir) / "images" / mended[:2] / mended
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(grey())
    assert buried("dlq", "redrive", "--reason", "image-missing", "--note", "the file is back").status == 0
    verdict = json.loads(buried("watch", "samples.flagged", "--from-beginning", "--limit", "1", "--json").out)
    assert (verdict["sample_id"], verdict["reasons"][0]["code"]) == (SAMPLE, "no-face")

    assert eventually(lambda: buried("audit", "--json").json["settled"])
    weighed = buried("audit", "--json").json
    assert (weighed["flagged"], weighed["dead"], weighed["superseded"], weighed["sound"]) == (1, 1, 2, True)
    assert buried("dlq", "redrive", "--reason", "image-missing", "--json").json["dead_letters"] == []


def test_a_message_that_is_no_sample_is_sent_back_until_the_guard_refuses(buried: Likeness):
    for round_ in range(3):
        assert buried("dlq", "redrive", "--reason", "not-json", "--json").json["sent"] == 1
        assert eventually(lambda rounds=round_ + 2: len(letters(buried, "--reason", "not-json")) == rounds)
        assert eventually(lambda: buried("audit", "--json").json["settled"])

    refused = buried("dlq", "redrive", "--reason", "not-json", "--json")
    assert (refused.status, refused.json["refused"]) == (1, 1)
    assert "--force" in refused.json["dead_letters"][0]["why"]
    assert buried("audit", "--json").json["sound"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["list"], "likeness up"),
        (["show", "aa"], "likeness up"),
        (["redrive"], "likeness up"),
        (["redrive", "--topic", "samples.accepted"], "choose one of generation.requests"),
        (["list", "--since", "yesterday"], "90m"),
        (["list", "--reason", "boredom"], "image-missing"),
    ],
)
def test_what_is_wrong_at_the_door_is_said_there(monkeypatch, capsys, tmp_path, arguments, expected):
    monkeypatch.setenv("LIKENESS_DATA_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["dlq", *arguments])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert expected in said.err
