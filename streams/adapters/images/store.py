"""The image store: content-addressed files in a folder, on S3, or wherever fsspec reaches."""

import asyncio
import errno
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from streams.adapters.images import plain_files
from streams.adapters.images.decode import encode_png
from streams.adapters.images.outages import outages_of_object_stores
from streams.core.faces import Pixels
from streams.errors import BadInput, DependencyUnavailable, ImageAltered, ImageMissing
from streams.events import ImageRef

T = TypeVar("T")


#: An empty file at the root that says that this is a store: a lost mount leaves an empty folder, in which there would
#: seem never to have been any image.
MARKER = ".likeness-images"


class ImageStore:
    """Implements ``ports.Images``. A path is built from a digest alone, never from what a message says.

    Methods may run at the same time, in this process and in others.
    """

    def __init__(self, url: str) -> None:
        """Take a folder or an fsspec URL. Nothing is touched yet."""
        try:
            # A cached listing would say of an image that another process has just stored that it is missing.
            self._files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise BadInput(
                f"the image store {url!r} cannot be opened: {error}; expected a folder or an fsspec URL"
            ) from error
        self._root = str(root).rstrip("/")
        self._local = "file" in (
            self._files.protocol if isinstance(self._files.protocol, tuple) else (self._files.protocol,)
        )
        self._outages = (OSError,) if self._local else outages_of_object_stores()

    async def open(self, create: bool = False) -> None:
        """Look whether the store is there; where it is not, ``create`` makes it.

        Raises:
            DependencyUnavailable: If there is no store, or it does not answer.
        """
        try:
            await self._io(self._create if create else self._require_store)
        except FileNotFoundError as error:  # a bucket, which nobody makes in passing
            raise self._down(error) from error

    async def put(self, encoded: bytes) -> ImageRef:
        """See ``ports.Images``."""
        ref = ImageRef(sha256=hashlib.sha256(encoded).hexdigest(), size=len(encoded))
        try:
            await self._io(self._put, ref, encoded)
        except FileNotFoundError as error:  # lost in mid-write
            raise self._down(error) from error
        return ref

    async def put_pixels(self, pixels: Pixels) -> ImageRef:
        """See ``ports.Images``."""
        return await self.put(await asyncio.to_thread(encode_png, pixels))

    async def find(self, sha256: str) -> ImageRef | None:
        """See ``ports.Images``."""
        try:
            size: int = await self._io(self._found, self._size, self._path(sha256))
        except FileNotFoundError:
            return None
        return ImageRef(sha256=sha256, size=size)

    async def get(self, ref: ImageRef) -> bytes:
        """See ``ports.Images``."""
        try:
            encoded: bytes = await self._io(self._fetch, ref)
        except FileNotFoundError as error:
            raise ImageMissing(
                f"{self._root} has no image {ref.sha256}: store it there, then send the sample again"
            ) from error
        found = hashlib.sha256(encoded).hexdigest()
        if found != ref.sha256:
            raise self._altered(ref, f"other bytes, {found},")
        return encoded

    async def remove(self, sha256: str) -> bool:
        """See ``ports.Images``."""
        try:
            await self._io(self._remove, self._path(sha256))
        except FileNotFoundError:
            return False
        return True

    def locate(self, ref: ImageRef) -> str:
        """Return where the image lies, for a person to open."""
        return self._path(ref.sha256)

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"

    async def _io(self, work: Any, *arguments: Any) -> Any:
        """Run blocking file work in a thread; a missing file is an answer, any other trouble is the store's."""
        try:
            return await asyncio.to_thread(work, *arguments)
        except FileNotFoundError:
            raise
        except self._outages as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> DependencyUnavailable:
        remedy = "see that it is there, may be written and has room" if self._local else "see that it answers"
        return DependencyUnavailable("images", f"{self._root}: {error}; {remedy}, or correct LIKENESS_IMAGES")

    def _altered(self, ref: ImageRef, found: str) -> ImageAltered:
        return ImageAltered(
            f"{self._root} has {found} where the {ref.size} bytes of {ref.sha256} should be: store the image again"
        )

    def _unreadable(self, ref: ImageRef, error: OSError) -> ImageMissing | ImageAltered:
        if isinstance(error, PermissionError):
            return ImageMissing(
                f"{self._root} may be read, and not its image {ref.sha256} ({error}): give the right to read it, then"
                " send the sample again"
            )
        return self._altered(ref, f"something that cannot be read ({error})")

    def _of_one_image(self, error: OSError) -> bool:
        """Say whether this may be one image's own trouble. S3's client says EIO of whatever it does not know."""
        return isinstance(error, PermissionError) or (self._local and error.errno == errno.EIO)

    @property
    def _marker(self) -> str:
        return f"{self._root}/{MARKER}"

    def _create(self) -> None:
        if self._files.exists(self._marker):
            return
        if self._local:
            _write_durably(Path(self._marker), b"")
        else:
            self._files.pipe_file(self._marker, b"")

    def _require_store(self) -> None:
        try:
            self._files.cat_file(self._marker)
        except FileNotFoundError as error:
            raise DependencyUnavailable(
                "images",
                f"expected an image store in {self._root}, found no {MARKER} there: mount it, or correct"
                " LIKENESS_IMAGES; `likeness enrol` makes a new one",
            ) from error

    def _found(self, look: Callable[..., T], *arguments: Any) -> T:
        """Look for an image; only in a store that is there it can be missing."""
        try:
            return look(*arguments)
        except FileNotFoundError:
            self._require_store()
            return look(*arguments)  # it may have come back between the two looks

    def _fetch(self, ref: ImageRef) -> bytes:
        """Read an image. One that cannot be read in a store that can is to blame itself: nobody else waits for it."""
        try:
            return self._found(self._get, ref)
        except OSError as error:
            if not self._of_one_image(error):
                raise
        self._require_store()
        try:
            return self._get(ref)  # the store may have come back between the two looks
        except OSError as error:
            if not self._of_one_image(error):
                raise
            raise self._unreadable(ref, error) from error

    def _put(self, ref: ImageRef, encoded: bytes) -> None:
        self._require_store()
        path = self.locate(ref)
        if self._holds(ref):
            if self._local:
                _sync(Path(path).parent)  # whoever put it there may not have come to that
        elif self._local:
            _write_durably(Path(path), encoded)
        else:
            self._files.pipe_file(path, encoded)  # an object store puts whole objects or none

    def _holds(self, ref: ImageRef) -> bool:
        """Say whether the image is there, byte for byte. What cannot be read is not: it is put again."""
        try:
            return hashlib.sha256(self._get(ref)).hexdigest() == ref.sha256
        except (FileNotFoundError, ImageAltered):
            return False
        except OSError as error:
            if not self._of_one_image(error):
                raise
            return False

    def _get(self, ref: ImageRef) -> bytes:
        if self._local:
            try:
                return plain_files.read(self._root, (ref.sha256[:2], ref.sha256), ref.size)
            except plain_files.NotPlain as error:
                raise self._altered(ref, str(error)) from error
        path = self.locate(ref)
        size = self._files.size(path)
        if size != ref.size:
            raise self._altered(ref, f"{size} bytes")
        data: bytes = self._files.cat_file(path)
        return data

    def _remove(self, path: str) -> None:
        self._require_store()
        if self._local:
            Path(path).unlink()
            _sync(Path(path).parent)
        else:
            self._files.size(path)  # an object store says nothing of what was not there
            self._files.rm_file(path)

    def _size(self, path: str) -> int:
        size: int = plain_files.size(path) if self._local else self._files.size(path)
        return size


def _write_durably(path: Path, encoded: bytes) -> None:
    """Write under another name, sync, rename, sync the folder: the file is whole or absent, also after a power cut."""
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        # What a full disk broke off would keep it full: every new try would leave one more behind.
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder, and those it is in, that are there after a power cut, too."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Have the disk know what the folder holds."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
