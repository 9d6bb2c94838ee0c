"""What ``ports.Images`` promises: the same tests on the stand-in, on a folder and on an fsspec file system."""

import asyncio
import errno
import hashlib
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from streams.adapters.images.store import MARKER, ImageStore
from streams.errors import BadInput, DependencyUnavailable, ImageAltered, ImageMissing
from streams.events import ImageRef
from streams.ports import Images
from streams.testing.images import MemoryImages


@dataclass
class Store:
    images: Images
    overwrite: Callable[[ImageRef, bytes], object]
    """Put other bytes behind the store's back."""


@pytest.fixture(params=["folder", "fsspec"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "images") if request.param == "folder" else f"memory://{tmp_path.name}"


@pytest.fixture(params=["stand-in", "folder", "fsspec"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "stand-in":
        memory = MemoryImages()
        return Store(memory, lambda ref, other: memory.held.update({ref.sha256: other}))
    url = str(tmp_path / "images") if request.param == "folder" else f"memory://{tmp_path.name}"
    files = ImageStore(url)
    await files.open(create=True)
    system, _ = fsspec.core.url_to_fs(url)
    return Store(files, lambda ref, other: system.pipe_file(files.locate(ref), other))


async def test_an_image_comes_back_byte_for_byte(store: Store):
    encoded = bytes(range(256)) * 100

    ref = await store.images.put(encoded)

    assert (ref.sha256, ref.size) == (hashlib.sha256(encoded).hexdigest(), 25_600)
    assert await store.images.get(ref) == encoded


async def test_an_image_is_found_by_its_digest_alone(store: Store):
    ref = await store.images.put(b"picture")

    assert await store.images.find(ref.sha256) == ref
    assert await store.images.find("0" * 64) is None


async def test_an_image_that_is_removed_is_gone_and_can_be_stored_again(store: Store):
    ref, other = await store.images.put(b"one"), await store.images.put(b"another")

    assert await store.images.remove(ref.sha256)
    assert await store.images.find(ref.sha256) is None
    assert not await store.images.remove(ref.sha256)
    assert await store.images.get(other) == b"another"

    assert await store.images.put(b"one") == ref
    assert await store.images.get(ref) == b"one"


async def test_the_same_bytes_are_the_same_image(store: Store):
    first, second = await asyncio.gather(store.images.put(b"picture"), store.images.put(b"picture"))

    assert first == second
    assert await store.images.get(first) == b"picture"


async def test_pixels_are_stored_without_loss_and_always_as_the_same_bytes(store: Store):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)

    ref = await store.images.put_pixels(pixels)

    with Image.open(BytesIO(await store.images.get(ref))) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), pixels)
    assert await store.images.put_pixels(pixels.copy()) == ref


async def test_an_image_that_was_never_stored_is_missing(store: Store):
    with pytest.raises(ImageMissing, match="0000"):
        await store.images.get(ImageRef(sha256="0" * 64, size=1))


@pytest.mark.parametrize("other", [b"PICTURE", b"pic", b"picture and more", b""])
async def test_an_image_that_is_not_what_was_stored_is_altered(store: Store, other: bytes):
    ref = await store.images.put(b"picture")
    store.overwrite(ref, other)

    with pytest.raises(ImageAltered, match=ref.sha256):
        await store.images.get(ref)


async def test_a_pointer_with_another_size_is_not_believed(store: Store):
    ref = await store.images.put(b"picture")

    with pytest.raises(ImageAltered):
        await store.images.get(ImageRef(sha256=ref.sha256, size=ref.size + 1))


async def test_many_images_may_be_stored_and_read_at_once(store: Store):
    pictures = [f"picture {number % 20}".encode() for number in range(60)]

    refs = await asyncio.gather(*(store.images.put(picture) for picture in pictures))

    assert await asyncio.gather(*(store.images.get(ref) for ref in refs)) == pictures


def lose(url: str) -> None:
    """Leave what is left when a mount is lost: an empty folder."""
    system, root = fsspec.core.url_to_fs(url)
    system.rm(root, recursive=True)
    system.makedirs(root)


async def test_where_a_store_is_lost_no_image_is_missing(url: str):
    images = ImageStore(url)
    await images.open(create=True)
    ref = await images.put(b"picture")
    lose(url)

    for look in (images.get(ref), images.find(ref.sha256), images.put(b"another"), ImageStore(url).open()):
        with pytest.raises(DependencyUnavailable, match=f"images.*{MARKER}"):
            await look


