"""What was read of how people look is held for a moment, and for one version of the gallery."""

import asyncio

import pytest

from streams.adapters.milvus import held
from streams.adapters.milvus.held import Holder


async def test_it_is_held_as_long_as_the_version_stays():
    holder = Holder()
    holder.under("1").keep({"anna": {}})
    assert holder.under("1").looks.keys() == {"anna"}
    assert holder.under("2").looks.keys() == set()
    assert holder.under("1").looks.keys() == set()
    holder.let_go()


async def test_it_is_let_go_in_time_though_nobody_asks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(held, "SECONDS", 0.0)
    holder = Holder()
    holder.under("1").keep({"anna": {}})
    await asyncio.sleep(0.001)
    assert holder.under("1").looks.keys() == set()
    holder.let_go()


async def test_what_is_read_while_it_is_let_go_is_given_to_nobody_else():
    holder = Holder()
    reading = holder.under("1")
    holder.let_go()
    reading.keep({"anna": {}})
    assert holder.under("1").looks.keys() == set()
    holder.let_go()


async def test_many_people_take_the_place_of_those_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(held, "PEOPLE", 2)
    holder = Holder()
    for name in ("anna", "bert", "dora"):
        holder.under("1").keep({name: {}})
    assert holder.under("1").looks.keys() == {"dora"}
    holder.let_go()
