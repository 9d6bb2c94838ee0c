"""Which engines and precisions are measured: every one that the settings know and this machine can run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.faces.engine import FaceEngine
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.events import Precision
from streams.settings import Settings
from streams.wheels import Report


@dataclass(frozen=True)
class Configuration:
    """What runs the networks, and what numbers embed a face at the first look."""

    engine: str
    precision: Precision

    @property
    def name(self) -> str:
        """How results call it."""
        return f"{self.engine} {self.precision}"

    def on(self, settings: Settings) -> Settings:
        """Return the settings with this configuration."""
        return settings.model_copy(update={"engine": self.engine, "precision": self.precision})


def known() -> list[Configuration]:
    """Return every pair of what can be set; ``auto`` is one of the others, and torch is a reference in fp32."""
    return [
        Configuration(engine, precision)
        for engine in _choices("engine")
        for precision in _choices("precision")
        if precision != "auto" and (engine != "torch" or precision == "fp32")
    ]


def networks(
    settings: Settings, wanted: Sequence[Configuration], report: Report
) -> tuple[dict[Configuration, FaceNetworks], dict[str, str]]:
    """Return the loaded networks of each configuration that can be had here, and why the others cannot.

    What is made once, such as a network in 8-bit integers, is made here where it is missing; that takes minutes.

    Raises:
        Unready: If there is none.
    """
    there: dict[Configuration, FaceNetworks] = {}
    missing: dict[str, str] = {}
    for one in wanted:
        try:
            there[one] = FaceEngine.load(one.on(settings), report)._networks
        except BadInput:
            continue  # no such pair
        except (Unready, WeightsUnusable) as error:
            missing[one.name] = str(error)
    if not there:
        raise nothing(missing)
    return there, missing


def nothing(missing: Mapping[str, str]) -> Unready:
    """Return the error that says that no configuration can be had here."""
    return Unready(f"expected one configuration or more that can be had here, got none: {missing or 'no such pair'}")


def _choices(field: str) -> tuple[Any, ...]:
    return get_args(Settings.model_fields[field].annotation)
