"""A policy as the TOML file that workers load."""

import json
import os
import re
from pathlib import Path

from streams.core.policy import POLICY_NAME, Policy, parse
from streams.errors import BadInput
from streams.tools.rates.pages import templates


def named(path: Path) -> str:
    """Return the name of the policy that a file is to hold: the file's, without its ending.

    Raises:
        BadInput: If that is no name of a policy.
    """
    if not re.fullmatch(POLICY_NAME, path.stem):
        raise BadInput(
            f"expected a file named in small letters, digits and -, as its policy is, got {path.name}: see --output"
        )
    return path.stem


def require_writable(*paths: Path) -> None:
    """Refuse what cannot be written before hours are spent on what is to be written; blocks.

    Raises:
        BadInput: If a file's folder cannot be made or written, or there is a folder in the file's place.
    """
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error.strerror) from error
        if path.is_dir():
            raise _unwritable(path, "it is a folder")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise _unwritable(path, "permission denied")


def policy_text(policy: Policy) -> str:
    """Return the file's text: read back it is the same policy, in the same version."""
    environment = templates()
    # JSON's strings, numbers and lists are TOML's as well, but for the one character that JSON leaves as it is.
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    text = environment.get_template("policy.toml.j2").render(policy=policy, data=policy.model_dump(mode="json"))
    read = parse(text, policy.name)
    if read.version != policy.version:
        raise AssertionError(f"expected {policy.version} to be read back as written, got {read.version}")
    return text


def write_policy(policy: Policy, path: Path) -> None:
    """Write the file; blocks.

    Raises:
        BadInput: If it cannot be written.
    """
    write_text(policy_text(policy), path)


def write_text(text: str, path: Path) -> None:
    """Write a file that somebody named; blocks.

    Raises:
        BadInput: If it cannot be written.
    """
    require_writable(path)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error.strerror) from error


def _unwritable(path: Path, why: str | None) -> BadInput:
    return BadInput(f"{path} cannot be written: {why}; name another file")
