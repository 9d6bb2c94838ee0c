"""Does this machine's processor compute in bfloat16? That is no part that could be installed."""

import importlib.util

import pytest

from streams.adapters.engines.openvino_sessions import refuse_without_bf16
from streams.errors import Unready
from tests.absent import absent


def needs_bfloat16() -> None:
    """Skip where the processor cannot; where OpenVINO is missing, fail in CI."""
    if importlib.util.find_spec("openvino") is None:
        absent("OpenVINO is not installed: pip install 'likeness-qc[openvino]'")
    try:
        refuse_without_bf16()
    except Unready as error:
        pytest.skip(str(error))