async def test_a_store_that_comes_back_goes_on(url: str):
    images = ImageStore(url)
    await images.open(create=True)
    lose(url)
    with pytest.raises(DependencyUnavailable):
        await images.put(b"picture")
    await ImageStore(url).open(create=True)

    assert await images.get(await images.put(b"picture")) == b"picture"


async def test_a_store_is_made_by_whoever_may_and_nobody_else(url: str):
    with pytest.raises(DependencyUnavailable, match="likeness enrol"):
        await ImageStore(url).open()

    await asyncio.gather(*(ImageStore(url).open(create=True) for _ in range(5)))
    await ImageStore(url).open()


@pytest.mark.parametrize("other", [b"PICTURE", b"pic", b""])
async def test_an_image_that_was_altered_is_whole_after_it_is_stored_again(store: Store, other: bytes):
    ref = await store.images.put(b"picture")
    store.overwrite(ref, other)

    await store.images.put(b"picture")

    assert await store.images.get(ref) == b"picture"


def test_a_folder_holds_the_images_and_its_mark_and_nothing_else(tmp_path: Path):
    images = ImageStore(str(tmp_path / "new" / "images"))
    asyncio.run(images.open(create=True))
    ref = asyncio.run(images.put(b"picture"))

    held = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert held == {ref.sha256: b"picture", MARKER: b""}


@pytest.mark.parametrize("create", [False, True])
async def test_a_store_that_cannot_be_written_does_not_answer(tmp_path: Path, create: bool):
    (tmp_path / "images").write_text("a file where the folder should be")

    with pytest.raises(DependencyUnavailable, match="images"):
        await ImageStore(str(tmp_path / "images")).open(create=create)
    with pytest.raises(DependencyUnavailable, match="images"):
        await ImageStore(str(tmp_path / "images")).put(b"picture")


