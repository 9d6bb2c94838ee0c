"""Runs of training: stopped, killed and taken up again; recipes; and FaceNet as a loss against the product's engine."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

from generators import checkpoint, data, data_sources, facenet, judges, recipe
from generators.ceiling import STRENGTHS, ceilings
from generators.data_sources import Synthetic
from generators.evaluate import Samples, figures, sample, sheet
from generators.families import FAMILIES
from generators.families_command import families as families_app
from generators.learners import learner_of, trained
from generators.learning import Learner
from generators.publishing import publisher_of
from generators.recipe import Recipe
from generators.train import train
from generators.train_command import train as train_app
from streams import topics
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.client.publisher import Publisher
from streams.client.training import TrainingFeed
from streams.core.faces import Embedding
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.events import TrainingAdvised, to_json
from streams.settings import Settings
from tests.absent import absent
from tests.blobs import blobs

TINY = """
[model]
encoder = [8, 8, 8, 8]
decoder = [8, 8, 8, 8]
latent = 2
condition = 16
identity_loss_weight = 0
swap_after = 1
adversary = { widths = [8, 8, 8, 8] }

[plan]
batch = 4
half = false
checkpoint_seconds = 0
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    had = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(had)


@pytest.fixture
def tiny(tmp_path: Path) -> Recipe:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return recipe.read(file, FAMILIES["encoder_decoder"])


def learner(of: Recipe) -> Learner:
    return learner_of(of, Settings())


def steps(of: Recipe, count: int) -> Recipe:
    return replace(of, plan=replace(of.plan, steps=count))


# Stopped and taken up again


def test_a_run_that_is_taken_up_again_ends_as_one_that_was_never_stopped(tiny: Recipe, tmp_path: Path):
    train(learner(tiny), steps(tiny, 6), blobs(), tmp_path / "whole")
    train(learner(tiny), steps(tiny, 3), blobs(), tmp_path / "parts")
    meta = train(learner(tiny), steps(tiny, 6), blobs(), tmp_path / "parts")
    assert meta.step == 6
    whole, parts = (checkpoint.steps(tmp_path / name)[-1] for name in ("whole", "parts"))
    for name in (checkpoint.WEIGHTS, checkpoint.TRAINING):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()


@pytest.mark.parametrize("family", ["gan", "diffusion"])
def test_every_family_goes_on_where_it_was(family: str, tiny: Recipe, tmp_path: Path):
    train(learner(tiny), steps(tiny, 1), blobs(), tmp_path / "taught")
    model = {
        "gan": {
            "latent": 32,
            "generator": [8] * 4,
            "adversary": {"widths": [8] * 4},
            "condition": 16,
            "identity_loss_weight": 0,
        },
        "diffusion": {"width": 16, "blocks": 1, "condition": 16, "autoencoder": tiny.as_json()["model"]},
    }[family]
    of = recipe.parsed(
        {
            "model": model,
            "plan": {"batch": 4, "half": False, "checkpoint_seconds": 0},
            "encoder_decoder": str(tmp_path / "taught"),
        },
        FAMILIES[family],
    )
    train(learner(of), steps(of, 4), blobs(), tmp_path / "whole")
    train(learner(of), steps(of, 2), blobs(), tmp_path / "parts")
    train(learner(of), steps(of, 4), blobs(), tmp_path / "parts")
    whole, parts = (checkpoint.steps(tmp_path / name)[-1] for name in ("whole", "parts"))
    for name in (checkpoint.WEIGHTS, checkpoint.TRAINING):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    loaded = trained(tmp_path / "parts")
    assert (loaded.meta.family, loaded.meta.step) == (family, 4)
    assert loaded.sampler.sample([1], blobs().centroids[:1], np.zeros(1, dtype=np.float32)).shape == (1, 64, 64, 3)


_ENDLESS = """
import sys
from pathlib import Path
from generators import recipe
from generators.families import FAMILIES
from generators.learners import learner_of
from generators.train import train
from streams.settings import Settings
from tests.blobs import blobs

of = recipe.read(Path(sys.argv[1]), FAMILIES["encoder_decoder"])
train(learner_of(of, Settings()), of, blobs(), Path(sys.argv[2]))
"""


