"""From images of synthetic people to a policy that the judge loads, and to an evaluation: as their users type it."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generators import digiface_dcgan
from generators.weights import DCGAN_DIGIFACE, ensure, read
from streams.core.policy import parse
from streams.errors import PartFailed
from streams.settings import Settings
from streams.testing.milvus_server import MilvusServer
from tests.absent import absent

#: Seeds of anchors that are unlike each other, and of which every image shows one face.
ANCHORS = (4000, 4001, 4005, 4006, 4007, 4008, 4009, 4014)
PEOPLE = len(ANCHORS)
#: Images of each that are enrolled; two more are not.
EACH = 4


@dataclass(frozen=True)
class Commands:
    """The program in a folder of its own, with a gallery and without generators."""

    folder: Path
    milvus: str

    def __call__(self, *arguments: str, status: int = 0, **env: str) -> Any:
        """Run a command that must end with this status; return its JSON object, or what it says where it has none."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
        parts = {
            "LIKENESS_DATA_DIR": str(self.folder / "data"),
            "LIKENESS_MILVUS": self.milvus,
            "LIKENESS_LEDGER": f"sqlite:///{self.folder}/ledger.db",
            "LIKENESS_IMAGES": str(self.folder / "images"),
            "LIKENESS_TRITON": "127.0.0.1:1",
            "LIKENESS_POLICY": "synthetic",
        }
        ended = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments, "--json"],
            cwd=self.folder,
            env={**own, "PYTHONPATH": str(Path(__file__).parents[2]), **parts, **env},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr
        return json.loads(ended.stdout) if ended.stdout else ended.stderr


