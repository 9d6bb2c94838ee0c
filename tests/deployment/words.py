"""Names in files that no interpreter reads before an operator does: settings, commands, topics, services."""

import functools
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from streams import topics
from streams.cli.main import build
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "OPERATIONS.md"

#: What typer raises of arguments that a command does not take; it has no public name of its own.
_UsageError: Any = typer.BadParameter.__base__

_OPTION = r"(?: --?[\w-]+(?:[= ]\w+=\d+)?)*"


def unknown_settings(text: str) -> list[str]:
    """Return the variables named in a text that no field of the settings reads."""
    known = {f"LIKENESS_{field.upper()}" for field in Settings.model_fields}
    return sorted(set(re.findall(r"\bLIKENESS_[A-Z_]*[A-Z]\b", text)) - known)


def command_faults(arguments: Sequence[str]) -> Iterator[str]:
    """Say why `likeness` would refuse these arguments; nothing is run."""
    command, rest = _command_line(), list(arguments)
    while isinstance(command, TyperGroup) and rest and rest[0] != "--help":
        if rest[0] not in command.commands:
            yield f"likeness has no command {' '.join(arguments)!r}"
            return
        command = command.commands[rest.pop(0)]
    if "--help" in rest:
        return
    try:
        command.make_context(command.name, rest)
    except _UsageError as error:
        yield f"likeness {' '.join(arguments)}: {error.format_message()}"


@functools.cache
def _command_line() -> Any:
    return get_command(build())


def manual_faults(text: str, services: Collection[str]) -> list[str]:
    """Return whatever the operator's manual names that is not there."""
    one_off = re.findall(r"docker compose run --rm(?: --volume \S+)? cli ([^`\n#|>]+)", text)
    plain = re.findall(r"`likeness ([a-z][^`<…]*)`", text)
    asked = re.findall(rf"docker compose (?:logs|restart|stop|start|exec|up){_OPTION} ([a-z][\w-]*)", text)
    families = "|".join(sorted({topic.name.partition(".")[0] for topic in topics.ALL}))
    topics_named = re.findall(rf"`((?:{families})\.[a-z]+)`", text)
    return [
        *(f"no setting is called {name}" for name in unknown_settings(text)),
        *(fault for arguments in (*one_off, *plain) for fault in command_faults(arguments.split())),
        *(f"there is no service {name}" for name in asked if name not in services),
        *(f"there is no topic {name}" for name in topics_named if name not in {topic.name for topic in topics.ALL}),
    ]


@functools.cache
def project() -> Mapping[str, Any]:
    """Return the table ``project`` of pyproject.toml."""
    table: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table
