"""How to wander away from an anchor in a Gaussian latent space. One home for every generator with such a space.

Noise comes from numpy's PCG64 and not from the network's library: a seed then means the same sample on a CPU and on a
GPU.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: Keeps what is drawn of a seed apart from the noise that wanders by it.
_DRAWN = (2,)


def wander(anchors: Floats, seeds: Sequence[int], strengths: Floats) -> Floats:
    """Return z = z0 * sqrt(1 - s^2) + s * e with e ~ N(0, I) drawn from each seed.

    The weights' squares sum to one: an anchor from N(0, I) wanders within N(0, I), what the network was trained on, at
    every strength. The anchor's own length is kept on average and not exactly: it drifts to sqrt(d), as
    ||z0||^2 (1 - s^2) + s^2 d.

    Args:
        anchors: z0, shape (B, d).
        seeds: One a sample, 0 and up.
        strengths: s, shape (B,), in [0, 1]; 0 is the anchor itself, 1 has forgotten it.

    Returns:
        z, shape (B, d).
    """
    size = anchors.shape[1]
    noise = np.stack([np.random.default_rng(seed).standard_normal(size) for seed in seeds])
    s = strengths.astype(np.float64)[:, np.newaxis]
    return np.asarray(anchors * np.sqrt(1 - s**2) + s * noise, dtype=np.float32)


def drawn(seeds: Sequence[int], size: int) -> Floats:
    """Draw e ~ N(0, I) of each seed, shape (B, size), independent of the noise by which ``wander`` goes."""
    return np.stack([_generator(seed).standard_normal(size, dtype=np.float32) for seed in seeds])


def walk(anchor: Floats, frames: int, seed: int, strength: float, turn: float = 0.5) -> Floats:
    """Walk smoothly around an anchor, as the frames of a clip do: z_t = z0 sqrt(1 - s^2) + s (e cos wt + f sin wt).

    e and f are two draws of N(0, I), so every frame lies as far from the anchor as ``wander`` would take it.

    Args:
        anchor: z0, shape (d,).
        frames: How many, 1 and up.
        seed: Which walk.
        strength: s, in [0, 1].
        turn: How much of a full turn the walk takes, first frame to last.

    Returns:
        z, shape (frames, d).
    """
    e, f = _generator(seed).standard_normal((2, len(anchor)))
    angles = 2 * np.pi * turn * np.arange(frames)[:, np.newaxis] / max(1, frames - 1)
    walked = anchor * np.sqrt(1 - strength**2) + strength * (e * np.cos(angles) + f * np.sin(angles))
    return np.asarray(walked, dtype=np.float32)


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_DRAWN))


def wander_on_sphere(identities: Floats, seeds: Sequence[int], strengths: Floats) -> Floats:
    """Wander from unit vectors, shape (B, d), and stay among them: ``wander`` at length sqrt(d), and back to length 1.

    At strength s the cosine to where it began is about sqrt(1 - s^2); 0 is the identity itself. Nothing but zeros is
    nobody, and stays so at strength 0.
    """
    d = identities.shape[1]
    z = wander(np.asarray(identities * d**0.5, dtype=np.float32), seeds, strengths)
    return np.asarray(z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12), dtype=np.float32)
