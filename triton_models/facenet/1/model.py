"""Serves FaceNet: crops of faces to embeddings."""

from typing import Any

# Exists only inside the server.
import triton_python_backend_utils as triton

from generators import serve_facenet


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.networks = serve_facenet.load(args)

    def execute(self, requests: list[Any]) -> list[Any]:
        return serve_facenet.respond(triton, self.networks, requests)
