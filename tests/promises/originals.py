"""What all originals promise, as tests of a fixture ``originals``: none are registered, imprints are ``DESCRIPTOR``'s.

The stand-in keeps all of it in tests/contract; Milvus Lite's server and a real Milvus do in tests/integration.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from streams.core.imprints import TOLD, Descriptor, Imprint, Measure, Original
from streams.errors import BadInput
from streams.events import OriginalKind
from streams.ports import Originals

DESCRIPTOR = Descriptor("bits-256", "", 256, Measure.BITS, "a test")
NETWORK = Descriptor("network-4", "ab" * 32, 4, Measure.COSINE, "a test")


def bits(seed: int) -> Imprint:
    return np.random.default_rng(seed).integers(0, 2, 256).astype(np.float32)


def flipped(imprint: Imprint, count: int) -> Imprint:
    """The same with the first ``count`` bits the other way round."""
    other = imprint.copy()
    other[:count] = 1 - other[:count]
    return other


def original(
    name: str, *imprints: Imprint, kind: OriginalKind = "training", identity: str = "anna", sha256: str = "ab" * 32
) -> Original:
    return Original(name, kind, identity, sha256, imprints)


def told(near: Sequence[object]) -> list[tuple[str, int, bool]]:
    return [(one.original_id, one.bits, one.mirrored) for one in near]


@pytest.mark.parametrize("distance", [0, 1, 31, 32, 60, 61, 256])
async def test_the_distance_is_the_number_of_bits_that_differ(originals: Originals, distance: int) -> None:
    imprint = bits(1)
    await originals.register([original("one", imprint)])
    [near] = await originals.nearest([(flipped(imprint, distance),)])
    assert told(near) == [("one", distance, False)]


async def test_each_original_is_told_once_at_its_nearest_imprint(originals: Originals) -> None:
    upright, mirror = bits(1), bits(2)
    await originals.register([original("one", upright, mirror), original("two", flipped(mirror, 9))])
    probes = [(flipped(upright, 5), flipped(mirror, 3)), (flipped(upright, 2),), ()]
    first, second, nothing = await originals.nearest(probes)
    assert told(first) == [("one", 3, True), ("two", 6, False)]
    assert told(second)[0] == ("one", 2, False)
    assert nothing == ()


async def test_the_nearest_come_first_and_no_more_than_are_told(originals: Originals) -> None:
    imprint = bits(3)
    await originals.register([original(f"n{bit:02d}", flipped(imprint, bit)) for bit in range(40, 0, -2)])
    [near] = await originals.nearest([(imprint,)])
    assert told(near) == [(f"n{2 * place:02d}", 2 * place, False) for place in range(1, TOLD + 1)]


async def test_equally_near_originals_come_in_order_of_their_ids(originals: Originals) -> None:
    imprint = bits(4)
    await originals.register([original(f"same-{number:02d}", imprint, imprint) for number in range(60, 0, -1)])
    [near] = await originals.nearest([(imprint,)])
    assert told(near) == [(f"same-{number:02d}", 0, False) for number in range(1, TOLD + 1)]


async def test_among_five_hundred_the_nearest_is_found_as_by_looking_at_each(originals: Originals) -> None:
    all_of_them = {f"n{seed:03d}": bits(seed) for seed in range(500)}
    await originals.register([original(name, imprint) for name, imprint in all_of_them.items()])
    probes = [bits(10_000 + seed) for seed in range(20)]
    for probe, near in zip(probes, await originals.nearest([(one,) for one in probes]), strict=True):
        by_looking = sorted((int((probe != each).sum()), name) for name, each in all_of_them.items())
        assert [(one.bits, one.original_id) for one in near] == by_looking[:TOLD]


async def test_an_original_comes_back_with_what_it_is(originals: Originals) -> None:
    await originals.register([original("one", bits(1), kind="photo", identity="", sha256="cd" * 32)])
    [[near]] = await originals.nearest([(bits(1),)])
    assert (near.kind, near.identity, near.image_sha256, near.similarity) == ("photo", "", "cd" * 32, None)


async def test_registering_again_changes_nothing_and_replaces_what_is_there(originals: Originals) -> None:
    for identity in ("anna", "anna", "bert"):
        await originals.register([original("one", bits(1), bits(2), identity=identity)])
    assert await originals.count() == 1
    assert await originals.held("anna") == {}
    assert await originals.held("bert") == {"one": "training"}


async def test_what_is_registered_is_known_counted_and_held_by_identity(originals: Originals) -> None:
    assert (await originals.count(), await originals.known(["one"])) == (0, set())
    await originals.register(
        [
            original("one", bits(1), bits(2), bits(3), bits(4), kind="photo"),
            original("two", bits(5), bits(6)),
            original("three", bits(7), bits(8), identity=""),
        ]
    )
    assert await originals.known(["one", "three", "four"]) == {"one", "three"}
    assert await originals.held("anna") == {"one": "photo", "two": "training"}
    assert (await originals.count(), await originals.count("photo"), await originals.count("training")) == (3, 1, 2)
    assert await originals.held("") == {}


async def test_the_first_that_is_registered_is_counted_at_once(originals: Originals) -> None:
    assert await originals.about() == 0
    await originals.register([original("one", bits(1))])
    assert await originals.about() == 1


async def test_what_is_removed_is_gone_whole(originals: Originals) -> None:
    await originals.register([original("one", *map(bits, range(4))), original("two", bits(9))])
    await originals.remove(["one", "nobody"])
    assert (await originals.count(), await originals.known(["one"]), await originals.held("anna")) == (
        1,
        set(),
        {"two": "training"},
    )
    for found in await originals.nearest([(bits(seed),) for seed in range(4)]):
        assert [one.original_id for one in found] == ["two"]


async def test_nothing_is_near_where_nothing_is_registered(originals: Originals) -> None:
    assert await originals.nearest([(bits(1),), ()]) == [(), ()]
    assert await originals.nearest([]) == []


async def test_what_is_no_name_is_refused(originals: Originals) -> None:
    for wrong in (original('a"b', bits(1)), original("one", bits(1), identity='" or 1 == 1')):
        with pytest.raises(BadInput, match="expected the"):
            await originals.register([wrong])
    assert await originals.count() == 0
