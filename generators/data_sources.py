"""Where faces come from: a folder of photographs, or people who do not exist, drawn from the DigiFace DCGAN.

Synthetic faces are made in pieces, each written whole, so that whoever is killed goes on where it was.
"""

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from generators import digiface_dcgan, weights
from generators.data import SIDE, Faces, Pixels, joined, read, save
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.core.faces import Face, Sighting
from streams.errors import BadInput
from streams.settings import Settings
from streams.wheels import Report, one_at_a_time, silent

#: What counts as an image in a folder, by its name.
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})

#: Identities of one piece of synthetic faces: some seconds of work.
PIECE = 64

#: Where the synthetic people's seeds begin: far from those that the demo and the tests enrol.
FIRST_SEED = 1_000_000

#: What the name of a synthetic person begins with; the seed of their anchor follows.
_NAMED = "synthetic-"

#: Side of the square that is cut out of a photograph, in units of the longer side of the face's box.
_FRAME = 1.2


@dataclass(frozen=True)
class Synthetic:
    """People who do not exist: an anchor each, and faces that wander away from it."""

    people: int = 5000
    each: int = 4
    """Faces of one identity that are drawn; the engine finds a face in about 85 of 100."""
    farthest: float = 0.3
    """Strength of the farthest one, in [0, 1]; the nearest is the anchor itself."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.people < 1 or self.each < 1 or not 0 <= self.farthest <= 1:
            raise BadInput(f"expected people and faces of each, and a farthest strength in [0, 1], got {self}")


def synthetic(wanted: Synthetic, settings: Settings, *, processes: int = 1, report: Report = silent) -> Faces:
    """Return synthetic faces from the cache, where they are made if they are not there: 30 ms of a core a face.

    Raises:
        Unready, WeightsUnusable: If the networks or their weights cannot be had.
    """
    folder = settings.cache_dir / "faces" / _name(wanted, settings)
    file = folder / "faces.npz"
    if not file.exists():
        with one_at_a_time(folder, report):
            if not file.exists():
                _make_all(wanted, folder, settings, processes, report)
    return read(file)


def walked(names: Sequence[str], strength: float, settings: Settings) -> Pixels:
    """Draw a face more of each synthetic person named, by noise that no face of ``synthetic`` has: (N, 64, 64, 3).

    Raises:
        Unready, WeightsUnusable: If the network's weights cannot be had.
    """
    weights.ensure(weights.DCGAN_DIGIFACE, settings.cache_dir)
    gan = digiface_dcgan.load(weights.read(weights.DCGAN_DIGIFACE, settings.cache_dir))
    anchors = np.array([digiface_dcgan.anchor(int(name.removeprefix(_NAMED))) for name in names], dtype=np.float32)
    # Seeds of noise in `synthetic` begin where those of the people do.
    return gan.sample(range(len(names)), anchors, np.full(len(names), strength, dtype=np.float32))


def _make_all(wanted: Synthetic, folder: Path, settings: Settings, processes: int, report: Report) -> None:
    """Make the pieces that are not there yet, and join them."""
    pieces = range(-(-wanted.people // PIECE))
    lacking = [number for number in pieces if not _piece(folder, number).exists()]
    weights.ensure(weights.DCGAN_DIGIFACE, settings.cache_dir, report)
    # Spawned: a fork after torch has run hangs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_open, initargs=(settings,)) as pool:
        made = pool.map(_make, [(wanted, folder, number) for number in lacking])
        for done, _ in enumerate(made, start=len(pieces) - len(lacking) + 1):
            report(f"faces of {min(done * PIECE, wanted.people)} of {wanted.people} people are made")
    save(joined([read(_piece(folder, number)) for number in pieces]), folder / "faces.npz")
    for number in pieces:
        _piece(folder, number).unlink()


def photographs(folder: Path, settings: Settings, report: Report = silent) -> Faces:
    """Read a folder of one subfolder a person; images without exactly one face are told and left out.

    Whoever trains on photographs answers for the consent of the people in them.

    Raises:
        BadInput: If there is no usable image.
        Unready, WeightsUnusable: If the networks or their weights cannot be had.
    """
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in IMAGE_SUFFIXES)
    engine = FaceEngine.load(settings, report)
    found: list[tuple[Pixels, tuple[int, ...], npt.NDArray[np.float32], str]] = []
    for group in _groups(files, 16):
        for file, seen in zip(group, engine.examine([file.read_bytes() for file in group]), strict=True):
            face = _only_face(seen)
            if face is None:
                report(f"{file}: expected exactly one face; left out")
                continue
            try:
                pixels, box = _framed(file, face)
            except (OSError, UnidentifiedImageError) as error:
                raise BadInput(f"expected an image in {file}, got {error}: take it out of the folder") from error
            found.append((pixels, box, face.embedding, file.parent.name))
    if not found:
        raise BadInput(f"expected faces in {folder}, got none: one subfolder a person, with images of one face each")
    pixels_of, boxes, embeddings, names = zip(*found, strict=True)
    return Faces.of(np.stack(pixels_of), np.array(boxes, dtype=np.int16), np.stack(embeddings), names)


def _name(wanted: Synthetic, settings: Settings) -> str:
    """Name a folder by all that its faces depend on."""
    of = {**asdict(wanted), "first": FIRST_SEED, "embedder": settings.embedder, "gan": weights.DCGAN_DIGIFACE.name}
    return f"synthetic-{hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:12]}"


def _piece(folder: Path, number: int) -> Path:
    return folder / f"piece-{number:05d}.npz"


@dataclass(frozen=True)
class _Opened:
    """What one process makes faces with."""

    gan: digiface_dcgan.DigifaceDcgan
    engine: FaceEngine


#: Set once in each process of the pool.
_opened: list[_Opened] = []


def _open(settings: Settings) -> None:
    import torch

    torch.set_num_threads(1)
    gan = digiface_dcgan.load(weights.read(weights.DCGAN_DIGIFACE, settings.cache_dir))
    _opened.append(_Opened(gan, FaceEngine.load(settings.model_copy(update={"threads": 1}))))


def _make(work: tuple[Synthetic, Path, int]) -> None:
    """Make one piece: the faces of ``PIECE`` people."""
    wanted, folder, number = work
    people = range(number * PIECE, min((number + 1) * PIECE, wanted.people))
    parts = [_people(people[start : start + 16], wanted, _opened[0]) for start in range(0, len(people), 16)]
    save(joined([part for part in parts if part is not None]), _piece(folder, number))


def _people(people: Sequence[int], wanted: Synthetic, opened: _Opened) -> Faces | None:
    strengths = np.linspace(0, wanted.farthest, wanted.each, dtype=np.float32)
    seeds = [FIRST_SEED + person for person in people for _ in strengths]
    anchors = np.array([digiface_dcgan.anchor(seed) for seed in seeds], dtype=np.float32)
    # A noise of its own for each face: with one for all of a person they would lie on one line.
    noise = [(FIRST_SEED + person) * wanted.each + place for person in people for place in range(wanted.each)]
    pixels = opened.gan.sample(noise, anchors, np.tile(strengths, len(people)))
    faces = [_only_face(seen) for seen in opened.engine.examine([encode_png(each) for each in pixels])]
    seen = [(row, face) for row, face in enumerate(faces) if face is not None]
    if not seen:
        return None
    return Faces.of(
        pixels[[row for row, _ in seen]],
        np.array([_corners(face) for _, face in seen], dtype=np.int16),
        np.stack([face.embedding for _, face in seen]),
        [f"{_NAMED}{seeds[row]}" for row, _ in seen],
    )


def _only_face(seen: object) -> Face | None:
    return seen.largest if isinstance(seen, Sighting) and seen.faces == 1 else None


def _corners(face: Face) -> tuple[int, ...]:
    """Return the box as the engine cuts it out."""
    return tuple(int(corner) for corner in face.box)


def _framed(file: Path, face: Face) -> tuple[Pixels, tuple[int, ...]]:
    """Cut a square around the face, and return it with the box inside of it, both in pixels of the result."""
    left, top, right, bottom = face.box
    side = _FRAME * max(right - left, bottom - top)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    with Image.open(file) as opened:
        cut = opened.convert("RGB").transform(
            (SIDE * 2, SIDE * 2), Image.Transform.EXTENT, (x, y, x + side, y + side), Image.Resampling.BICUBIC
        )
    pixels = np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.uint8)
    box = np.array([left - x, top - y, right - x, bottom - y]) * SIDE / side
    return pixels, tuple(int(corner) for corner in box.clip(0, SIDE))


def _groups(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
