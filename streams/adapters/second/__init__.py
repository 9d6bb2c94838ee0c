"""A second, independent verifier: another network, in an embedding space of its own."""
