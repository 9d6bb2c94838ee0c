"""Which second verifier the settings name."""

from collections.abc import Sequence
from typing import Protocol

from streams.core.faces import Embedding, EmbeddingSpace, Pixels
from streams.settings import Settings
from streams.wheels import Report, silent


class SecondEmbedder(Protocol):
    """Embeds faces that were found already. Used by one thread at a time."""

    def cut_out(self, picture: Pixels, landmarks: Sequence[tuple[float, float]]) -> Pixels | None:
        """Return the face as ``embed`` takes it; None where its landmarks lie in no face.

        Args:
            picture: uint8 (H, W, 3).
            landmarks: Eyes, nose and mouth corners, in pixels of the picture.
        """

    def embed(self, faces: Sequence[Pixels]) -> list[Embedding | None]:
        """Return a vector of unit length for each face; None where it has no direction."""


def second_space(settings: Settings) -> EmbeddingSpace | None:
    """Return its embedding space, None where none is named. Loads nothing."""
    if settings.second_embedder is None:
        return None
    from streams.adapters.second.dlib_resnet import SPACE

    return SPACE


def second_embedder(settings: Settings, report: Report = silent) -> SecondEmbedder | None:
    """Return it loaded, None where none is named; blocks.

    Raises:
        Unready, WeightsUnusable: As ``DlibResnet.load`` says.
    """
    if settings.second_embedder is None:
        return None
    from streams.adapters.second.dlib_resnet import DlibResnet

    return DlibResnet.load(settings, report)
