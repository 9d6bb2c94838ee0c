"""What is known of how people look."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.core.explain.look import Look
from streams.core.explain.spread import Spread


@dataclass(frozen=True)
class KnownLooks:
    """How the references of some people look, and what differences are measured in."""

    of: Mapping[str, Mapping[str, Look]]
    """By identity and by reference; without those of whom it is not known."""
    spread: Spread | None
    """Within one person, over everybody; None where that was never measured."""
