"""The gallery in memory keeps every promise of a gallery."""

import pytest

from streams.ports import Gallery
from streams.testing.gallery import InMemoryGallery
from tests.promises.gallery import *  # noqa: F403 - the tests
from tests.promises.gallery import SPACE


@pytest.fixture
def gallery() -> Gallery:
    return InMemoryGallery(SPACE)
