"""An outage of Milvus is told from a refused token and from a mistake of ours."""

import grpc
import pytest
from pymilvus import MilvusException

from streams.adapters.milvus.calls import address, meaning_of, require_address
from streams.errors import BadInput, DependencyUnavailable

WHERE = "example.org:19530"


class Failed(grpc.RpcError, grpc.Call):
    """What gRPC raises: an error that is the call too."""

    def __init__(self, status: grpc.StatusCode, details: str = "it said so") -> None:
        self._status = status
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._status

    def details(self) -> str:
        return self._details

    def initial_metadata(self): ...
    def trailing_metadata(self): ...
    def is_active(self): ...
    def time_remaining(self): ...
    def cancel(self): ...
    def add_callback(self, callback): ...


def wrapped(cause: Exception, code: int = 2) -> MilvusException:
    """Return an error as pymilvus makes it of another."""
    error = MilvusException(code, "Fail connecting to server")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("status", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"])
def test_a_server_that_cannot_be_reached_is_an_outage_however_pymilvus_wraps_it(status: str) -> None:
    failed = Failed(grpc.StatusCode[status])
    for error in (failed, wrapped(failed), wrapped(wrapped(failed))):
        meaning = meaning_of(error, WHERE)
        assert isinstance(meaning, DependencyUnavailable)
        assert meaning.dependency == "milvus"
        assert WHERE in str(meaning)


def test_a_server_that_is_still_starting_is_an_outage() -> None:
    said = "service unavailable: internal: Milvus Proxy is not ready yet. please wait"
    assert isinstance(meaning_of(Failed(grpc.StatusCode.UNKNOWN, said), WHERE), DependencyUnavailable)
    assert isinstance(meaning_of(MilvusException(1, said), WHERE), DependencyUnavailable)


@pytest.mark.parametrize("code", [3, 8, 9, 100, 101, 503, 901])
def test_a_server_that_has_too_much_to_do_or_has_not_found_its_data_yet_is_an_outage(code: int) -> None:
    assert isinstance(meaning_of(MilvusException(code, "wait"), WHERE), DependencyUnavailable)


def test_what_the_server_calls_retriable_is_an_outage() -> None:
    assert isinstance(meaning_of(MilvusException(4242, "wait", retriable=True), WHERE), DependencyUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        Failed(grpc.StatusCode.UNAUTHENTICATED),
        wrapped(Failed(grpc.StatusCode.PERMISSION_DENIED)),
        MilvusException(1400, "not authenticated"),
    ],
)
def test_a_refused_token_is_bad_input_that_names_the_setting(error: Exception) -> None:
    meaning = meaning_of(error, WHERE)
    assert isinstance(meaning, BadInput)
    assert "LIKENESS_MILVUS_TOKEN" in str(meaning)


@pytest.mark.parametrize(
    "error",
    [
        Failed(grpc.StatusCode.UNIMPLEMENTED),
        Failed(grpc.StatusCode.UNKNOWN, "Exception calling application"),
        MilvusException(1100, "invalid parameter"),
        MilvusException(1, "something broke"),
        wrapped(TypeError("wrong type"), code=8),
    ],
)
def test_a_mistake_of_ours_means_nothing_else(error: Exception) -> None:
    assert meaning_of(error, WHERE) is None


def test_an_error_that_is_its_own_cause_is_looked_at_once() -> None:
    error = MilvusException(8, "rate limit")
    error.__cause__ = error
    assert isinstance(meaning_of(error, WHERE), DependencyUnavailable)


def test_an_address_is_shown_without_its_password() -> None:
    assert address("https://root:secret@example.org:19530/faces") == WHERE
    with pytest.raises(BadInput) as caught:
        require_address("ftp://root:secret@example.org:19530")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:19530", "https://in01.example.org", "http://u:p@[::1]:19530"])
def test_addresses_of_servers_are_taken(uri: str) -> None:
    require_address(uri)
