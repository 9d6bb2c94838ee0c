"""Copies on the whole road: photographs and training images are registered, and a copy of one is flagged as such."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from streams.adapters.images.decode import encode_png
from streams.client import Publisher
from streams.shipped import shipped
from tests.acceptance.conftest import Likeness, eventually
from tests.bench.edits import brightened, cropped, jpeg

ROOT = Path(__file__).parents[2]
#: Pictures of people who do not exist: here they stand for photographs.
PHOTOGRAPHS = ROOT / "tests" / "integration" / "faces"
TRAINING = ROOT / "streams" / "adapters" / "engines" / "known_faces"

ANNA, TRAINED, OTHER = PHOTOGRAPHS / "anna-1.png", TRAINING / "face-1.png", TRAINING / "face-2.png"


def planted(file: Path, *edits: object) -> bytes:
    image = Image.open(file).convert("RGB")
    for edit in edits:
        image = edit(image)
    return encode_png(np.asarray(image))


#: By index: a copy of a photograph, a mirrored copy of a training image, a picture that is neither.
SAMPLES = (
    planted(ANNA, brightened(1.2), jpeg(40)),
    planted(TRAINED, ImageOps.mirror, cropped(0.03)),
    planted(OTHER),
)


@pytest.fixture(scope="module")
def photographs(up: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Likeness:
    """Two people are enrolled from photographs, and one training image is registered."""
    folder = tmp_path_factory.mktemp("photographs")
    policy = (shipped("policies") / "synthetic.toml").read_text(encoding="utf-8")
    (folder / "photo.toml").write_text(policy.replace('domain = "synthetic"', 'domain = "photo"'), encoding="utf-8")
    up.env["LIKENESS_POLICY"] = str(folder / "photo.toml")
    for name in ("anna", "bela"):
        person = folder / "people" / name
        person.mkdir(parents=True)
        (person / "consent.toml").write_text('granted_on = 2026-01-31\nevidence = "form 1"\n')
        (person / "one.png").write_bytes((PHOTOGRAPHS / f"{name}-1.png").read_bytes())
    (folder / "training" / "carla").mkdir(parents=True)
    (folder / "training" / "carla" / "image.png").write_bytes(TRAINED.read_bytes())

    done = up("enrol", str(folder / "people"), "--json")
    assert done.json["enrolled"] == 2, done.err
    first = up("index-training", str(folder / "training"), "--json")
    assert first.json == {"images": 1, "registered": 1, "known": 0, "skipped": {}}, first.err
    again = up("index-training", str(folder / "training"))
    assert again.out == "1 images: 0 registered, 1 known before\n"
    assert up("index-references", "--json").json == {"images": 0, "registered": 0, "known": 0, "skipped": {}}
    return up


@pytest.fixture(scope="module")
def verdicts(photographs: Likeness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, object]]]:
    worker = photographs.start("worker", "--role", "judge", err=tmp_path_factory.mktemp("worker") / "err.txt")
    address = json.loads((photographs.data_dir / "running.json").read_text())["kafka"]

    async def publish() -> None:
        async with Publisher(address) as publisher:
            for index, encoded in [*enumerate(SAMPLES)] * 2:  # each sample comes twice, and is judged once
                await publisher.training_sample(
                    run_id="run-1", step=1, index=index, identity="anna", model="mine", encoded=encoded
                )

    asyncio.run(publish())
    lines = photographs("watch", "samples.flagged", "--from-beginning", "--limit", "3", "--json").out.splitlines()
    yield sorted(map(json.loads, lines), key=lambda one: one["index"])
    worker.terminate()
    assert worker.wait(60) == 0


def test_a_planted_copy_of_a_photograph_is_flagged_with_the_photograph(verdicts: list[dict[str, object]]):
    copy = verdicts[0]

    [reason] = copy["reasons"]
    near = copy["originals"][0]
    assert (reason["code"], near["kind"], near["identity"], near["mirrored"]) == ("copy", "photo", "anna", False)
    assert f"reference {near['original_id']} of anna" in reason["text"]
    assert reason["measured"] == near["bits"] <= 31 == reason["limit"]
    assert near["original_id"] == copy["nearest"][0]["reference_id"]
    assert copy["similarity"] > 0.6  # as a likeness it is perfect
    assert copy["originals_searched"] == 3


def test_a_planted_copy_of_a_training_image_is_flagged_whoever_was_asked_for(verdicts: list[dict[str, object]]):
    copy = verdicts[1]

    near = copy["originals"][0]
    assert copy["reasons"][0]["code"] in {"copy", "near-copy"}
    assert (near["kind"], near["identity"], near["mirrored"]) == ("training", "carla", True)


def test_a_picture_that_is_no_copy_is_flagged_for_other_reasons(verdicts: list[dict[str, object]]):
    codes = {reason["code"] for reason in verdicts[2]["reasons"]}

    assert "mismatch" in codes
    assert not codes & {"copy", "near-copy"}
    assert min(near["bits"] for near in verdicts[2]["originals"]) > 60


def test_a_file_that_is_a_copy_gets_the_verdict_of_the_stream(
    photographs: Likeness, verdicts: list[dict[str, object]], tmp_path: Path
):
    (tmp_path / "copy.png").write_bytes(SAMPLES[0])
    [judged] = photographs("judge", "--identity", "anna", str(tmp_path / "copy.png"), "--json").json["images"]

    assert [reason["code"] for reason in judged["reasons"]] == ["copy"]
    # Which pictures a detector is given together moves its landmarks a little, and with them some bits.
    [by_file], [by_stream] = (
        [near for near in one["originals"] if near["bits"] <= 31] for one in (judged, verdicts[0])
    )
    assert by_file["original_id"] == by_stream["original_id"]


def test_the_books_balance(photographs: Likeness, verdicts: list[dict[str, object]]):
    assert eventually(lambda: photographs("audit", "--json").json["settled"])
    done = photographs("audit", "--json")
    assert (done.status, done.json["sound"], done.json["flagged"]) == (0, True, len(verdicts))


def test_a_file_that_is_no_image_is_told_and_a_folder_without_images_is_refused(photographs: Likeness, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.png").write_text("no picture")

    done = photographs("index-training", str(tmp_path), "--json")
    assert (done.status, done.json["registered"], list(done.json["skipped"])) == (1, 0, [str(tmp_path / "words.png")])
    refused = photographs("index-training", str(tmp_path / "empty"))
    assert (refused.status, refused.out) == (2, "")
    assert "holds no image" in refused.err
    assert photographs("index-training", str(tmp_path), LIKENESS_COPY_DESCRIPTOR="nowhere.onnx").status == 2
