"""Whatever a broker takes, a consumer gets past; real encoded batches, and what is read of them."""

import struct
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import Unready
from streams.kafka.foreign_records import INFLATED_BYTES, RECORD_BYTES, TolerantRecords, tolerate_foreign_records
from streams.topics import UNREADABLE
from tests.raw_records import Codec, RawRecord, batch

CODECS: tuple[Codec, ...] = ("none", "gzip", "snappy", "lz4", "zstd")
COMPRESSED = CODECS[1:]

PLAIN = RawRecord(b"value " * 20, b"key", (("name", b"\xff"), ("none", None), ("ä", b"")), 1000)
ODD = RawRecord(b"value " * 20, b"key", ((b"\xff\xfe", b"x"), ("name", b"y"), (b"a\x80z", None)), 2000)


def fetched(data: bytes, at: int = 0) -> list[Any]:
    """Return what aiokafka's fetcher makes of an answer with these batches."""
    place = TopicPartition("topic", 0)
    read = PartitionRecords(place, TolerantRecords(data), None, at, None, None, True, READ_UNCOMMITTED)
    return list(read)


def moved(data: bytes, offset: int) -> bytes:
    """Return a batch as a broker stores it: its first record has this offset."""
    return struct.pack(">q", offset) + data[8:]


def altered(data: bytes, at: int, new: bytes) -> bytes:
    """Return a batch that says something else, with a checksum that fits."""
    changed = data[:at] + new + data[at + len(new) :]
    return changed[:17] + struct.pack(">I", calc_crc32c(changed[21:])) + changed[21:]


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_read_as_aiokafka_reads_it(codec: Codec):
    data = batch(PLAIN, RawRecord(None, None), RawRecord(b"", b""), codec=codec)
    theirs = MemoryRecords(data).next_batch()
    ours = fetched(data)
    assert [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in ours] == [
        (r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in theirs
    ]
    assert len(ours) == 3


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("odd_at", [0, 1, 2])
def test_a_header_name_that_is_not_utf_8_becomes_readable_and_everything_else_stays(codec: Codec, odd_at: int):
    records = [PLAIN, PLAIN, PLAIN]
    records[odd_at] = ODD
    data = moved(batch(*records, codec=codec), 40) + moved(batch(PLAIN, codec=codec), 43)

    found = fetched(data)

    assert [record.offset for record in found] == [40, 41, 42, 43]
    assert found[odd_at].headers == ((r"\xff\xfe", b"x"), ("name", b"y"), (r"a\x80z", None))
    assert (found[odd_at].key, found[odd_at].value) == (ODD.key, ODD.value)
    assert all(record.headers == PLAIN.headers for n, record in enumerate(found) if n != odd_at)


def test_aiokafka_alone_stops_at_such_a_name():
    # Once it does not, all of this may go.
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(batch(ODD)).next_batch())


def test_reading_may_begin_in_the_middle_of_a_batch():
    assert [record.offset for record in fetched(batch(ODD, ODD, PLAIN), at=1)] == [1, 2]


@given(st.lists(st.lists(st.tuples(st.binary(max_size=9), st.none() | st.binary(max_size=5)), max_size=3), max_size=4))
def test_no_header_name_stops_the_reader(names):
    data = batch(*(RawRecord(b"v", None, headers) for headers in [*names, []]))

    found = fetched(data)

    assert [len(record.headers) for record in found] == [*map(len, names), 0]
    for record, headers in zip(found, names, strict=False):
        assert [value for _, value in record.headers] == [value for _, value in headers]
        for (said, _), (name, _) in zip(record.headers, headers, strict=True):
            assert said == name.decode(errors="backslashreplace")
            said.encode()  # so that it can be published again


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_inflates_to_too_much_comes_as_one_record_that_holds_it(codec: Codec):
    share = INFLATED_BYTES // 40
    bomb = moved(batch(*[RawRecord(b"\0" * share)] * 41, codec=codec), 100)

    [record, after] = fetched(bomb + moved(batch(PLAIN), 141))

    assert (record.offset, record.key, record.value) == (140, None, bomb)
    [(name, why)] = record.headers
    assert name == UNREADABLE
    assert str(INFLATED_BYTES).encode() in why
    assert (after.offset, after.value) == (141, PLAIN.value)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_record_that_inflates_to_too_much_comes_as_one_that_holds_its_batch(codec: Codec):
    data = batch(PLAIN, RawRecord(b"\0" * RECORD_BYTES, b"k"), PLAIN, codec=codec)

    [before, large, after] = fetched(data)

    assert (before.value, after.value) == (PLAIN.value, PLAIN.value)
    assert (large.offset, large.value) == (1, data)
    assert large.headers == ((UNREADABLE, large.headers[0][1]),)


