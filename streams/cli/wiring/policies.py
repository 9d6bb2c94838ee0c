"""Policies by name: apart from the services, so that whoever needs a policy alone waits for no client library."""

from pathlib import Path

from streams.core.policy import Policy, parse
from streams.errors import BadInput
from streams.shipped import shipped


def load_policy(name: str) -> Policy:
    """Return a shipped policy by name, or one from a TOML file.

    Raises:
        BadInput: If there is no such policy, or it is none.
    """
    path = policy_file(name)
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the policy {path} cannot be read: {error}; expected a TOML file") from error


def policy_file(name: str) -> Path:
    """Return where a policy lies.

    Raises:
        BadInput: If there is no such policy.
    """
    path = shipped("policies") / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in shipped("policies").glob("*.toml")))
        raise BadInput(f"no policy {name!r}: LIKENESS_POLICY takes one of {known}, or the path of a TOML file")
    return path
