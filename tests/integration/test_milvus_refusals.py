"""A token that Milvus refuses is a mistake at first, and an outage once it was taken."""

import pytest
from pymilvus import MilvusClient, MilvusException

from streams.adapters.milvus.calls import Calls
from streams.errors import BadInput, DependencyUnavailable
from streams.testing.milvus_server import MilvusServer

_SECONDS = 20.0


def refused(_: MilvusClient) -> None:
    """Fail as a server's calls do that does not know the user, or has not read its users yet."""
    raise MilvusException(65535, "auth check failure, please check api key is correct")


async def test_a_token_that_is_refused_at_first_is_a_mistake_and_after_it_was_taken_an_outage(lite: MilvusServer):
    calls = Calls(lite.uri, lite.token, _SECONDS, load=lambda _: None)
    try:
        with pytest.raises(BadInput, match="LIKENESS_MILVUS_TOKEN"):
            await calls.run(refused)
        await calls.run(lambda client: client.list_collections(timeout=_SECONDS))
        with pytest.raises(DependencyUnavailable, match="LIKENESS_MILVUS_TOKEN"):
            await calls.run(refused)
    finally:
        await calls.close()
