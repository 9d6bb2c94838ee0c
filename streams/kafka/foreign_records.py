"""Record batches as strangers write them: whatever a broker takes, a consumer gets past.

aiokafka stops at a batch that it cannot read, and stops there again at every poll, below everything that could put a
message aside: one header name that is not UTF-8 holds its partition up for ever. Here such a batch is read once more,
with every header name made readable. One that inflates to more than memory should hold, or is broken inside, comes as
one record that holds its bytes and says so in the header ``topics.UNREADABLE``.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import aiokafka
import cramjam
from aiokafka.codec import snappy_decode
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

from streams.errors import Unready
from streams.topics import UNREADABLE

#: The release whose way to read records was read and tested.
AIOKAFKA_RELEASE = "0.14."

#: A batch that holds more than so many bytes, once it is inflated, is not read, and neither is a single record with
#: more. Brokers bound what comes in deflated: of a megabyte they take, a gigabyte may come.
INFLATED_BYTES = 64 * 1024 * 1024
RECORD_BYTES = 2 * 1024 * 1024

#: The formats of old have no headers, and this place of their version.
_MAGIC = struct.calcsize(">qii")
_LENGTH = struct.Struct(">i")
_LENGTH_AT = struct.calcsize(">q")
_HEAD = _DefaultRecordBatchPy.HEADER_STRUCT.size
_ATTRIBUTES = struct.Struct(">h")
_ATTRIBUTES_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET

#: What the bytes of a batch can raise in their reader.
_BROKEN = (
    CorruptRecordException,
    ValueError,
    IndexError,
    zlib.error,
    EOFError,
    struct.error,
    cramjam.DecompressionError,
)


def tolerate_foreign_records() -> None:
    """Have every consumer that this process starts from now on get past what strangers write.

    Raises:
        Unready: If aiokafka is another release than the one whose reader this stands in for.
    """
    release = aiokafka.__version__
    if not release.startswith(AIOKAFKA_RELEASE):
        raise Unready(f"expected aiokafka {AIOKAFKA_RELEASE}x, got {release}: pip install 'aiokafka>=0.14,<0.15'")
    fetcher.MemoryRecords = TolerantRecords


class TolerantRecords:
    """The batches of one answer of a broker; what aiokafka's fetcher knows as ``MemoryRecords``."""

    def __init__(self, fetched: bytes) -> None:
        """Take what was fetched: whole batches, and perhaps the beginning of one more."""
        self._fetched, self._at = fetched, 0
        self._records = MemoryRecords(fetched)

    def size_in_bytes(self) -> int:
        """Return how much was fetched."""
        return len(self._fetched)

    def has_next(self) -> bool:
        """Say whether there is one more whole batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """Return the next batch, None behind the last one."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        begin = self._at
        (length,) = _LENGTH.unpack_from(self._fetched, begin + _LENGTH_AT)
        self._at = begin + _LENGTH_AT + _LENGTH.size + length
        if self._fetched[begin + _MAGIC] < 2:
            return batch
        return _TolerantBatch(batch, memoryview(self._fetched)[begin : self._at])


class _TolerantBatch:
    """One batch, read by aiokafka; where that stumbles, read once more and leniently."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch, self._raw = batch, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """Return the record of a control batch, of which the fetcher reads no other one."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            plain = self._raw if self._batch.compression_type == 0 else _inflated(self._raw)
            try:
                for record in DefaultRecordBatch(plain):
                    yield self._bounded(record)
                    given += 1
            except _BROKEN:
                # All are read before one more is given: what follows a broken record would not follow in the topic.
                yield from [self._bounded(record) for record in islice(_LenientBatch(plain), given, None)]
        except _BROKEN as error:
            yield self._instead(self._batch.next_offset - 1, f"{type(error).__name__}: {error}")

    def _bounded(self, record: Any) -> Any:
        """Return the record, or one in its place where it is too large: many are in memory together."""
        if self._batch.compression_type == 0:  # the broker has weighed it
            return record
        weight = len(record.key or b"") + len(record.value or b"")
        weight += sum(len(name) + len(value or b"") for name, value in record.headers)
        if weight <= RECORD_BYTES:
            return record
        return self._instead(record.offset, f"the record has {weight} bytes, inflated; allowed are {RECORD_BYTES}")

    def _instead(self, offset: int, why: str) -> _DefaultRecordPy:
        """Return a record that holds the batch. At the place of its last record, reading goes on behind it."""
        headers: list[tuple[str, bytes | None]] = [(UNREADABLE, why.encode(errors="replace"))]
        time = (self._batch.max_timestamp, self._batch.timestamp_type)
        return _DefaultRecordPy(offset, *time, None, bytes(self._raw), headers)


class _Readable(bytearray):
    r"""Bytes of which every part reads as text: a byte that is not UTF-8 becomes four characters such as ``\xff``."""

    def __getitem__(self, part: Any) -> Any:
        found = super().__getitem__(part)
        return _Readable(found) if isinstance(part, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del errors
        return super().decode(encoding, "backslashreplace")


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # final to those who do not need this
    """An inflated batch, read by aiokafka's reader in Python, which decodes nothing but header names."""

    def __init__(self, buffer: bytes | memoryview) -> None:
        super().__init__(buffer)
        self._buffer: bytearray = _Readable(buffer)

    def _read_msg(self, decode_varint: Callable[[bytearray, int], tuple[int, int]] = decode_varint_py) -> Any:
        # In Python too: the compiled one reads wherever a broken length leads it, and may take the process down.
        return super()._read_msg(decode_varint)


def _inflated(raw: memoryview) -> bytes:
    """Return a compressed batch as an uncompressed one.

    Raises:
        ValueError: If it holds too much.
    """
    (attributes,) = _ATTRIBUTES.unpack_from(raw, _ATTRIBUTES_AT)
    codec = attributes & DefaultRecordBatch.CODEC_MASK
    inflate: Callable[[memoryview], bytes] | None = {
        DefaultRecordBatch.CODEC_GZIP: _gunzipped,
        DefaultRecordBatch.CODEC_SNAPPY: _unsnapped,  # grows twentyfold at most
        DefaultRecordBatch.CODEC_LZ4: lambda data: _uncramjammed(cramjam.lz4, data),
        DefaultRecordBatch.CODEC_ZSTD: lambda data: _uncramjammed(cramjam.zstd, data),
    }.get(codec)
    if inflate is None:
        raise ValueError(f"no codec {codec}")
    head = bytearray(raw[:_HEAD])
    _ATTRIBUTES.pack_into(head, _ATTRIBUTES_AT, attributes & ~DefaultRecordBatch.CODEC_MASK)
    inflated: bytes = inflate(raw[_HEAD:])
    return bytes(head) + inflated


def _gunzipped(data: memoryview) -> bytes:
    gzip = zlib.decompressobj(wbits=31)
    inflated = gzip.decompress(data, INFLATED_BYTES + 1)
    if len(inflated) > INFLATED_BYTES:
        raise ValueError(f"the batch holds more than {INFLATED_BYTES} bytes")
    if not gzip.eof:
        raise EOFError("the gzip stream is cut off")
    return inflated


def _unsnapped(data: memoryview) -> bytes:
    inflated: bytes = snappy_decode(bytes(data))
    return inflated


def _uncramjammed(codec: Any, data: memoryview) -> bytes:
    room = bytearray(INFLATED_BYTES)  # memory is taken only where something is written
    try:
        length = codec.decompress_into(bytes(data), room)
    except cramjam.DecompressionError as error:
        raise ValueError(f"{error}, or it holds more than {INFLATED_BYTES} bytes") from error
    return bytes(memoryview(room)[:length])
