"""Recordings: a bounded part of the stream in a folder of its own, to be judged again wherever it lies."""
