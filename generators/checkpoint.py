"""Checkpoints: a folder a step, with what samples, what goes on, and what is known of both.

``weights.safetensors`` holds the averaged weights, ``training.safetensors`` everything else that the next step needs,
``meta.json`` the family, its configuration, the step, the digest of the data and the metrics. A folder is written under
another name, made durable and then renamed: whoever is killed leaves the checkpoint before whole.
"""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generators.learning import Learner
from generators.recipe import PATHS
from streams.errors import WeightsUnusable
from streams.replacing import replacing

#: Names the best checkpoint of a run, as its feedback says.
BEST = "best.json"

WEIGHTS, TRAINING, META = FILES = ("weights.safetensors", "training.safetensors", "meta.json")

#: Checkpoints of one run that are kept: the newest, and one for the case that it cannot be read.
KEPT = 2

#: Ends of the names of tensors that are exported in full precision.
EXACT = ("latent_mean", "latent_second")

_PREFIX, _PART = "step-", ".part"


@dataclass(frozen=True)
class Meta:
    """What is known of a checkpoint."""

    family: str
    config: Mapping[str, Any]
    """The whole recipe, as it was given."""
    step: int
    """Updates that were done."""
    seconds: float
    """Training time, over every time that the run was taken up again."""
    data: str
    """Digest of the faces that it learned from."""
    metrics: Mapping[str, Any]
    """What was last measured, and at which step; empty where nothing was yet."""


def save(learner: Learner, meta: Meta, run: Path, spared: Collection[int] = ()) -> Path:
    """Write a checkpoint into the folder of its run, and delete older ones.

    The last two stay, the one that is marked as the best, and those of the steps that are ``spared``.
    """
    from safetensors.torch import save_file

    folder = folder_of(run, meta.step)
    part = folder.with_name(folder.name + _PART)
    for leftover in (part, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    part.mkdir(parents=True)
    save_file(weights_of(learner.modules["average"]), part / WEIGHTS)
    save_file(_training(learner), part / TRAINING)
    _write_meta(meta, part)
    for name in FILES:
        _make_durable(part / name)
    os.replace(part, folder)
    _make_durable(run)
    stay = {folder_of(run, step) for step in spared} | {best(run)}
    for old in steps(run)[:-KEPT]:
        if old not in stay:
            shutil.rmtree(old)
    return folder


def folder_of(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies, if there is one."""
    return run / f"{_PREFIX}{step:08d}"


def mark_best(run: Path, step: int) -> bool:
    """Mark the checkpoint of a step as the run's best, so that it stays; return whether there is one."""
    if not folder_of(run, step).is_dir():
        return False
    with replacing(run / BEST) as part:
        part.write_text(json.dumps({"step": step}) + "\n", encoding="utf-8")
    return True


def best(run: Path) -> Path | None:
    """Return the checkpoint that is marked as the run's best; None where none is."""
    try:
        found = folder_of(run, int(json.loads((run / BEST).read_bytes())["step"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.is_dir() else None


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's tensors as safetensors takes them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def steps(run: Path) -> list[Path]:
    """Return the whole checkpoints of a run, the oldest first."""
    found = run.glob(f"{_PREFIX}*") if run.is_dir() else ()
    return sorted(folder for folder in found if folder.suffix != _PART)


def last(folder: Path) -> Path:
    """Return the folder itself if it holds a checkpoint, else the last one of the run whose folder it is.

    Raises:
        WeightsUnusable: If there is none.
    """
    if (folder / META).is_file():
        return folder
    if found := steps(folder):
        return found[-1]
    raise WeightsUnusable(f"expected checkpoints in {folder}, got none: `likeness train` makes them")


def export(folder: Path, into: Path) -> None:
    """Write what samples from a checkpoint into another folder, at half the size, and what is known of it.

    Paths in its recipe are left out: they are of the machine on which it was trained.

    Raises:
        WeightsUnusable: If it cannot be read.
    """
    from safetensors.torch import save_file

    meta, tensors = read_meta(folder), read_weights(folder)
    into.mkdir(parents=True, exist_ok=True)
    # Moments of latents are differences of large numbers: they stay as they are.
    halved = {name: t if name.endswith(EXACT) else t.half() for name, t in tensors.items()}
    save_file(halved, into / WEIGHTS)
    (into / WEIGHTS).chmod(0o644)  # a server may run as somebody else
    recipe = {name: value for name, value in meta.config.items() if name not in PATHS}
    _write_meta(replace(meta, config=recipe), into)


def _write_meta(meta: Meta, folder: Path) -> None:
    (folder / META).write_text(json.dumps(vars(meta), indent=2) + "\n", encoding="utf-8")


def read_meta(folder: Path) -> Meta:
    """Read what is known of a checkpoint.

    Raises:
        WeightsUnusable: If it is not there, or is none.
    """
    try:
        return Meta(**json.loads((folder / META).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsUnusable(f"expected a checkpoint in {folder}, got {error}: `likeness train` makes one") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read what samples.

    Raises:
        WeightsUnusable: If it is not there, or cut short.
    """
    return _read(folder / WEIGHTS)


def resume(learner: Learner, folder: Path) -> None:
    """Put a learner into the state that it was saved in.

    Raises:
        WeightsUnusable: If the checkpoint cannot be read, or is another network's.
    """
    weights, rest = read_weights(folder), _read(folder / TRAINING)
    try:
        for name, module in learner.modules.items():
            state = weights if name == "average" else _under(rest, f"{name}.")
            module.load_state_dict(state, strict=True)
        for name, optimizer in learner.optimizers.items():
            _load_optimizer(optimizer, _under(rest, f"optimizer.{name}."))
    except (RuntimeError, KeyError, ValueError) as error:
        raise WeightsUnusable(
            f"expected the checkpoint of this configuration in {folder}, got another: {error}; train in a new folder"
        ) from error


def _training(learner: Learner) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, module in learner.modules.items():
        if name != "average":
            tensors |= {f"{name}.{key}": tensor for key, tensor in weights_of(module).items()}
    for name, optimizer in learner.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, tensor in state.items():
                tensors[f"optimizer.{name}.{index}.{key}"] = tensor.detach().cpu().contiguous()
    return tensors


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsUnusable(f"expected tensors in {file}, got {error}: train again, or take an older one") from error
    return tensors


def _make_durable(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
