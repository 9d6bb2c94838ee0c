"""What makes imprints of pictures, as the face engine uses it, and which one the settings name."""

from collections.abc import Sequence
from typing import Protocol

from streams.adapters.facenet.landmarks import Landmarks
from streams.core.faces import Pixels
from streams.core.imprints import Descriptor, Imprints
from streams.settings import Settings

Views = tuple[Pixels, ...]


class CopyDescriptor(Protocol):
    """Describes pictures so that copies of one another are near. Used by one thread at a time."""

    @property
    def what(self) -> Descriptor:
        """What the imprints are."""

    def views(self, picture: Pixels, portrait: Pixels | None) -> Views:
        """Return what is needed of a picture: small, and quickly made.

        Args:
            picture: uint8 (H, W, 3).
            portrait: Of its largest face, as ``portrait`` makes it; None where it shows none.
        """

    def imprints(self, pictures: Sequence[Views], *, mirrored: bool = False) -> list[Imprints]:
        """Return the imprints of each picture's views; with ``mirrored`` after each that of its mirror image."""


def copy_descriptor(settings: Settings, landmarks: Landmarks) -> CopyDescriptor:
    """Return the network that the settings bring, or the perceptual hash.

    Raises:
        BadInput: If the file is no such network.
        Unready: If what runs it is not installed.
    """
    if settings.copy_descriptor is not None:
        from streams.adapters.copies.network import CopyNetwork

        return CopyNetwork.load(settings.copy_descriptor, settings)
    from streams.adapters.copies.hash import CopyHash

    return CopyHash(landmarks)


def described(settings: Settings) -> Descriptor:
    """Return what the imprints of these settings are. Loads a network that the settings bring, and nothing else.

    Raises:
        BadInput, Unready: As ``copy_descriptor`` says.
    """
    if settings.copy_descriptor is not None:
        from streams.adapters.copies.network import CopyNetwork

        return CopyNetwork.load(settings.copy_descriptor, settings).what
    from streams.adapters.copies.hash import HASH

    return HASH
