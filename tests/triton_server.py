"""A Triton server that a test has to itself, and whose models it changes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import psutil

from streams.embedded import triton as embedded
from streams.processes.child import Child
from streams.settings import Settings
from streams.shipped import shipped

START_SECONDS = 90.0

#: Has a server see what changes in its model repository.
POLLING = ("--model-control-mode=poll", "--repository-poll-secs=1")


class Server:
    """The embedded server on a model repository of the test's; it starts although a model does not load."""

    def __init__(self, folder: Path, models: Path, options: Sequence[str]) -> None:
        plan = embedded.plan(folder, Settings().cache_dir, shipped("triton_models"))
        embedded.prepare(plan)
        plan = replace(plan, models=models)
        self.address, self.models = plan.address, models
        command = [*embedded.command(plan), "--exit-on-error=false", *options]
        self.child = Child.start("Triton", command, embedded.environment(plan), folder / "triton.log")

    def wait(self) -> None:
        """Wait until models are loaded: the server opens its port after that."""
        deadline = time.monotonic() + START_SECONDS
        with grpc.insecure_channel(self.address) as channel:
            ready = grpc.channel_ready_future(channel)
            while time.monotonic() < deadline and self.child.poll() is None:
                try:
                    return ready.result(timeout=0.5)
                except grpc.FutureTimeoutError:
                    continue
        raise self.child.failure("does not start", "read its log")

    @property
    def process(self) -> psutil.Process:
        assert self.child.command_pid is not None
        return psutil.Process(self.child.command_pid)

    def signal(self, number: int) -> None:
        # The server last: while it lives it keeps what is left of its children.
        for process in (*self.process.children(recursive=True), self.process):
            process.send_signal(number)