def test_a_run_that_is_killed_leaves_a_checkpoint_that_it_goes_on_from(tiny: Recipe, tmp_path: Path):
    """Checkpoints are written after every step here, so that most kills come while one is being written."""
    run = tmp_path / "run"
    reached = 0
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, str(tmp_path / "tiny.toml"), str(run)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        try:
            _wait_for_step(reached + 5, run, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        last = checkpoint.steps(run)[-1]
        reached = checkpoint.read_meta(last).step
        assert reached == checkpoint_step(last)
        trained(run)
    meta = train(learner(tiny), steps(tiny, reached + 1), blobs(), run)
    assert meta.step == reached + 1
    assert len(checkpoint.steps(run)) == checkpoint.KEPT


def _wait_for_step(step: int, run: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 300
    while not (found := checkpoint.steps(run)) or checkpoint_step(found[-1]) < step:
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"the run ended by itself with status {process.wait(0.05)}")
        assert time.monotonic() < deadline


def checkpoint_step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def test_a_run_ends_when_its_minutes_are_spent_over_all_its_parts(tiny: Recipe, tmp_path: Path):
    seconds = iter(range(1_000_000))
    of = replace(tiny, plan=replace(tiny.plan, minutes=0.5, checkpoint_seconds=1e9))
    meta = train(learner(of), of, blobs(), tmp_path / "run", clock=lambda: float(next(seconds)))
    assert 0 < meta.step < 30
    again = train(learner(of), of, blobs(), tmp_path / "run", clock=lambda: float(next(seconds)))
    assert again.step == meta.step


def test_progress_tells_rates_and_what_is_left(tiny: Recipe, tmp_path: Path):
    seconds = iter(range(0, 1_000_000, 4))
    lines: list[str] = []
    of = steps(tiny, 40)
    train(learner(of), of, blobs(), tmp_path / "run", report=lines.append, clock=lambda: float(next(seconds)))
    assert "steps/s" in lines[0]
    assert "faces/s" in lines[0]
    assert "left" in lines[0]
    assert "pixels" in lines[0]


# Checkpoints


def test_a_checkpoint_tells_all_that_it_came_from(tiny: Recipe, tmp_path: Path):
    train(learner(tiny), steps(tiny, 2), blobs(), tmp_path / "run")
    folder = checkpoint.steps(tmp_path / "run")[-1]
    told = json.loads((folder / checkpoint.META).read_text())
    assert (told["family"], told["step"]) == ("encoder_decoder", 2)
    assert told["data"] == blobs().sha256
    assert recipe.parsed(told["config"], FAMILIES["encoder_decoder"]).model == tiny.model


def test_a_checkpoint_that_was_cut_short_is_refused(tiny: Recipe, tmp_path: Path):
    train(learner(tiny), steps(tiny, 2), blobs(), tmp_path / "run")
    file = checkpoint.steps(tmp_path / "run")[-1] / checkpoint.WEIGHTS
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(WeightsUnusable, match="train again, or take an older one"):
        trained(tmp_path / "run")
    with pytest.raises(WeightsUnusable, match="train again"):
        train(learner(tiny), tiny, blobs(), tmp_path / "run")


def test_an_exported_checkpoint_has_half_the_size_and_makes_the_same_faces(tiny: Recipe, tmp_path: Path):
    train(learner(tiny), steps(tiny, 2), blobs(), tmp_path / "run")
    checkpoint.export(checkpoint.last(tmp_path / "run"), tmp_path / "small")
    whole, small = (folder / checkpoint.WEIGHTS for folder in (checkpoint.last(tmp_path / "run"), tmp_path / "small"))
    assert "encoder_decoder" not in json.loads((tmp_path / "small" / checkpoint.META).read_text())["config"]
    assert small.stat().st_size < 0.7 * whole.stat().st_size
    arguments = range(2), blobs().centroids[:2], np.zeros(2, dtype=np.float32)
    one, other = (trained(tmp_path / name).sampler.sample(*arguments).astype(int) for name in ("run", "small"))
    assert np.abs(one - other).max() <= 2


def test_a_run_of_another_network_is_not_gone_on_from(tiny: Recipe, tmp_path: Path):
    train(learner(tiny), steps(tiny, 2), blobs(), tmp_path / "run")
    other = replace(tiny, model=replace(tiny.model, condition=8))
    with pytest.raises(WeightsUnusable, match="train in a new folder"):
        train(learner(other), other, blobs(), tmp_path / "run")
    with pytest.raises(WeightsUnusable, match="got none"):
        trained(tmp_path / "nowhere")


# Recipes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model]\nlatnet = 4", r"keys of \[model\].*got latnet"),
        ("[plan]\nsteps = 'many'", "plan.steps"),
        ("[synthetic]\npeople = 0", "expected people"),
        ("family = 'gan'", "family encoder_decoder, got one of gan"),
        ("speed = 3", "got \\['speed'\\]"),
        ("[model", "expected a recipe"),
        ("model = 3", "expected a table"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused_with_its_name(text: str, told: str, tmp_path: Path):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match=told):
        recipe.read(file, FAMILIES["encoder_decoder"])


@pytest.mark.parametrize("file", sorted(Path("ops/runs").glob("*.toml")), ids=lambda file: file.stem)
def test_every_recipe_that_is_shipped_can_be_read(file: Path):
    family = next(name for name in FAMILIES if f'family = "{name}"' in file.read_text())
    assert recipe.read(file, FAMILIES[family]).family == family


def test_a_diffusion_without_a_trained_encoder_decoder_is_refused(tmp_path: Path):
    file = tmp_path / "diffusion.toml"
    file.write_text("[plan]\nsteps = 1")
    of = recipe.read(file, FAMILIES["diffusion"])
    with pytest.raises(BadInput, match="--encoder-decoder"):
        learner(of)


def test_the_command_says_what_is_wrong_with_its_recipe(tmp_path: Path):
    result = CliRunner().invoke(train_app, ["gan", "--config", str(tmp_path / "nothing.toml")])
    assert isinstance(result.exception, BadInput)
    assert result.stdout == ""


# FaceNet, and the faces


@cache
def known() -> data.Faces:
    return data_sources.synthetic(Synthetic(people=24, each=3, farthest=0.3), Settings())


def test_synthetic_people_are_told_apart_and_kept_in_the_cache():
    faces = known()
    of = (faces.embeddings @ faces.centroids.T)[np.arange(len(faces)), faces.identities]
    assert len(faces.names) > 20
    assert float(of.mean()) > 0.8
    crossed = faces.centroids @ faces.centroids.T
    assert float(crossed[~np.eye(len(crossed), dtype=bool)].mean()) < 0.45
    assert data_sources.synthetic(Synthetic(people=24, each=3, farthest=0.3), Settings()).sha256 == faces.sha256


def test_facenet_as_a_loss_sees_what_the_product_sees():
    """The product rounds the crop to whole levels, and this one does not: 0.999 on average."""
    faces = known()
    network = facenet.load(Settings())
    batch = torch.from_numpy(faces.pixels[:12]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        embeddings = network(batch, torch.from_numpy(faces.boxes[:12])).numpy()
    cosines = (embeddings * faces.embeddings[:12]).sum(axis=1)
    assert float(cosines.mean()) > 0.995
    assert float(cosines.min()) > 0.98


def test_gradients_flow_through_facenet_into_the_pixels_of_the_face_alone():
    network = facenet.load(Settings(), side=112)
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    target = torch.nn.functional.normalize(torch.ones(128), dim=0)
    (network(images, torch.tensor([[10, 8, 50, 60]])) @ target).sum().backward()
    assert images.grad is not None
    assert float(images.grad[..., :, :10].abs().max()) == 0
    assert float(images.grad[..., 8:60, 10:50].abs().max()) > 0


def test_a_folder_of_photographs_becomes_faces_in_the_same_frame(tmp_path: Path):
    pictures = Path(__file__).parent / "faces"
    for person in ("anna", "bela"):
        (tmp_path / person).mkdir()
        for number in (1, 2):
            (tmp_path / person / f"{number}.png").write_bytes((pictures / f"{person}-{number}.png").read_bytes())
    lines: list[str] = []
    faces = data_sources.photographs(tmp_path, Settings(), lines.append)
    assert list(faces.names) == ["anna", "bela"]
    assert len(faces) == 4
    assert ((faces.boxes[:, 2] - faces.boxes[:, 0]) > 32).all()
    assert not [line for line in lines if "left out" in line]
    with pytest.raises(BadInput, match="expected faces"):
        data_sources.photographs(tmp_path / "anna", Settings())


def test_real_faces_of_the_targets_are_judged_as_what_they_are(tiny: Recipe):
    """The judge against truth: real faces in place of samples have the similarity that they are known to have."""
    faces = known()
    engine = FaceEngine.load(Settings())
    made = sample(learner(tiny).sampler(), faces, identities=20, each=2)
    told = figures("encoder_decoder", 0, real(made, faces), faces, engine)
    assert told.abstained == 0
    assert told.rank1 > 0.9
    assert told.mean_similarity > told.shuffled_similarity + 0.4
    assert told.vendi > 5
    assert sheet(made, faces).shape == (64 * 5, 64 * 10, 3)


def real(made: Samples, faces: data.Faces) -> Samples:
    """Return the samples with a real face of each target in their place."""
    rows = np.concatenate([np.flatnonzero(faces.identities == target)[:1] for target in made.targets])
    return replace(made, pixels=faces.pixels[rows])


@cache
def both() -> FaceEngine:
    try:
        engine = judges.load(Settings())
    except (Unready, WeightsUnusable) as error:
        absent(str(error))
    if engine.examine([encode_png(known().pixels[0])])[0].largest.second is None:
        absent("no second judge: pip install 'likeness-qc[second]'")
    return engine


@cache
def second_centroids() -> Mapping[int, Embedding]:
    return judges.second_centroids(known(), both(), 10)


def test_the_second_judge_knows_real_faces_of_the_targets_and_not_those_of_others(tiny: Recipe):
    faces = known()
    made = real(sample(learner(tiny).sampler(), faces, identities=10, each=1), faces)
    seen = judges.examined(made.pixels, both())
    right, wrong = (
        judges.by_second(seen, targets.tolist(), second_centroids())
        for targets in (made.targets, np.roll(made.targets, 1))
    )
    assert right is not None
    assert wrong is not None
    assert (right.identities, right.samples, right.rank1, wrong.rank1) == (10, 10, 1, 0)
    assert right.mean_similarity - right.shuffled_similarity > 0.05
    assert abs(wrong.mean_similarity - right.shuffled_similarity) < 0.03


def test_to_both_judges_a_real_face_is_the_less_like_its_anchor_the_farther_it_wanders():
    near, far = ceilings(known(), both(), second_centroids(), Settings(), identities=10, each=2)
    assert (near["strength"], far["strength"]) == STRENGTHS
    assert near["mean_similarity"] > far["mean_similarity"] > far["shuffled_similarity"] + 0.2
    assert near["second"]["mean_similarity"] > far["second"]["mean_similarity"]
    assert far["second"]["mean_similarity"] > far["second"]["shuffled_similarity"]


def test_the_command_says_what_both_judges_make_of_a_run_and_of_real_faces(tiny: Recipe, tmp_path: Path):
    both()
    of = replace(tiny, synthetic=Synthetic(people=52, each=2, farthest=0.3))  # two of whom are kept out
    train(learner(of), steps(of, 1), blobs(), tmp_path / "run")
    asked = ["evaluate", str(tmp_path / "run"), "--identities", "2", "--each", "2"]
    (told,) = json.loads(CliRunner().invoke(families_app, [*asked, "--json"]).stdout)["families"]
    assert (told["family"], told["step"], told["facenet_was_a_loss"]) == ("encoder_decoder", 1, False)
    assert [row["strength"] for row in told["ceiling"]] == [*STRENGTHS]
    assert told["ceiling"][0]["second"]["rank1"] == 1
    assert "ceiling.0.second.rank1\t1.0000" in CliRunner().invoke(families_app, asked).stdout


def test_one_person_alone_is_refused_for_there_is_nobody_to_mistake_them_for(tiny: Recipe):
    with pytest.raises(BadInput, match="expected two people and more"):
        sample(learner(tiny).sampler(), blobs(people=1))


# On the road


async def test_a_runs_samples_are_published_with_their_run_step_and_target(kafka_with_topics: str, tiny: Recipe):
    lines: list[str] = []
    of = blobs()
    made = sample(learner(tiny).sampler(), of, identities=3, each=2)

    def publish() -> None:
        with TrainingFeed(kafka_with_topics, run_id="run-1", model="gan") as feed:
            publisher_of(feed, of, lines.append)(made, 40)

    await asyncio.to_thread(publish)
    assert lines == ["step 40: 6 samples are published"]
    found = await _read(kafka_with_topics, topics.TRAINING_SAMPLES.name, 6)
    assert {(each["run_id"], each["step"], each["model"]) for each in found} == {("run-1", 40, "gan")}
    assert sorted((each["index"], each["identity"]) for each in found) == [
        (index, f"person-{index // 2}") for index in range(6)
    ]


async def _read(kafka: str, topic: str, count: int) -> list[dict[str, Any]]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            return [json.loads((await consumer.getone()).value) for _ in range(count)]
    finally:
        await consumer.stop()


def test_a_broker_that_is_down_costs_a_run_nothing_but_a_line(tiny: Recipe):
    lines: list[str] = []
    made = sample(learner(tiny).sampler(), blobs(), identities=2, each=1)
    with TrainingFeed("127.0.0.1:1", run_id="run-1", model="gan") as feed:
        publisher_of(feed, blobs(), lines.append)(made, 40)
    assert "step 40: samples are not published: kafka is unavailable" in lines[0]


def advice(step: int, **says: Any) -> TrainingAdvised:
    said = {"run_id": "run-1", "revision": 1, "complete": True, "advice": "continue", "reason": "it gets better"}
    return TrainingAdvised(step=step, samples=8, accepted=8, flagged={}, **said | says)


async def test_a_loop_hears_the_latest_word_on_its_own_run(kafka_with_topics: str):
    async with Publisher(kafka_with_topics) as publisher:
        for said in (
            advice(20, best_step=20),
            advice(30, revision=2, advice="stop", best_step=20),
            advice(30, revision=1, best_step=20),
            advice(10, best_step=10),
            advice(90, run_id="another"),
        ):
            await publisher.raw(topics.TRAINING_FEEDBACK.name, to_json(said), said.run_id.encode())
        await publisher.raw(topics.TRAINING_FEEDBACK.name, b"no feedback", b"run-1")

    def hear() -> tuple[bool, int | None]:
        with TrainingFeed(kafka_with_topics, run_id="run-1", model="gan") as feed:
            deadline = time.monotonic() + 60
            while not feed.told_to_stop and time.monotonic() < deadline:
                threading.Event().wait(0.05)
            return feed.told_to_stop, feed.best_step

    assert await asyncio.to_thread(hear) == (True, 20)


def test_feedback_marks_the_best_checkpoint_weighs_the_identity_and_ends_the_run(tiny: Recipe, tmp_path: Path):
    of, lines, run = steps(tiny, 20), [], tmp_path / "run"
    made = learner(of)
    weights: list[float] = []
    emphasise = made.emphasise
    made.emphasise = lambda times: (weights.append(times), emphasise(times))[0]  # type: ignore[method-assign]
    said: dict[int, TrainingAdvised] = {
        2: advice(2, best_step=2, rank1=0.4),
        6: advice(6, best_step=2, rank1=0.9, advice="best-so-far"),
        9: advice(8, best_step=2, rank1=0.9, advice="stop", reason="it collapses"),
    }

    def advised() -> TrainingAdvised | None:
        reached = checkpoint.steps(run)
        now = int(reached[-1].name.removeprefix("step-")) if reached else 0
        return max((each for step, each in said.items() if step <= now), key=lambda each: each.step, default=None)

    meta = train(made, of, blobs(), run, report=lines.append, advised=advised)

    assert meta.step == 9
    assert weights == [2.0, 1.0]
    assert checkpoint.best(run) == checkpoint.folder_of(run, 2)  # long after it would have been deleted
    assert [line for line in lines if "stop" in line] == ["feedback on step 8: stop: it collapses"]
    assert trained(checkpoint.folder_of(run, 2)).meta.step == 2
