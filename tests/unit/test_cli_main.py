"""The command line is put together from our commands and from those that other packages bring."""

import importlib.metadata
from importlib.metadata import EntryPoint

import pytest
import typer

from streams.cli import main


@pytest.mark.parametrize("value", ["no.such.module:app", "streams.errors:no_such_name"])
def test_a_command_that_another_package_fails_to_bring_is_told_and_left_out(monkeypatch, capsys, value: str):
    broken = EntryPoint("theirs", value, "likeness.commands")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])

    commands = typer.main.get_command(main.build()).commands

    assert "theirs" not in commands
    assert {"worker", "demo"} <= set(commands)
    assert f"theirs of {value} cannot be loaded" in capsys.readouterr().err
