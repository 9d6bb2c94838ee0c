"""A policy as the TOML file that workers load."""

import json
from pathlib import Path

from streams.core.policy import Policy, parse
from streams.errors import BadInput
from streams.tools.report_pages import templates


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}; name another file") from error