@pytest.fixture(scope="module")
def likeness(lite: MilvusServer, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """With synthetic people, a folder each: grey PGM files, and consent."""
    folder = tmp_path_factory.mktemp("calibrate")
    cache = Settings().cache_dir
    try:
        ensure(DCGAN_DIGIFACE, cache)
    except PartFailed as error:
        absent(str(error))
    network = digiface_dcgan.load(read(DCGAN_DIGIFACE, cache))
    for person, anchor in enumerate(ANCHORS):
        home = folder / "people" / f"person-{person}"
        home.mkdir(parents=True)
        (home / "consent.toml").write_text('granted_on = 2026-01-31\nevidence = "synthetic: shows nobody"\n')
        anchors = np.tile(np.float32(digiface_dcgan.anchor(anchor)), (EACH + 2, 1))
        strengths = np.linspace(0.05, 0.3, EACH + 2, dtype=np.float32)
        for place, pixels in enumerate(network.sample(range(EACH + 2), anchors, strengths)):
            image = Image.fromarray(pixels)
            image.convert("L").save(home / f"{place}.pgm")
            if place < EACH:
                image.save(home / f"{place}.png")
    return Commands(folder, lite.uri)


@pytest.fixture(scope="module")
def calibrated(likeness: Commands) -> Any:
    """What calibrating from the people said."""
    return likeness("calibrate", "identities", "people", "--origin", "synthetic", "--fmr", "0.01", "--resamples", "50")


@pytest.fixture(scope="module")
def enrolled(likeness: Commands) -> Any:
    return likeness("enrol", "people", "--origin", "synthetic")


def written(folder: Path, name: str, columns: str, rows: list[tuple[str, ...]]) -> str:
    with (folder / name).open("w", newline="") as file:
        csv.writer(file).writerows([tuple(columns.split(",")), *rows])
    return name


def test_calibrating_writes_a_policy_and_its_report(likeness: Commands, calibrated: Any):
    policy = parse((likeness.folder / calibrated["output"]).read_text(), "calibrated.toml")

    assert calibrated["policy"] == policy.version
    assert policy.calibrated
    assert policy.calibration is not None
    assert calibrated["subjects"] == PEOPLE
    assert calibrated["images"] == PEOPLE * (2 * EACH + 2)
    assert 0.3 < policy.limits.similarity < 0.9
    assert (likeness.folder / calibrated["report"]).read_text().startswith("<!doctype html>")


def test_the_judge_loads_the_policy_and_its_verdict_says_how_many_strangers_come_as_near(
    likeness: Commands, calibrated: Any, enrolled: Any
):
    image = "people/person-1/1.png"
    said = likeness("judge", "--identity", "person-1", image, LIKENESS_POLICY=calibrated["output"])["images"][0]

    assert said["policy_version"] == calibrated["policy"]
    assert said["similarity"] > 0.6
    assert 0 < said["false_match_rate"] < 0.1
    plain = likeness("judge", "--identity", "person-1", image)["images"][0]
    assert plain["false_match_rate"] is None


def test_the_gallery_calibrates_itself(likeness: Commands, enrolled: Any):
    said = likeness("calibrate", "gallery", "--output", "gallery.toml", "--resamples", "50")
    references = PEOPLE * EACH
    assert said["mated"] == references
    assert said["non_mated"] == references * (PEOPLE - 1)
    assert said["comparator"] == "centroid/raw"


def test_a_policy_may_require_a_second_verifier_which_is_then_enrolled_for_and_asked(likeness: Commands, enrolled: Any):
    if importlib.util.find_spec("dlib") is None:
        absent("dlib is not installed: pip install 'likeness-qc[second]'")
    image = ("judge", "--identity", "person-1", "people/person-1/1.png")
    second = {"LIKENESS_SECOND_EMBEDDER": "dlib-resnet"}
    said = likeness(
        *("calibrate", "identities", "people", "--origin", "synthetic", "--fmr", "0.01", "--resamples", "50"),
        *("--second-fmr", "0.05", "--output", "both.toml"),
        **second,
    )
    required = said["second"]
    assert required["embedding_space"].startswith("dlib-resnet/")
    assert required["effect"]["both"]["fmr"] <= required["effect"]["first"]["fmr"] <= 0.01

    by_both = {"LIKENESS_POLICY": "both.toml"}
    assert "likeness-qc[second]" in likeness(*image, status=2, **by_both)
    assert "likeness index-second" in likeness(*image, status=2, **by_both, **second)
    added = likeness("index-second", **second)
    assert (added["identities"], added["enrolled"], added["skipped"]) == (PEOPLE, PEOPLE, {})
    assert likeness("index-second", **second)["known"] == PEOPLE
    judged = likeness(*image, **by_both, **second)["images"][0]
    assert "second-verifier" not in [reason["code"] for reason in judged["reasons"]]
    assert judged["second"]["references"] == EACH
    assert judged["second"]["similarity"] >= required["similarity"]


def test_reviewed_samples_calibrate_by_the_share_of_good_ones_that_is_flagged(likeness: Commands, enrolled: Any):
    rows = [(f"people/person-{who}/{place}.pgm", f"person-{who}", "Yes") for who in range(PEOPLE) for place in (4, 5)]
    rows += [(f"people/person-{who}/4.pgm", f"person-{(who + 1) % PEOPLE}", "No") for who in range(PEOPLE)]
    listed = written(likeness.folder, "reviewed.csv", "sample,identity,Decision", rows)

    said = likeness(
        "calibrate", "reviewed", listed, "--output", "reviewed.toml", "--false-flags", "0.1", "--resamples", "50"
    )

    assert said["sources"]["similarity"].startswith("false flags 0.1")
    assert (said["mated"], said["non_mated"], said["failures_to_acquire"]) == (2 * PEOPLE, PEOPLE, 0)


def test_a_policy_made_from_pairs_is_refused_by_the_judge(likeness: Commands, enrolled: Any):
    rows = [(f"person-{who}/0.pgm", f"person-{who}/1.pgm", "Yes") for who in range(PEOPLE)]
    rows += [(f"person-{who}/0.pgm", f"person-{(who + 3) % PEOPLE}/0.pgm", "No") for who in range(PEOPLE)]
    listed = written(likeness.folder, "pairs.csv", "file_x,file_y,Decision", rows)

    said = likeness(
        "calibrate", "pairs", listed, "--images", "people", "--output", "pairs.toml", "--origin", "synthetic",
        "--resamples", "50",
    )  # fmt: skip
    assert said["comparator"] == "pair/raw"

    image = "people/person-1/1.png"
    refused = likeness("judge", "--identity", "person-1", image, status=2, LIKENESS_POLICY="pairs.toml")
    assert "verdicts rest on centroids" in refused


def test_an_evaluation_of_pairs_survives_what_is_missing_faceless_or_corrupt(likeness: Commands, calibrated: Any):
    people = likeness.folder / "people"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8)).save(people / "noise.pgm")
    (people / "corrupt.pgm").write_bytes(b"P5\n64 64\n255\n" + bytes(17))
    rows = [
        (f"person-{who}/0.pgm", f"person-{who}/{place}.pgm", "Yes", "a") for who in range(PEOPLE) for place in (1, 2)
    ]
    rows += [
        (f"person-{who}/0.pgm", f"person-{other}/0.pgm", "No", "b") for who in range(PEOPLE) for other in range(who)
    ]
    bad = [
        (f"person-{who}/0.pgm", name, "No", "b") for who, name in enumerate(["noise.pgm", "corrupt.pgm", "gone.pgm"])
    ]
    listed = written(likeness.folder, "evaluated.csv", "file_x,file_y,Decision,set", rows + bad)

    said = likeness(
        "evaluate", "pairs", listed, "--images", "people", "--group", "set", "--resamples", "50", status=1,
        LIKENESS_POLICY=calibrated["output"],
    )  # fmt: skip

    assert said["auc"] > 0.9
    assert 0.8 < said["accuracy_policy"] <= said["accuracy_best"] <= 1
    assert set(said["tpr_at_fmr"]) == {"0.01", "0.001"}
    assert said["pairs"] == len(rows) + 2
    assert said["pairs_left_out"] == 1
    assert [Path(path).name for path in said["missing"]] == ["gone.pgm"]
    assert {"noise.pgm", "corrupt.pgm"} <= {Path(path).name for path in said["failed"]}
    assert [group["group"] for group in said["groups"]] == ["a", "b"]
    assert (said["rank1"], said["policy"]) == (None, calibrated["policy"])
    assert "gone.pgm" in (likeness.folder / said["report"]).read_text()


def test_an_evaluation_of_people_identifies_them(likeness: Commands, calibrated: Any):
    said = likeness("evaluate", "identities", "people", "--resamples", "50", LIKENESS_POLICY=calibrated["output"])
    assert said["rank1"] > 0.9
    assert said["auc"] > 0.9
    assert said["open_set"]["gallery"] == PEOPLE - 1
    assert sum(said["verdicts"].values()) == said["mated"]
