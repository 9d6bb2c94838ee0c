"""Serves metrics to Prometheus over HTTP, from a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import disable_created_metrics, start_http_server
from prometheus_client.registry import Collector

from streams.errors import BadInput


@contextmanager
def served(address: str, metrics: Collector) -> Iterator[str]:
    """Answer at ``host:port`` with what is collected at that moment; yield the address, in which port 0 is a free one.

    Raises:
        BadInput: If this machine cannot listen there.
    """
    # Nobody asks for the gauge beside every counter that says when it began.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), metrics)
    except (OSError, OverflowError, ValueError) as error:
        raise BadInput(
            f"expected host:port on which this machine can listen for Prometheus, got {address}: {error};"
            " another process may listen there already, then take another port"
        ) from error
    try:
        yield f"{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
