"""What runs the networks: torch, onnxruntime or OpenVINO."""
