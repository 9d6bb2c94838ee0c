"""Where the files lie that come with the package: served models and policies."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(folder: str) -> Path:
    """Return ``triton_models`` or ``policies`` of the installed package, or of the checkout.

    >>> (shipped("policies") / "default.toml").is_file()
    True
    """
    installed = _PACKAGE / "_shipped" / folder
    if installed.is_dir():
        return installed
    checkout = {"triton_models": "triton_models", "policies": "ops/policies"}[folder]
    return _PACKAGE.parent / checkout
