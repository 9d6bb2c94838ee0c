"""Replays: recorded samples judged again, by another policy, embedder or gallery."""