def test_what_is_not_compressed_was_weighed_by_its_broker():
    [record] = fetched(batch(RawRecord(b"\0" * (RECORD_BYTES + 1))))
    assert len(record.value) == RECORD_BYTES + 1


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_is_broken_inside_comes_as_one_record_and_the_next_one_is_read(codec: Codec):
    whole = moved(batch(PLAIN, PLAIN, codec=codec), 7)
    broken = altered(whole, 61, b"\xff" * (len(whole) - 61))

    found = fetched(broken + moved(batch(PLAIN), 9))

    assert [(record.offset, record.value) for record in found] == [(8, broken), (9, PLAIN.value)]
    assert found[0].headers[0][0] == UNREADABLE


def test_a_codec_that_nobody_knows_is_an_unreadable_batch():
    data = altered(batch(PLAIN), 21, struct.pack(">h", 7))
    [record] = fetched(data)
    assert record.headers == ((UNREADABLE, b"ValueError: no codec 7"),)


def test_a_damaged_batch_is_fetched_again_and_not_skipped():
    data = bytearray(batch(PLAIN))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        fetched(bytes(data))


@given(st.binary(max_size=300), st.sampled_from(range(5)), st.integers(0, 3))
def test_no_bytes_inside_a_batch_stop_the_reader(inside, codec, count):
    head = bytearray(batch(PLAIN, PLAIN)[:61])
    struct.pack_into(">hi", head, 21, codec, count - 1)
    struct.pack_into(">i", head, 57, count)
    struct.pack_into(">i", head, 8, len(head) + len(inside) - 12)
    data = altered(bytes(head) + inside, 0, b"")

    [*_, last] = fetched(data + moved(batch(PLAIN), count))

    assert (last.offset, last.value) == (count, PLAIN.value)


def test_a_length_that_leads_far_behind_the_batch_is_read_no_further():
    head = bytearray(batch(PLAIN)[:61])
    far = bytearray()
    encode_varint(2**40, far.append)
    record = b"\x02\x00\x00\x00" + far  # length, attributes, time, offset, and a key of a terabyte
    struct.pack_into(">i", head, 8, len(head) + len(record) - 12)
    [one] = fetched(altered(bytes(head) + record, 0, b""))
    assert dict(one.headers)[UNREADABLE]


def test_the_beginning_of_a_batch_that_was_not_fetched_whole_is_left_for_the_next_answer():
    one, two = batch(PLAIN), moved(batch(ODD), 1)
    assert [record.offset for record in fetched(one + two[:-1])] == [0]
    assert TolerantRecords(one + two[:-1]).size_in_bytes() == len(one) + len(two) - 1
    assert not TolerantRecords(two[:-1]).has_next()
    assert TolerantRecords(b"").next_batch() is None


def test_it_takes_the_place_of_aiokafkas_reader_once_it_is_asked_to(monkeypatch):
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    tolerate_foreign_records()
    tolerate_foreign_records()
    assert fetcher.MemoryRecords is TolerantRecords


def test_another_release_of_aiokafka_is_refused_by_what_was_tested(monkeypatch):
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    monkeypatch.setattr(aiokafka, "__version__", "0.15.0")
    with pytest.raises(Unready, match=r"expected aiokafka 0\.14\.x, got 0\.15\.0"):
        tolerate_foreign_records()
    assert fetcher.MemoryRecords is MemoryRecords
