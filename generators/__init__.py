"""Models that make faces: what is behind Triton."""
