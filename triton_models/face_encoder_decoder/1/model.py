"""Serves the encoder-decoder that learned to show anybody."""

from typing import Any

# Exists only inside the server.
import triton_python_backend_utils as triton

from generators import serve


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.sampler = serve.load(args)

    def execute(self, requests: list[Any]) -> list[Any]:
        return serve.respond(triton, self.sampler, requests)
