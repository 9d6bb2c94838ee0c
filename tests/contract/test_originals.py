"""The originals in memory keep every promise of originals."""

import pytest

from streams.ports import Originals
from streams.testing.originals import InMemoryOriginals
from tests.promises.originals import *  # noqa: F403 - the tests
from tests.promises.originals import DESCRIPTOR


@pytest.fixture
def originals() -> Originals:
    return InMemoryOriginals(DESCRIPTOR)
