"""The image store: content-addressed files in a folder, on S3, or wherever fsspec reaches."""

import asyncio
import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from streams.adapters import plain_files
from streams.adapters.decode import encode_png
from streams.adapters.image_faults import outages_of_object_stores
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
            raise DependencyUnavailable("images", str(error)) from error

    async def put(self, encoded: bytes) -> ImageRef:
        """See ``ports.Images``."""
        ref = ImageRef(sha256=hashlib.sha256(encoded).hexdigest(), size=len(encoded))
        try:
            await self._io(self._put, ref, encoded)
        except FileNotFoundError as error:  # lost in mid-write
            raise DependencyUnavailable("images", str(error)) from error
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
            encoded: bytes = await self._io(self._found, self._get, ref)
        except FileNotFoundError as error:
            raise ImageMissing(f"the image store has no image {ref.sha256}") from error
        found = hashlib.sha256(encoded).hexdigest()
        if found != ref.sha256:
            raise _altered(ref, f"other bytes, {found},")
        return encoded

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
            raise DependencyUnavailable("images", str(error)) from error

    def _create(self) -> None:
        marker = f"{self._root}/{MARKER}"
        if self._files.exists(marker):
            return
        if self._local:
            _write_durably(Path(marker), b"")
        else:
            self._files.pipe_file(marker, b"")

    def _require_store(self) -> None:
        if not self._files.exists(f"{self._root}/{MARKER}"):
            raise DependencyUnavailable(
                "images",
                f"expected an image store in {self._root}, found no {MARKER} there: mount it, or correct"
                " LIKENESS_IMAGES; `likeness enrol` makes a new one",
            )

    def _found(self, look: Callable[..., T], *arguments: Any) -> T:
        """Look for an image; only in a store that is there it can be missing."""
        try:
            return look(*arguments)
        except FileNotFoundError:
            self._require_store()
            return look(*arguments)  # it may have come back between the two looks

    def _put(self, ref: ImageRef, encoded: bytes) -> None:
        self._require_store()
        path = self.locate(ref)
        with contextlib.suppress(FileNotFoundError):
            if self._size(path) == ref.size:
                return
        if self._local:
            _write_durably(Path(path), encoded)
        else:
            self._files.pipe_file(path, encoded)  # an object store puts whole objects or none

    def _get(self, ref: ImageRef) -> bytes:
        if self._local:
            try:
                return plain_files.read(self._root, (ref.sha256[:2], ref.sha256), ref.size)
            except plain_files.NotPlain as error:
                raise _altered(ref, str(error)) from error
        path = self.locate(ref)
        size = self._files.size(path)
        if size != ref.size:
            raise _altered(ref, f"{size} bytes")
        data: bytes = self._files.cat_file(path)
        return data

    def _size(self, path: str) -> int:
        size: int = plain_files.size(path) if self._local else self._files.size(path)
        return size


def _altered(ref: ImageRef, found: str) -> ImageAltered:
    return ImageAltered(f"the image store has {found} where the {ref.size} bytes of {ref.sha256} should be")


def _write_durably(path: Path, encoded: bytes) -> None:
    """Write under another name, sync, rename, sync the folder: the file is whole or absent, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("wb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
