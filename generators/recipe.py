"""Recipes: TOML files that say what a family learns from, for how long, and how large it is."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from generators.data_sources import Synthetic
from generators.families import Family
from generators.learning import Plan
from streams.errors import BadInput

T = TypeVar("T")

#: The keys of a recipe that are paths.
PATHS = _PHOTOGRAPHS, _TAUGHT = ("photographs", "encoder_decoder")


@dataclass(frozen=True)
class Recipe:
    """All that a run depends on, beside the code."""

    family: str
    model: Any
    """The family's own configuration."""
    plan: Plan = field(default_factory=Plan)
    synthetic: Synthetic = field(default_factory=Synthetic)
    photographs: Path | None = None
    """A folder of one subfolder a person, in place of synthetic people."""
    encoder_decoder: Path | None = None
    """The run of a trained encoder-decoder: where a diffusion has its latents, and a GAN may begin."""

    @property
    def learned_by_facenet(self) -> bool:
        """Whether FaceNet was a loss, of the family itself or of the encoder-decoder that it decodes with."""
        weights: list[float] = [
            getattr(config, "identity_loss_weight", 0.0)
            for config in (self.model, getattr(self.model, "autoencoder", None))
        ]
        return max(weights) > 0

    def as_json(self) -> dict[str, Any]:
        """Return it as ``parsed`` takes it."""
        told = asdict(self)
        return {name: str(value) if isinstance(value, Path) else value for name, value in told.items()}


def read(file: Path, family: Family) -> Recipe:
    """Read a recipe; every key that is left out has its default. Paths are relative to the file.

    Raises:
        BadInput: If it cannot be read, or has a key or a value that there is not.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"expected a recipe in {file}, got {error}") from error
    try:
        recipe = parsed(found, family)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from error
    beside = {name: (file.parent / path).resolve() for name in PATHS if (path := getattr(recipe, name)) is not None}
    return replace(recipe, **beside)


def parsed(found: Mapping[str, Any], family: Family) -> Recipe:
    """Turn the tables of a recipe, or what a checkpoint says of it, into one.

    Raises:
        BadInput: If it is another family's, or has a key or a value that there is not.
    """
    told = dict(found)
    if (other := told.pop("family", family.name)) != family.name:
        raise BadInput(f"expected a recipe of the family {family.name}, got one of {other}")
    model = _checked(family.config, told.pop("model", {}), "model")
    plan = _checked(Plan, told.pop("plan", {}), "plan")
    synthetic = _checked(Synthetic, told.pop("synthetic", {}), "synthetic")
    paths = {name: Path(path) if (path := told.pop(name, None)) is not None else None for name in PATHS}
    if told:
        raise BadInput(f"expected the tables model, plan, synthetic and the keys {', '.join(PATHS)}, got {[*told]}")
    return Recipe(family.name, model, plan, synthetic, paths[_PHOTOGRAPHS], paths[_TAUGHT])


def _checked(of: type[T], values: Any, table: str) -> T:
    """Build a frozen dataclass from a table, strictly: an unknown key is a mistake, not a wish."""
    if not isinstance(values, Mapping):
        raise BadInput(f"expected a table [{table}], got {values!r}")
    _refuse_unknown(of, values, table)
    try:
        return TypeAdapter(of).validate_python(dict(values))
    except ValidationError as error:
        faults = [f"{table}.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise BadInput("; ".join(faults)) from error


def _refuse_unknown(of: type[Any], values: Mapping[str, Any], table: str) -> None:
    known = {each.name for each in fields(of)}
    if unknown := sorted(set(values) - known):
        raise BadInput(f"expected keys of [{table}] among {', '.join(sorted(known))}, got {', '.join(unknown)}")
