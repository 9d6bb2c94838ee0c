"""Recording and replay as an evaluator has them: by commands, beside a road that runs."""

import asyncio
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from streams.client import Publisher
from streams.core.policy import Policy
from streams.embedded import state
from streams.shipped import shipped
from streams.tools.rates.policy_file import policy_text
from tests.acceptance.conftest import Done, Likeness, eventually

ANNA, BERT = "synthetic-01", "synthetic-02"
#: How far the samples of each step of the training run wander off.
LADDER = (0.0, 0.2, 0.4, 0.9)
EACH = 6


def settled(likeness: Likeness) -> bool:
    found = likeness("audit", "--json")
    return found.status == 0 and found.json["settled"]


@pytest.fixture(scope="module")
def road(up: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Likeness]:
    """Workers that have judged a training run of four steps, each farther from the person than the one before."""
    folder = tmp_path_factory.mktemp("road")
    assert up("enrol", "--synthetic", "2", "--json").status == 0
    worker = up.start("worker", err=folder / "err.txt")
    for number, strength in enumerate(LADDER):
        for name in (ANNA, BERT):
            asked = ("--request-id", f"{name}-{number}", "--strength", str(strength), "--count", str(EACH // 2))
            assert up("request", "--identity", name, *asked, "--seed", str(100 * number)).status == 0
    assert eventually(lambda: settled(up))
    assert up("record", str(folder / "made"), "--json").json["samples"] == len(LADDER) * EACH
    asyncio.run(_train(up, folder / "made"))
    assert eventually(lambda: settled(up))
    yield up
    worker.terminate()
    assert worker.wait(60) == 0


async def _train(likeness: Likeness, made: Path) -> None:
    """Publish what a generator made as the samples of a training run."""
    running = state.read(likeness.data_dir)
    assert running is not None
    table = pd.read_parquet(made / "samples").sort_values("sample_id")
    async with Publisher(running.kafka) as publisher:
        for index, row in enumerate(table.itertuples()):
            encoded = (made / "images" / row.image_sha256[:2] / row.image_sha256).read_bytes()
            at = {"step": 100 * LADDER.index(row.strength), "index": index}
            await publisher.training_sample(run_id="run-1", identity=row.identity, model="own", encoded=encoded, **at)


@pytest.fixture(scope="module")
def recording(road: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training run, recorded by a command that was killed first, and a stricter policy beside it."""
    folder = tmp_path_factory.mktemp("replay")
    wanted = ("record", str(folder / "recording"), "--run", "run-1")
    killed = road.start(*wanted, err=folder / "err.txt")
    assert eventually(lambda: (folder / "recording" / "manifest.json").exists() or killed.poll() is not None)
    killed.kill()
    assert killed.wait(30) in (-9, 0)

    done = road(*wanted, "--json")

    assert done.status == 0, done.err
    assert (done.json["samples"], done.json["complete"]) == (len(LADDER) * EACH, True)
    policy = Policy.model_validate(tomllib.loads((shipped("policies") / "synthetic.toml").read_text()))
    strict = policy.model_copy(update={"limits": policy.limits.model_copy(update={"similarity": 0.97})})
    (folder / "strict.toml").write_text(policy_text(strict))
    return folder


def replayed(likeness: Likeness, folder: Path, how: str, *arguments: str, name: str = "replay") -> Done:
    written = ("--report", str(folder / f"{name}.html"), "--result", str(folder / f"{name}.json"))
    return likeness("replay", how, str(folder / "recording"), *arguments, *written, "--json")


def test_the_recording_holds_the_run_with_its_verdicts_images_and_embeddings(recording: Path):
    table = pd.read_parquet(recording / "recording" / "samples")

    assert sorted(table["step"].unique()) == [100 * number for number in range(len(LADDER))]
    assert table[["verdict", "measurement", "embedding", "image_sha256"]].notna().all(axis=None)
    manifest = json.loads((recording / "recording" / "manifest.json").read_text())
    assert manifest["embedding_space"] == table["embedding_space"].unique().item()
    assert manifest["gallery"]["identities"] == 2


@pytest.mark.parametrize("how", ["regate", "rejudge"])
def test_a_replay_twice_is_the_same_to_the_byte(road: Likeness, recording: Path, how: str):
    one = replayed(road, recording, how, name=f"{how}-1")
    other = replayed(road, recording, how, name=f"{how}-2")

    assert (one.status, other.status) == (0, 0), one.err
    assert one.json | {"report": ""} == other.json | {"report": ""}
    for suffix in ("html", "json"):
        first, second = ((recording / f"{how}-{number}.{suffix}").read_bytes() for number in (1, 2))
        assert first == second
    assert (one.json["samples"], one.json["consent"]) == (len(LADDER) * EACH, "now")
    # The same picture in other company is a little nearer or farther: a verdict on the limit may turn.
    assert one.json["changed"] <= (0 if how == "regate" else 2)


@pytest.mark.parametrize("how", ["regate", "rejudge"])
def test_another_policy_fails_the_gate_with_status_1(road: Likeness, recording: Path, how: str):
    audit = road("audit", "--json").json
    gate = ("--policy", str(recording / "strict.toml"), "--fail-if", "newly_flagged > 1%")

    done = replayed(road, recording, how, *gate, name=f"{how}-strict")

    assert done.status == 1, done.err
    assert done.json["gate"]["failed"]
    assert done.json["newly_flagged"] > 0
    assert done.json["by_reason"]["mismatch"]["gained"] > 0
    page = (recording / f"{how}-strict.html").read_text()
    assert page.count('class="card flagged"') == done.json["newly_flagged"]
    for heading in ("Mean similarity", "Fréchet distance", "Precision and recall", "The embedding space"):
        assert heading in page
    # Nothing was published.
    again = road("audit", "--json").json
    assert {name: again[name] for name in ("requested", "accepted", "flagged", "dead")} == {
        name: audit[name] for name in ("requested", "accepted", "flagged", "dead")
    }


def test_the_stream_itself_is_replayed_to_the_same_result(road: Likeness, recording: Path):
    from_folder = replayed(road, recording, "regate", name="folder")

    from_kafka = road("replay", "regate", "--run", "run-1", "--no-report", "--json")

    assert from_kafka.status == 0, from_kafka.err
    assert from_kafka.json["sha256"] == from_folder.json["sha256"]


def test_whoever_withdraws_is_flagged_and_whoever_is_forgotten_left_out(road: Likeness, recording: Path):
    assert road("consent", "withdraw", ANNA, "--json").status == 0
    withdrawn = replayed(road, recording, "regate", name="withdrawn").json
    assert withdrawn["by_reason"]["no-consent"]["gained"] == len(LADDER) * EACH // 2

    assert road("forget", ANNA, "--json").status == 0
    forgotten = replayed(road, recording, "rejudge", name="forgotten").json

    assert forgotten["skipped"] == {"erased": len(LADDER) * EACH // 2}
    assert forgotten["samples"] == len(LADDER) * EACH // 2
