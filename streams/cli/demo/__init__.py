"""The demonstration: the whole road with one command."""