def fill(folder: str, most_bytes: int) -> str:
    """Store an image for which there is no room; return what is said of it."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))  # Python ignores SIGXFSZ: an error is raised
    try:
        asyncio.run(ImageStore(folder).put(b"x" * (most_bytes + 1)))
    except DependencyUnavailable as error:
        return str(error)
    return "stored"


def test_what_a_full_disk_broke_off_takes_no_room_and_the_store_is_named(tmp_path: Path):
    asyncio.run(ImageStore(str(tmp_path)).open(create=True))

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        said = child.submit(fill, str(tmp_path), 100_000).result(timeout=60)

    assert said.startswith(f"images is unavailable: {tmp_path}: ")
    assert "has room, or correct LIKENESS_IMAGES" in said
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [MARKER]


def test_an_image_and_the_folders_on_its_way_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    root = tmp_path / "new" / "images"
    images = ImageStore(str(root))
    asyncio.run(images.open(create=True))
    assert [folder.stat().st_ino for folder in (tmp_path, root.parent)] == synced[:2]
    synced.clear()

    place = Path(images.locate(asyncio.run(images.put(b"picture"))))

    assert synced == [path.stat().st_ino for path in (root, place, place.parent)]


class Grudging(MemoryFileSystem):
    """Hands some files out to nobody, as S3 does where a policy forbids a key."""

    protocol = "grudging"
    denied: ClassVar[set[str]] = set()

    def info(self, path: str, **options: Any):
        if any(path.endswith(name) for name in self.denied):
            raise PermissionError(errno.EACCES, "Forbidden", path)
        return super().info(path, **options)

    def cat_file(self, path: str, **options: Any):
        self.info(path)
        return super().cat_file(path, **options)


@pytest.fixture
def grudging(tmp_path: Path) -> Iterator[ImageStore]:
    fsspec.register_implementation("grudging", Grudging, clobber=True)
    yield ImageStore(f"grudging://{tmp_path.name}")
    Grudging.denied.clear()


async def test_an_image_that_alone_is_forbidden_is_missing_and_holds_nobody_up(grudging: ImageStore):
    await grudging.open(create=True)
    ref = await grudging.put(b"picture")
    Grudging.denied.add(ref.sha256)

    with pytest.raises(ImageMissing, match=f"and not its image {ref.sha256}.*Forbidden.*the right to read it"):
        await grudging.get(ref)


async def test_a_store_that_forbids_everything_is_an_outage(grudging: ImageStore):
    await grudging.open(create=True)
    ref = await grudging.put(b"picture")
    Grudging.denied |= {ref.sha256, MARKER}

    with pytest.raises(DependencyUnavailable, match="Forbidden"):
        await grudging.get(ref)


def look(folder: str, ref: ImageRef) -> str:
    """Look for an image as somebody who may not do everything; return what comes of it."""
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        asyncio.run(ImageStore(folder).get(ref))
    except (ImageMissing, DependencyUnavailable) as error:
        return type(error).__name__
    return "read"


@pytest.mark.parametrize(
    ("forbidden", "outcome"), [(None, "read"), ("image", "ImageMissing"), ("root", "DependencyUnavailable")]
)
def test_a_file_that_may_not_be_read_is_told_from_a_folder_that_may_not(forbidden: str | None, outcome: str):
    with TemporaryDirectory() as folder:  # pytest's own is closed to all others
        Path(folder).chmod(0o755)
        images = ImageStore(folder)
        asyncio.run(images.open(create=True))
        ref = asyncio.run(images.put(b"picture"))
        if forbidden:
            Path(folder if forbidden == "root" else images.locate(ref)).chmod(0)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
            said = child.submit(look, folder, ref).result(timeout=60)
        Path(folder).chmod(0o755)

    assert said == outcome


def test_a_url_that_nothing_opens_is_refused():
    with pytest.raises(BadInput, match="expected a folder or an fsspec URL"):
        ImageStore("carrier-pigeon://roof")


@dataclass
class Folder:
    """A store in a folder, and the place of an image that is not in it yet."""

    images: ImageStore
    ref: ImageRef

    @property
    def place(self) -> Path:
        place = Path(self.images.locate(self.ref))
        place.parent.mkdir(exist_ok=True)
        return place


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    images = ImageStore(str(tmp_path / "images"))
    await images.open(create=True)
    return Folder(images, ImageRef(sha256=hashlib.sha256(b"picture").hexdigest(), size=7))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / hashlib.sha256(b"picture").hexdigest()).write_bytes(b"picture")
    return outside


def test_a_link_out_of_the_store_is_not_followed(folder: Folder, outside: Path):
    folder.place.symlink_to(outside / folder.ref.sha256)

    with pytest.raises(ImageAltered, match="a link"):
        asyncio.run(folder.images.get(folder.ref))
    assert asyncio.run(folder.images.find(folder.ref.sha256)) is None


def test_a_folder_that_is_a_link_is_not_followed_either(folder: Folder, outside: Path):
    Path(folder.images.locate(folder.ref)).parent.symlink_to(outside)

    with pytest.raises(ImageAltered, match="a link"):
        asyncio.run(folder.images.get(folder.ref))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: socket.socket(socket.AF_UNIX).bind(path)])
def test_what_is_no_plain_file_is_neither_read_nor_waited_for(folder: Folder, make: Callable[[str], None]):
    with chdir(folder.place.parent), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the socket's file stays, which is what is wanted
        make(folder.place.name)

    with pytest.raises(ImageAltered, match="no plain file"):
        asyncio.run(folder.images.get(folder.ref))
    assert asyncio.run(folder.images.find(folder.ref.sha256)) is None


def test_a_file_that_is_too_large_is_not_read(folder: Folder):
    with folder.place.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing

    with pytest.raises(ImageAltered, match=r"1099511627776 bytes where the 7 bytes"):
        asyncio.run(folder.images.get(folder.ref))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: Path(path).symlink_to("/etc/passwd")])
def test_an_image_that_is_stored_takes_the_place_of_what_is_no_plain_file(folder: Folder, make: Callable[[str], None]):
    make(str(folder.place))

    ref = asyncio.run(folder.images.put(b"picture"))

    assert asyncio.run(folder.images.get(ref)) == b"picture"
    assert folder.place.is_file()
    assert not folder.place.is_symlink()


@pytest.mark.parametrize("fault", [errno.EIO, errno.EACCES])
def test_an_image_on_a_bad_spot_of_the_disk_is_put_anew(folder: Folder, fault: int, monkeypatch: pytest.MonkeyPatch):
    ref = asyncio.run(folder.images.put(b"picture"))
    spots = {Path(folder.images.locate(ref)).stat().st_ino}
    fstat = os.fstat

    def bad(file: int) -> os.stat_result:
        found = fstat(file)
        if found.st_ino in spots:
            raise OSError(fault, os.strerror(fault))
        return found

    monkeypatch.setattr(os, "fstat", bad)
    with pytest.raises(ImageAltered if fault == errno.EIO else ImageMissing, match=os.strerror(fault)):
        asyncio.run(folder.images.get(ref))

    asyncio.run(folder.images.put(b"picture"))

    assert asyncio.run(folder.images.get(ref)) == b"picture"
